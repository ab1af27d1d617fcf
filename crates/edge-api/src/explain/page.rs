//! Why a page holds these cards: each with its sources, its way to the score, its features and the rules that put it
//! there.

use std::collections::BTreeMap;

use contracts::RecommendationRecord;
use shared_models::{
    ItemKey, ShelfId,
    candidates::CandidateTable,
    component::Action,
    plan::{Objective, ShelfRankPlan},
    slate::{FeatureInfo, RankedCard, RowExplanation, Slate},
};

use super::{
    again::Again,
    answer::{
        ActionBody, CardExplanation, EvidenceBody, FeatureBody, PageExplanation, RankedAgain, ShelfExplanation,
        SourceWord, fared,
    },
    names::Names,
    standing::{PassedOver, passed_over, standing},
    words,
};

/// How many features are told of a card.
const FEATURES: usize = 8;

pub(super) fn explain(record: &RecommendationRecord, again: &Again, names: &Names) -> PageExplanation {
    PageExplanation {
        recommendation_id: record.id.to_string(),
        text: words::page(record),
        ranked_again: ranked_again(again),
        shelves: record.slates.iter().map(|slate| shelf(record, again, slate, names)).collect(),
    }
}

pub(super) fn ranked_again(again: &Again) -> RankedAgain {
    RankedAgain {
        done: again.explanation.is_some(),
        why_not: again.why_not.clone(),
        same: again.same,
        missing_then: again.missing.clone(),
    }
}

fn shelf(record: &RecommendationRecord, again: &Again, slate: &Slate, names: &Names) -> ShelfExplanation {
    let plan = again.query.shelves.iter().find(|plan| plan.shelf == slate.shelf);
    let objective = plan.map_or_else(Objective::default, |plan| plan.objective);
    let (kept, dropped) = fared(record, &slate.shelf);
    let cards = slate.cards.iter().enumerate();
    ShelfExplanation {
        id: slate.shelf.to_string(),
        text: words::shelf(slate, kept, &dropped),
        objective: weights(objective),
        kept,
        dropped,
        cards: cards.map(|(rank, card)| explain_card(record, again, slate, plan, (rank, card), names)).collect(),
    }
}

pub(super) fn weights(objective: Objective) -> BTreeMap<&'static str, f32> {
    Action::ALL.iter().map(|action| action.as_str()).zip(objective.weights()).collect()
}

fn explain_card(
    record: &RecommendationRecord,
    again: &Again,
    slate: &Slate,
    plan: Option<&ShelfRankPlan>,
    (rank, card): (usize, &RankedCard),
    names: &Names,
) -> CardExplanation {
    let objective = plan.map_or_else(Objective::default, |plan| plan.objective);
    let standing = standing(&again.scores, &slate.shelf, card.row);
    let item = record.table.items.get(card.row as usize).copied().unwrap_or_default();
    let features = again
        .row(card.row)
        .zip(again.explanation.as_ref())
        .map(|(row, explanation)| features(&explanation.features, row, objective))
        .unwrap_or_default();
    let sources = source_words(&record.table, card.row, names);
    let rules = rules(record, again, slate, plan, (rank, card));
    CardExplanation {
        text: words::card(
            names,
            &words::OfCard { slate, rank, card, standing, sources: &sources, features: &features },
        ),
        item: names.name(item),
        rank,
        sources,
        score_path: score_path(card.predictions, objective),
        score: card.score,
        place: standing.map(|standing| standing.place),
        of: standing.map(|standing| standing.of),
        features,
        rules,
        propensity: card.propensity,
        explored: card.explored,
        reason: EvidenceBody {
            code: card.reason.code.as_str(),
            evidence: card.reason.evidence.iter().map(|key| names.name(*key)).collect(),
        },
    }
}

/// What each action adds to a score.
pub(super) fn score_path(predictions: [f32; 4], objective: Objective) -> Vec<ActionBody> {
    let actions = Action::ALL.iter().zip(predictions).zip(objective.weights());
    actions
        .map(|((action, probability), weight)| ActionBody {
            action: action.as_str(),
            probability,
            weight,
            adds: weight * probability,
        })
        .collect()
}

/// The features that move a row's score most, the strongest first.
pub(super) fn features(known: &[FeatureInfo], row: &RowExplanation, objective: Objective) -> Vec<FeatureBody> {
    let weights = objective.weights();
    let adds = |moved: &[f32; 4]| -> f32 { moved.iter().zip(weights).map(|(moved, weight)| moved * weight).sum() };
    let mut all: Vec<(f32, usize)> =
        row.contributions.iter().map(adds).enumerate().map(|(at, adds)| (adds, at)).collect();
    all.retain(|(adds, _)| adds.is_finite() && *adds != 0.0);
    all.sort_by(|(one, _), (other, _)| other.abs().total_cmp(&one.abs()));
    let body = |(adds, at): &(f32, usize)| {
        let info = known.get(*at)?;
        Some(FeatureBody {
            name: info.name.clone(),
            value: row.values.get(*at).copied().unwrap_or(f32::NAN),
            unit: info.unit.clone(),
            doc: info.doc.clone(),
            adds: *adds,
        })
    };
    all.iter().take(FEATURES).filter_map(body).collect()
}

/// What the sources said of a row.
pub(super) fn source_words(table: &CandidateTable, row: u32, names: &Names) -> Vec<SourceWord> {
    let word = |word: &shared_models::candidates::Evidence| {
        Some(SourceWord {
            name: table.sources.get(usize::from(word.source))?.as_str(),
            rank: word.rank,
            score: word.score,
            because_of: word.seed.is_some().then(|| names.name(word.seed)),
        })
    };
    table.evidence_of(row as usize).iter().filter_map(word).collect()
}

/// The rules that put a card at its rank: a pin, a draw, and what stood before it by score and is not there.
fn rules(
    record: &RecommendationRecord,
    again: &Again,
    slate: &Slate,
    plan: Option<&ShelfRankPlan>,
    (rank, card): (usize, &RankedCard),
) -> Vec<String> {
    let Some(plan) = plan else { return Vec::new() };
    let mut rules = Vec::new();
    let item = record.table.items.get(card.row as usize).copied().unwrap_or(ItemKey::NONE);
    if plan.slate.pins.iter().any(|pin| pin.item == item) {
        rules.push("the surface pins it".to_owned());
    }
    if card.explored {
        rules.push(format!("drawn at random, with probability {:.4}", card.propensity));
    }
    let Some(scores) = again.scores.iter().find(|scores| scores.shelf == slate.shelf) else { return rules };
    let shown = |row: u32| slate.cards.iter().take(rank).any(|card| card.row == row);
    let better = scores.rows.iter().zip(&scores.scores).take_while(|(row, _)| **row != card.row);
    let mut passed: BTreeMap<(&'static str, Option<ShelfId>), usize> = BTreeMap::new();
    for (row, score) in better.filter(|(row, _)| !shown(**row)) {
        let why = passed_over(&record.slates, plan, &record.table, *row, *score, rank);
        let elsewhere = if let PassedOver::Elsewhere(shelf) = &why { Some(shelf.clone()) } else { None };
        *passed.entry((why.rule(), elsewhere)).or_default() += 1;
    }
    rules.extend(passed.into_iter().map(|((rule, shelf), count)| words::passed(rule, shelf.as_ref(), count)));
    rules
}
