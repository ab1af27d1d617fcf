//! How each feature was spread over the rows that a scorer was trained on: written into the release by training, and held
//! against what serving computes. It must not know a page.
//!
//! # The form of `features.json`
//! ```json
//! { "form": 1, "feature_schema": "0123456789abcdef", "rows": 60000, "features": [
//!   { "name": "user_dot", "mean": 0.1, "deviation": 0.2, "missing": 0.0, "out_of_range": 0.0,
//!     "edges": [-0.1, 0.2], "shares": [0.1, 0.4, 0.5] } ] }
//! ```
//! One entry for each column of the schema, in its order. `missing` is the share of rows at the default; `shares` are
//! those up to the first edge, up to the second, and so on, and above the last.

use releases::Release;
use serde::{Deserialize, Serialize};

use super::{COLUMNS, SCHEMA, schema_hash};

/// The file's name in a release.
pub const FILE: &str = "features.json";
/// The version of the form.
pub const FORM: u32 = 1;
/// Into how many parts of equal size the trained values are cut.
const PARTS: usize = 10;
/// A part that holds less is taken to hold this much, so that an empty one is no infinity.
const LEAST: f64 = 1e-4;

/// The spread of one feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Its name.
    pub name: String,
    /// The mean of the numbers that are finite.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The share of rows that hold the default.
    pub missing: f64,
    /// The share of rows outside of the feature's range.
    pub out_of_range: f64,
    /// Ascending, finite.
    pub edges: Vec<f32>,
    /// One more than edges; they add up to 1 where there are rows.
    pub shares: Vec<f64>,
}

/// The spread of every feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// [`FORM`].
    pub form: u32,
    /// [`schema_hash`] in hexadecimal.
    pub feature_schema: String,
    /// How many rows there were.
    pub rows: u64,
    /// One for each column of the schema.
    pub features: Vec<Spread>,
}

impl Distribution {
    /// The spread over whole rows, one after another.
    #[must_use]
    pub fn of_rows(rows: &[f32]) -> Self {
        let rows = rows.as_chunks::<COLUMNS>().0;
        let features = SCHEMA.iter().enumerate().map(|(column, _)| {
            let values = rows.iter().filter_map(|row| row.get(column).copied());
            Spread::of(column, values.collect())
        });
        let features = features.collect();
        Self { form: FORM, feature_schema: format!("{:016x}", schema_hash()), rows: rows.len() as u64, features }
    }

    /// What a release tells; `None` where it tells nothing, or of another schema.
    #[must_use]
    pub fn of_release(release: &Release) -> Option<Self> {
        let told: Self = serde_json::from_slice(release.blobs.get(FILE)?).ok()?;
        told.is_sound().then_some(told)
    }

    /// The file.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    fn is_sound(&self) -> bool {
        self.form == FORM
            && self.feature_schema == format!("{:016x}", schema_hash())
            && self.features.len() == COLUMNS
            && self.features.iter().all(|spread| {
                spread.shares.len() == spread.edges.len() + 1 && spread.edges.is_sorted_by(|one, next| one < next)
            })
    }
}

impl Spread {
    fn of(column: usize, mut values: Vec<f32>) -> Self {
        let Some(feature) = SCHEMA.get(column) else { return Self::default() };
        let count = values.len().max(1) as f64;
        let share = |part: usize| part as f64 / count;
        let missing = share(values.iter().filter(|value| **value == feature.default).count());
        let out_of_range = share(values.iter().filter(|value| !feature.is_in_range(**value)).count());
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f32::total_cmp);
        let finite = values.len().max(1) as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / finite;
        let square = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / finite;
        let edges = edges(&values);
        let mut spread = Self {
            name: feature.name.to_owned(),
            mean,
            deviation: square.sqrt(),
            missing,
            out_of_range,
            shares: vec![0.0; edges.len() + 1],
            edges,
        };
        for value in &values {
            let part = spread.part(*value);
            if let Some(share) = spread.shares.get_mut(part) {
                *share += 1.0 / finite;
            }
        }
        spread
    }

    /// Where a number falls among the edges.
    #[must_use]
    pub fn part(&self, value: f32) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }

    /// The population stability index of counts in the same parts: `Σ (p − q) · ln(p / q)`, 0 where both are alike;
    /// Siddiqi, "Credit Risk Scorecards" (2006), takes 0.1 for a shift worth a look and 0.25 for one worth acting on.
    #[must_use]
    pub fn index(&self, counts: &[f64]) -> f64 {
        let total: f64 = counts.iter().sum();
        if total <= 0.0 {
            return 0.0;
        }
        let term = |(count, share): (&f64, &f64)| {
            let (served, trained) = ((count / total).max(LEAST), share.max(LEAST));
            (served - trained) * (served / trained).ln()
        };
        counts.iter().zip(&self.shares).map(term).sum()
    }
}

