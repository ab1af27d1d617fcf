//! The linear model: logistic regression for each action over standardised features, calibrated.
//!
//! # The form of `scorer.json`
//! ```json
//! {
//!   "form": 1,
//!   "feature_schema": "0123456789abcdef",
//!   "features": ["user_dot", "…"],
//!   "means": [0.1], "scales": [0.7],
//!   "actions": [
//!     { "action": "play", "bias": -2.0, "weights": [0.4], "calibration": { "kind": "platt", "slope": 1.0, "offset": 0.0 } },
//!     { "action": "complete", "…": "…" }, { "action": "like" }, { "action": "skip" }
//!   ]
//! }
//! ```
//! `logit = bias + Σ weight · (feature − mean) / scale`; one weight, mean and scale for each entry of
//! the schema, in its order; one entry of `actions` for each action, in the order of `Action::ALL`.
//! A file of another schema, another length, or with a number that is not finite is refused.

use serde::{Deserialize, Serialize};
use shared_models::{ErrorCode, component::Action};

use super::{ACTIONS, Predictions, Scorer, calibration::Calibration};
use crate::features::{COLUMNS, Matrix, SCHEMA, schema_hash};

/// The version of the form.
pub const FORM: u32 = 1;

/// The model of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionModel {
    /// Which action.
    pub action: Action,
    /// The logit of a row whose features are all at their mean.
    pub bias: f32,
    /// One for each feature, on its standardised value.
    pub weights: Vec<f32>,
    /// From logit to probability.
    #[serde(default)]
    pub calibration: Calibration,
}

/// A trained linear scorer: what `scorer.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearModel {
    /// [`FORM`].
    pub form: u32,
    /// [`schema_hash`] in hexadecimal: JSON readers elsewhere keep 53 bits of a number.
    pub feature_schema: String,
    /// The names of the schema, for people.
    pub features: Vec<String>,
    /// What is taken from each feature.
    pub means: Vec<f32>,
    /// What each difference is divided by, positive.
    pub scales: Vec<f32>,
    /// One for each action, in the order of [`Action::ALL`].
    pub actions: Vec<ActionModel>,
}

/// Why a scorer is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no JSON of this form.
    #[error("scorer does not read as JSON of form {FORM}")]
    Json(#[source] serde_json::Error),
    /// The form is another one.
    #[error("scorer has form {given}, this service reads form {FORM}")]
    Form {
        /// What the file says.
        given: u32,
    },
    /// The features it was trained on are others.
    #[error("scorer was trained on feature schema {given}, this service computes {expected}")]
    Schema {
        /// What this code computes.
        expected: String,
        /// What the file says.
        given: String,
    },
    /// A list is too long or too short.
    #[error("{what} has {given} entries, expected {expected}")]
    Length {
        /// Which list.
        what: String,
        /// How many the schema has.
        expected: usize,
        /// How many the file has.
        given: usize,
    },
    /// An action is not where it belongs.
    #[error("actions[{index}] is {given}, expected {expected}")]
    Action {
        /// Where.
        index: usize,
        /// What belongs there.
        expected: Action,
        /// What stands there.
        given: Action,
    },
    /// A number is not finite, or a scale is not positive.
    #[error("{what}[{index}] is {value}, which is not usable")]
    Number {
        /// Which list.
        what: String,
        /// Where.
        index: usize,
        /// What stands there.
        value: f32,
    },
    /// A calibration is not monotone or not finite.
    #[error("the calibration of {action} is unusable: {problem}")]
    Calibration {
        /// Which action.
        action: Action,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Json(_)
            | Self::Form { .. }
            | Self::Schema { .. }
            | Self::Length { .. }
            | Self::Action { .. }
            | Self::Number { .. }
            | Self::Calibration { .. } => ErrorCode::InvalidArgument,
        }
    }
}

