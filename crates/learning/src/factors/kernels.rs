//! The inner loops of the solver, on rows of whole vector registers.
//!
//! It must not know what is solved. Every function is inlined into one [`pulp::WithSimd`] per block of
//! rows, so that the instruction set is chosen once per block. No vector is touched within a closure: closures are not
//! compiled for that instruction set, and each operation in one would be a call. Rows come in fours: one load of
//! the common operand serves four products, and no sum waits for the one before.

use pulp::Simd;

/// `a · b`.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, a: &[S::f32s], b: &[S::f32s]) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (a_fours, a_ones) = pulp::as_arrays::<4, _>(a);
    let (b_fours, b_ones) = pulp::as_arrays::<4, _>(b);
    for (a, b) in a_fours.iter().zip(b_fours) {
        for lane in 0..4 {
            sums[lane] = simd.mul_add_e_f32s(a[lane], b[lane], sums[lane]);
        }
    }
    for (a, b) in a_ones.iter().zip(b_ones) {
        sums[0] = simd.mul_add_e_f32s(*a, *b, sums[0]);
    }
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3])))
}

/// The products of four rows with one vector.
#[inline(always)]
pub(crate) fn dot_4<S: Simd>(simd: S, rows: [&[S::f32s]; 4], vector: &[S::f32s]) -> [f32; 4] {
    let n = vector.len();
    let [a, b, c, d] = [&rows[0][..n], &rows[1][..n], &rows[2][..n], &rows[3][..n]];
    let mut sums = [simd.splat_f32s(0.0); 4];
    for at in 0..n {
        let value = vector[at];
        sums[0] = simd.mul_add_e_f32s(a[at], value, sums[0]);
        sums[1] = simd.mul_add_e_f32s(b[at], value, sums[1]);
        sums[2] = simd.mul_add_e_f32s(c[at], value, sums[2]);
        sums[3] = simd.mul_add_e_f32s(d[at], value, sums[3]);
    }
    [
        simd.reduce_sum_f32s(sums[0]),
        simd.reduce_sum_f32s(sums[1]),
        simd.reduce_sum_f32s(sums[2]),
        simd.reduce_sum_f32s(sums[3]),
    ]
}

/// `into += Σ weight · row` over four rows.
#[inline(always)]
pub(crate) fn add_4<S: Simd>(simd: S, weights: [f32; 4], rows: [&[S::f32s]; 4], into: &mut [S::f32s]) {
    let n = into.len();
    let [a, b, c, d] = [&rows[0][..n], &rows[1][..n], &rows[2][..n], &rows[3][..n]];
    let [wa, wb, wc, wd] = weights;
    let weights = [simd.splat_f32s(wa), simd.splat_f32s(wb), simd.splat_f32s(wc), simd.splat_f32s(wd)];
    for at in 0..n {
        let low = simd.mul_add_e_f32s(weights[0], a[at], into[at]);
        let high = simd.mul_f32s(weights[2], c[at]);
        let low = simd.mul_add_e_f32s(weights[1], b[at], low);
        let high = simd.mul_add_e_f32s(weights[3], d[at], high);
        into[at] = simd.add_f32s(low, high);
    }
}

/// `into += weight · row`.
#[inline(always)]
pub(crate) fn add<S: Simd>(simd: S, weight: f32, row: &[S::f32s], into: &mut [S::f32s]) {
    let weight = simd.splat_f32s(weight);
    for (into, row) in into.iter_mut().zip(row) {
        *into = simd.mul_add_e_f32s(weight, *row, *into);
    }
}

/// `into = Σ_i vector[i] · rows[i]`: a row times a matrix. The vector may be padded past the matrix's rows.
#[inline(always)]
pub(crate) fn combine<S: Simd>(simd: S, matrix: &[S::f32s], vector: &[f32], into: &mut [f32]) {
    let into = S::as_mut_simd_f32s(into).0;
    let n = into.len();
    into.fill(simd.splat_f32s(0.0));
    for (share, row) in vector.iter().zip(matrix.chunks_exact(n)) {
        add(simd, *share, row, into);
    }
}

