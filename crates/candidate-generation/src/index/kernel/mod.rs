//! The arithmetic of the embedding index, with the widest instructions the machine has: the scan of rows coded in a
//! byte a number, and `f32` products of many vectors with many for its lists.
//!
//! It must not know what the numbers stand for. How codes stand in memory is the form of [`releases::lists`].

mod columns;
#[cfg(target_arch = "x86_64")]
mod vnni;

use pulp::{Arch, Simd, WithSimd};
use releases::{
    Lists,
    lists::{LANES, ZERO},
};

pub(super) use columns::Columns;

/// The largest magnitude of a code.
const TOP: f32 = 127.0;

/// Quantises a vector; gives the number that one step stands for. A vector of zeros has step 0.
pub(super) fn quantise(vector: &[f32], codes: &mut [i8]) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        codes.fill(0);
        return 0.0;
    }
    let factor = TOP / largest;
    for (value, code) in vector.iter().zip(codes) {
        *code = (value * factor).round() as i8;
    }
    largest / TOP
}

/// Puts a row's codes into its lane of a block of `stride × LANES` codes.
pub(super) fn put(codes: &[i8], lane: usize, block: &mut [u8]) {
    for (factor, code) in codes.iter().enumerate() {
        if let Some(place) = block.get_mut(Lists::code_at(codes.len(), lane, factor)) {
            *place = code.wrapping_add_unsigned(ZERO).cast_unsigned();
        }
    }
}

/// A vector that rows are multiplied with.
#[derive(Debug)]
pub(super) struct Query {
    /// Four codes each, as the scan takes them.
    words: Vec<[i8; 4]>,
    /// What the sum of products with codes of 0 is too large by.
    excess: i32,
    pub(super) step: f32,
}

impl Query {
    /// Codes a vector of a whole number of fours.
    pub(super) fn of(vector: &[f32]) -> Self {
        let mut words = vec![[0; 4]; vector.len() / 4];
        let step = quantise(vector, words.as_flattened_mut());
        let sum: i32 = words.as_flattened().iter().map(|code| i32::from(*code)).sum();
        Self { words, excess: sum * i32::from(ZERO), step }
    }

    /// The approximate products with the rows of consecutive blocks; `out` gets as many as there are whole blocks and
    /// places for them.
    pub(super) fn scan(&self, codes: &[u8], steps: &[f32], out: &mut [f32]) {
        if self.words.is_empty() {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if vnni::scan(self, codes, steps, out) {
            return;
        }
        Arch::new().dispatch(Plain { query: self, codes, steps, out });
    }
}

/// The scan in plain numbers, which the compiler spreads over what the machine has.
struct Plain<'a> {
    query: &'a Query,
    codes: &'a [u8],
    steps: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { query, codes, steps, out } = self;
        let blocks = codes.chunks_exact(query.words.len() * 4 * LANES);
        let (steps, out) = (steps.as_chunks::<LANES>().0, out.as_chunks_mut::<LANES>().0);
        for ((block, steps), out) in blocks.zip(steps).zip(out) {
            let mut sums = [-query.excess; LANES];
            for (four, word) in block.as_chunks::<{ 4 * LANES }>().0.iter().zip(&query.words) {
                let word = word.map(i16::from);
                for (lane, sum) in four.as_chunks::<4>().0.iter().zip(&mut sums) {
                    let pairs = |a: usize, b: usize| {
                        i32::from(i16::from(lane[a])) * i32::from(word[a])
                            + i32::from(i16::from(lane[b])) * i32::from(word[b])
                    };
                    *sum += pairs(0, 1) + pairs(2, 3);
                }
            }
            for ((sum, step), out) in sums.iter().zip(steps).zip(out) {
                *out = *sum as f32 * (query.step * step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks of these rows, with what a step of each stands for.
    fn blocks(rows: &[Vec<f32>], stride: usize) -> (Vec<u8>, Vec<f32>) {
        let places = rows.len().next_multiple_of(LANES);
        let (mut codes, mut steps) = (vec![ZERO; places * stride], vec![0.0; places]);
        for (place, row) in rows.iter().enumerate() {
            let mut coded = vec![0; stride];
            steps[place] = quantise(row, &mut coded);
            let block = place / LANES * LANES * stride;
            put(&coded, place % LANES, &mut codes[block..block + LANES * stride]);
        }
        (codes, steps)
    }

    proptest! {
        #[test]
        fn scanning_is_the_plain_product_of_codes(
            query in prop::collection::vec(-3.0_f32..3.0, 24),
            rows in prop::collection::vec(prop::collection::vec(-3.0_f32..3.0, 24), 1..70),
        ) {
            let (codes, steps) = blocks(&rows, 24);
            let coded = Query::of(&query);
            let mut out = vec![f32::NAN; steps.len()];
            coded.scan(&codes, &steps, &mut out);
            let mut plain = vec![f32::NAN; steps.len()];
            Arch::new().dispatch(Plain { query: &coded, codes: &codes, steps: &steps, out: &mut plain });
            prop_assert_eq!(&out, &plain, "whatever instructions were taken");
            for (row, product) in rows.iter().zip(&out) {
                let exact: f32 = query.iter().zip(row).map(|(x, y)| x * y).sum();
                prop_assert!((product - exact).abs() < 1.0, "{} and {}", product, exact);
            }
            prop_assert!(out[rows.len()..].iter().all(|product| *product == 0.0));
        }
    }

    #[test]
    fn zeros_and_infinities_code_to_nothing() {
        let mut codes = [1_i8; 2];
        assert_eq!(quantise(&[0.0, 0.0], &mut codes), 0.0);
        assert_eq!(quantise(&[f32::INFINITY, 0.0], &mut codes), 0.0);
        assert_eq!(codes, [0, 0]);
    }
}
