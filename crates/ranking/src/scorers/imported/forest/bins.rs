//! From numbers to bytes: which of a feature's thresholds a number lies between.
//!
//! A column of bytes stands for at most 255 thresholds of one feature and one treatment of missing numbers, so that a
//! missing number is the lowest or the highest byte and needs no test of its own. A feature with more thresholds, or
//! with both treatments, gets several columns. It must not know trees.

use std::collections::BTreeMap;

use super::{
    plan::{Lane, ROWS},
    tree::{Missing, ZERO},
};

/// How many thresholds a byte tells apart.
const THRESHOLDS: usize = 255;

/// A column of bytes.
#[derive(Debug)]
pub(super) struct Column {
    /// Which feature it is made from.
    feature: u32,
    /// How deep the search goes: it has `2^depth - 1` places.
    depth: u8,
    /// The byte of NaN.
    nan: u8,
    /// The byte of zero and what is read as it, where that is more than zero itself.
    zero: Option<u8>,
    /// Its thresholds as a search goes through them: those of place `i` at `2i + 1` and `2i + 2`.
    places: Vec<f32>,
}

/// The columns of a forest.
#[derive(Debug)]
pub(super) struct Bins {
    columns: Vec<Column>,
}

/// Where a test's threshold came to stand.
#[derive(Debug)]
pub(super) struct Found {
    /// The first column of each pair, and its thresholds.
    columns: BTreeMap<(u32, Missing), (usize, Vec<f32>)>,
}

impl Found {
    /// The column that a test reads, and the highest byte that goes left.
    pub(super) fn test(&self, feature: u32, at: f32, missing: Missing) -> (u16, u8) {
        let Some((first, thresholds)) = self.columns.get(&(feature, missing)) else { return (0, 0) };
        let place = thresholds.partition_point(|threshold| *threshold < at);
        ((first + place / THRESHOLDS) as u16, (place % THRESHOLDS) as u8)
    }
}

impl Bins {
    /// The columns that tell apart what these tests tell apart.
    pub(super) fn new(tests: impl Iterator<Item = (u32, f32, Missing)>) -> (Self, Found) {
        let mut all: BTreeMap<(u32, Missing), Vec<f32>> = BTreeMap::new();
        for (feature, at, missing) in tests {
            all.entry((feature, missing)).or_default().push(at);
        }
        let (mut columns, mut found) = (Vec::new(), BTreeMap::new());
        for ((feature, missing), mut thresholds) in all {
            thresholds.sort_unstable_by(f32::total_cmp);
            thresholds.dedup_by(|next, last| next == last);
            found.insert((feature, missing), (columns.len(), thresholds.clone()));
            columns.extend(thresholds.chunks(THRESHOLDS).map(|part| Column::new(feature, missing, part)));
        }
        (Self { columns }, Found { columns: found })
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The bytes of at most [`ROWS`] rows from `row` on; a column that ends before reads as zeros.
    pub(super) fn fill(&self, columns: &[&[f32]], row: usize, bytes: &mut [Lane]) {
        for (column, bytes) in self.columns.iter().zip(bytes) {
            let numbers = columns.get(column.feature as usize).and_then(|numbers| numbers.get(row..)).unwrap_or(&[]);
            match numbers.first_chunk::<ROWS>() {
                Some(numbers) => column.fill(numbers, bytes),
                None => {
                    // The last number again, so that a column that is the same everywhere stays so.
                    let mut padded = [numbers.last().copied().unwrap_or(0.0); ROWS];
                    for (place, number) in padded.iter_mut().zip(numbers) {
                        *place = *number;
                    }
                    column.fill(&padded, bytes);
                }
            }
        }
    }
}

impl Column {
    fn new(feature: u32, missing: Missing, thresholds: &[f32]) -> Self {
        let depth = (usize::BITS - thresholds.len().leading_zeros()).max(4);
        let places = (0..(1_usize << depth) - 1).map(|place| {
            // The place is the `index`-th of its level; a threshold that is not there is above every number.
            let level = (place + 1).ilog2();
            let index = place + 1 - (1 << level);
            let rank = ((2 * index + 1) << (depth - level - 1)) - 1;
            thresholds.get(rank).copied().unwrap_or(f32::INFINITY)
        });
        let mut column = Self { feature, depth: depth as u8, nan: 0, zero: None, places: places.collect() };
        let highest = thresholds.len() as u8;
        // Before the special bytes are known, the search alone gives the byte of zero.
        let zero = column.byte(0.0);
        let missing_byte = missing.is_left().map_or(zero, |left| if left { 0 } else { highest });
        column.nan = missing_byte;
        column.zero = missing.flushes().then_some(if missing.has_zero() { missing_byte } else { zero });
        column
    }