/// [`combine`] of four vectors, one after another: each number of the matrix is fetched once for all of them.
#[inline(always)]
pub(crate) fn combine_4<S: Simd>(simd: S, matrix: &[S::f32s], vectors: &[f32], into: &mut [f32]) {
    let stride = vectors.len() / 4;
    let n = stride / S::F32_LANES;
    let (ab, cd) = vectors.split_at(2 * stride);
    let ((a, b), (c, d)) = (ab.split_at(stride), cd.split_at(stride));
    let into = S::as_mut_simd_f32s(into).0;
    // Two registers of columns at a time: eight sums stay in registers.
    for start in (0..n).step_by(2) {
        let second = (start + 1).min(n - 1);
        let mut sums = [[simd.splat_f32s(0.0); 2]; 4];
        for ((((row, a), b), c), d) in matrix.chunks_exact(n).zip(a).zip(b).zip(c).zip(d) {
            let values = [row[start], row[second]];
            let shares = [simd.splat_f32s(*a), simd.splat_f32s(*b), simd.splat_f32s(*c), simd.splat_f32s(*d)];
            for (sums, share) in sums.iter_mut().zip(shares) {
                sums[0] = simd.mul_add_e_f32s(share, values[0], sums[0]);
                sums[1] = simd.mul_add_e_f32s(share, values[1], sums[1]);
            }
        }
        for (at, sums) in sums.iter().enumerate() {
            into[at * n + start] = sums[0];
            into[at * n + second] = sums[1];
        }
    }
}

/// `into += Σ_j weight(j, row_j · vector) · row_j` over the rows of `table`.
#[inline(always)]
pub(crate) fn add_weighted<S: Simd>(
    simd: S,
    table: &[f32],
    vector: &[S::f32s],
    into: &mut [S::f32s],
    weight: impl Fn(usize, f32) -> f32,
) {
    let table = S::as_simd_f32s(table).0;
    let n = vector.len();
    let mut fours = table.chunks_exact(4 * n);
    let mut at = 0;
    for rows in &mut fours {
        let (ab, cd) = rows.split_at(2 * n);
        let ((a, b), (c, d)) = (ab.split_at(n), cd.split_at(n));
        let products = dot_4(simd, [a, b, c, d], vector);
        let weights = [
            weight(at, products[0]),
            weight(at + 1, products[1]),
            weight(at + 2, products[2]),
            weight(at + 3, products[3]),
        ];
        add_4(simd, weights, [a, b, c, d], into);
        at += 4;
    }
    for row in fours.remainder().chunks_exact(n) {
        let product = dot(simd, row, vector);
        add(simd, weight(at, product), row, into);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::{Arch, WithSimd};

    struct Both<'a> {
        table: &'a [f32],
        matrix: &'a [f32],
        vector: &'a [f32],
        product: &'a mut [f32],
        weighted: &'a mut [f32],
    }

    impl WithSimd for Both<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let matrix = S::as_simd_f32s(self.matrix).0;
            combine(simd, matrix, self.vector, self.product);
            let mut four = vec![0.0; 4 * self.vector.len()];
            combine_4(simd, matrix, &self.vector.repeat(4), &mut four);
            for product in four.chunks_exact(self.vector.len()) {
                assert!(product.iter().zip(&*self.product).all(|(a, b)| (a - b).abs() < 1e-5));
            }
            let vector = S::as_simd_f32s(self.vector).0;
            add_weighted(simd, self.table, vector, S::as_mut_simd_f32s(self.weighted).0, |at, product| {
                product * at as f32
            });
        }
    }

    proptest! {
        #[test]
        fn kernels_agree_with_plain_loops(rows in 0_usize..11, numbers in prop::collection::vec(-1.0_f32..1.0, 16 * 30)) {
            let (vector, rest) = numbers.split_at(16);
            let (square, table) = rest.split_at(16 * 16);
            let table = &table[..16 * rows];
            let mut matrix = vec![0.0; 16 * 16];
            for i in 0..16 {
                for j in 0..16 {
                    matrix[16 * i + j] = square[16 * i.min(j) + i.max(j)];
                }
            }
            let (mut product, mut weighted) = ([0.0; 16], [1.0; 16]);
            Arch::new().dispatch(Both { table, matrix: &matrix, vector, product: &mut product, weighted: &mut weighted });
            for i in 0..16 {
                let plain: f32 = (0..16).map(|j| matrix[16 * i + j] * vector[j]).sum();
                prop_assert!((plain - product[i]).abs() < 1e-4);
                let plain: f32 = table.chunks_exact(16).enumerate().map(|(at, row)| {
                    let product: f32 = row.iter().zip(vector).map(|(a, b)| a * b).sum();
                    product * at as f32 * row[i]
                }).sum();
                prop_assert!((1.0 + plain - weighted[i]).abs() < 1e-3);
            }
        }
    }
}
