//! From numbers to bins: how many of a column's borders a number lies beyond. It must not know a tree.

#[cfg(target_arch = "x86_64")]
mod wide;

use pulp::{Arch, Simd, WithSimd};

/// The most borders of a column, so that a bin is one byte.
pub const MOST_BORDERS: usize = 254;
/// Rows that stand together, and are evaluated together.
pub const BLOCK: usize = 256;
/// With at most this many borders it is faster to ask them all than to search, where nothing wider is at hand.
const FEW: usize = 24;
/// The fewest levels of the search: they fit one register.
const LEAST_LEVELS: usize = 4;

/// The bins of a block's rows in one column.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Lane(pub(super) [u8; BLOCK]);

/// The bins of a table: for each block of rows its columns, one after another, so that a block stays in the cache
/// while all trees pass over it.
#[derive(Clone, Debug)]
pub struct Binned {
    rows: usize,
    columns: usize,
    lanes: Vec<Lane>,
}

impl Binned {
    /// The bins of `rows` rows, by a search for each column; `column` gives the numbers of one. Where it gives too few,
    /// the rest is like NaN.
    pub(super) fn of<'a>(searches: &[Search], rows: usize, column: impl Fn(usize) -> &'a [f32]) -> Self {
        let blocks = rows.div_ceil(BLOCK);
        let mut lanes = vec![Lane([0; BLOCK]); blocks * searches.len()];
        for (at, search) in searches.iter().enumerate() {
            let numbers = column(at);
            let numbers = numbers.get(..rows).unwrap_or(numbers);
            let places = lanes.iter_mut().skip(at).step_by(searches.len());
            // What is the listener's or the moment's is the same for all rows, and is looked up once.
            if let Some(only) = only(numbers).filter(|_| numbers.len() == rows) {
                let mut bin = [0];
                search.bins(&[only], &mut bin);
                places.for_each(|lane| lane.0.fill(bin[0]));
                continue;
            }
            for (block, lane) in numbers.chunks(BLOCK).zip(places) {
                search.bins(block, &mut lane.0);
            }
        }
        Self { rows, columns: searches.len(), lanes }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The columns of the blocks, with how many rows each block has.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&[Lane], usize)> {
        (0..self.rows.div_ceil(BLOCK)).map(|block| {
            let lanes = self.lanes.get(block * self.columns..(block + 1) * self.columns).unwrap_or(&[]);
            (lanes, (self.rows - block * BLOCK).min(BLOCK))
        })
    }
}

/// The number that all of these are.
fn only(numbers: &[f32]) -> Option<f32> {
    let (first, middle) = (numbers.first()?.to_bits(), numbers.get(numbers.len() / 2)?.to_bits());
    // Without a way out of the loop it goes over many at a time.
    let is_only = first == middle && numbers.iter().fold(0, |other, number| other | (number.to_bits() ^ first)) == 0;
    is_only.then(|| f32::from_bits(first))
}

/// A column's borders, prepared for the search.
#[derive(Clone, Debug)]
pub struct Search {
    borders: Vec<f32>,
    /// The search tree of `levels` levels: node `n` has the children `2n` and `2n + 1`, the root is 1. Filled up with
    /// infinities, which nothing lies beyond.
    nodes: Box<[f32; 256]>,
    levels: usize,
}

impl Search {
    /// Prepares ascending borders; more than [`MOST_BORDERS`] are left out.
    #[must_use]
    pub fn of(borders: &[f32]) -> Self {
        let borders = borders.get(..MOST_BORDERS).unwrap_or(borders).to_vec();
        let levels = (usize::BITS - borders.len().leading_zeros()).max(LEAST_LEVELS as u32) as usize;
        let mut nodes = Box::new([f32::INFINITY; 256]);
        for level in 0..levels {
            for n in 0..1 << level {
                // The node in the middle of what its part of the ascending order holds.
                let middle = ((2 * n + 1) << (levels - 1 - level)) - 1;
                if let (Some(place), Some(border)) = (nodes.get_mut((1 << level) + n), borders.get(middle)) {
                    *place = *border;
                }
            }
        }
        Self { borders, nodes, levels }
    }

    /// The bin of each number: how many borders are less. 0 for NaN. As many as there are numbers and places.
    pub fn bins(&self, numbers: &[f32], bins: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if wide::bins(self, numbers, bins) {
            return;
        }
        Arch::new().dispatch(Plain { search: self, numbers, bins });
    }
}

