//! Systems of linear equations that are small, symmetric and positive definite.
//!
//! It must not know what is solved. Matrices are square and row-major; only the lower triangle
//! (column ≤ row) is read.

use pulp::Simd;

use crate::vectors::simd::{axpy, dot};

/// Adds `weight · vector · vectorᵀ` to the lower triangle.
#[inline(always)]
pub fn add_outer<S: Simd>(simd: S, matrix: &mut [f32], vector: &[f32], weight: f32) {
    let n = vector.len();
    for (row, value) in
        matrix.chunks_exact_mut(n).zip(vector).enumerate().map(|(i, (row, value))| (&mut row[..=i], value))
    {
        axpy(simd, weight * value, &vector[..row.len()], row);
    }
}

/// Solves `matrix · x = right` by Cholesky's factorisation. `matrix` becomes its factor and `right`
/// the solution. Returns false, with both in no useful state, when the matrix is not positive definite.
///
/// Every inner loop is a dot product of two contiguous row beginnings (Golub and Van Loan, "Matrix
/// Computations", 4th edition, algorithm 4.2.1 in its row-oriented form).
#[inline(always)]
pub fn solve<S: Simd>(simd: S, matrix: &mut [f32], right: &mut [f32]) -> bool {
    let n = right.len();
    for i in 0..n {
        let (above, rest) = matrix.split_at_mut(i * n);
        let row = &mut rest[..=i];
        for (j, earlier) in above.chunks_exact(n).enumerate() {
            // The diagonal holds reciprocals, so that no division stands in the inner loop.
            row[j] = (row[j] - dot(simd, &row[..j], &earlier[..j])) * earlier[j];
        }
        let pivot = row[i] - dot(simd, &row[..i], &row[..i]);
        if pivot <= 0.0 || !pivot.is_finite() {
            return false;
        }
        row[i] = 1.0 / pivot.sqrt();
    }
    substitute(simd, matrix, right);
    true
}

/// Solves for another right side with the factor that [`solve`] has left in `factor`.
#[inline(always)]
fn substitute<S: Simd>(simd: S, factor: &[f32], right: &mut [f32]) {
    let n = right.len();
    for i in 0..n {
        let row = &factor[i * n..i * n + i + 1];
        right[i] = (right[i] - dot(simd, &row[..i], &right[..i])) * row[i];
    }
    for i in (0..n).rev() {
        let row = &factor[i * n..i * n + i + 1];
        let value = right[i] * row[i];
        right[i] = value;
        axpy(simd, -value, &row[..i], &mut right[..i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use pulp::{Arch, WithSimd};

    struct Solve<'a>(&'a mut [f32], &'a mut [f32]);
    impl WithSimd for Solve<'_> {
        type Output = bool;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            solve(simd, self.0, self.1)
        }
    }

    struct Outer<'a>(&'a mut [f32], &'a [f32], f32);
    impl WithSimd for Outer<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            add_outer(simd, self.0, self.1, self.2);
        }
    }

    proptest! {
        #[test]
        fn the_solution_solves(n in 1_usize..40, numbers in prop::collection::vec(-1.0_f32..1.0, 40 * 41)) {
            let mut matrix = vec![0.0_f32; n * n];
            for i in 0..n {
                matrix[i * n + i] = 2.0;
            }
            for vector in numbers[..n * n].chunks_exact(n) {
                Arch::new().dispatch(Outer(&mut matrix, vector, 0.5));
            }
            let right = numbers[40 * 40..40 * 40 + n].to_vec();
            let mut solution = right.clone();
            let mut factor = matrix.clone();
            prop_assert!(Arch::new().dispatch(Solve(&mut factor, &mut solution)));
            for i in 0..n {
                let product: f64 = (0..n)
                    .map(|j| f64::from(matrix[i.max(j) * n + i.min(j)]) * f64::from(solution[j]))
                    .sum();
                prop_assert!((product - f64::from(right[i])).abs() < 1e-3, "row {i}: {product} is not {}", right[i]);
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_is_not_solved() {
        let mut matrix = [1.0, 0.0, 2.0, 1.0];
        assert!(!Arch::new().dispatch(Solve(&mut matrix, &mut [1.0, 1.0])));
        assert!(!Arch::new().dispatch(Solve(&mut [f32::NAN], &mut [1.0])));
    }
}
