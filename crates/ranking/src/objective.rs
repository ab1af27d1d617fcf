//! The objective: what predictions are worth on a shelf. It must never know a model or an item.

use pipeline::Score;
use shared_models::plan::Objective;

use crate::scorers::Predictions;

/// `Σ weight · P(action)`; `None` when that is no finite number, so that NaN never becomes a score.
#[must_use]
pub fn blend(objective: Objective, predictions: &Predictions) -> Option<Score> {
    Score::new(objective.weights().iter().zip(predictions).map(|(weight, probability)| weight * probability).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_weighs_each_action_and_never_scores_nan() {
        let objective = Objective { play: 1.0, complete: 2.0, like: 4.0, skip: -1.5 };
        let check = |predictions: Predictions, expected: Option<f32>| {
            assert_eq!(blend(objective, &predictions).map(Score::value), expected, "{predictions:?}");
        };
        check([0.5, 0.25, 0.125, 0.5], Some(0.75));
        check([0.0, 0.0, 0.0, 1.0], Some(-1.5));
        check([f32::NAN, 0.0, 0.0, 0.0], None);
        check([f32::INFINITY, 0.0, 0.0, 0.0], None);
    }

    #[test]
    fn a_prediction_without_weight_still_spoils_the_score_when_it_is_nan() {
        assert_eq!(blend(Objective { play: 1.0, ..Objective::default() }, &[0.5, 0.5, 0.5, f32::NAN]), None);
    }
}
