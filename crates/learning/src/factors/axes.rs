//! The axes along which a side of factors lies: the eigenvectors of its Gram matrix.
//!
//! Factors are known up to a rotation of both sides, which changes no product. Along its own axes a side's Gram matrix is
//! its diagonal, so that what every row of the other side had to multiply by a k × k matrix becomes k products, and the
//! diagonal is what conjugate gradient is preconditioned by.

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::ParallelIterator;

use super::{
    kernels::{combine, combine_4},
    lines::Rows,
};

/// Rows that a thread turns together.
const BLOCK: usize = 64;
/// How often a value is tried to be told from the others; it takes two or three.
const TRIES: usize = 60;

/// The axes of a symmetric matrix.
pub(super) struct Axes {
    /// The matrix's value along each axis, ascending in no order; 0 past the dimensions.
    pub(super) lengths: Vec<f32>,
    /// Row i, column j: how much of the old axis i lies along the new axis j.
    turn: Rows,
}

impl Axes {
    /// The axes of a Gram matrix; `None` where it is not finite.
    pub(super) fn of(gram: &Rows, dimensions: usize) -> Option<Self> {
        let mut matrix: Vec<f64> =
            (0..dimensions).flat_map(|row| gram.row(row)[..dimensions].iter().map(|value| f64::from(*value))).collect();
        let (values, vectors) = eigen(&mut matrix, dimensions)?;
        let mut lengths = vec![0.0; gram.stride()];
        let mut turn = Rows::zeros(dimensions, dimensions);
        for (axis, value) in values.iter().enumerate() {
            // A Gram matrix has no value below 0 but by rounding.
            lengths[axis] = value.max(0.0) as f32;
            for (old, share) in vectors[axis * dimensions..(axis + 1) * dimensions].iter().enumerate() {
                turn.row_mut(old)[axis] = *share as f32;
            }
        }
        Some(Self { lengths, turn })
    }

    /// Turns a table of rows onto the axes.
    pub(super) fn turn(&self, table: &mut Rows) {
        let stride = table.stride();
        table.blocks_mut(BLOCK).for_each(|rows| {
            Arch::new().dispatch(Turn { by: self.turn.values(), rows, stride });
        });
    }
}

struct Turn<'a> {
    by: &'a [f32],
    rows: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { by, rows, stride } = self;
        let by = S::as_simd_f32s(by).0;
        let mut turned = vec![0.0_f32; 4 * stride];
        let mut fours = rows.chunks_exact_mut(4 * stride);
        for four in &mut fours {
            combine_4(simd, by, four, &mut turned);
            four.copy_from_slice(&turned);
        }
        for row in fours.into_remainder().chunks_exact_mut(stride) {
            combine(simd, by, row, &mut turned[..stride]);
            row.copy_from_slice(&turned[..stride]);
        }
    }
}

