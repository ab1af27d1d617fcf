//! Cholesky's factorisation and the solution of systems with many right sides, by blocks (Golub and Van Loan,
//! "Matrix Computations", 4th edition, section 4.2.5 and 3.1.4). All but the diagonal blocks is products.

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::vectors::dot;

use super::{Matrix, Operand, add_product, product::add_lower_product};

/// Rows of a diagonal block.
const BLOCK: usize = 128;
/// Columns of a right side that a thread takes through a diagonal block.
const STRIP: usize = 256;

/// The factor L of a symmetric, positive definite matrix `A = L Lᵀ`.
#[derive(Clone, Debug)]
pub struct Factor(Matrix);

impl Factor {
    /// Factors a matrix in its own memory; only its lower triangle is read. `None` where it is not positive
    /// definite. `n³ / 3` multiplications.
    #[must_use]
    pub fn of(mut matrix: Matrix) -> Option<Self> {
        let n = matrix.rows;
        for from in (0..n).step_by(BLOCK) {
            let size = BLOCK.min(n - from);
            let (head, below) = matrix.values.split_at_mut((from + size) * n);
            let diagonal = factor_block(&mut head[from * n..], from, size, n)?;
            // L₂₁ = A₂₁ L₁₁⁻ᵀ, row by row.
            below.par_chunks_mut(n).for_each(|row| {
                let row = &mut row[from..from + size];
                for j in 0..size {
                    let (done, rest) = row.split_at_mut(j);
                    let earlier = &diagonal[j * size..j * size + j + 1];
                    rest[0] = (rest[0] - dot(done, &earlier[..j])) / earlier[j];
                }
            });
            // A₂₂ -= L₂₁ L₂₁ᵀ.
            let rows = n - from - size;
            let panel: Vec<f32> = below.chunks_exact(n).flat_map(|row| &row[from..from + size]).copied().collect();
            let panel = Operand::part(&panel, size, rows, size);
            if rows > 0 {
                add_lower_product(-1.0, panel, panel.transposed(), &mut below[from + size..], n);
            }
        }
        Some(Self(matrix))
    }

    /// The solution X of `A X = right`, in the memory of `right`. `2 n² m` multiplications for m right sides.
    #[must_use]
    pub fn solve(&self, mut right: Matrix) -> Matrix {
        let Matrix { rows: n, values: factor, .. } = &self.0;
        let (n, m) = (*n, right.columns);
        if m == 0 {
            return right;
        }
        // L Y = B, from the top.
        for from in (0..n).step_by(BLOCK) {
            let size = BLOCK.min(n - from);
            let (head, below) = right.values.split_at_mut((from + size) * m);
            let block = &mut head[from * m..];
            substitute(block, m, |strip| {
                for i in 0..size {
                    let l = &factor[(from + i) * n + from..][..=i];
                    eliminate(strip, i, 0..i, |j| l[j], l[i]);
                }
            });
            let rows = n - from - size;
            if rows > 0 {
                let left = Operand::part(&factor[(from + size) * n + from..], n, rows, size);
                add_product(-1.0, left, Operand::part(block, m, size, m), below, m);
            }
        }
        // Lᵀ X = Y, from the bottom.
        for from in (0..n).step_by(BLOCK).rev() {
            let size = BLOCK.min(n - from);
            let (above, block) = right.values.split_at_mut(from * m);
            let block = &mut block[..size * m];
            substitute(block, m, |strip| {
                for i in (0..size).rev() {
                    let l = |j: usize| factor[(from + j) * n + from + i];
                    eliminate(strip, i, i + 1..size, l, l(i));
                }
            });
            if from > 0 {
                let left = Operand::part(&factor[from * n..], n, size, from).transposed();
                add_product(-1.0, left, Operand::part(block, m, size, m), above, m);
            }
        }
        right
    }

    /// `table · L⁻ᵀ`: where the factored matrix is `tableᵀ · table`, the columns become orthonormal.
    pub fn whiten(&self, table: &mut Matrix) {
        table.values.par_chunks_mut(self.0.rows.max(1)).with_min_len(64).for_each(|row| {
            for j in 0..row.len() {
                let (done, rest) = row.split_at_mut(j);
                let earlier = &self.0.row(j)[..=j];
                rest[0] = (rest[0] - dot(done, &earlier[..j])) / earlier[j];
            }
        });
    }

