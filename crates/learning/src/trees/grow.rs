//! One tree: level by level the question that gains the most, asked of all leaves alike.

use rand::{RngExt, rngs::SmallRng, seq::SliceRandom};
use rayon::prelude::*;

use super::{
    CHUNK,
    bins::{Bins, Questions, TOGETHER},
    histogram::Histograms,
    packed::{Packed, Scale},
    settings::{Direction, Settings},
    sorted::{self, NONE, Sorted},
    split::{self, Asked, Split, Terms},
};

/// What a tree has become: its questions, and the sums of the derivatives in each of its leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Grown {
    pub(super) levels: Vec<Split>,
    pub(super) sums: Vec<(f64, f64)>,
}

/// Grows trees over the same rows, one after another.
#[derive(Debug)]
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    asked: Vec<Asked>,
    histograms: Vec<Histograms>,
    sorted: Vec<Sorted>,
    /// The leaf of each row.
    pub(super) leaves: Vec<u8>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(bins: &'a Bins, questions: &Questions, settings: &Settings) -> Self {
        let direction = |column: usize| settings.monotone.iter().find(|(c, _)| *c == column).map(|(_, d)| *d);
        let asked = |(feature, (column, borders)): (usize, &(usize, Vec<f32>))| Asked {
            feature,
            borders: borders.len(),
            direction: direction(*column),
        };
        Self {
            bins,
            asked: questions.features.iter().enumerate().map(asked).collect(),
            histograms: bins.groups.iter().map(|_| Histograms::default()).collect(),
            sorted: Vec::new(),
            leaves: vec![0; bins.rows],
        }
    }

    /// Which way the feature of each level may move the score.
    pub(super) fn directions(&self, levels: &[Split]) -> Vec<Option<Direction>> {
        levels.iter().map(|level| self.asked.get(level.feature).and_then(|asked| asked.direction)).collect()
    }

    /// Grows one tree; it has no levels when no question gains anything. Rows whose `skipped` is [`NONE`] do not
    /// choose questions, but have their leaves and count in the sums.
    pub(super) fn grow(
        &mut self,
        packed: &[Packed],
        scale: Scale,
        skipped: Option<&[u8]>,
        settings: &Settings,
        random: &mut SmallRng,
    ) -> Grown {
        self.leaves.fill(0);
        let terms = Terms { scale, l2: f64::from(settings.l2), min_weight: f64::from(settings.min_weight) };
        let of_tree = draw(&self.asked, settings.columns_per_tree, random);
        let mut levels: Vec<Split> = Vec::with_capacity(settings.depth);
        // Where the bars of each leaf are.
        let mut slots = vec![0];
        let mut counts = Vec::new();
        for depth in 0..settings.depth {
            let of_level = draw(&of_tree, settings.columns_per_level, random);
            let halves = if depth == 0 { Vec::new() } else { divide(&mut slots, &counts) };
            if depth > 0 || skipped.is_some() {
                let (rank, wanted) = ranks(&halves);
                sorted::sort(&mut self.sorted, &self.leaves, skipped, packed, &rank, wanted);
            }
            let wholes: Vec<usize> = halves.iter().map(|(_, whole)| *whole).collect();
            let parts = rayon::current_num_threads().div_ceil(self.histograms.len().max(1));
            let split = self
                .histograms
                .par_iter_mut()
                .zip(&self.bins.groups)
                .enumerate()
                .map(|(group, (histograms, words))| {
                    // What no level of this tree asks needs no histogram.
                    of_tree.iter().any(|asked| asked.feature / TOGETHER == group).then(|| match (depth, skipped) {
                        (0, None) => histograms.all(words, packed),
                        (0, Some(_)) => histograms.root(words, &self.sorted),
                        _ => histograms.divide(words, &self.sorted, &wholes, parts),
                    })?;
                    let asked: Vec<Asked> =
                        of_level.iter().filter(|asked| asked.feature / TOGETHER == group).copied().collect();
                    split::best(histograms, &slots, &asked, &terms)
                })
                .reduce(|| None, |a, b| a.zip(b).map(|(a, b)| a.better(b)).or(a).or(b));
            let Some(split) = split else { break };
            counts = self.bins.ask(split.feature, split.border, 1 << depth, &mut self.leaves);
            levels.push(split);
        }
        let sums = self.sums(packed, scale, 1 << levels.len());
        Grown { levels, sums }
    }

    /// The sums of each leaf over all rows.
    fn sums(&self, packed: &[Packed], scale: Scale, leaves: usize) -> Vec<(f64, f64)> {
        let add = |mut sum: Vec<u64>, part: Vec<u64>| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum = sum.wrapping_add(part));
            sum
        };
        let sums = self
            .leaves
            .par_chunks(CHUNK)
            .zip(packed.par_chunks(CHUNK))
            .map(|(leaves, packed)| {
                // Four sums at a time: one alone would wait for itself.
                let mut sums = [[0_u64; 256]; 4];
                for (leaves, packed) in leaves.chunks(4).zip(packed.chunks(4)) {
                    for (sums, (leaf, packed)) in sums.iter_mut().zip(leaves.iter().zip(packed)) {
                        let sum = &mut sums[usize::from(*leaf)];
                        *sum = sum.wrapping_add(*packed);
                    }
                }
                sums.into_iter().map(|sums| sums.to_vec()).reduce(add).unwrap_or_default()
            })
            .reduce(|| vec![0; 256], add);
        sums.into_iter().take(leaves).map(|sum| scale.unpack(sum)).collect()
    }
}

