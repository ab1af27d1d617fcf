//! How far each feature moves a prediction from that of a row of defaults. It must never know a shelf or an objective.
//!
//! # The numbers
//! The contribution of feature f to an action's probability p, for a row x and the row of defaults d, is
//!
//! φ(f) = ½ · [p(x) − p(x with f at its default)] + ½ · [p(d with f as in x) − p(d)],
//!
//! what f adds when it comes last and when it comes first. The Shapley value is the mean of what f adds over all orders
//! (Shapley 1953; Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature
//! contributions", 2014); these two orders are the ends of them, are exact for models that add features up, and need two
//! rows a feature of any model, whatever it is made of. The contributions of a row need not sum to p(x) − p(d): what
//! features do only together is counted in half.

use shared_models::slate::{FeatureInfo, RowExplanation};

use crate::{
    features::{COLUMNS, Matrix, SCHEMA},
    scorers::{ACTIONS, Predictions, Scorer},
};

/// What the features are, in the order of the contributions.
#[must_use]
pub fn features() -> Vec<FeatureInfo> {
    let info = |feature: &crate::features::Feature| FeatureInfo {
        name: feature.name.to_owned(),
        unit: feature.unit.to_owned(),
        doc: feature.doc.to_owned(),
    };
    SCHEMA.iter().map(info).collect()
}

/// What made the predictions of some rows of a matrix.
#[must_use]
pub fn explain(scorer: &dyn Scorer, matrix: &Matrix, rows: &[u32]) -> Vec<RowExplanation> {
    let defaults: [f32; COLUMNS] = std::array::from_fn(|column| SCHEMA.get(column).map_or(0.0, |f| f.default));
    let values: Vec<[f32; COLUMNS]> = rows.iter().map(|row| matrix.row(*row as usize)).collect();
    // One matrix for all of it: the defaults, then each row, with its two variants of each feature that is not at its
    // default.
    let mut probes: Vec<f32> = defaults.to_vec();
    for row in &values {
        probes.extend_from_slice(row);
        for (column, value, default) in moved(row, &defaults) {
            let (mut last, mut first) = (*row, defaults);
            set(&mut last, column, default);
            set(&mut first, column, value);
            probes.extend_from_slice(&last);
            probes.extend_from_slice(&first);
        }
    }
    let predictions = scorer.predict(&Matrix::from_rows(&probes).unwrap_or_default());
    let mut answers = predictions.into_iter();
    let mut next = || answers.next().unwrap_or([f32::NAN; ACTIONS]);
    let of_defaults = next();
    let explained = rows.iter().zip(values).map(|(row, values)| {
        let whole = next();
        let mut contributions = vec![[0.0; ACTIONS]; COLUMNS];
        for (column, ..) in moved(&values, &defaults) {
            let (last, first) = (next(), next());
            if let Some(place) = contributions.get_mut(column) {
                *place = contribution(&whole, &last, &first, &of_defaults);
            }
        }
        RowExplanation { row: *row, predictions: whole, values: values.to_vec(), contributions }
    });
    explained.collect()
}

/// The columns that are not at their default, with value and default.
fn moved<'a>(row: &'a [f32], defaults: &'a [f32]) -> impl Iterator<Item = (usize, f32, f32)> + 'a {
    let columns = row.iter().zip(defaults).enumerate();
    columns
        .filter(|(_, (value, default))| value != default)
        .map(|(column, (value, default))| (column, *value, *default))
}

fn set(row: &mut [f32], column: usize, value: f32) {
    if let Some(place) = row.get_mut(column) {
        *place = value;
    }
}

fn contribution(whole: &Predictions, last: &Predictions, first: &Predictions, none: &Predictions) -> Predictions {
    std::array::from_fn(|action| {
        let of = |predictions: &Predictions| predictions.get(action).copied().unwrap_or(f32::NAN);
        0.5 * (of(whole) - of(last)) + 0.5 * (of(first) - of(none))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{features::Column, scorers::cold};

    /// Adds up two features.
    struct Sum;

    impl Scorer for Sum {
        fn predict(&self, matrix: &Matrix) -> Vec<Predictions> {
            let (one, two) = (matrix.column(Column::ListenerPlays), matrix.column(Column::HourSin));
            one.iter().zip(two).map(|(one, two)| [0.1 + 0.01 * one + 0.2 * two; ACTIONS]).collect()
        }
    }

    #[test]
    fn what_adds_up_is_explained_exactly() {
        let mut row: Vec<f32> = SCHEMA.iter().map(|feature| feature.default).collect();
        row[Column::ListenerPlays as usize] += 3.0;
        row[Column::HourSin as usize] += 0.5;
        let explained = explain(&Sum, &Matrix::from_rows(&row).unwrap(), &[0]);
        let of = |column: Column| explained[0].contributions[column as usize][0];
        assert!((of(Column::ListenerPlays) - 0.03).abs() < 1e-6, "{}", of(Column::ListenerPlays));
        assert!((of(Column::HourSin) - 0.1).abs() < 1e-6, "{}", of(Column::HourSin));
        assert!(explained[0].contributions.iter().filter(|of| of[0] != 0.0).count() == 2);
        assert_eq!(explained[0].values, row);
    }

    #[test]
    fn a_row_of_defaults_is_moved_by_nothing_and_predicted_as_it_is() {
        let matrix = Matrix::of_defaults(2);
        let explained = explain(cold::model(), &matrix, &[1]);
        assert_eq!(explained[0].row, 1);
        assert_eq!(explained[0].predictions, cold::model().predict(&matrix)[1]);
        assert!(explained[0].contributions.iter().flatten().all(|moved| *moved == 0.0));
    }
}