/// The eigenvalues of a symmetric matrix and its eigenvectors, one after another: Householder's reduction to three
/// diagonals and the implicit QL method (Bowdler, Martin, Reinsch and Wilkinson, "The QR and QL Algorithms for Symmetric
/// Matrices", Numerische Mathematik 11, 1968). `None` where a value is not found, as with numbers that are not finite.
fn eigen(matrix: &mut [f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|at| vectors[at * n + at] = 1.0);
    let mut beside = reduce(matrix, &mut vectors, n);
    let mut values: Vec<f64> = (0..n).map(|at| matrix[at * n + at]).collect();
    for low in 0..n {
        for tries in 0.. {
            let is_small = |at: usize, values: &[f64], beside: &[f64]| {
                beside[at].abs() <= f64::EPSILON * (values[at].abs() + values[at + 1].abs())
            };
            let high = (low..n - 1).find(|at| is_small(*at, &values, &beside)).unwrap_or(n - 1);
            if high == low {
                break;
            }
            if tries == TRIES {
                return None;
            }
            step(&mut values, &mut beside, &mut vectors, n, low, high);
        }
    }
    values.iter().all(|value| value.is_finite()).then_some((values, vectors))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Makes the matrix tridiagonal by reflections, which `vectors` takes part in; answers what stands beside the diagonal.
fn reduce(matrix: &mut [f64], vectors: &mut [f64], n: usize) -> Vec<f64> {
    let mut beside = vec![0.0; n.max(1)];
    let (mut mirror, mut product) = (vec![0.0; n], vec![0.0; n]);
    for at in 0..n.saturating_sub(1) {
        let below = at + 1;
        for (mirror, row) in mirror[below..].iter_mut().zip(matrix.chunks_exact(n).skip(below)) {
            *mirror = row[at];
        }
        let length = mirror[below..].iter().map(|value| value * value).sum::<f64>().sqrt();
        let outside = mirror[below + 1..].iter().map(|value| value * value).sum::<f64>();
        if outside == 0.0 {
            beside[at] = mirror[below];
            continue;
        }
        let end = if mirror[below] > 0.0 { -length } else { length };
        beside[at] = end;
        mirror[below] -= end;
        let scale = 2.0 / mirror[below..].iter().map(|value| value * value).sum::<f64>();
        // What is left becomes A - v wᵀ - w vᵀ.
        for (product, row) in product[below..].iter_mut().zip(matrix.chunks_exact(n).skip(below)) {
            *product = scale * dot(&row[below..], &mirror[below..]);
        }
        let half = 0.5 * scale * dot(&product[below..], &mirror[below..]);
        for (product, mirror) in product[below..].iter_mut().zip(&mirror[below..]) {
            *product -= half * mirror;
        }
        let rows = matrix.chunks_exact_mut(n).skip(below);
        for ((row, v), w) in rows.zip(&mirror[below..]).zip(&product[below..]) {
            for ((value, mirror), product) in row[below..].iter_mut().zip(&mirror[below..]).zip(&product[below..]) {
                *value -= v * product + w * mirror;
            }
        }
        // The reflection from the left on the vectors.
        product.fill(0.0);
        for (row, v) in vectors.chunks_exact(n).skip(below).zip(&mirror[below..]) {
            for (sum, value) in product.iter_mut().zip(row) {
                *sum += v * value;
            }
        }
        for (row, v) in vectors.chunks_exact_mut(n).skip(below).zip(&mirror[below..]) {
            for (value, sum) in row.iter_mut().zip(&product) {
                *value -= scale * v * sum;
            }
        }
    }
    beside
}

/// One implicit QL step on the rows from `low` to `high`.
fn step(values: &mut [f64], beside: &mut [f64], vectors: &mut [f64], n: usize, low: usize, high: usize) {
    let shift = (values[low + 1] - values[low]) / (2.0 * beside[low]);
    let root = shift.hypot(1.0).copysign(shift);
    let mut g = values[high] - values[low] + beside[low] / (shift + root);
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for at in (low..high).rev() {
        let (f, b) = (s * beside[at], c * beside[at]);
        let r = f.hypot(g);
        beside[at + 1] = r;
        if r == 0.0 {
            values[at + 1] -= p;
            beside[high] = 0.0;
            return;
        }
        (s, c) = (f / r, g / r);
        g = values[at + 1] - p;
        let r = (values[at] - g) * s + 2.0 * c * b;
        p = s * r;
        values[at + 1] = g + p;
        g = c * r - b;
        let (first, second) = vectors[at * n..(at + 2) * n].split_at_mut(n);
        for (x, y) in first.iter_mut().zip(second) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    }
    values[low] -= p;
    beside[low] = g;
    beside[high] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::gram::gram;

    fn table(rows: usize, dimensions: usize) -> Rows {
        let mut table = Rows::zeros(rows, dimensions);
        for row in 0..rows {
            for (column, value) in table.row_mut(row)[..dimensions].iter_mut().enumerate() {
                *value = ((row * 31 + column * 17 + row * column) % 101) as f32 / 101.0 - 0.4;
            }
        }
        table
    }

    #[test]
    fn along_its_axes_a_table_has_a_diagonal_gram_matrix_and_the_same_products() {
        for dimensions in [1, 2, 7, 16, 48, 64, 100] {
            let before = table(203, dimensions);
            let axes = Axes::of(&gram(&before, dimensions), dimensions).unwrap();
            let mut after = before.clone();
            axes.turn(&mut after);
            let turned = gram(&after, dimensions);
            let most = axes.lengths.iter().copied().fold(0.0, f32::max);
            for i in 0..dimensions {
                for j in 0..dimensions {
                    let expected = if i == j { axes.lengths[i] } else { 0.0 };
                    let found = turned.row(i)[j];
                    assert!((found - expected).abs() < 1e-5 * most + 1e-4, "{dimensions}: {i} {j} {found} {expected}");
                }
            }
            let product = |table: &Rows, a: usize, b: usize| releases::vectors::dot(table.row(a), table.row(b));
            for (a, b) in [(0, 1), (5, 200), (7, 7), (202, 3)] {
                assert!((product(&before, a, b) - product(&after, a, b)).abs() < 1e-3, "{dimensions}: {a} {b}");
            }
            assert!(after.row(0)[dimensions..].iter().all(|value| *value == 0.0));
        }
    }

    #[test]
    fn nothing_and_no_numbers_have_axes_or_none() {
        let axes = Axes::of(&gram(&Rows::zeros(9, 5), 5), 5).unwrap();
        assert!(axes.lengths.iter().all(|length| *length == 0.0));
        let mut broken = Rows::zeros(5, 5);
        broken.row_mut(2)[1] = f32::NAN;
        assert!(Axes::of(&broken, 5).is_none());
    }
}
