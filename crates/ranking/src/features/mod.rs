//! Features: one schema, one function that computes it, online and in training.
//!
//! It must never know a model or a shelf: a matrix is computed once for the page.

pub mod compute;
pub mod gather;
pub mod schema;

use releases::Release;
use shared_models::plan::RankQuery;

pub use gather::Gathered;
pub use schema::{COLUMNS, Column, Feature, Kind, SCHEMA, Transform, schema_hash};

/// The features of one page: a row for each candidate of the table, a column for each entry of
/// [`SCHEMA`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    values: Vec<f32>,
}

impl Matrix {
    /// A matrix with the schema's defaults everywhere.
    #[must_use]
    pub fn of_defaults(rows: usize) -> Self {
        let defaults: Vec<f32> = SCHEMA.iter().map(|feature| feature.default).collect();
        Self { values: defaults.repeat(rows) }
    }

    /// A matrix from whole rows; `None` when the numbers are no whole number of rows.
    #[must_use]
    pub fn from_rows(values: Vec<f32>) -> Option<Self> {
        values.len().is_multiple_of(COLUMNS).then_some(Self { values })
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / COLUMNS
    }

    /// One row; empty past the end.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        self.values.get(row * COLUMNS..(row + 1) * COLUMNS).unwrap_or(&[])
    }

    /// One number; the schema's default past the end.
    #[must_use]
    pub fn get(&self, row: usize, column: Column) -> f32 {
        self.row(row).get(column as usize).copied().unwrap_or_else(|| column.feature().default)
    }

    /// All numbers, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows in order, as arrays.
    pub fn iter(&self) -> impl Iterator<Item = &[f32; COLUMNS]> {
        self.values.as_chunks().0.iter()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32; COLUMNS]> {
        self.values.as_chunks_mut().0.iter_mut()
    }
}

/// The features of a page: the single definition, used online and by learning.
///
/// A number that is not finite in the table's facts stays so: the row is then unscored, and counted.
#[must_use]
pub fn compute(query: &RankQuery, release: Option<&Release>) -> Matrix {
    compute::compute(query, &Gathered::of(query, release))
}
