//! Why an item is in an answer, or why not: shown, ranked and not chosen, dropped, or never a candidate.

use std::sync::Arc;

use contracts::{Deadline, RecommendationRecord};
use serde::Serialize;
use service_runtime::deadline;
use shared_models::{
    ItemId, ItemKey,
    candidates::DroppedItem,
    component::{DropReason, FilterName},
    plan::{RankQuery, ShelfRankPlan},
    slate::Slate,
};
use utoipa::ToSchema;

use super::{
    Explainer,
    again::{self, Again},
    answer::{ActionBody, FeatureBody, Named, RankedAgain, SourceWord},
    names::Names,
    page,
    standing::{PassedOver, passed_over, standing, would_stand},
    then::Way,
    words,
};
use crate::problem::Problem;

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It stands on the page.
    Shown,
    /// It was ranked, and others were chosen.
    RankedNotChosen,
    /// It was a candidate that could not be scored.
    Unscored,
    /// A filter or the limit dropped it.
    Dropped,
    /// No source proposed it.
    NeverACandidate,
}

/// Why an item is in an answer, or why not.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemExplanation {
    /// The answer.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) recommendation_id: String,
    /// The item.
    pub(crate) item: Named,
    /// What became of it, at best.
    pub(crate) outcome: Outcome,
    /// That in a few sentences.
    pub(crate) text: String,
    /// Where candidates come from: `recorded`, or `gathered_again` by what is known now where the record does not hold
    /// all of them.
    #[schema(example = "recorded")]
    pub(crate) candidates: &'static str,
    /// Whether and how the page was ranked again for this explanation.
    pub(crate) ranked_again: RankedAgain,
    /// What became of it, shelf by shelf.
    pub(crate) shelves: Vec<ShelfOutcome>,
    /// What the sources said of it.
    pub(crate) sources: Vec<SourceWord>,
    /// Which sources were asked.
    pub(crate) asked: Vec<AskedSource>,
}

/// What became of an item on one shelf.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShelfOutcome {
    /// The shelf.
    pub(crate) id: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// That in a sentence.
    pub(crate) text: String,
    /// Its position, from 0, where it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rank: Option<usize>,
    /// Its blended score; of what was never a candidate, the one it would have had without any source's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<f32>,
    /// Its place by score alone, from 1; of what was never a candidate, the one it would have had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<usize>,
    /// Of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<usize>,
    /// By how much its score is lower than the lowest card's that was not drawn at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost_by: Option<f32>,
    /// The rule that passed it over: `score`, `artist_cap`, `on_another_shelf` or `diversity_or_draw`; or the filter that
    /// dropped it, or `limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'static str>,
    /// Why it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// From probabilities to the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) score_path: Vec<ActionBody>,
    /// The features that moved its score most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) features: Vec<FeatureBody>,
}

/// A source that was asked.
#[derive(Serialize, ToSchema)]
pub(crate) struct AskedSource {
    /// The source.
    pub(crate) name: &'static str,
    /// How many candidates it might give.
    pub(crate) limit: u32,
    /// How many it gave.
    pub(crate) returned: u32,
    /// What went wrong; null when nothing did.
    pub(crate) degraded: Option<&'static str>,
    /// The item's place in its list, from 0; null when it did not propose the item.
    pub(crate) rank: Option<u32>,
    /// The score of the last candidate it gave that a shelf kept.
    pub(crate) last_score: Option<f32>,
}

/// Candidates come from the record.
const RECORDED: &str = "recorded";

/// What is known of one page's candidates.
struct Found {
    query: RankQuery,
    /// By shelf, in the query's order.
    dropped: Vec<Vec<DroppedItem>>,
    slates: Option<Vec<Slate>>,
    from: &'static str,
}

impl Found {
    async fn of(
        explainer: &Explainer,
        record: &RecommendationRecord,
        item: ItemKey,
        until: Deadline,
    ) -> Result<Self, Problem> {
        let is_shown = record.table.items.contains(&item);
        if record.table_complete || is_shown || !super::is_ranked(record) {
            let query = again::question(record);
            let of = |shelf: &ShelfRankPlan| {
                let summary = record.shelves.iter().find(|summary| summary.shelf == shelf.shelf);
                summary.map(|summary| summary.dropped_items.clone()).unwrap_or_default()
            };
            let dropped = query.shelves.iter().map(of).collect();
            return Ok(Self { query, dropped, slates: Some(record.slates.clone()), from: RECORDED });
        }
        let set = again::gather(&*explainer.candidates, record.candidate_query(), until).await?;
        let query = again::about(record, &set);
        let of = |shelf: &ShelfRankPlan| {
            let gathered = set.shelves.iter().find(|gathered| gathered.shelf == shelf.shelf);
            gathered.map(|gathered| gathered.dropped_items.clone()).unwrap_or_default()
        };
        let dropped = query.shelves.iter().map(of).collect();
        Ok(Self { query, dropped, slates: None, from: "gathered_again" })
    }
}