    /// How many thresholds are below the number, or the byte of a missing one.
    fn byte(&self, number: f32) -> u8 {
        if number.is_nan() {
            return self.nan;
        }
        if let Some(zero) = self.zero
            && number.abs() <= ZERO
        {
            return zero;
        }
        let mut place = 0;
        for _ in 0..self.depth {
            let above = self.places.get(place).is_some_and(|threshold| number > *threshold);
            place = 2 * place + 1 + usize::from(above);
        }
        (place - self.places.len()) as u8
    }

    fn fill(&self, numbers: &[f32; ROWS], bytes: &mut Lane) {
        // What is known of the listener is the same in every row.
        let first = numbers[0];
        if numbers.iter().all(|number| number.to_bits() == first.to_bits()) {
            bytes.fill(self.byte(first));
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if super::bins_avx512::fill(self, numbers, bytes) {
            return;
        }
        self.fill_plain(numbers, bytes);
    }

    fn fill_plain(&self, numbers: &[f32; ROWS], bytes: &mut Lane) {
        for (number, byte) in numbers.iter().zip(bytes) {
            *byte = self.byte(*number);
        }
    }

    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    pub(super) fn places(&self) -> &[f32] {
        &self.places
    }

    /// The bytes of NaN, and of what is read as zero.
    pub(super) fn missing(&self) -> (u8, Option<u8>) {
        (self.nan, self.zero)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MISSING: [Missing; 7] = [
        Missing::AsZero,
        Missing::Left,
        Missing::Right,
        Missing::TinyLeft,
        Missing::TinyRight,
        Missing::ZeroLeft,
        Missing::ZeroRight,
    ];

    /// Numbers that thresholds are likely to touch, and those that are no numbers.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            (-40_i8..40).prop_map(|number| f32::from(number) / 4.0),
            prop::sample::select(vec![
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                0.0,
                -0.0,
                1e-45,
                -1e-45,
                1e-35,
                -1e-35,
                2e-35,
                f32::MAX,
                f32::MIN,
            ]),
            any::<f32>(),
        ]
    }

    proptest! {
        #[test]
        fn a_byte_answers_every_test_as_the_number_does(
            thresholds in prop::collection::vec(number().prop_filter("a threshold", |at| !at.is_nan()), 1..600),
            numbers in prop::collection::vec(number(), ROWS),
            missing in prop::sample::select(MISSING.to_vec()),
        ) {
            let (bins, found) = Bins::new(thresholds.iter().map(|at| (0, *at, missing)));
            let mut bytes = vec![[0; ROWS]; bins.len()];
            bins.fill(&[&numbers], 0, &mut bytes);
            let mut plain = vec![[0; ROWS]; bins.len()];
            for (column, plain) in bins.columns.iter().zip(&mut plain) {
                column.fill_plain(numbers.first_chunk().unwrap(), plain);
            }
            prop_assert_eq!(&bytes, &plain, "whatever instructions were taken");
            for at in &thresholds {
                let (column, byte) = found.test(0, *at, missing);
                for (number, given) in numbers.iter().zip(&bytes[usize::from(column)]) {
                    let left = missing.goes_left(*number, *at);
                    prop_assert_eq!(*given <= byte, left, "{} at {} ({:?})", number, at, missing);
                }
            }
        }
    }
}
