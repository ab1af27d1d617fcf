//! Gradients as whole numbers: first and second derivative in one word, so that a histogram takes one addition for both
//! and its sums are exact, in whatever order and on however many threads they are taken. After Shi, Ke, Chen, Zheng and
//! Liu, "Quantized Training of Gradient Boosting Decision Trees" (2022), with as many levels as sums can hold.

use rayon::prelude::*;

use super::CHUNK;

/// The first derivative in the high half, with its sign; the second in the low.
pub(super) type Packed = u64;

/// What one step of each derivative stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) first: f64,
    pub(super) second: f64,
}

impl Scale {
    /// The derivatives that a sum stands for.
    #[inline(always)]
    pub(super) fn unpack(self, sum: Packed) -> (f64, f64) {
        (f64::from(high(sum)) * self.first, f64::from(low(sum)) * self.second)
    }
}

#[inline(always)]
pub(super) fn high(sum: Packed) -> i32 {
    (sum >> 32) as u32 as i32
}

#[inline(always)]
pub(super) fn low(sum: Packed) -> u32 {
    sum as u32
}

/// Packs derivatives, given the sum of the first one's magnitudes and the sum of the second, which is never negative.
/// Rounding is by chance, the same for the same row and `seed`, so that small numbers are not lost in large sums.
pub(super) fn pack(first: &[f32], second: &[f32], sums: (f64, f64), seed: u32, packed: &mut [Packed]) -> Scale {
    // A sum of all stays below what a half can hold, even if every row is rounded up.
    let rows = packed.len() as f64;
    let step = |sum: f64, most: f64| if sum > 0.0 { sum / (most - rows).max(1.0) } else { 1.0 };
    let scale = Scale { first: step(sums.0, f64::from(i32::MAX)), second: step(sums.1, f64::from(u32::MAX)) };
    let (up, up_second) = (1.0 / scale.first, 1.0 / scale.second);
    packed.par_chunks_mut(CHUNK).zip(first.par_chunks(CHUNK).zip(second.par_chunks(CHUNK))).enumerate().for_each(
        |(chunk, (packed, (first, second)))| {
            let start = (chunk * CHUNK) as u32;
            for (row, (place, (first, second))) in packed.iter_mut().zip(first.iter().zip(second)).enumerate() {
                let chance = f64::from(hash(start.wrapping_add(row as u32) ^ seed)) * (1.0 / 4_294_967_296.0);
                // Shifted above 0, where cutting off is rounding down.
                let first = (f64::from(*first) * up + chance + 4_294_967_296.0) as u64;
                let second = (f64::from(*second) * up_second + chance) as u64;
                *place = (first << 32) + second;
            }
        },
    );
    scale
}

/// Spreads the bits of a number over all of the result: the finaliser of MurmurHash3.
#[inline(always)]
pub(super) fn hash(number: u32) -> u32 {
    let mut x = number;
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_packed_gradients_are_the_sums() {
        let first: Vec<f32> = (0..5_000).map(|n| ((n * 37 % 101) as f32 - 50.0) / 7.0).collect();
        let second: Vec<f32> = (0..5_000).map(|n| (n * 17 % 29) as f32 / 100.0).collect();
        let sums = (first.iter().map(|g| f64::from(g.abs())).sum(), second.iter().map(|h| f64::from(*h)).sum());
        let mut packed = vec![0; 5_000];
        let scale = pack(&first, &second, sums, 3, &mut packed);
        for part in [0..5_000, 100..200, 7..8] {
            let sum = packed[part.clone()].iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
            let (g, h) = scale.unpack(sum);
            let expected: f64 = first[part.clone()].iter().map(|g| f64::from(*g)).sum();
            assert!((g - expected).abs() < 1e-3, "{g} is not {expected}");
            let expected: f64 = second[part].iter().map(|h| f64::from(*h)).sum();
            assert!((h - expected).abs() < 1e-3, "{h} is not {expected}");
        }
    }

    #[test]
    fn nothing_packs_to_nothing() {
        let mut packed = [9; 2];
        pack(&[0.0; 2], &[0.0; 2], (0.0, 0.0), 1, &mut packed);
        assert_eq!(packed, [0; 2]);
    }
}