pub(super) async fn explain(
    explainer: &Explainer,
    record: &RecommendationRecord,
    item: &ItemId,
    names: &Names,
    until: Deadline,
) -> Result<ItemExplanation, Problem> {
    let key = ItemKey::of(item);
    if names.get(key).is_none() && !record.table.items.contains(&key) {
        return Err(Problem::not_found("item_not_found", "there is no such item, and the answer holds none"));
    }
    let Found { mut query, dropped, slates, from } = Found::of(explainer, record, key, until).await?;
    let known = query.table.items.iter().position(|other| *other == key).map(|row| row as u32);
    let mut unread = None;
    let row = match known {
        Some(row) => row,
        // As if it were a candidate about which no source says anything.
        None => {
            let read = deadline::run(until, explainer.catalogue.item(&record.tenant, item, until)).await;
            unread = match &read {
                Ok(Ok(_)) => None,
                Ok(Err(failure)) => Some(failure.reason.to_string()),
                Err(_) => Some("timeout".to_owned()),
            };
            let read = read.ok().and_then(Result::ok);
            let (table, row) = again::with_row(&query.table, key, read.as_ref(), record.context.now);
            query.table = Arc::new(table);
            row
        }
    };
    let way = Way { from_record: from == RECORDED, ..Way::SAME };
    let again = Again::ask(&*explainer.ranking, record, (query, way), vec![row], until).await?;
    let slates = slates.unwrap_or_else(|| {
        again.explanation.as_ref().map(|explanation| explanation.page.slates.clone()).unwrap_or_default()
    });
    let dropped_of = |at: usize| dropped.get(at).and_then(|items| items.iter().find(|dropped| dropped.item == key));
    let plans = again.query.shelves.iter().enumerate();
    let shelves: Vec<ShelfOutcome> =
        plans.map(|(at, plan)| on_shelf(&again, &slates, plan, row, dropped_of(at))).collect();
    let best = shelves.iter().min_by_key(|shelf| shelf.outcome as u8);
    let outcome = best.map_or(Outcome::NeverACandidate, |shelf| shelf.outcome);
    let sources = if known.is_some() { page::source_words(&again.query.table, row, names) } else { Vec::new() };
    Ok(ItemExplanation {
        recommendation_id: record.id.to_string(),
        item: names.name(key),
        outcome,
        text: text(record, outcome, best, &names.title(key)) + &without_artist(unread.as_deref()),
        candidates: from,
        ranked_again: page::ranked_again(&again),
        asked: asked(record, &again.query, known, &dropped, key),
        shelves,
        sources,
    })
}

fn on_shelf(
    again: &Again,
    slates: &[Slate],
    plan: &ShelfRankPlan,
    row: u32,
    dropped: Option<&DroppedItem>,
) -> ShelfOutcome {
    let mut outcome = ShelfOutcome {
        id: plan.shelf.to_string(),
        outcome: Outcome::NeverACandidate,
        text: "No source of this shelf proposed it.".to_owned(),
        rank: None,
        score: None,
        place: None,
        of: None,
        lost_by: None,
        rule: None,
        reason: None,
        score_path: Vec::new(),
        features: Vec::new(),
    };
    if let Some((row, explanation)) = again.row(row).zip(again.explanation.as_ref()) {
        outcome.score_path = page::score_path(row.predictions, plan.objective);
        outcome.features = page::features(&explanation.features, row, plan.objective);
        let score: f32 = outcome.score_path.iter().map(|action| action.adds).sum();
        outcome.score = score.is_finite().then_some(score);
    }
    let slate = slates.iter().find(|slate| slate.shelf == plan.shelf);
    let shown = slate.and_then(|slate| slate.cards.iter().position(|card| card.row == row));
    if let Some(standing) = standing(&again.scores, &plan.shelf, row) {
        (outcome.place, outcome.of, outcome.score) = (Some(standing.place), Some(standing.of), Some(standing.score));
    }
    if let Some(rank) = shown {
        outcome.outcome = Outcome::Shown;
        outcome.rank = Some(rank);
        outcome.score = slate.and_then(|slate| slate.cards.get(rank)).map(|card| card.score);
        outcome.text = format!("Shown as card {}.", rank + 1);
    } else if let Some(dropped) = dropped {
        let filter = filter_of(dropped.reason);
        outcome.outcome = Outcome::Dropped;
        outcome.rule = Some(filter);
        outcome.reason = Some(dropped.reason.as_str());
        outcome.text = format!("Dropped by {filter}: {}.", words::dropped(dropped.reason));
    } else if let (Some(place), Some(of), Some(score)) = (outcome.place, outcome.of, outcome.score) {
        let cards = slate.map_or(0, |slate| slate.cards.len());
        let why = passed_over(slates, plan, &again.query.table, row, score, cards);
        outcome.outcome = Outcome::RankedNotChosen;
        outcome.rule = Some(why.rule());
        let because = match why {
            PassedOver::Elsewhere(shelf) => format!("it stands on {shelf}, which chose before"),
            PassedOver::ArtistCap(cap) => format!("its artist has {cap} cards already, as many as the shelf allows"),
            PassedOver::Lower(by) => {
                outcome.lost_by = Some(by);
                format!("the lowest card's score is higher by {by:.4}")
            }
            PassedOver::Unlike => "it is too like the cards before it, or chance took another".to_owned(),
        };
        outcome.text = format!("Number {place} of {of} by score ({score:.4}); {because}.");
    } else if plan.rows.contains(&row) {
        outcome.outcome = Outcome::Unscored;
        outcome.text = "A candidate that could not be scored.".to_owned();
    } else if let Some((place, of)) = outcome.score.and_then(|score| would_stand(&again.scores, &plan.shelf, score)) {
        (outcome.place, outcome.of) = (Some(place), Some(of));
        outcome.text =
            format!("No source of this shelf proposed it; it would have been number {place} of {of} by score.");
    }
    outcome
}

