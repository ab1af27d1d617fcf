//! The recorded page, ranked again.

use std::sync::Arc;

use contracts::{Candidates, Deadline, Ranking, RecommendationRecord};
use service_runtime::deadline;
use shared_models::{
    ErrorCode, ItemKey, Timestamp,
    candidates::{CandidateSet, CandidateTable},
    component::Fact,
    item::Item,
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, Pinned, RowExplanation, ShelfScores},
};

use super::{
    is_ranked,
    then::{self, MissingThen, Way},
};
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
    /// What was missing when it was answered, and what became of it now.
    pub(crate) missing: Vec<MissingThen>,
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
        Self::ask(ranking, record, (query, Way::SAME), rows, until).await
    }

    /// The same with other rows looked at, or another table, got in some way.
    pub(crate) async fn ask(
        ranking: &dyn Ranking,
        record: &RecommendationRecord,
        (query, way): (RankQuery, Way),
        rows: Vec<u32>,
        until: Deadline,
    ) -> Result<Self, Problem> {
        let missing = then::missing(record, way);
        let recorded = record.detail.as_ref().map(|detail| detail.shelves.clone()).unwrap_or_default();
        let without = |why: String| Self {
            query: query.clone(),
            explanation: None,
            why_not: Some(why),
            scores: recorded.clone(),
            same: None,
            missing: missing.clone(),
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
                Ok(Self { query, explanation: Some(explanation), why_not: None, scores, same, missing })
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

/// What a page was ranked with: a release, without its scorer where that did not answer.
pub(super) fn pinned(record: &RecommendationRecord) -> Pinned {
    match record.ranking_release.clone() {
        None => Pinned::Cold,
        Some(release) if then::without_scorer(record) => Pinned::Unscored(release),
        Some(release) => Pinned::Release(release),
    }
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
        if let Some(detail) = record.detail.as_ref().filter(|_| then::is_hurried(record)) {
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

/// A table with one more row, about which no source says anything; and its number. Of its facts those are known that the
/// catalogue tells, and those of its artist, where the table has another item of the artist.
pub(super) fn with_row(
    table: &CandidateTable,
    key: ItemKey,
    item: Option<&Item>,
    now: Timestamp,
) -> (CandidateTable, u32) {
    let mut table = table.clone();
    let row = table.len() as u32;
    let artist = item.map_or(ItemKey::NONE, Item::artist_key);
    let of_artist = table.artists.iter().position(|other| artist.is_some() && *other == artist);
    table.items.push(key);
    table.artists.push(artist);
    table.evidence_ends.push(table.evidence.len() as u32);
    for (column, fact) in table.facts.iter_mut().zip(Fact::ALL).filter(|(column, _)| !column.is_empty()) {
        let of_item = item.and_then(|item| of_item(item, *fact, now));
        let of_artist = of_artist.filter(|_| is_of_artist(*fact)).and_then(|row| column.get(row).copied());
        column.push(of_item.or(of_artist).unwrap_or_else(|| fact.unknown()));
    }
    (table, row)
}

/// What the catalogue tells of an item.
fn of_item(item: &Item, fact: Fact, now: Timestamp) -> Option<f32> {
    match fact {
        Fact::AgeDays => item.released_at.map(|at| now.days_since(at)),
        Fact::DurationSeconds => item.duration_ms.map(|ms| ms as f32 / 1_000.0),
        Fact::Explicit => Some(f32::from(u8::from(item.explicit))),
        _ => None,
    }
}

/// Whether a fact is of the artist, and so the same for all items of theirs.
fn is_of_artist(fact: Fact) -> bool {
    matches!(
        fact,
        Fact::ArtistAffinity
            | Fact::ArtistPlays
            | Fact::ArtistFollowed
            | Fact::ArtistAgeDays
            | Fact::ArtistSkipRate
            | Fact::ArtistShown
            | Fact::ArtistNewestDays
    )
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

#[cfg(test)]
mod tests {
    use shared_models::{ItemId, item::ItemKind};
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn an_item_that_was_no_candidate_is_judged_by_what_is_known_of_it_and_its_artist() {
        let artist = ItemId::new("artist-1").unwrap();
        let mut table = CandidateTable {
            items: vec![ItemKey(1), ItemKey(2)],
            artists: vec![ItemKey(7), ItemKey::of(&artist)],
            evidence_ends: vec![0, 0],
            facts: Fact::ALL.iter().map(|_| vec![0.0, 0.0]).collect(),
            ..CandidateTable::default()
        };
        table.facts[Fact::ArtistPlays as usize] = vec![3.0, 9.0];
        table.facts[Fact::ItemPlays as usize] = vec![3.0, 9.0];
        let day = 86_400_000;
        let item = Item {
            id: ItemId::new("track-9").unwrap(),
            kind: ItemKind::Track,
            title: "Nine".to_owned(),
            artist_id: Some(artist),
            artist_name: None,
            genres: vec![],
            released_at: Some(Timestamp(8 * day)),
            duration_ms: Some(200_000),
            explicit: true,
            markets: smallvec![],
            numbers: None,
        };
        let now = Timestamp(10 * day);
        let (with, row) = with_row(&table, item.key(), Some(&item), now);
        assert_eq!((row, with.inconsistency()), (2, None));
        let fact = |table: &CandidateTable, fact: Fact| table.fact(fact).unwrap()[2];
        assert_eq!(with.artists[2], item.artist_key());
        for (of, expected) in [
            (Fact::AgeDays, 2.0),
            (Fact::DurationSeconds, 200.0),
            (Fact::Explicit, 1.0),
            (Fact::ArtistPlays, 9.0),
            // The listener's plays of another track of the artist are none of this one.
            (Fact::ItemPlays, 0.0),
            (Fact::ItemAgeDays, -1.0),
        ] {
            assert_eq!(fact(&with, of), expected, "{of}");
        }
        let (bare, _) = with_row(&table, item.key(), None, now);
        assert_eq!((bare.artists[2], fact(&bare, Fact::ArtistPlays)), (ItemKey::NONE, 0.0));
        assert_eq!(fact(&bare, Fact::AgeDays), -1.0);
    }
}
