//! The arithmetic of the quantised scan: `i8` dot products, with the widest instructions the machine has.
//!
//! It must not know what the codes stand for.

use pulp::{Arch, Simd, WithSimd};

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

/// The approximate dot products of a query with consecutive coded rows.
pub(super) fn scan(query: &[i8], query_step: f32, codes: &[i8], steps: &[f32], out: &mut Vec<f32>) {
    struct Scan<'a> {
        query: &'a [i8],
        query_step: f32,
        codes: &'a [i8],
        steps: &'a [f32],
        out: &'a mut Vec<f32>,
    }
    impl WithSimd for Scan<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self { query, query_step, codes, steps, out } = self;
            out.extend(
                codes
                    .chunks_exact(query.len())
                    .zip(steps)
                    .map(|(row, step)| dot(query, row) as f32 * (query_step * step)),
            );
        }
    }
    if !query.is_empty() {
        Arch::new().dispatch(Scan { query, query_step, codes, steps, out });
    }
}

/// In blocks of 32, which the compiler turns into multiply-and-add of whole registers.
#[inline(always)]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    let (a_blocks, a_rest) = a.as_chunks::<32>();
    let (b_blocks, b_rest) = b.as_chunks::<32>();
    let mut sum = 0_i32;
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        let mut block = 0_i32;
        for lane in 0..32 {
            block += i32::from(i16::from(a[lane]) * i16::from(b[lane]));
        }
        sum += block;
    }
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += i32::from(i16::from(*a) * i16::from(*b));
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scanning_agrees_with_the_plain_product(query in prop::collection::vec(-3.0_f32..3.0, 72), row in prop::collection::vec(-3.0_f32..3.0, 72)) {
            let (mut a, mut b) = (vec![0; 72], vec![0; 72]);
            let (query_step, step) = (quantise(&query, &mut a), quantise(&row, &mut b));
            let mut out = Vec::new();
            scan(&a, query_step, &b, &[step], &mut out);
            let exact: f32 = query.iter().zip(&row).map(|(x, y)| x * y).sum();
            prop_assert!((out[0] - exact).abs() < 1.5, "{} and {exact}", out[0]);
            let plain: i32 = a.iter().zip(&b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
            prop_assert_eq!(dot(&a, &b), plain);
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
