//! Calibration: from a model's logit to a probability that means what it says. Monotone, so that it
//! never changes the order of one action's predictions.

use serde::{Deserialize, Serialize};

/// No probability is nearer to 0 or 1 than this.
pub const MARGIN: f32 = 1e-6;

/// How logits become probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// `1 / (1 + e^-(slope · logit + offset))`: Platt, "Probabilistic Outputs for Support Vector
    /// Machines" (1999). Slope 1 and offset 0 leave a logistic model as it is.
    Platt {
        /// At least 0.
        slope: f32,
        /// Any finite number.
        offset: f32,
    },
    /// `1 / (1 + e^-(offset + up · ln p − down · ln (1 − p)))` of the logit's own probability `p`: Kull, Silva Filho and
    /// Flach, "Beta calibration: a well-founded and easily implemented improvement on logistic calibration for binary
    /// classifiers" (2017). `up` bends low probabilities, `down` high ones; both 1 and offset 0 leave all as they are.
    Beta {
        /// At least 0.
        up: f32,
        /// At least 0.
        down: f32,
        /// Any finite number.
        offset: f32,
    },
    /// Straight lines between points, level outside them: the fit of an isotonic regression (Zadrozny
    /// and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", 2002).
    Isotonic {
        /// Strictly ascending.
        logits: Vec<f32>,
        /// Ascending, each in [0, 1]; as many as `logits`, at least one.
        probabilities: Vec<f32>,
    },
}

impl Default for Calibration {
    fn default() -> Self {
        Self::Platt { slope: 1.0, offset: 0.0 }
    }
}

impl Calibration {
    /// The probability, within [`MARGIN`] of neither 0 nor 1. NaN stays NaN.
    #[must_use]
    pub fn apply(&self, logit: f32) -> f32 {
        let probability = match self {
            Self::Platt { slope, offset } => 1.0 / (1.0 + (-(slope * logit + offset)).exp()),
            Self::Beta { up, down, offset } => {
                1.0 / (1.0 + (up * softplus(-logit) - down * softplus(logit) - offset).exp())
            }
            Self::Isotonic { logits, probabilities } => interpolate(logits, probabilities, logit),
        };
        probability.clamp(MARGIN, 1.0 - MARGIN)
    }

    /// What is wrong with it, in words; `None` when it is monotone and finite.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Platt { slope, offset } if !slope.is_finite() || !offset.is_finite() => {
                Some("slope or offset is not finite")
            }
            Self::Platt { slope, .. } if *slope < 0.0 => Some("slope is negative"),
            Self::Platt { .. } => None,
            Self::Beta { up, down, offset } if ![up, down, offset].into_iter().all(|number| number.is_finite()) => {
                Some("up, down or offset is not finite")
            }
            Self::Beta { up, down, .. } if *up < 0.0 || *down < 0.0 => Some("up or down is negative"),
            Self::Beta { .. } => None,
            Self::Isotonic { logits, probabilities } => {
                let is_probability = |p: &f32| (0.0..=1.0).contains(p);
                if logits.is_empty() || logits.len() != probabilities.len() {
                    Some("logits and probabilities differ in number, or there are none")
                } else if logits.iter().any(|logit| !logit.is_finite()) || !logits.is_sorted_by(|a, b| a < b) {
                    Some("logits do not ascend")
                } else if !probabilities.iter().all(is_probability) || !probabilities.is_sorted() {
                    Some("probabilities do not ascend within 0..=1")
                } else {
                    None
                }
            }
        }
    }
}

/// `ln (1 + e^x)` without overflow: `-ln p` of the logit `-x`.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn interpolate(logits: &[f32], probabilities: &[f32], logit: f32) -> f32 {
    if logit.is_nan() {
        return f32::NAN;
    }
    let above = logits.partition_point(|point| *point <= logit);
    match (
        above.checked_sub(1).and_then(|below| logits.get(below).zip(probabilities.get(below))),
        logits.get(above).zip(probabilities.get(above)),
    ) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (logit - x0) / (x1 - x0),
        (Some((_, level)), None) | (None, Some((_, level))) => *level,
        (None, None) => f32::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_is_monotone_and_inside_the_open_interval() {
        let isotonic = Calibration::Isotonic { logits: vec![-2.0, 0.0, 1.0], probabilities: vec![0.0, 0.1, 1.0] };
        let beta = Calibration::Beta { up: 0.4, down: 1.5, offset: -0.3 };
        for calibration in [Calibration::default(), beta, isotonic] {
            assert_eq!(calibration.problem(), None);
            let mut before = 0.0;
            for step in -200..200 {
                let probability = calibration.apply(step as f32 / 10.0);
                assert!(probability > 0.0 && probability < 1.0 && probability >= before);
                before = probability;
            }
            assert!(calibration.apply(f32::NAN).is_nan());
        }
    }

    #[test]
    fn beta_of_ones_changes_nothing_and_its_ends_bend_apart() {
        let check = |calibration: Calibration, logit: f32, expected: f32| {
            let found = calibration.apply(logit);
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        };
        for logit in [-5.0_f32, -0.5, 0.0, 2.0] {
            check(Calibration::Beta { up: 1.0, down: 1.0, offset: 0.0 }, logit, 1.0 / (1.0 + (-logit).exp()));
        }
        // p = 0.2: odds 0.2^0.5 / 0.8^2.
        let odds = 0.2_f32.powf(0.5) / 0.8_f32.powi(2);
        check(Calibration::Beta { up: 0.5, down: 2.0, offset: 0.0 }, (0.2_f32 / 0.8).ln(), odds / (1.0 + odds));
    }

    #[test]
    fn isotonic_goes_straight_between_points() {
        let table = Calibration::Isotonic { logits: vec![0.0, 2.0], probabilities: vec![0.2, 0.6] };
        let check = |logit: f32, expected: f32| assert!((table.apply(logit) - expected).abs() < 1e-6);
        check(-9.0, 0.2);
        check(0.0, 0.2);
        check(1.0, 0.4);
        check(2.0, 0.6);
        check(9.0, 0.6);
    }

    #[test]
    fn a_table_that_is_not_monotone_is_refused() {
        let check = |calibration: Calibration| assert!(calibration.problem().is_some(), "{calibration:?}");
        check(Calibration::Platt { slope: -1.0, offset: 0.0 });
        check(Calibration::Platt { slope: f32::NAN, offset: 0.0 });
        check(Calibration::Beta { up: -0.1, down: 1.0, offset: 0.0 });
        check(Calibration::Beta { up: 1.0, down: 1.0, offset: f32::INFINITY });
        check(Calibration::Isotonic { logits: vec![], probabilities: vec![] });
        check(Calibration::Isotonic { logits: vec![0.0, 0.0], probabilities: vec![0.1, 0.2] });
        check(Calibration::Isotonic { logits: vec![0.0, 1.0], probabilities: vec![0.2, 0.1] });
        check(Calibration::Isotonic { logits: vec![0.0, 1.0], probabilities: vec![0.2, 1.1] });
    }
}
