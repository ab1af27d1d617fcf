//! The scorer: what a listener does with a card, learnt from what listeners did. It replays events in
//! time order through the profile fold and the facts of candidate-generation and the features of
//! ranking, the same code that serves, and fits calibrated trees or logistic models for each action.
//!
//! It must not know archives or the release store. Its promise: no row sees anything that happened
//! after the card was shown; factors and popularity come from a release of the time before.

mod calibrate;
pub mod effect;
pub mod facts;
mod heads;
mod linear;
mod logistic;
pub mod metrics;
mod moment;
pub mod pages;
pub mod position;
pub mod records;
pub mod replay;
pub mod rows;
mod scene;
pub mod trend;

use std::{fmt, ops::Range, time::Duration};

use ranking::scorers::{Model, Predictions, Scorer, document};
use shared_models::{ErrorCode, Seed, component::Action};

pub use position::Bias;
pub use rows::{Place, Rows, Source};

use crate::{evaluate::Interval, trees};

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
    /// About how many pages of the past to learn from and to measure on.
    pub pages: usize,
    /// What becomes of cards having been seen less the further down they stood, where it is known where they stood.
    pub bias: Bias,
    /// Whether trainings of trees are reported with curves and importances.
    pub reports: bool,
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
            pages: 2_000,
            bias: Bias::default(),
            reports: false,
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
    Model(#[source] document::Error),
    /// No trees could be grown.
    #[error("no trees could be grown")]
    Trees(#[source] trees::Error),
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooFew { .. } => ErrorCode::InvalidArgument,
            Self::Trees(source) => source.code(),
            Self::Singular { .. } | Self::Model(_) => ErrorCode::Internal,
        }
    }
}

/// The fewest rows a scorer is trained on.
pub const FEWEST: usize = 500;

/// How good one action's predictions are, on the latest rows, which nothing was fitted to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
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
    /// The mean distance of predicted and observed rates over ten bins of equal size, with its interval.
    pub calibration_error: Interval,
    /// What was fitted: `platt`, `beta`, `isotonic` or `rate only`.
    pub calibration: &'static str,
    /// How often what was predicted came true, in bins of equal size.
    pub reliability: Vec<trees::Bin>,
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
            self.calibration_error.mean,
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
    /// How the trees of each action were trained, where it was asked for.
    pub reports: Vec<(Action, trees::Report)>,
}

/// Bins of the calibration error, and of the picture of reliability.
const BINS: usize = 10;
const DRAWN_BINS: usize = 20;

/// Which rows are for what, in time order.
#[derive(Clone, Debug)]
struct Parts {
    trained: Range<usize>,
    calibrated: Range<usize>,
    tested: Range<usize>,
}

impl Parts {
    fn of(count: usize, train_share: f64) -> Self {
        let trained = ((count as f64 * train_share.clamp(0.1, 0.9)) as usize).clamp(1, count - 2);
        let calibrated = trained + (count - trained) / 2;
        Self { trained: 0..trained, calibrated: trained..calibrated, tested: calibrated..count }
    }
}

/// A model with the kind of each action's calibration.
struct Fitted {
    model: Model,
    calibrations: Vec<&'static str>,
    reports: Vec<(Action, trees::Report)>,
}

/// Fits scorers to rows in time order, and gives the one that says best what happened on the rows that calibrated:
/// trees where there is enough to grow them from, else a linear model.
///
/// # Errors
/// When there are too few rows or the weights cannot be solved for.
pub fn fit(rows: &Rows, settings: &Settings) -> Result<Trained, Error> {
    let count = rows.len();
    if count < FEWEST {
        return Err(Error::TooFew { rows: count, needed: FEWEST });
    }
    let parts = Parts::of(count, settings.train_share);
    let loss = |fitted: &Fitted| {
        let predictions = fitted.model.predict(&rows.matrix(parts.calibrated.clone()));
        let of = |index| metrics::log_loss(&examples(&predictions, rows, &parts.calibrated, index));
        (0..ACTIONS).map(of).sum::<f64>()
    };
    let mut best = linear::fit(rows, &parts, settings)?;
    if let Some(trees) = heads::fit(rows, &parts, settings)?
        && loss(&trees) < loss(&best)
    {
        best = trees;
    }
    Ok(best.tested(rows, &parts, settings.seed))
}

