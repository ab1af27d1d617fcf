//! The recorded page, ranked again.

use std::sync::Arc;

use contracts::{Candidates, Deadline, Ranking, RecommendationRecord};
use service_runtime::deadline;
use shared_models::{
    ErrorCode, ItemKey,
    candidates::{CandidateSet, CandidateTable},
    component::Fact,
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, Pinned, RowExplanation, ShelfScores},
};

use super::is_ranked;
use crate::problem::Problem;

/// What ranking says of a recorded page now.
pub(crate) struct Again {
    /// What it was asked.
    pub(crate) query: RankQuery,
    /// What it answered; `None` where nobody ranked the page, or where the release is gone.
    pub(crate) explanation: Option<Explanation>,
    /// Why not, then.
    pub(crate) why_not: Option<String>,
    /// Each shelf's candidates by score, as far as they are known.
    pub(crate) scores: Vec<ShelfScores>,
    /// Whether the page came out as it was answered, bit for bit; `None` where that cannot be said.
    pub(crate) same: Option<bool>,
}

impl Again {
    /// Ranks a recorded page again and looks at its cards.
    pub(crate) async fn of(
        ranking: &dyn Ranking,
        record: &RecommendationRecord,
        until: Deadline,
    ) -> Result<Self, Problem> {
        let query = question(record);
        let mut rows: Vec<u32> = record.slates.iter().flat_map(|slate| &slate.cards).map(|card| card.row).collect();
        rows.sort_unstable();
        rows.dedup();
        Self::ask(ranking, record, query, rows, until).await
    }

    /// The same with other rows looked at, or another table.
    pub(crate) async fn ask(
        ranking: &dyn Ranking,
        record: &RecommendationRecord,
        query: RankQuery,
        rows: Vec<u32>,
        until: Deadline,
    ) -> Result<Self, Problem> {
        let recorded = record.detail.as_ref().map(|detail| detail.shelves.clone()).unwrap_or_default();
        let without = |why: String| Self {
            query: query.clone(),
            explanation: None,
            why_not: Some(why),
            scores: recorded.clone(),
            same: None,
        };
        if !is_ranked(record) {
            return Ok(without(format!("nobody ranked it: it stands on the rung {}", record.level.as_str())));
        }
        let release = pinned(record);
        let asked = ExplainQuery { page: query.clone(), release: release.clone(), rows };
        match explain(ranking, asked, until).await {
            Ok(explanation) => {
                let detail = explanation.page.detail.as_ref();
                let scores = detail.map(|detail| detail.shelves.clone()).unwrap_or_default();
                let same = record.table_complete.then(|| explanation.page.slates == record.slates);
                Ok(Self { query, explanation: Some(explanation), why_not: None, scores, same })
            }
            Err(problem) if problem.is(ErrorCode::NotFound) => {
                let name = record.ranking_release.as_ref().map_or("", |release| release.as_str());
                Ok(without(format!("release {name}, which ranked it, is kept no more")))
            }
            Err(problem) => Err(problem),
        }
    }

    /// What ranking says of a row.
    pub(crate) fn row(&self, row: u32) -> Option<&RowExplanation> {
        self.explanation.as_ref()?.rows.iter().find(|explained| explained.row == row)
    }
}

/// The release that a page was ranked with.
pub(super) fn pinned(record: &RecommendationRecord) -> Pinned {
    record.ranking_release.clone().map_or(Pinned::Cold, Pinned::Release)
}

/// Asks ranking.
pub(super) async fn explain(
    ranking: &dyn Ranking,
    query: ExplainQuery,
    until: Deadline,
) -> Result<Explanation, Problem> {
    deadline::run(until, ranking.explain(query, until))
        .await
        .map_err(|_| Problem::new(ErrorCode::DeadlineExceeded, "explain_timeout", "ranking took too long"))?
        .map_err(Problem::from)
}

/// The question that ranking was asked, about the candidates that it looked at: a hurried page passes some over. Where the
/// record holds only what was shown, the cards are its candidates.
pub(super) fn question(record: &RecommendationRecord) -> RankQuery {
    if let Some(mut query) = record.rank_query() {
        if let Some(detail) = record.detail.as_ref().filter(|_| is_hurried(record)) {
            for shelf in &mut query.shelves {
                let scored = detail.shelves.iter().find(|scores| scores.shelf == shelf.shelf);
                shelf.rows.retain(|row| scored.is_some_and(|scores| scores.rows.contains(row)));
            }
        }
        return query;
    }
    let mut shelves = record.rank_shelves.clone();
    for shelf in &mut shelves {
        let slate = record.slates.iter().find(|slate| slate.shelf == shelf.shelf);
        shelf.rows = slate.iter().flat_map(|slate| &slate.cards).map(|card| card.row).collect();
    }
    RankQuery {
        tenant: record.tenant.clone(),
        context: record.context.clone(),
        seed_items: record.seed_items.clone(),
        listener: Arc::clone(&record.listener),
        table: Arc::clone(&record.table),
        shelves,
        order: record.order,
        whole: true,
        release: None,
    }
}

/// Whether ranking passed candidates over for want of time.
fn is_hurried(record: &RecommendationRecord) -> bool {
    record.degraded.iter().any(|stage| stage.stage == "scorer.first_pass")
}

/// A table with one more row, about which no source says anything and nothing is known; and its number.
pub(super) fn with_row(table: &CandidateTable, item: ItemKey, artist: ItemKey) -> (CandidateTable, u32) {
    let mut table = table.clone();
    let row = table.len() as u32;
    table.items.push(item);
    table.artists.push(artist);
    table.evidence_ends.push(table.evidence.len() as u32);
    for (column, fact) in table.facts.iter_mut().zip(Fact::ALL).filter(|(column, _)| !column.is_empty()) {
        column.push(fact.unknown());
    }
    (table, row)
}

/// Candidates gathered once more for a recorded page, with its plan or another and at its time, but by what is known of
/// the listener and the catalogue now.
pub(super) async fn gather(
    candidates: &dyn Candidates,
    query: CandidateQuery,
    until: Deadline,
) -> Result<CandidateSet, Problem> {
    deadline::run(until, candidates.generate(CandidateQuery { whole: true, ..query }, until))
        .await
        .map_err(|_| Problem::new(ErrorCode::DeadlineExceeded, "explain_timeout", "candidates took too long"))?
        .map_err(Problem::from)
}

/// The recorded question to ranking, about other candidates.
pub(super) fn about(record: &RecommendationRecord, set: &CandidateSet) -> RankQuery {
    let mut query = question(record);
    query.listener = Arc::clone(&set.listener);
    query.table = Arc::clone(&set.table);
    for shelf in &mut query.shelves {
        let gathered = set.shelves.iter().find(|gathered| gathered.shelf == shelf.shelf);
        shelf.rows = gathered.map(|gathered| gathered.rows.clone()).unwrap_or_default();
        shelf.sources.retain(|source| usize::from(*source) < set.table.sources.len());
    }
    query
}