/// What is said where the catalogue did not tell the item's artist.
fn without_artist(unread: Option<&str>) -> String {
    unread.map_or_else(String::new, |why| {
        format!(" It is judged without its artist and its age: the catalogue did not tell them ({why}).")
    })
}

/// The filter that drops for a reason.
fn filter_of(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotAvailableInMarket => FilterName::AvailableInMarket.as_str(),
        DropReason::ItemHidden | DropReason::ArtistHidden => FilterName::NotHidden.as_str(),
        DropReason::RecentlyPlayed => FilterName::NotRecentlyPlayed.as_str(),
        DropReason::ShownTooOften => FilterName::ImpressionCap.as_str(),
        DropReason::Explicit => FilterName::ExplicitContent.as_str(),
        DropReason::ExcludedByRequest => FilterName::ExcludedByRequest.as_str(),
        DropReason::OverLimit => "limit",
        DropReason::NotInCatalogue => "in_catalogue",
    }
}

fn asked(
    record: &RecommendationRecord,
    query: &RankQuery,
    row: Option<u32>,
    dropped: &[Vec<DroppedItem>],
    item: ItemKey,
) -> Vec<AskedSource> {
    let table = &query.table;
    let of = |(at, plan): (usize, &shared_models::plan::SourcePlan)| {
        let report = record.sources.get(at);
        let is_its = |word: &&shared_models::candidates::Evidence| usize::from(word.source) == at;
        let words = row.map(|row| table.evidence_of(row as usize)).unwrap_or_default();
        let of_dropped = dropped.iter().flatten().find(|one| one.item == item && usize::from(one.source) == at);
        let last = table.evidence.iter().filter(is_its).max_by_key(|word| word.rank);
        AskedSource {
            name: plan.name.as_str(),
            limit: plan.limit,
            returned: report.map_or(0, |report| report.returned),
            degraded: report.and_then(|report| report.degraded).map(shared_models::degraded::DegradedCause::as_str),
            rank: words.iter().find(is_its).map(|word| word.rank).or_else(|| of_dropped.map(|dropped| dropped.rank)),
            last_score: last.map(|word| word.score),
        }
    };
    record.candidate_plan.sources.iter().enumerate().map(of).collect()
}

fn text(record: &RecommendationRecord, outcome: Outcome, best: Option<&ShelfOutcome>, title: &str) -> String {
    let Some(best) = best else {
        return format!("{title} could not be chosen: the answer stands on the rung {}.", record.level.as_str());
    };
    let head = match outcome {
        Outcome::Shown => format!("{title} is on the page."),
        Outcome::RankedNotChosen => format!("{title} was ranked, and others were chosen."),
        Outcome::Unscored => format!("{title} could not be scored."),
        Outcome::Dropped => format!("{title} was proposed, and dropped before ranking."),
        Outcome::NeverACandidate => format!(
            "{title} was never a candidate: none of {} sources proposed it.",
            record.candidate_plan.sources.len()
        ),
    };
    format!("{head} {}: {}{}", best.id, best.text, words::moved(&best.features))
}