/// The same scorer with its probabilities fitted to other rows: what is learnt from one kind of rows says in which order
/// cards stand, and what was shown says how often what happens.
///
/// # Errors
/// When there are too few rows.
pub fn recalibrated(trained: &Trained, rows: &Rows, settings: &Settings) -> Result<Trained, Error> {
    let count = rows.len();
    if count < FEWEST {
        return Err(Error::TooFew { rows: count, needed: FEWEST });
    }
    let parts = Parts::of(count, settings.train_share);
    let fitted = match &trained.model {
        Model::Linear(model) => linear::calibrated(model.clone(), rows, &parts)?,
        Model::Heads(heads) => heads::calibrated(heads.document().clone(), rows, &parts)?,
    };
    let fitted = Fitted { reports: trained.reports.clone(), ..fitted };
    Ok(Trained { rows: trained.rows, ..fitted.tested(rows, &parts, settings.seed) })
}

/// A scorer that is there already with its probabilities fitted to rows; `None` where there are too few, or it cannot be
/// written anew, as one that other tools trained cannot.
#[must_use]
pub fn kept(model: &Model, rows: &Rows, settings: &Settings) -> Option<Trained> {
    let kept = Trained { model: model.clone(), actions: Vec::new(), rows: [0; 3], reports: Vec::new() };
    let trained = recalibrated(&kept, rows, settings).ok()?;
    let parts = Parts::of(rows.len(), settings.train_share);
    Some(Trained { rows: [0, parts.calibrated.len(), parts.tested.len()], ..trained })
}

/// How good a scorer is on the latest rows, which nothing that [`fit`] makes of these rows was fitted to.
///
/// # Errors
/// When there are too few rows.
pub fn tested(model: &Model, rows: &Rows, settings: &Settings) -> Result<Vec<ActionReport>, Error> {
    let count = rows.len();
    if count < FEWEST {
        return Err(Error::TooFew { rows: count, needed: FEWEST });
    }
    let parts = Parts::of(count, settings.train_share);
    let fitted = Fitted { model: model.clone(), calibrations: vec!["as it is"; ACTIONS], reports: Vec::new() };
    Ok(fitted.tested(rows, &parts, settings.seed).actions)
}

impl Fitted {
    /// The model with how good it is on rows that nothing was fitted to.
    fn tested(self, rows: &Rows, parts: &Parts, seed: Seed) -> Trained {
        let predictions = self.model.predict(&rows.matrix(parts.tested.clone()));
        let actions = Action::ALL.iter().zip(self.calibrations).enumerate().map(|(index, (action, calibration))| {
            let examples = examples(&predictions, rows, &parts.tested, index);
            let rate = rows.positives(&parts.trained, index) as f64 / parts.trained.len() as f64;
            ActionReport {
                action: *action,
                rows: examples.len(),
                positives: examples.iter().filter(|example| example.1).count(),
                log_loss: metrics::log_loss(&examples),
                base_log_loss: metrics::log_loss_of_rate(&examples, rate),
                auc: metrics::auc(&examples),
                calibration_error: metrics::calibration_interval(&examples, BINS, seed),
                calibration,
                reliability: metrics::reliability(&examples, DRAWN_BINS),
            }
        });
        let actions = actions.collect();
        let counts = [parts.trained.len(), parts.calibrated.len(), parts.tested.len()];
        Trained { model: self.model, actions, rows: counts, reports: self.reports }
    }
}

/// What was predicted of an action, and whether it happened.
fn examples(predictions: &[Predictions], rows: &Rows, part: &Range<usize>, action: usize) -> Vec<(f32, bool)> {
    let labels = rows.labels.get(part.clone()).unwrap_or(&[]);
    predictions.iter().zip(labels).map(|(predicted, labels)| (predicted[action], labels[action])).collect()
}
