//! Scorers: from features to calibrated probabilities of what the listener would do.
//!
//! A scorer must never know a shelf, an objective or where its numbers came from.

pub mod calibration;
pub mod cold;
pub mod linear;
pub mod trees;

use shared_models::component::Action;

use crate::features::Matrix;

pub use linear::LinearModel;
pub use trees::Trees;

/// How many actions there are.
pub const ACTIONS: usize = Action::ALL.len();

/// Calibrated `P(action)` in the order of [`Action::ALL`]; each in (0, 1), or NaN where a feature was
/// not finite.
pub type Predictions = [f32; ACTIONS];

/// A model of what the listener would do with each row.
pub trait Scorer: Send + Sync {
    /// The predictions of all rows at once.
    fn predict(&self, matrix: &Matrix) -> Vec<Predictions>;
}

/// A model of one action: a raw number for each row, such as the log-odds, which a calibration then turns
/// into a probability.
pub trait Head: Send + Sync {
    /// Writes one number for each row of `matrix`; `raw` is as long as the matrix has rows.
    fn raw(&self, matrix: &Matrix, raw: &mut [f64]);
}
