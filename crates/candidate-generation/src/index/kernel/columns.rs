//! `f32` products of many vectors with many: how rows find their lists.

use pulp::{Arch, Simd, WithSimd};

/// Vectors that stand together in [`Columns`].
const TOGETHER: usize = 64;

/// Vectors as columns: the first numbers of 64 of them, their second numbers, and so on; then of the next
/// 64. The last are filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(in crate::index) struct Columns {
    stride: usize,
    values: Vec<[f32; TOGETHER]>,
}

impl Columns {
    /// The columns of vectors of `stride` numbers.
    pub(in crate::index) fn of(stride: usize, vectors: &[f32]) -> Self {
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
    pub(in crate::index) fn len(&self) -> usize {
        self.values.len().checked_div(self.stride).unwrap_or(0) * TOGETHER
    }

    /// The products of two vectors with all of these. Each is one sum in the order of the numbers, so that
    /// it does not depend on how wide the machine's registers are, where it can multiply and add at once.
    pub(in crate::index) fn products(&self, vectors: [&[f32]; 2], out: [&mut [f32]; 2]) {
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
    use super::*;

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
}
