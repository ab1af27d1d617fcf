//! This service's last word on a release before it may serve: its scorer reads, says how likely actions are, tells
//! cards apart, and answers the golden requests that its trainer wrote down.
//!
//! It must not know how a scorer is trained.

use releases::{
    Release,
    golden::{Card, Golden},
};
use service_runtime::tasks::chain;

use crate::{
    features::{COLUMNS, Matrix},
    scorers::{Model, Predictions, Scorer},
};

/// Asks a release's scorer; a release without one passes.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(release: &Release) -> Result<(), String> {
    let Some(model) = Model::of(release).map_err(|error| chain(&error))? else { return Ok(()) };
    let (answer, missing) = (model.predict(&Matrix::of_defaults(1)), model.missing());
    let is_sound = |(p, missing): (&f32, bool)| missing || (*p > 0.0 && *p < 1.0);
    if !answer.first().is_some_and(|predictions| predictions.iter().zip(missing).all(is_sound)) {
        return Err("its scorer does not answer with probabilities".to_owned());
    }
    if is_constant(&model) {
        return Err("its scorer gives every card the same probabilities".to_owned());
    }
    match Golden::of(release).map_err(|error| chain(&error))? {
        Some(golden) => answers(&model, &golden),
        None => Ok(()),
    }
}

/// Whether no feature changes any prediction: such a scorer orders nothing.
#[must_use]
pub fn is_constant(model: &Model) -> bool {
    let predictions = model.predict(&Matrix::from_rows(&model.probes()).unwrap_or_default());
    predictions.windows(2).all(|pair| matches!(pair, [one, other] if one == other))
}

/// What a scorer says of a golden card.
#[must_use]
pub fn predict(model: &dyn Scorer, card: &Card) -> Option<Predictions> {
    model.predict(&Matrix::from_rows(&card.features)?).first().copied()
}

fn answers(model: &dyn Scorer, golden: &Golden) -> Result<(), String> {
    for (at, card) in golden.cards.iter().enumerate() {
        let Some(found) = predict(model, card) else {
            return Err(format!("golden card {at} has {} features, not {COLUMNS}", card.features.len()));
        };
        if found.len() != card.predictions.len() {
            return Err(format!("golden card {at} expects {} actions, not {}", card.predictions.len(), found.len()));
        }
        let distance = found.iter().zip(&card.predictions).map(|(found, expected)| (found - expected).abs());
        let furthest = distance.fold(0.0_f32, |most, next| if next.is_nan() { f32::INFINITY } else { most.max(next) });
        if furthest > golden.tolerance.probability {
            return Err(format!("golden card {at} is answered {furthest} off, not {}", golden.tolerance.probability));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use releases::{
        Meta, Parts,
        golden::{FILE, FORM},
    };
    use shared_models::{ItemKey, TenantId, component::Action};

    use super::*;
    use crate::scorers::{LinearModel, calibration::Calibration, linear::ActionModel};

    fn model(weight: f32) -> LinearModel {
        let actions = Action::ALL.iter().map(|action| ActionModel {
            action: *action,
            bias: -1.0,
            weights: vec![weight; COLUMNS],
            calibration: Calibration::default(),
        });
        LinearModel::new(vec![0.0; COLUMNS], vec![1.0; COLUMNS], actions.collect()).unwrap()
    }

    fn release(model: &LinearModel, golden: Option<&Golden>) -> Release {
        let golden = golden.map(|golden| (FILE.to_owned(), golden.encode().unwrap()));
        let blobs = golden.into_iter().collect::<BTreeMap<_, _>>();
        let parts =
            Parts { items: vec![ItemKey(1)], scorer: Some(model.to_json().unwrap()), blobs, ..Parts::default() };
        Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap()
    }

    #[test]
    fn a_scorer_that_orders_nothing_is_refused() {
        assert_eq!(check(&release(&model(0.01), None)), Ok(()));
        let same = check(&release(&model(0.0), None)).unwrap_err();
        assert_eq!(same, "its scorer gives every card the same probabilities");
    }

    #[test]
    fn a_scorer_answers_its_own_golden_cards_and_no_other_ones() {
        let features = vec![0.5; COLUMNS];
        let mut card = Card { features, predictions: Vec::new() };
        card.predictions = predict(&model(0.01), &card).unwrap().to_vec();
        let golden = |card: &Card| Golden { form: FORM, cards: vec![card.clone()], ..Golden::default() };
        assert_eq!(check(&release(&model(0.01), Some(&golden(&card)))), Ok(()));
        let other = check(&release(&model(0.05), Some(&golden(&card)))).unwrap_err();
        assert!(other.starts_with("golden card 0 is answered"), "{other}");
        card.features.pop();
        let short = check(&release(&model(0.01), Some(&golden(&card)))).unwrap_err();
        assert_eq!(short, format!("golden card 0 has {} features, not {COLUMNS}", COLUMNS - 1));
    }
}
