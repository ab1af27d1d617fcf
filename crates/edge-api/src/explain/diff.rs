//! Two rankings of one page side by side.

use std::collections::BTreeMap;

use serde::Serialize;
use shared_models::{
    ItemKey, ShelfId,
    candidates::CandidateTable,
    plan::{Objective, RankQuery},
    slate::{Explanation, RowExplanation, Slate},
};
use utoipa::ToSchema;

use super::{answer::Named, exposure::Exposure, names::Names, then::MissingThen};

/// How many score changes are told of a shelf.
const CHANGES: usize = 20;

/// What a page would have been.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    /// The answer.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) recommendation_id: String,
    /// Whether the very same page came out: every card, position, score and propensity, bit for bit.
    pub(crate) same: bool,
    /// The page in a sentence.
    pub(crate) text: String,
    /// How far down the ladder the answer stood.
    #[schema(example = "none")]
    pub(crate) degraded_then: &'static str,
    /// What was missing when it was answered, and what became of it now.
    pub(crate) missing_then: Vec<MissingThen>,
    /// Where candidates come from: `recorded`, or `gathered_again` by what is known now, where the record does not hold
    /// all of them or the other surface wants others.
    #[schema(example = "recorded")]
    pub(crate) candidates: &'static str,
    /// The release that it was ranked with again.
    pub(crate) release: Option<String>,
    /// The version of the surface that it was ranked with again.
    pub(crate) surface_version: String,
    /// The share of the page's cards that are on both pages, 0 to 1.
    pub(crate) overlap: f64,
    /// How many positions the cards that stay on their shelf moved, on average.
    pub(crate) mean_shift: f64,
    /// How long making it again took, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// Each segment's share of the exposure, 0 to 1: `popular` is the most popular tenth of the page's candidates, `rare`
    /// the less popular half, `middle` what lies between, `new` what came out in the last 30 days.
    pub(crate) exposure: BTreeMap<&'static str, Exposure>,
    /// Why no score change names the feature that moved it most, where none could be looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why_no_feature: Option<String>,
    /// The shelves of either page.
    pub(crate) shelves: Vec<ShelfDiff>,
}

/// A shelf of both pages.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShelfDiff {
    /// The shelf.
    pub(crate) id: String,
    /// Its place on the page, from 0, as answered; null when it was not there.
    pub(crate) place_before: Option<usize>,
    /// Its place on the page now.
    pub(crate) place_after: Option<usize>,
    /// How many cards it had.
    pub(crate) cards_before: usize,
    /// How many it has now.
    pub(crate) cards_after: usize,
    /// Cards that stay and move.
    pub(crate) moved: Vec<Shift>,
    /// Cards that are new on it.
    pub(crate) gained: Vec<Shift>,
    /// Cards that are gone from it.
    pub(crate) lost: Vec<Shift>,
    /// Cards whose score changed, the largest change first.
    pub(crate) score_changes: Vec<ScoreChange>,
}

/// A card's two positions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shift {
    /// The item.
    #[serde(flatten)]
    pub(crate) item: Named,
    /// Its position, from 0, as answered; null when it was not there.
    pub(crate) before: Option<usize>,
    /// Its position now.
    pub(crate) after: Option<usize>,
}

/// A card's two scores.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScoreChange {
    /// The item.
    #[serde(flatten)]
    pub(crate) item: Named,
    /// Its score as answered.
    pub(crate) before: f32,
    /// Its score now.
    pub(crate) after: f32,
    /// The feature whose part of the score changed most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) moved_most: Option<MovedFeature>,
}

/// A feature on both pages.
#[derive(Serialize, ToSchema)]
pub(crate) struct MovedFeature {
    /// The feature.
    pub(crate) name: String,
    /// Its value as answered.
    pub(crate) before: f32,
    /// Its value now.
    pub(crate) after: f32,
    /// By how much its part of the score changed.
    pub(crate) adds: f32,
}

/// One ranking of the page.
pub(super) struct Side<'a> {
    pub(super) query: &'a RankQuery,
    pub(super) slates: &'a [Slate],
    pub(super) explanation: Option<&'a Explanation>,
}

impl Side<'_> {
    fn slate(&self, shelf: &ShelfId) -> Option<(usize, &Slate)> {
        self.slates.iter().enumerate().find(|(_, slate)| slate.shelf == *shelf)
    }

    fn objective(&self, shelf: &ShelfId) -> Objective {
        self.query
            .shelves
            .iter()
            .find(|plan| plan.shelf == *shelf)
            .map_or_else(Objective::default, |plan| plan.objective)
    }

    fn row(&self, item: ItemKey) -> Option<&RowExplanation> {
        let row = self.query.table.items.iter().position(|other| *other == item)? as u32;
        self.explanation?.rows.iter().find(|explained| explained.row == row)
    }
}