/// The search in plain numbers, which the compiler spreads over what the machine has.
struct Plain<'a> {
    search: &'a Search,
    numbers: &'a [f32],
    bins: &'a mut [u8],
}

impl WithSimd for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { search, numbers, bins } = self;
        if search.borders.len() <= FEW {
            for (numbers, bins) in numbers.chunks(64).zip(bins.chunks_mut(64)) {
                bins.fill(0);
                for border in &search.borders {
                    for (number, bin) in numbers.iter().zip(bins.iter_mut()) {
                        *bin += u8::from(number > border);
                    }
                }
            }
            return;
        }
        let first = 1 << search.levels;
        for (number, bin) in numbers.iter().zip(bins) {
            let mut node = 1;
            for _ in 0..search.levels {
                node = 2 * node + usize::from(*number > search.nodes[node & 255]);
            }
            *bin = (node - first) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(borders: &[f32], number: f32) -> u8 {
        borders.iter().filter(|border| number > **border).count() as u8
    }

    fn check(borders: &[f32], numbers: &[f32]) {
        let search = Search::of(borders);
        let expected: Vec<u8> = numbers.iter().map(|number| expected(borders, *number)).collect();
        let mut bins = vec![99; numbers.len()];
        search.bins(numbers, &mut bins);
        assert_eq!(bins, expected, "the widest instructions");
        bins.fill(99);
        Arch::new().dispatch(Plain { search: &search, numbers, bins: &mut bins });
        assert_eq!(bins, expected, "plain numbers");
    }

    proptest! {
        #[test]
        fn a_bin_counts_the_borders_below(
            mut borders in prop::collection::vec(-100_i32..100, 1..250),
            numbers in prop::collection::vec(-110.0_f32..110.0, 0..300),
        ) {
            borders.sort_unstable();
            borders.dedup();
            let borders: Vec<f32> = borders.into_iter().map(|border| border as f32).collect();
            check(&borders, &numbers);
            check(&borders, &borders);
        }
    }

    #[test]
    fn every_number_of_borders_is_searched() {
        for count in 1..=MOST_BORDERS {
            let borders: Vec<f32> = (0..count).map(|n| n as f32).collect();
            let numbers: Vec<f32> = (-1..=2 * count as i32).map(|n| n as f32 / 2.0).collect();
            check(&borders, &numbers);
        }
    }

    #[test]
    fn odd_numbers_have_their_bins() {
        let least = f32::from_bits(1);
        let borders = [f32::MIN, -1.0, -least, 0.0, least, 1.0, f32::MAX];
        let numbers =
            [f32::NAN, -f32::NAN, f32::NEG_INFINITY, f32::MIN, -least, -0.0, 0.0, least, 2.0 * least, f32::INFINITY];
        let mut bins = [99; 10];
        Search::of(&borders).bins(&numbers, &mut bins);
        assert_eq!(bins, [0, 0, 0, 0, 2, 3, 3, 4, 5, 7]);
        check(&borders, &numbers);
        let many: Vec<f32> = (-100..100).map(|n| n as f32 * least).collect();
        check(&many, &numbers);
    }

    #[test]
    fn a_table_is_filled_block_by_block() {
        let searches = [Search::of(&[0.0]), Search::of(&[100.0, 200.0, 300.0])];
        let numbers: Vec<f32> = (0..600).map(|n| n as f32).collect();
        let short = [1.0_f32; 10];
        let binned = Binned::of(&searches, 600, |column| if column == 0 { &short } else { &numbers });
        assert_eq!((binned.rows(), binned.columns(), binned.blocks().count()), (600, 2, 3));
        let (lanes, rows) = binned.blocks().nth(1).unwrap();
        assert_eq!((rows, lanes[0].0[0], lanes[1].0[0], lanes[1].0[44], lanes[1].0[45]), (256, 0, 2, 2, 3));
        assert_eq!(binned.blocks().last().unwrap().1, 88);
        assert_eq!(Binned::of(&searches, 0, |_| &[]).blocks().count(), 0);

        // A column of one number, and one that is so but for its last.
        let mut all = [250.0_f32; 600];
        for last in [250.0, f32::NAN, 1.0] {
            all[599] = last;
            let binned = Binned::of(&searches, 600, |_| &all);
            let bins: Vec<u8> = binned.blocks().flat_map(|(lanes, rows)| lanes[1].0[..rows].to_vec()).collect();
            assert_eq!(bins[..599], [2; 599]);
            assert_eq!(bins[599], if last == 250.0 { 2 } else { 0 });
        }
    }
}
