//! The table in bins of one byte. Eight columns stand together, so that one word of a row has the bins of eight.

use ranking::scorers::trees::Search;
use rayon::prelude::*;

use super::{CHUNK, borders, table::Table};

/// Columns that stand together.
pub(super) const TOGETHER: usize = 8;
/// Rows that are binned before their bins are put together.
const BLOCK: usize = 2_048;

/// A row's bins in eight columns.
pub(super) type Word = [u8; TOGETHER];

/// The columns that can be asked, and where each is divided.
#[derive(Debug)]
pub(super) struct Questions {
    /// For each feature, its place in the table and its borders.
    pub(super) features: Vec<(usize, Vec<f32>)>,
    searches: Vec<Search>,
}

impl Questions {
    /// Chooses borders; a column that is everywhere the same cannot be asked.
    pub(super) fn of(table: &Table<'_>, most: usize) -> Self {
        let all: Vec<Vec<f32>> = table.columns.par_iter().map(|column| borders::choose(column, most)).collect();
        let features: Vec<(usize, Vec<f32>)> =
            all.into_iter().enumerate().filter(|(_, borders)| !borders.is_empty()).collect();
        let searches = features.iter().map(|(_, borders)| Search::of(borders)).collect();
        Self { features, searches }
    }
}

/// A table in bins.
#[derive(Debug)]
pub(super) struct Bins {
    pub(super) rows: usize,
    /// For each eight features, a word for each row.
    pub(super) groups: Vec<Vec<Word>>,
}

impl Bins {
    pub(super) fn of(table: &Table<'_>, questions: &Questions) -> Self {
        let rows = table.rows();
        let groups = questions
            .features
            .par_chunks(TOGETHER)
            .zip(questions.searches.par_chunks(TOGETHER))
            .map(|(features, searches)| {
                let mut words = vec![[0; TOGETHER]; rows];
                let mut bins = [0; BLOCK];
                for (block, words) in words.chunks_mut(BLOCK).enumerate() {
                    for (at, ((column, _), search)) in features.iter().zip(searches).enumerate() {
                        let numbers = table.columns.get(*column).copied().unwrap_or(&[]);
                        search.bins(numbers.get(block * BLOCK..).unwrap_or(&[]), &mut bins[..words.len()]);
                        for (word, bin) in words.iter_mut().zip(&bins) {
                            word[at] = *bin;
                        }
                    }
                }
                words
            })
            .collect();
        Self { rows, groups }
    }

    /// Asks all rows whether a feature's bin is beyond a border; a row that says yes gets the bit in its leaf. Gives how
    /// many rows each leaf then has.
    pub(super) fn ask(&self, feature: usize, border: u8, bit: u8, leaves: &mut [u8]) -> Vec<u32> {
        let Some(words) = self.groups.get(feature / TOGETHER) else { return vec![0; 256] };
        let at = feature % TOGETHER;
        leaves
            .par_chunks_mut(CHUNK)
            .zip(words.par_chunks(CHUNK))
            .map(|(leaves, words)| {
                let mut counts = [[0_u32; 256]; 4];
                for (leaf, word) in leaves.iter_mut().zip(words) {
                    *leaf |= if word[at] > border { bit } else { 0 };
                }
                // Four counts at a time: one alone would wait for itself.
                for four in leaves.chunks(4) {
                    for (counts, leaf) in counts.iter_mut().zip(four) {
                        counts[usize::from(*leaf)] += 1;
                    }
                }
                let [mut sum, rest @ ..] = counts;
                for counts in rest {
                    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
                sum.to_vec()
            })
            .reduce(
                || vec![0; 256],
                |mut sum, part| {
                    sum.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
                    sum
                },
            )
    }
}