/// Edges between parts of about equal size. Values that many rows share are a part of their own, and what lies below all
/// of them is one too.
fn edges(sorted: &[f32]) -> Vec<f32> {
    let Some(lowest) = sorted.first() else { return Vec::new() };
    let mut edges = vec![lowest.next_down()];
    edges.extend((1..PARTS).filter_map(|part| sorted.get(sorted.len() * part / PARTS)).copied());
    edges.retain(|edge| edge.is_finite());
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Column;

    fn spread(values: impl IntoIterator<Item = f32>) -> Spread {
        Spread::of(Column::UserDot as usize, values.into_iter().collect())
    }

    fn counts(spread: &Spread, values: impl IntoIterator<Item = f32>) -> Vec<f64> {
        let mut counts = vec![0.0; spread.shares.len()];
        for value in values {
            counts[spread.part(value)] += 1.0;
        }
        counts
    }

    #[test]
    fn the_index_is_nothing_for_the_same_and_grows_with_the_shift() {
        let even = || (0..1_000).map(|n| n as f32 / 1_000.0);
        let spread = spread(even());
        assert_eq!(spread.edges.len(), PARTS);
        assert!((spread.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let shifted = |by: f32| spread.index(&counts(&spread, even().map(|value| value + by)));
        assert!(shifted(0.0) < 1e-9 && shifted(0.1) > 0.1 && shifted(0.3) > shifted(0.1));
        assert!(shifted(-0.3) > 0.25);
        assert_eq!(spread.index(&counts(&spread, [])), 0.0);
    }

    #[test]
    fn a_value_that_never_changed_shows_when_it_does() {
        let constant = spread([0.5; 100]);
        assert_eq!((constant.mean, constant.deviation, constant.missing), (0.5, 0.0, 0.0));
        assert!(constant.index(&counts(&constant, [0.5; 50])) < 1e-9);
        for other in [0.4, 0.6] {
            assert!(constant.index(&counts(&constant, [other; 50])) > 1.0, "{other}");
        }
    }

    #[test]
    fn missing_and_unsound_numbers_are_told() {
        let spread = spread([0.0, 0.0, 1.0, 99.0, f32::NAN]);
        assert_eq!((spread.missing, spread.out_of_range), (0.4, 0.4));
        assert_eq!(spread.mean, 25.0);
    }

    #[test]
    fn what_is_written_reads_back_and_another_schema_does_not() {
        let rows: Vec<f32> = (0..COLUMNS * 7).map(|n| (n % 13) as f32 / 3.0).collect();
        let told = Distribution::of_rows(&rows);
        assert_eq!((told.rows, told.features.len()), (7, COLUMNS));
        let read = |told: &Distribution| {
            let read: Distribution = serde_json::from_slice(&told.encode().unwrap()).unwrap();
            read.is_sound().then_some(read)
        };
        let again = read(&told).unwrap();
        for (one, other) in again.features.iter().zip(&told.features) {
            // JSON keeps the numbers of a feature to the bit, and sums to the last digit but one.
            assert_eq!((&one.name, &one.edges), (&other.name, &other.edges));
            assert!((one.mean - other.mean).abs() < 1e-12 && (one.deviation - other.deviation).abs() < 1e-12);
            assert!(one.shares.iter().zip(&other.shares).all(|(one, other)| (one - other).abs() < 1e-12));
        }
        assert_eq!(read(&Distribution { feature_schema: "0".to_owned(), ..told.clone() }), None);
        let mut short = told;
        short.features[3].shares.pop();
        assert_eq!(read(&short), None);
    }
}
