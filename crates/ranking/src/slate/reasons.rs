//! Reasons: why a card stands on its shelf, with the items that support it.
//!
//! A reason is given only while its support is there: the word of one of the shelf's own sources, and
//! the listener's items that led to it. Take the support away and another reason is given. This module
//! must never know a score, or words for people.

use releases::vectors;
use shared_models::{
    ItemKey,
    candidates::Evidence,
    component::{Fact, ReasonCode, SourceName},
    plan::RankQuery,
    slate::Reason,
};
use smallvec::SmallVec;

use crate::features::Gathered;

/// Recent items at least this near, by cosine, support a match of taste.
pub const TASTE_THRESHOLD: f32 = 0.5;

/// No reason names more items than this.
const MAX_EVIDENCE: usize = 2;

/// A reason and how well it is supported.
struct Support {
    strength: f32,
    reason: Reason,
}

/// Why the card of `row` stands on a shelf that reads `sources`.
///
/// Every source that brought the card argues for its reason; how strongly depends on the kind of
/// reason (what says most about this listener first) and on the card's rank in the source's list. When
/// no argument is supported, the card is a match of taste without evidence: it claims nothing about any
/// item, and a client may leave it unsaid.
#[must_use]
pub fn reason(query: &RankQuery, gathered: &Gathered, sources: &[u16], row: u32) -> Reason {
    let row = row as usize;
    let mut best: Option<Support> = None;
    for word in query.table.evidence_of(row).iter().filter(|word| sources.contains(&word.source)) {
        if let Some(support) = query
            .table
            .sources
            .get(usize::from(word.source))
            .and_then(|source| argue(query, gathered, *source, word, row))
            && best.as_ref().is_none_or(|best| support.strength > best.strength)
        {
            best = Some(support);
        }
    }
    best.map_or_else(|| without_evidence(ReasonCode::TasteMatch), |support| support.reason)
}

/// The reason of a card that the surface pins.
#[must_use]
pub fn pinned() -> Reason {
    without_evidence(ReasonCode::Pinned)
}

fn without_evidence(code: ReasonCode) -> Reason {
    Reason { code, evidence: SmallVec::new() }
}

/// What one source's word supports; `None` when its support is not there.
fn argue(query: &RankQuery, gathered: &Gathered, source: SourceName, word: &Evidence, row: usize) -> Option<Support> {
    // 1 for the first of a list, a half for the tenth: kinds stand close enough for rank to decide.
    let by_rank = 10.0 / (10.0 + word.rank as f32);
    let support = |kind: f32, code: ReasonCode, evidence: SmallVec<[ItemKey; 2]>| {
        Some(Support { strength: kind * by_rank, reason: Reason { code, evidence } })
    };
    let seed = || word.seed.is_some().then(|| SmallVec::from_slice(&[word.seed]));
    match source {
        SourceName::RecentlyPlayed => {
            let item = *query.table.items.get(row)?;
            let is_played =
                query.table.fact(Fact::ItemPlays).is_none_or(|plays| plays.get(row).is_some_and(|plays| *plays > 0.0));
            if is_played { support(1.3, ReasonCode::PlayedBefore, SmallVec::from_slice(&[item])) } else { None }
        }
        SourceName::ItemToItem if query.seed_items.contains(&word.seed) => support(1.2, ReasonCode::SimilarTo, seed()?),
        SourceName::ItemToItem => {
            // Of several neighbours of the same card, the one whose score is largest says why.
            let is_largest = query
                .table
                .evidence_of(row)
                .iter()
                .all(|other| other.source != word.source || other.score <= word.score);
            if is_largest { support(1.0, ReasonCode::BecauseYouPlayed, seed()?) } else { None }
        }
        SourceName::FavouriteArtists => {
            let is_theirs =
                |fact| query.table.fact(fact).and_then(|column| column.get(row)).is_some_and(|value| *value > 0.0);
            let evidence = seed();
            if evidence.is_none()
                && !is_theirs(Fact::ArtistPlays)
                && !is_theirs(Fact::ArtistFollowed)
                && !is_theirs(Fact::ArtistAffinity)
            {
                return None;
            }
            support(0.95, ReasonCode::FavouriteArtist, evidence.unwrap_or_default())
        }
        SourceName::Embedding => {
            let (nearness, evidence) = nearest(query, gathered, row)?;
            support(nearness, ReasonCode::TasteMatch, evidence)
        }
        SourceName::NewReleases => {
            support(if word.seed.is_some() { 0.9 } else { 0.7 }, ReasonCode::NewRelease, seed().unwrap_or_default())
        }
        SourceName::Trending => support(0.5, ReasonCode::Trending, SmallVec::new()),
        SourceName::PopularInMarket => support(0.45, ReasonCode::PopularInMarket, SmallVec::new()),
    }
}

/// The recent items nearest to a candidate, nearest first, and how near the first is; `None` when no
/// one is near enough.
fn nearest(query: &RankQuery, gathered: &Gathered, row: usize) -> Option<(f32, SmallVec<[ItemKey; 2]>)> {
    let unit = gathered.candidates.unit(row);
    let item = query.table.items.get(row)?;
    let mut cosines = vec![0.0; query.listener.recent.len()];
    vectors::dot_many(unit, gathered.recent.values(), &mut cosines);
    let mut near: SmallVec<[(f32, ItemKey); 3]> = SmallVec::new();
    for (cosine, key) in cosines
        .into_iter()
        .zip(&query.listener.recent)
        .filter(|(cosine, key)| *cosine >= TASTE_THRESHOLD && *key != item)
    {
        // The newer item comes first where two are equally near.
        let place = near.partition_point(|(known, _)| *known >= cosine);
        near.insert(place, (cosine, *key));
        near.truncate(MAX_EVIDENCE);
    }
    let nearness = near.first()?.0;
    Some((nearness, near.into_iter().map(|(_, key)| key).collect()))
}
