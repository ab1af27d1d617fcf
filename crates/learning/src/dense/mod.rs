//! Dense matrices: products, factorisation and systems with many right sides, on all cores.
//!
//! It must not know what is solved. Matrices are row-major; sums are in f32, which a regularised Gram
//! matrix bears: its condition is the ratio of the largest eigenvalue to λ, thousands and not millions.

mod cholesky;
mod product;

pub use cholesky::Factor;
pub use product::{Operand, add_product};

/// A matrix, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
    /// The rows one after another.
    pub values: Vec<f32>,
}

impl Matrix {
    /// All zero.
    #[must_use]
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// The identity.
    #[must_use]
    pub fn identity(rows: usize) -> Self {
        let mut matrix = Self::zeros(rows, rows);
        matrix.add_to_diagonal(1.0);
        matrix
    }

    /// A row.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// A row to write.
    #[inline]
    #[must_use]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Adds a number to every entry of the diagonal.
    pub fn add_to_diagonal(&mut self, value: f32) {
        for at in 0..self.rows.min(self.columns) {
            self.values[at * self.columns + at] += value;
        }
    }

    /// `self · other`.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.rows, other.columns);
        add_product(1.0, Operand::of(self), Operand::of(other), &mut product.values, other.columns);
        product
    }

    /// `selfᵀ · other`.
    #[must_use]
    pub fn transposed_times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.columns, other.columns);
        add_product(1.0, Operand::of(self).transposed(), Operand::of(other), &mut product.values, other.columns);
        product
    }

    /// `self · otherᵀ`.
    #[must_use]
    pub fn times_transposed(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.rows, other.rows);
        add_product(1.0, Operand::of(self), Operand::of(other).transposed(), &mut product.values, other.rows);
        product
    }
}