fn items(table: &CandidateTable, slate: Option<&Slate>) -> Vec<(ItemKey, f32)> {
    let of = |card: &shared_models::slate::RankedCard| {
        (table.items.get(card.row as usize).copied().unwrap_or_default(), card.score)
    };
    slate.into_iter().flat_map(|slate| &slate.cards).map(of).collect()
}

/// Every shelf of either page.
pub(super) fn shelves(before: &Side<'_>, after: &Side<'_>, names: &Names) -> Vec<ShelfDiff> {
    let mut ids: Vec<&ShelfId> = before.slates.iter().map(|slate| &slate.shelf).collect();
    ids.extend(after.slates.iter().map(|slate| &slate.shelf).filter(|id| before.slate(id).is_none()));
    ids.into_iter().map(|id| shelf(id, before, after, names)).collect()
}

fn shelf(id: &ShelfId, before: &Side<'_>, after: &Side<'_>, names: &Names) -> ShelfDiff {
    let (old, new) = (before.slate(id), after.slate(id));
    let (was, is) = (
        items(&before.query.table, old.map(|(_, slate)| slate)),
        items(&after.query.table, new.map(|(_, slate)| slate)),
    );
    let place = |list: &[(ItemKey, f32)], item: ItemKey| list.iter().position(|(other, _)| *other == item);
    let shift = |item: ItemKey| Shift { item: names.name(item), before: place(&was, item), after: place(&is, item) };
    let stays = |item: &ItemKey| place(&was, *item).is_some() && place(&is, *item).is_some();
    let keys = |list: &[(ItemKey, f32)]| list.iter().map(|(item, _)| *item).collect::<Vec<_>>();
    let mut changes: Vec<(f32, ItemKey, f32, f32)> = was
        .iter()
        .filter_map(|(item, score)| {
            let (_, now) = is.iter().find(|(other, _)| other == item)?;
            (score != now).then_some(((now - score).abs(), *item, *score, *now))
        })
        .collect();
    changes.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    changes.truncate(CHANGES);
    let change = |(_, item, old, new): (f32, ItemKey, f32, f32)| ScoreChange {
        item: names.name(item),
        before: old,
        after: new,
        moved_most: moved_most(item, id, before, after),
    };
    ShelfDiff {
        id: id.to_string(),
        place_before: old.map(|(place, _)| place),
        place_after: new.map(|(place, _)| place),
        cards_before: was.len(),
        cards_after: is.len(),
        moved: keys(&was).into_iter().filter(stays).map(shift).filter(|shift| shift.before != shift.after).collect(),
        gained: keys(&is).into_iter().filter(|item| place(&was, *item).is_none()).map(shift).collect(),
        lost: keys(&was).into_iter().filter(|item| place(&is, *item).is_none()).map(shift).collect(),
        score_changes: changes.into_iter().map(change).collect(),
    }
}

fn moved_most(item: ItemKey, shelf: &ShelfId, before: &Side<'_>, after: &Side<'_>) -> Option<MovedFeature> {
    let (old, new) = (before.row(item)?, after.row(item)?);
    let of = |row: &RowExplanation, at: usize, objective: Objective| -> f32 {
        let moved = row.contributions.get(at).copied().unwrap_or_default();
        moved.iter().zip(objective.weights()).map(|(moved, weight)| moved * weight).sum()
    };
    let (was, is) = (before.objective(shelf), after.objective(shelf));
    let change = |at: usize| of(new, at, is) - of(old, at, was);
    let most = (0..new.contributions.len().min(old.contributions.len()))
        .filter(|at| change(*at).is_finite())
        .max_by(|one, other| change(*one).abs().total_cmp(&change(*other).abs()))?;
    let adds = change(most);
    let name = after.explanation?.features.get(most)?.name.clone();
    (adds != 0.0).then(|| MovedFeature {
        name,
        before: old.values.get(most).copied().unwrap_or(f32::NAN),
        after: new.values.get(most).copied().unwrap_or(f32::NAN),
        adds,
    })
}

/// The share of the page's cards that are on both pages, and how far those that stay on their shelf moved on average.
pub(super) fn overlap(before: &Side<'_>, after: &Side<'_>) -> (f64, f64) {
    let places = |side: &Side<'_>| -> BTreeMap<ItemKey, (ShelfId, usize)> {
        let of = |slate: &Slate| {
            let list = items(&side.query.table, Some(slate));
            list.into_iter().enumerate().map(|(at, (item, _))| (item, (slate.shelf.clone(), at))).collect::<Vec<_>>()
        };
        side.slates.iter().flat_map(of).collect()
    };
    let (was, is) = (places(before), places(after));
    let both = was.keys().filter(|item| is.contains_key(item)).count();
    let shifts: Vec<f64> = was
        .iter()
        .filter_map(|(item, (shelf, at))| {
            let (other, now) = is.get(item)?;
            (shelf == other).then_some(at.abs_diff(*now) as f64)
        })
        .collect();
    let overlap = if was.is_empty() { 1.0 } else { both as f64 / was.len() as f64 };
    (overlap, shifts.iter().sum::<f64>() / shifts.len().max(1) as f64)
}
