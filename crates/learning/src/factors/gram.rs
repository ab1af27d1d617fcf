//! `Σ y yᵀ` over all rows of a side.

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::ParallelIterator;

use super::{
    kernels::add_4,
    lines::{LINE, Rows},
};

/// Rows of a block. The blocks are the same for any number of threads, and so is the order in which
/// their sums are added: that keeps results equal to the bit.
const BLOCK: usize = 2_048;

/// The matrix with both triangles, `dimensions` rows of the stride of `rows`.
pub(crate) fn gram(rows: &Rows, dimensions: usize) -> Rows {
    let stride = rows.stride();
    let blocks: Vec<Rows> = rows
        .blocks(BLOCK)
        .map(|block| {
            let mut sum = Rows::zeros(dimensions, dimensions);
            Arch::new().dispatch(Outer { block, sum: sum.values_mut(), stride });
            sum
        })
        .collect();
    // A million squares added in f32 lose digits: blocks are summed in f32, their sums in f64.
    let mut total = vec![0.0_f64; dimensions * stride];
    for block in &blocks {
        for (total, value) in total.iter_mut().zip(block.values()) {
            *total += f64::from(*value);
        }
    }
    let mut whole = Rows::zeros(dimensions, dimensions);
    let values = whole.values_mut();
    for i in 0..dimensions {
        for j in 0..=i {
            let value = total[i * stride + j] as f32;
            values[i * stride + j] = value;
            values[j * stride + i] = value;
        }
    }
    whole
}

/// Adds the outer products of a block's rows to the lower triangle, four rows at a time.
struct Outer<'a> {
    block: &'a [f32],
    sum: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { block, sum, stride } = self;
        let zeros = vec![0.0_f32; 3 * stride];
        let mut fours = block.chunks_exact(4 * stride);
        for four in &mut fours {
            let rows = [&four[..stride], &four[stride..2 * stride], &four[2 * stride..3 * stride], &four[3 * stride..]];
            add_outer::<S>(simd, rows, sum, stride);
        }
        let rest = fours.remainder();
        if !rest.is_empty() {
            let mut rows = [&zeros[..stride]; 4];
            for (row, values) in rows.iter_mut().zip(rest.chunks_exact(stride)) {
                *row = values;
            }
            add_outer::<S>(simd, rows, sum, stride);
        }
    }
}

/// Adds the outer products of four rows to the lower triangle.
#[inline(always)]
fn add_outer<S: Simd>(simd: S, rows: [&[f32]; 4], sum: &mut [f32], stride: usize) {
    for (i, into) in sum.chunks_exact_mut(stride).enumerate() {
        // Whole registers up to the diagonal; what lies past it is not read.
        let end = (i + 1).next_multiple_of(LINE).min(stride);
        let weights = [rows[0][i], rows[1][i], rows[2][i], rows[3][i]];
        let [a, b, c, d] = [&rows[0][..end], &rows[1][..end], &rows[2][..end], &rows[3][..end]];
        let rows = [S::as_simd_f32s(a).0, S::as_simd_f32s(b).0, S::as_simd_f32s(c).0, S::as_simd_f32s(d).0];
        add_4(simd, weights, rows, S::as_mut_simd_f32s(&mut into[..end]).0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_plain_sum_over_several_blocks() {
        let (count, k) = (2 * BLOCK + 7, 19);
        let mut rows = Rows::zeros(count, k);
        for row in 0..count {
            for (column, value) in rows.row_mut(row)[..k].iter_mut().enumerate() {
                *value = ((row * 31 + column * 17) % 101) as f32 / 101.0 - 0.5;
            }
        }
        let found = gram(&rows, k);
        for i in 0..k {
            for j in 0..k {
                let plain: f64 = (0..count).map(|row| f64::from(rows.row(row)[i]) * f64::from(rows.row(row)[j])).sum();
                assert!((plain - f64::from(found.row(i)[j])).abs() < 1e-2, "{i} {j}: {plain} {}", found.row(i)[j]);
            }
        }
    }
}