impl LinearModel {
    /// A model of the present schema.
    ///
    /// # Errors
    /// When a list has the wrong length or a number is not usable.
    pub fn new(means: Vec<f32>, scales: Vec<f32>, actions: Vec<ActionModel>) -> Result<Self, Error> {
        let model = Self {
            form: FORM,
            feature_schema: format!("{:016x}", schema_hash()),
            features: SCHEMA.iter().map(|feature| feature.name.to_owned()).collect(),
            means,
            scales,
            actions,
        };
        model.validate()?;
        Ok(model)
    }

    /// Reads and validates `scorer.json`.
    ///
    /// # Errors
    /// When the bytes are no model of the present schema.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let model: Self = serde_json::from_slice(bytes).map_err(Error::Json)?;
        model.validate()?;
        Ok(model)
    }

    /// Writes `scorer.json`.
    ///
    /// # Errors
    /// When the numbers cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec_pretty(self).map_err(Error::Json)
    }

    fn validate(&self) -> Result<(), Error> {
        if self.form != FORM {
            return Err(Error::Form { given: self.form });
        }
        let expected = format!("{:016x}", schema_hash());
        if self.feature_schema != expected
            || !self.features.iter().map(String::as_str).eq(SCHEMA.iter().map(|feature| feature.name))
        {
            return Err(Error::Schema { expected, given: self.feature_schema.clone() });
        }
        finite("means", &self.means)?;
        finite("scales", &self.scales)?;
        if let Some((index, value)) = self.scales.iter().enumerate().find(|(_, scale)| **scale <= 0.0) {
            return Err(Error::Number { what: "scales".to_owned(), index, value: *value });
        }
        if self.actions.len() != ACTIONS {
            return Err(Error::Length { what: "actions".to_owned(), expected: ACTIONS, given: self.actions.len() });
        }
        for (index, (model, expected)) in self.actions.iter().zip(Action::ALL).enumerate() {
            if model.action != *expected {
                return Err(Error::Action { index, expected: *expected, given: model.action });
            }
            finite(&format!("actions.{expected}.weights"), &model.weights)?;
            if !model.bias.is_finite() {
                return Err(Error::Number { what: format!("actions.{expected}.bias"), index: 0, value: model.bias });
            }
            if let Some(problem) = model.calibration.problem() {
                return Err(Error::Calibration { action: *expected, problem });
            }
        }
        Ok(())
    }

    /// The logits of all rows, before calibration: what a trainer fits calibrations to.
    #[must_use]
    pub fn logits(&self, matrix: &Matrix) -> Vec<Predictions> {
        // Standardisation folds into weights and biases, and the weights of one feature stand side by
        // side: a feature is then one multiplication and addition of four lanes for each row.
        let mut bias = [0.0_f32; ACTIONS];
        let mut weights = [[0.0_f32; ACTIONS]; COLUMNS];
        for (action, model) in self.actions.iter().enumerate().take(ACTIONS) {
            bias[action] = model.bias;
            for (lane, ((weight, mean), scale)) in
                weights.iter_mut().zip(model.weights.iter().zip(&self.means).zip(&self.scales))
            {
                lane[action] = weight / scale;
                bias[action] -= weight * mean / scale;
            }
        }
        let mut logits = vec![bias; matrix.rows()];
        for (column, lane) in matrix.columns().zip(&weights) {
            for (logit, feature) in logits.iter_mut().zip(column) {
                for (sum, weight) in logit.iter_mut().zip(lane) {
                    *sum += feature * weight;
                }
            }
        }
        logits
    }
}

impl Scorer for LinearModel {
    fn predict(&self, matrix: &Matrix) -> Vec<Predictions> {
        let mut predictions = self.logits(matrix);
        for row in &mut predictions {
            for (value, model) in row.iter_mut().zip(&self.actions) {
                *value = model.calibration.apply(*value);
            }
        }
        predictions
    }
}

fn finite(what: &str, numbers: &[f32]) -> Result<(), Error> {
    if numbers.len() != COLUMNS {
        return Err(Error::Length { what: what.to_owned(), expected: COLUMNS, given: numbers.len() });
    }
    match numbers.iter().enumerate().find(|(_, number)| !number.is_finite()) {
        Some((index, value)) => Err(Error::Number { what: what.to_owned(), index, value: *value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
