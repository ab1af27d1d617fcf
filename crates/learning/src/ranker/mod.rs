//! The scorer: what a listener does with a card, learnt from what listeners did. It replays events in
//! time order through the profile fold and the facts of candidate-generation and the features of
//! ranking, the same code that serves, and fits one calibrated logistic model for each action.
//!
//! It must not know archives or the release store. Its promise: no row sees anything that happened
//! after the card was shown; factors and popularity come from a release of the time before.

mod calibrate;
pub mod effect;
pub mod facts;
mod logistic;
pub mod metrics;
pub mod pages;
pub mod replay;
pub mod trend;

use std::{fmt, time::Duration};

use ranking::{
    features::{COLUMNS, Matrix, SCHEMA},
    scorers::{
        LinearModel, Model, Scorer,
        calibration::Calibration,
        linear::{self, ActionModel},
    },
};
use rayon::prelude::*;
use shared_models::{ErrorCode, Seed, component::Action};

pub use replay::{Rows, Source};

/// How many actions there are.
const ACTIONS: usize = Action::ALL.len();

/// How the scorer is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// About how many rows to train, calibrate and test on; pages are drawn evenly.
    pub rows: usize,
    /// λ of `λ/2 |w|²` over standardised features, against the sum of the rows' losses.
    pub l2: f64,
    /// The share of rows, earliest first, that weights are fitted to. Half of what remains calibrates,
    /// the other half, the latest, tests.
    pub train_share: f64,
    /// After this long a play counts half in the fact `trend`: candidate-generation's
    /// `trending.half_life`.
    pub trend_half_life: Duration,
    /// Cards that are made up for each play, where a data set has no impressions.
    pub negatives: usize,
    /// The source of every draw.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 60_000,
            l2: 20.0,
            train_share: 0.7,
            trend_half_life: Duration::from_secs(86_400),
            negatives: 4,
            seed: Seed(1),
        }
    }
}

/// Why there is no scorer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there are {rows} rows to train a scorer on, at least {needed} are needed")]
    TooFew {
        /// How many there are.
        rows: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The weights could not be solved for.
    #[error("the system of {action} could not be solved")]
    Singular {
        /// Whose.
        action: Action,
    },
    /// The weights make no model.
    #[error("the weights make no scorer")]
    Model(#[source] linear::Error),
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooFew { .. } => ErrorCode::InvalidArgument,
            Self::Singular { .. } | Self::Model(_) => ErrorCode::Internal,
        }
    }
}

/// The fewest rows a scorer is trained on.
pub const FEWEST: usize = 500;
/// The fewest positives a weight is fitted to; below, the action's rate alone is learnt.
const FEWEST_POSITIVES: usize = 20;

/// How good one action's predictions are, on the latest rows, which nothing was fitted to.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionReport {
    /// Which action.
    pub action: Action,
    /// Rows that were tested on, and those among them with the action.
    pub rows: usize,
    /// See `rows`.
    pub positives: usize,
    /// Mean log loss.
    pub log_loss: f64,
    /// The log loss of always saying the rate of the rows trained on.
    pub base_log_loss: f64,
    /// The chance that a row with the action stands above one without; 0.5 is no skill.
    pub auc: f64,
    /// The mean distance of predicted and observed rates over ten bins of equal size.
    pub calibration_error: f64,
    /// What was fitted: `isotonic`, `platt` or `rate only`.
    pub calibration: &'static str,
}

impl fmt::Display for ActionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<9} {:>6} of {:>6} rows  log loss {:.4} (rate alone {:.4})  AUC {:.3}  calibration error {:.4}  {}",
            self.action.as_str(),
            self.positives,
            self.rows,
            self.log_loss,
            self.base_log_loss,
            self.auc,
            self.calibration_error,
            self.calibration
        )
    }
}

/// A trained scorer and how good it is.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model as ranking loads it.
    pub model: Model,
    /// One for each action, in the order of `Action::ALL`.
    pub actions: Vec<ActionReport>,
    /// Rows that weights were fitted to, that calibrated, and that tested.
    pub rows: [usize; 3],
}

/// Fits the scorer to rows in time order.
///
/// # Errors
/// When there are too few rows or the weights cannot be solved for.
pub fn fit(rows: &Rows, settings: &Settings) -> Result<Trained, Error> {
    let count = rows.len();
    if count < FEWEST {
        return Err(Error::TooFew { rows: count, needed: FEWEST });
    }
    let trained_on = ((count as f64 * settings.train_share.clamp(0.1, 0.9)) as usize).clamp(1, count - 2);
    let calibrated_on = trained_on + (count - trained_on) / 2;
    let (means, scales) = standardisation(&rows.features[..trained_on * COLUMNS]);
    let standardised = logistic::standardise(&rows.features[..trained_on * COLUMNS], &means, &scales);
    let fitted: Result<Vec<ActionModel>, Error> = Action::ALL
        .par_iter()
        .enumerate()
        .map(|(index, action)| {
            let labels: Vec<bool> = rows.labels[..trained_on].iter().map(|labels| labels[index]).collect();
            let positives = labels.iter().filter(|label| **label).count();
            let (bias, weights) = if positives < FEWEST_POSITIVES || trained_on - positives < FEWEST_POSITIVES {
                (logistic::logit_of_rate(positives, trained_on), vec![0.0; COLUMNS])
            } else {
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
    let mut model = LinearModel::new(means, scales, fitted?).map_err(Error::Model)?;
    let held = |range: std::ops::Range<usize>| {
        Matrix::from_rows(&rows.features[range.start * COLUMNS..range.end * COLUMNS]).unwrap_or_default()
    };
    // Calibrated on the numbers that serving computes, to the bit: the model's own.
    let logits = model.logits(&held(trained_on..calibrated_on));
    let mut kinds = Vec::with_capacity(ACTIONS);
    for (index, action) in model.actions.iter_mut().enumerate() {
        let examples: Vec<(f32, bool)> = logits
            .iter()
            .zip(&rows.labels[trained_on..calibrated_on])
            .map(|(logits, labels)| (logits[index], labels[index]))
            .collect();
        let is_flat = action.weights.iter().all(|weight| *weight == 0.0);
        let (kind, calibration) =
            if is_flat { ("rate only", Calibration::default()) } else { calibrate::fit(examples) };
        action.calibration = calibration;
        kinds.push(kind);
    }
    // Read back as ranking reads it: a model that ranking would refuse is never handed on.
    let model = LinearModel::new(model.means, model.scales, model.actions).map_err(Error::Model)?;
    let predictions = model.predict(&held(calibrated_on..count));
    let actions = Action::ALL
        .iter()
        .enumerate()
        .map(|(index, action)| {
            let examples: Vec<(f32, bool)> = predictions
                .iter()
                .zip(&rows.labels[calibrated_on..])
                .map(|(predicted, labels)| (predicted[index], labels[index]))
                .collect();
            let positives = rows.labels[..trained_on].iter().filter(|labels| labels[index]).count();
            ActionReport {
                action: *action,
                rows: examples.len(),
                positives: examples.iter().filter(|example| example.1).count(),
                log_loss: metrics::log_loss(&examples),
                base_log_loss: metrics::log_loss_of_rate(&examples, positives as f64 / trained_on as f64),
                auc: metrics::auc(&examples),
                calibration_error: metrics::calibration_error(&examples, 10),
                calibration: kinds[index],
            }
        })
        .collect();
    Ok(Trained {
        model: Model::Linear(model),
        actions,
        rows: [trained_on, calibrated_on - trained_on, count - calibrated_on],
    })
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
