//! Reasons: why a card stands on its shelf, with the items that support it.
//!
//! A reason is given only while its support is there: the word of one of the shelf's own sources, and
//! the listener's items that led to it. Take the support away and another reason is given. This module
//! must never know a score, or words for people.

use releases::vectors;
use shared_models::{
    ItemKey,
    candidates::{Evidence, NEAR},
    component::{Fact, ReasonCode, SourceName},
    item::Market,
    plan::RankQuery,
    slate::Reason,
};
use smallvec::SmallVec;

use crate::features::{Gathered, gather::Units};

/// An item played lately that is at least this near, by cosine, supports a match of taste.
pub const TASTE_THRESHOLD: f32 = NEAR;

/// Plays of an artist, and their share of the listener's decayed plays, from which on the artist is one
/// they play often.
pub const OFTEN: (f32, f32) = (3.0, 0.01);

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
    let fact = |fact| query.table.fact(fact).and_then(|column| column.get(row)).copied().unwrap_or(0.0);
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
        SourceName::FavouriteArtists if fact(Fact::ArtistPlays) >= OFTEN.0 && fact(Fact::ArtistAffinity) >= OFTEN.1 => {
            support(0.95, ReasonCode::FavouriteArtist, seed().unwrap_or_default())
        }
        // A play or two do not make a favourite; what was played says why all the same. A follow alone
        // has no reason of its own.
        SourceName::FavouriteArtists => support(0.8, ReasonCode::BecauseYouPlayed, seed()?),
        SourceName::Embedding | SourceName::Exploration if query.seed_items.contains(&word.seed) => {
            let nearness = nearness(&query.seed_items, &gathered.seeds, gathered, row, word.seed)?;
            support(nearness, ReasonCode::SimilarTo, seed()?)
        }
        SourceName::Embedding | SourceName::Exploration if query.table.items.get(row) != Some(&word.seed) => {
            let nearness = nearness(&query.listener.recent, &gathered.recent, gathered, row, word.seed)?;
            support(nearness, ReasonCode::TasteMatch, seed()?)
        }
        // An item is no evidence for itself.
        SourceName::Embedding | SourceName::Exploration => None,
        SourceName::NewReleases => {
            support(if word.seed.is_some() { 0.9 } else { 0.7 }, ReasonCode::NewRelease, seed().unwrap_or_default())
        }
        SourceName::Trending => support(0.5, ReasonCode::Trending, SmallVec::new()),
        // Without a list of the market the source gives what is popular everywhere: then no market may be
        // named. Where the request names none, neither does the reason.
        SourceName::PopularInMarket
            if query.context.market != Market::UNKNOWN && fact(Fact::MarketPopularity) <= 0.0 =>
        {
            None
        }
        SourceName::PopularInMarket => support(0.45, ReasonCode::PopularInMarket, SmallVec::new()),
    }
}

/// How near the candidate is to the item that its source names; `None` when it is not near enough, or the
/// item is none of `items`. Which of these the listener played, the source knows.
fn nearness(items: &[ItemKey], units: &Units, gathered: &Gathered, row: usize, seed: ItemKey) -> Option<f32> {
    let place = items.iter().position(|key| *key == seed)?;
    let cosine = vectors::dot(gathered.candidates.unit(row), units.unit(place));
    (cosine >= TASTE_THRESHOLD).then_some(cosine)
}
