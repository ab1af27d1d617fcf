//! A recorded page made again: with everything as it was, or with another release, surface or objective.

use std::{sync::Arc, time::Instant};

use contracts::{Deadline, RecommendationRecord};
use shared_models::{
    ErrorCode, ItemKey,
    candidates::{CandidateSet, ShelfCandidates},
    degraded::DegradedLevel,
    plan::{CandidatePlan, RankQuery},
    slate::{ExplainQuery, Explanation, Pinned, RankedPage},
};

use super::{
    Explainer,
    again::{self, Again},
    diff::{self, ReplayAnswer, Side},
    exposure,
    names::Names,
    then::{self, Way},
};
use crate::{
    page::source_order,
    plan::{Ask, Blueprint, Shape},
    problem::Problem,
};

/// What is to be otherwise.
pub(crate) struct Against {
    /// Another surface, compiled, with its version; `None` keeps the recorded plans.
    pub(crate) surface: Option<(Blueprint, String)>,
    /// Another release; `None` keeps the recorded one.
    pub(crate) release: Option<Pinned>,
    /// Whether candidates are to be gathered again by what is known now, although the record holds them.
    pub(crate) gather: bool,
}

/// The request that was made, as far as the record knows it.
pub(crate) fn ask_of(record: &RecommendationRecord) -> Ask {
    Ask {
        user: record.user.clone(),
        context: record.context.clone(),
        seed_items: record.seed_items.clone(),
        exclude: record.exclude.clone(),
        limit: record.limit,
        explore: record.explore,
        shape: if record.flat { Shape::Flat } else { Shape::Page },
        budget: None,
        whole: true,
        continuation: None,
    }
}

pub(super) async fn replay(
    explainer: &Explainer,
    record: &RecommendationRecord,
    against: Against,
    until: Deadline,
) -> Result<ReplayAnswer, Problem> {
    if record.level > DegradedLevel::SourceOrder || record.slates.is_empty() {
        let detail = format!("this answer was made of no candidates: it stands on the rung {}", record.level.as_str());
        return Err(Problem::new(ErrorCode::Conflict, "not_ranked", detail));
    }
    let began = Instant::now();
    let ask = ask_of(record);
    let plan = against.surface.as_ref().map_or(&record.candidate_plan, |(blueprint, _)| blueprint.candidates());
    let is_recorded = record.table_complete && !against.gather && wants_the_same(plan, &record.candidate_plan);
    let set = if is_recorded {
        recorded(record)
    } else {
        let mut query = record.candidate_query();
        query.plan = Arc::clone(plan);
        again::gather(&*explainer.candidates, query, until).await?
    };
    let query = match &against.surface {
        Some((blueprint, _)) => blueprint.rank_query(&record.tenant, &ask, &set),
        None if is_recorded => again::question(record),
        None => again::about(record, &set),
    };
    let way = Way {
        from_record: is_recorded,
        same_question: against.surface.is_none(),
        same_release: against.release.is_none(),
    };
    let missing_then = then::missing(record, way);
    // Where ranking was missing, no release is the recorded one: cards stand in the order of their sources again.
    let is_unranked = record.level == DegradedLevel::SourceOrder && way.same_release;
    let release = against.release.unwrap_or_else(|| again::pinned(record));

    // The cards of both pages are looked at closely; those of the new one are not known before it is ranked.
    let shown: Vec<ItemKey> = record
        .slates
        .iter()
        .flat_map(|slate| &slate.cards)
        .filter_map(|card| record.table.items.get(card.row as usize).copied())
        .collect();
    let rows_of = |items: &[ItemKey], table: &[ItemKey]| -> Vec<u32> {
        (0..).zip(table).filter(|(_, item)| items.contains(item)).map(|(row, _)| row).collect()
    };
    let rows = rows_of(&shown, &query.table.items);
    let now = if is_unranked {
        in_source_order(&query)
    } else {
        let asked = ExplainQuery { page: query.clone(), release, rows };
        again::explain(&*explainer.ranking, asked, until).await?
    };
    let elapsed = began.elapsed();
    let same = is_recorded && now.page.slates == record.slates;
    // Where nothing changed there is no change to explain, and none of a page that nobody scores.
    let (before, why_no_feature) = if same || is_unranked || (is_recorded && way.same_question && way.same_release) {
        (None, None)
    } else {
        match Again::of(&*explainer.ranking, record, until).await {
            Ok(again) => {
                let why_not = again.why_not.clone();
                (Some(again), why_not)
            }
            Err(problem) => (None, Some(problem.detail().to_owned())),
        }
    };
    let old_query = again::question(record);
    let old = Side {
        query: &old_query,
        slates: &record.slates,
        explanation: before.as_ref().and_then(|again| again.explanation.as_ref()),
    };
    let new = Side { query: &query, slates: &now.page.slates, explanation: Some(&now) };
    let mut keys = shown;
    keys.extend(
        now.page
            .slates
            .iter()
            .flat_map(|slate| &slate.cards)
            .filter_map(|card| query.table.items.get(card.row as usize).copied()),
    );
    let names = Names::of(&explainer.display, record, keys, until).await;
    let (overlap, mean_shift) = diff::overlap(&old, &new);
    let candidates = if is_recorded { "recorded" } else { "gathered_again" };
    Ok(ReplayAnswer {
        recommendation_id: record.id.to_string(),
        same,
        text: text(same, candidates, overlap, mean_shift) + &then::sentence(&missing_then),
        degraded_then: record.level.as_str(),
        missing_then,
        candidates,
        release: now.page.release.as_ref().map(ToString::to_string),
        surface_version: against.surface.map_or_else(|| record.surface_version.clone(), |(_, version)| version),
        overlap,
        mean_shift,
        elapsed_ms: elapsed.as_secs_f64() * 1_000.0,
        exposure: exposure::by_segment((&old_query, &record.slates), (&query, &now.page.slates)),
        why_no_feature,
        shelves: diff::shelves(&old, &new, &names),
    })
}

