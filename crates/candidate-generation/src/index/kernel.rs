//! The arithmetic of the embedding index, with the widest instructions the machine has: `i8` dot products
//! for the scan, and `f32` products of many vectors with many for its lists.
//!
//! It must not know what the numbers stand for.

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

/// Vectors that stand together in [`Columns`].
pub(super) const TOGETHER: usize = 64;

/// Vectors as columns: the first numbers of 64 of them, their second numbers, and so on; then of the next
/// 64. The last are filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    stride: usize,
    values: Vec<[f32; TOGETHER]>,
}

impl Columns {
    /// The columns of vectors of `stride` numbers.
    pub(super) fn of(stride: usize, vectors: &[f32]) -> Self {
        let mut values = Vec::with_capacity((vectors.len() / stride).div_ceil(TOGETHER) * stride);
        for together in vectors.chunks(stride * TOGETHER) {
            for number in 0..stride {
                let mut column = [0.0; TOGETHER];
                for (place, vector) in column.iter_mut().zip(together.chunks_exact(stride)) {
                    *place = vector.get(number).copied().unwrap_or(0.0);
                }
                values.push(column);
            }
        }
        Self { stride, values }
    }

    /// How many products a vector has with these, the filled-up ones among them.
    pub(super) fn len(&self) -> usize {
        self.values.len().checked_div(self.stride).unwrap_or(0) * TOGETHER
    }

    /// The products of two vectors with all of these. Each is one sum in the order of the numbers, so that
    /// it does not depend on how wide the machine's registers are, where it can multiply and add at once.
    pub(super) fn products(&self, vectors: [&[f32]; 2], out: [&mut [f32]; 2]) {
        struct Products<'a>(&'a Columns, [&'a [f32]; 2], [&'a mut [f32]; 2]);
        impl WithSimd for Products<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let Self(columns, [a, b], [a_out, b_out]) = self;
                let blocks = columns.values.chunks_exact(columns.stride);
                for ((block, a_out), b_out) in
                    blocks.zip(a_out.as_chunks_mut::<TOGETHER>().0).zip(b_out.as_chunks_mut::<TOGETHER>().0)
                {
                    let a_out = pulp::as_arrays_mut::<4, _>(S::as_mut_simd_f32s(a_out).0).0;
                    let b_out = pulp::as_arrays_mut::<4, _>(S::as_mut_simd_f32s(b_out).0).0;
                    for (part, (a_out, b_out)) in a_out.iter_mut().zip(b_out).enumerate() {
                        let mut a_sums = [simd.splat_f32s(0.0); 4];
                        let mut b_sums = [simd.splat_f32s(0.0); 4];
                        for ((column, a), b) in block.iter().zip(a).zip(b) {
                            let (a, b) = (simd.splat_f32s(*a), simd.splat_f32s(*b));
                            let parts = pulp::as_arrays::<4, _>(S::as_simd_f32s(column).0).0;
                            let Some(numbers) = parts.get(part) else { continue };
                            for ((number, a_sum), b_sum) in numbers.iter().zip(&mut a_sums).zip(&mut b_sums) {
                                *a_sum = simd.mul_add_e_f32s(a, *number, *a_sum);
                                *b_sum = simd.mul_add_e_f32s(b, *number, *b_sum);
                            }
                        }
                        (*a_out, *b_out) = (a_sums, b_sums);
                    }
                }
            }
        }
        if self.stride > 0 {
            Arch::new().dispatch(Products(self, vectors, out));
        }
    }
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
    fn products_with_columns_are_the_plain_products() {
        let number = |n: usize| ((n * 7_919) % 1_009) as f32 / 500.0 - 1.0;
        for (stride, count) in [(1, 1), (8, 63), (8, 64), (24, 65), (64, 447)] {
            let vectors: Vec<f32> = (0..stride * count).map(number).collect();
            let columns = Columns::of(stride, &vectors);
            assert_eq!(columns.len(), count.next_multiple_of(TOGETHER));
            let (a, b): (Vec<f32>, Vec<f32>) = (0..stride).map(|n| (number(n + 17), number(n + 170))).unzip();
            let mut out = [vec![f32::NAN; columns.len()], vec![f32::NAN; columns.len()]];
            let [a_out, b_out] = &mut out;
            columns.products([&a, &b], [a_out, b_out]);
            for (query, out) in [a, b].iter().zip(&out) {
                for (vector, product) in vectors.chunks_exact(stride).zip(out) {
                    let plain: f32 = query.iter().zip(vector).map(|(x, y)| x * y).sum();
                    assert!((plain - product).abs() < 1e-4, "{plain} and {product}");
                }
                assert!(out[count..].iter().all(|product| *product == 0.0));
            }
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
