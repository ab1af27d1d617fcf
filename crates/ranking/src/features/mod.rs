//! Features: one schema, one function that computes it, online and in training.
//!
//! It must never know a model or a shelf: a matrix is computed once for the page.

pub mod columns;
pub mod schema;

pub mod compute;
pub mod gather;

pub mod distribution;
pub mod fixed;

use releases::Release;
use shared_models::plan::RankQuery;

pub use columns::{COLUMNS, Column, SCHEMA};
pub use distribution::Distribution;
pub use gather::Gathered;
pub use schema::{Cost, Feature, Kind, Transform, schema_hash};

/// The features of one page: a row for each candidate of the table, a column for each entry of
/// [`SCHEMA`]. Column after column, because that is how features are computed and trees read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    /// `COLUMNS` columns of `rows` numbers.
    values: Vec<f32>,
}

impl Matrix {
    /// A matrix with the schema's defaults everywhere.
    #[must_use]
    pub fn of_defaults(rows: usize) -> Self {
        let mut values = Vec::with_capacity(rows * COLUMNS);
        for feature in SCHEMA {
            values.resize(values.len() + rows, feature.default);
        }
        Self { rows, values }
    }

    /// A matrix from whole rows, one after another; `None` when the numbers are no whole number of rows.
    #[must_use]
    pub fn from_rows(rows: &[f32]) -> Option<Self> {
        let (rows, rest) = rows.as_chunks::<COLUMNS>();
        if !rest.is_empty() {
            return None;
        }
        let mut values = Vec::with_capacity(rows.len() * COLUMNS);
        for column in 0..COLUMNS {
            values.extend(rows.iter().map(|row| row[column]));
        }
        Some(Self { rows: rows.len(), values })
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// One feature of all rows.
    #[must_use]
    pub fn column(&self, column: Column) -> &[f32] {
        let start = column as usize * self.rows;
        self.values.get(start..start + self.rows).unwrap_or(&[])
    }

    /// The columns in the order of the schema.
    pub fn columns(&self) -> impl Iterator<Item = &[f32]> {
        (0..COLUMNS).map(|column| self.values.get(column * self.rows..(column + 1) * self.rows).unwrap_or(&[]))
    }

    /// One row, copied together; the schema's defaults past the end.
    #[must_use]
    pub fn row(&self, row: usize) -> [f32; COLUMNS] {
        let mut numbers = [0.0; COLUMNS];
        for (number, (column, feature)) in numbers.iter_mut().zip(self.columns().zip(SCHEMA)) {
            *number = column.get(row).copied().unwrap_or(feature.default);
        }
        numbers
    }

    /// One number; the schema's default past the end.
    #[must_use]
    pub fn get(&self, row: usize, column: Column) -> f32 {
        self.column(column).get(row).copied().unwrap_or_else(|| column.feature().default)
    }

    fn column_mut(&mut self, column: Column) -> &mut [f32] {
        let start = column as usize * self.rows;
        self.values.get_mut(start..start + self.rows).unwrap_or(&mut [])
    }

    /// Raises one number to `value` where it is lower.
    fn raise(&mut self, row: usize, column: Column, value: f32) {
        if let Some(place) = self.column_mut(column).get_mut(row) {
            *place = place.max(value);
        }
    }
}

/// The features of a page: the single definition, used online and by learning.
///
/// A number that is not finite in the table's facts stays so: the row is then unscored, and counted.
#[must_use]
pub fn compute(query: &RankQuery, release: Option<&Release>) -> Matrix {
    compute::compute(query, &Gathered::of(query, release))
}