    /// The inverse of the matrix.
    #[must_use]
    pub fn inverse(&self) -> Matrix {
        self.solve(Matrix::identity(self.0.rows))
    }
}

/// Factors a diagonal block where it stands, and gives a copy of it.
fn factor_block(rows: &mut [f32], from: usize, size: usize, stride: usize) -> Option<Vec<f32>> {
    let mut block = vec![0.0_f32; size * size];
    for i in 0..size {
        let (done, rest) = block.split_at_mut(i * size);
        let row = &mut rest[..size];
        row[..=i].copy_from_slice(&rows[i * stride + from..][..=i]);
        for j in 0..i {
            let earlier = &done[j * size..j * size + j + 1];
            row[j] = (row[j] - dot(&row[..j], &earlier[..j])) / earlier[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if pivot <= 0.0 || !pivot.is_finite() {
            return None;
        }
        row[i] = pivot.sqrt();
        rows[i * stride + from..][..=i].copy_from_slice(&row[..=i]);
    }
    Some(block)
}

/// Takes a block of rows through `solve` in strips of columns, on all cores.
fn substitute(block: &mut [f32], columns: usize, solve: impl Fn(&mut [Vec<f32>]) + Sync) {
    let size = block.len() / columns;
    let mut strips: Vec<Vec<Vec<f32>>> = (0..columns)
        .step_by(STRIP)
        .map(|first| {
            let last = columns.min(first + STRIP);
            (0..size).map(|row| block[row * columns + first..row * columns + last].to_vec()).collect()
        })
        .collect();
    strips.par_chunks_mut(1).for_each(|strip| {
        for strip in strip {
            solve(strip);
        }
    });
    for (strip, rows) in strips.iter().enumerate() {
        for (row, values) in rows.iter().enumerate() {
            block[row * columns + strip * STRIP..][..values.len()].copy_from_slice(values);
        }
    }
}

/// `rows[i] = (rows[i] - Σ_j weight(j) · rows[j]) / pivot`.
fn eliminate(
    rows: &mut [Vec<f32>],
    i: usize,
    others: std::ops::Range<usize>,
    weight: impl Fn(usize) -> f32,
    pivot: f32,
) {
    let mut row = std::mem::take(&mut rows[i]);
    for j in others {
        releases::vectors::axpy(-weight(j), &rows[j], &mut row);
    }
    for value in &mut row {
        *value /= pivot;
    }
    rows[i] = row;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::RngExt;
    use shared_models::Seed;

    #[test]
    fn a_system_of_two_by_hand() {
        // [4 2; 2 3] x = [10, 9] is solved by [1.5, 2].
        let matrix = Matrix { rows: 2, columns: 2, values: vec![4.0, 2.0, 2.0, 3.0] };
        let solution = Factor::of(matrix).unwrap().solve(Matrix { rows: 2, columns: 1, values: vec![10.0, 9.0] });
        assert!((solution.values[0] - 1.5).abs() < 1e-6 && (solution.values[1] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        for values in [vec![1.0, 2.0, 2.0, 1.0], vec![0.0, 0.0, 0.0, 0.0], vec![f32::NAN, 0.0, 0.0, 1.0]] {
            assert!(Factor::of(Matrix { rows: 2, columns: 2, values }).is_none());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_solution_solves(n in 1_usize..300, sides in 0_usize..300) {
            let mut random = Seed(n as u64).stream("system");
            let mut draw = |rows: usize, columns: usize| {
                let values = (0..rows * columns).map(|_| random.random_range(-1.0..1.0)).collect();
                Matrix { rows, columns, values }
            };
            let (half, right) = (draw(n, n), draw(n, sides));
            let mut matrix = half.times_transposed(&half);
            matrix.add_to_diagonal(n as f32 / 10.0 + 1.0);
            let solution = Factor::of(matrix.clone()).unwrap().solve(right.clone());
            let back = matrix.times(&solution);
            for (a, b) in back.values.iter().zip(&right.values) {
                prop_assert!((a - b).abs() < 1e-2, "{a} {b}");
            }
        }
    }
}