/// Divides all leaves: of each the half with fewer rows gets fresh bars, behind all others, and the other keeps the place
/// of the whole. Gives the smaller halves, with where the wholes' bars are.
fn divide(slots: &mut Vec<usize>, counts: &[u32]) -> Vec<(usize, usize)> {
    let count = |leaf: usize| counts.get(leaf).copied().unwrap_or(0);
    let before = slots.len();
    let mut halves = Vec::with_capacity(before);
    slots.resize(2 * before, 0);
    for low in 0..before {
        let (high, whole, fresh) = (low + before, slots[low], low + before);
        let small = if count(low) < count(high) { low } else { high };
        slots[low] = if small == low { fresh } else { whole };
        slots[high] = if small == low { whole } else { fresh };
        halves.push((small, whole));
    }
    halves
}

/// Which leaves are wanted; the root alone when there are no halves.
fn ranks(halves: &[(usize, usize)]) -> ([u8; 256], usize) {
    let mut rank = [NONE; 256];
    if halves.is_empty() {
        rank[0] = 0;
        return (rank, 1);
    }
    for (n, (leaf, _)) in halves.iter().enumerate() {
        rank[*leaf] = n as u8;
    }
    (rank, halves.len())
}

/// A share of the features, at least one, in their order.
fn draw(asked: &[Asked], share: f32, random: &mut SmallRng) -> Vec<Asked> {
    if share >= 1.0 || asked.is_empty() {
        return asked.to_vec();
    }
    let count = ((asked.len() as f32 * share).round() as usize).clamp(1, asked.len());
    let mut drawn = asked.to_vec();
    drawn.shuffle(random);
    drawn.truncate(count);
    drawn.sort_unstable_by_key(|asked| asked.feature);
    drawn
}

/// Which rows a tree does not look at, by chance and alike for the same seed.
pub(super) fn skip(rows: usize, share: f32, random: &mut SmallRng) -> Vec<u8> {
    let seed: u32 = random.random();
    let most = (f64::from(share) * 4_294_967_296.0) as u64;
    let is_skipped = |row: usize| u64::from(super::packed::hash(row as u32 ^ seed)) >= most;
    (0..rows).into_par_iter().map(|row| if is_skipped(row) { NONE } else { 0 }).collect()
}