/// Whether two plans ask for the same candidates: budgets apart, which say how long, not what.
fn wants_the_same(one: &CandidatePlan, other: &CandidatePlan) -> bool {
    let source = |source: &shared_models::plan::SourcePlan| (source.name, source.limit, source.params);
    one.shelves == other.shelves && one.sources.iter().map(source).eq(other.sources.iter().map(source))
}

/// The candidates of a record that holds them all.
fn recorded(record: &RecommendationRecord) -> CandidateSet {
    let shelf = |shelf: &shared_models::plan::ShelfRankPlan| ShelfCandidates {
        shelf: shelf.shelf.clone(),
        rows: shelf.rows.clone(),
        dropped: Vec::new(),
        dropped_items: Vec::new(),
    };
    CandidateSet {
        table: Arc::clone(&record.table),
        shelves: record.rank_shelves.iter().map(shelf).collect(),
        listener: Arc::clone(&record.listener),
        sources: record.sources.clone(),
        degraded: Vec::new(),
        release: record.candidates_release.clone(),
    }
}

/// The page as it stands without ranking.
fn in_source_order(query: &RankQuery) -> Explanation {
    let page = RankedPage { slates: source_order(query), release: None, degraded: Vec::new(), detail: None };
    Explanation { page, features: Vec::new(), rows: Vec::new() }
}

fn text(same: bool, candidates: &str, overlap: f64, shift: f64) -> String {
    if same {
        return "The same page, bit for bit.".to_owned();
    }
    let from = if candidates == "recorded" { "from the recorded candidates" } else { "from candidates gathered now" };
    format!(
        "Another page {from}: {:.0} % of the cards are on both, moved by {shift:.1} positions on average.",
        overlap * 100.0
    )
}
