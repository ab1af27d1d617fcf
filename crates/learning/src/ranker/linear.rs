//! One logistic model for each action: what serves where there is too little to grow trees from. It must not know how
//! rows are made.

use ranking::{
    features::{COLUMNS, SCHEMA},
    scorers::{LinearModel, Model, calibration::Calibration, linear::ActionModel},
};
use rayon::prelude::*;
use shared_models::component::Action;

use super::{ACTIONS, Error, Fitted, Parts, Rows, Settings, calibrate, logistic};

/// The fewest positives a weight is fitted to; below, the action's rate alone is learnt.
const FEWEST_POSITIVES: usize = 20;

/// Fits the weights of all actions, and their calibrations.
pub(super) fn fit(rows: &Rows, parts: &Parts, settings: &Settings) -> Result<Fitted, Error> {
    let trained = parts.trained.len();
    let features = &rows.features[..trained * COLUMNS];
    let (means, scales) = standardisation(features);
    let standardised = logistic::standardise(features, &means, &scales);
    let fitted: Result<Vec<ActionModel>, Error> = Action::ALL
        .par_iter()
        .enumerate()
        .map(|(index, action)| {
            let positives = rows.positives(&parts.trained, index);
            let (bias, weights) = if positives < FEWEST_POSITIVES || trained - positives < FEWEST_POSITIVES {
                (logistic::logit_of_rate(positives, trained), vec![0.0; COLUMNS])
            } else {
                let labels: Vec<bool> = rows.labels[..trained].iter().map(|labels| labels[index]).collect();
                logistic::fit(&standardised, &labels, settings.l2).ok_or(Error::Singular { action: *action })?
            };
            Ok(ActionModel {
                action: *action,
                bias: bias as f32,
                weights: weights.into_iter().map(|weight| weight as f32).collect(),
                calibration: Calibration::default(),
            })
        })
        .collect();
    calibrated(LinearModel::new(means, scales, fitted?).map_err(unusable)?, rows, parts)
}

/// The model with calibrations fitted to the rows that are for it.
pub(super) fn calibrated(mut model: LinearModel, rows: &Rows, parts: &Parts) -> Result<Fitted, Error> {
    // Calibrated on the numbers that serving computes, to the bit: the model's own.
    let logits = model.logits(&rows.matrix(parts.calibrated.clone()));
    let mut calibrations = Vec::with_capacity(ACTIONS);
    for (index, action) in model.actions.iter_mut().enumerate() {
        let labels = &rows.labels[parts.calibrated.clone()];
        let examples = logits.iter().zip(labels).map(|(logits, labels)| (logits[index], labels[index])).collect();
        let is_flat = action.weights.iter().all(|weight| *weight == 0.0);
        let (kind, calibration) =
            if is_flat { ("rate only", Calibration::default()) } else { calibrate::fit(examples) };
        action.calibration = calibration;
        calibrations.push(kind);
    }
    // Read back as ranking reads it: a model that ranking would refuse is never handed on.
    let model = LinearModel::new(model.means, model.scales, model.actions).map_err(unusable)?;
    Ok(Fitted { model: Model::Linear(model), calibrations, reports: Vec::new() })
}

fn unusable(source: ranking::scorers::linear::Error) -> Error {
    Error::Model(source.into())
}

/// Mean and deviation of each column; a column that never changes has the deviation 1.
fn standardisation(features: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let rows = (features.len() / COLUMNS).max(1) as f64;
    let (mut sums, mut squares) = (vec![0.0_f64; SCHEMA.len()], vec![0.0_f64; SCHEMA.len()]);
    for row in features.chunks_exact(COLUMNS) {
        for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += f64::from(*value);
            *square += f64::from(*value) * f64::from(*value);
        }
    }
    let means: Vec<f64> = sums.iter().map(|sum| sum / rows).collect();
    let scales = squares
        .iter()
        .zip(&means)
        .map(|(square, mean)| (square / rows - mean * mean).max(0.0).sqrt())
        .map(|deviation| if deviation < 1e-4 { 1.0 } else { deviation as f32 });
    let scales = scales.collect();
    (means.into_iter().map(|mean| mean as f32).collect(), scales)
}
