//! The form of a scorer: what is refused, and what a sound one answers.

use super::*;
use crate::{features::Column, scorers::cold};

fn check(spoil: impl FnOnce(&mut LinearModel), expected: &str) {
    let mut model = cold::model().clone();
    spoil(&mut model);
    let error = model.to_json().and_then(|bytes| LinearModel::from_json(&bytes)).unwrap_err();
    assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
}

#[test]
fn a_model_of_another_form_or_schema_is_refused() {
    check(|model| model.form = 2, "form 2");
    check(|model| model.feature_schema = "00".to_owned(), "feature schema 00");
    check(|model| model.features[0] = "other".to_owned(), "feature schema");
}

#[test]
fn a_model_of_another_length_is_refused() {
    check(|model| model.means.push(0.0), "means has");
    check(|model| model.scales.truncate(1), "scales has");
    check(|model| drop(model.actions.pop()), "actions has 3 entries, expected 4");
    check(|model| model.actions[2].weights.truncate(1), "actions.like.weights has");
    check(|model| model.actions.swap(0, 1), "actions[0] is complete, expected play");
}

#[test]
fn a_model_with_an_unusable_number_is_refused() {
    check(|model| model.scales[3] = 0.0, "scales[3] is 0");
    check(|model| model.means[3] = f32::NAN, "does not read as JSON");
    check(
        |model| model.actions[0].calibration = Calibration::Platt { slope: -1.0, offset: 0.0 },
        "the calibration of play",
    );
    let mut model = cold::model().clone();
    model.actions[1].weights[0] = f32::INFINITY;
    assert!(
        LinearModel::new(model.means, model.scales, model.actions)
            .unwrap_err()
            .to_string()
            .contains("actions.complete.weights[0]")
    );
}

#[test]
fn a_key_nobody_reads_is_refused() {
    assert!(matches!(LinearModel::from_json(br#"{"form":1,"extra":0}"#), Err(Error::Json(_))));
}

#[test]
fn standardisation_is_part_of_the_model() {
    let mut model = cold::model().clone();
    for action in &mut model.actions {
        action.weights = vec![0.0; COLUMNS];
        action.weights[Column::Trend as usize] = 2.0;
        action.bias = 0.5;
    }
    model.means[Column::Trend as usize] = 3.0;
    model.scales[Column::Trend as usize] = 4.0;
    let mut values = vec![0.0; COLUMNS * 2];
    values[Column::Trend as usize] = 7.0;
    values[COLUMNS + Column::Trend as usize] = f32::NAN;
    let matrix = Matrix::from_rows(&values).unwrap();
    assert!((model.logits(&matrix)[0][0] - 2.5).abs() < 1e-6);
    let predictions = model.predict(&matrix);
    assert!((predictions[0][0] - 1.0 / (1.0 + (-2.5_f32).exp())).abs() < 1e-6);
    assert!(predictions[1].iter().all(|value| value.is_nan()), "a number that is not finite must show");
}
