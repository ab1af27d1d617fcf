//! From slates and display items to shelves.
//!
//! Must not know where slates come from: ranking, or the sources' own order.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use shared_models::{
    ItemKey,
    candidates::CandidateTable,
    component::{ReasonCode, SourceName},
    item::Market,
    plan::RankQuery,
    slate::{RankedCard, Reason, Slate},
};
use smallvec::{SmallVec, smallvec};

use super::{Card, CardReason, PageShelf, display::Displayed};
use crate::plan::Blueprint;

/// Every item that cards and their reasons show, each once.
pub(crate) fn keys_of(slates: &[Slate], table: &CandidateTable) -> Vec<ItemKey> {
    let mut keys = FxHashSet::default();
    for card in slates.iter().flat_map(|slate| &slate.cards) {
        keys.extend(table.items.get(card.row as usize).copied());
        keys.extend(card.reason.evidence.iter().copied().filter(|key| key.is_some()));
    }
    keys.into_iter().collect()
}

/// The slates as shelves. Cards whose item is gone from the catalogue are left out, and so are shelves
/// without a card.
pub(crate) fn assemble(
    blueprint: &Blueprint,
    slates: &[Slate],
    table: &CandidateTable,
    displayed: &Displayed,
    market: Market,
) -> Vec<PageShelf> {
    let mut shelves = Vec::with_capacity(slates.len());
    for slate in slates {
        let Some(title) = blueprint.title(&slate.shelf) else {
            continue;
        };
        let cards: Vec<Card> = slate.cards.iter().filter_map(|card| draw(card, table, displayed, market)).collect();
        if !cards.is_empty() {
            shelves.push(PageShelf { id: slate.shelf.clone(), title: Arc::clone(title), cards });
        }
    }
    shelves
}

fn draw(card: &RankedCard, table: &CandidateTable, displayed: &Displayed, market: Market) -> Option<Card> {
    let row = card.row as usize;
    let item = displayed.get(table.items.get(row)?)?;
    let mut sources: SmallVec<[SourceName; 4]> = SmallVec::new();
    for evidence in table.evidence_of(row) {
        if let Some(name) = table.sources.get(usize::from(evidence.source))
            && !sources.contains(name)
        {
            sources.push(*name);
        }
    }
    let evidence = card.reason.evidence.iter().filter_map(|key| displayed.get(key).map(Arc::clone)).collect();
    Some(Card {
        item: Arc::clone(item),
        score: card.score,
        propensity: card.propensity,
        sources,
        reason: CardReason { code: card.reason.code, evidence, market },
    })
}

/// The candidates in the order of their sources, without ranking: no item twice on the page.
pub(crate) fn source_order(query: &RankQuery) -> Vec<Slate> {
    let mut taken = FxHashSet::default();
    query
        .shelves
        .iter()
        .map(|shelf| {
            let mut cards = Vec::with_capacity(usize::from(shelf.slate.size));
            for row in &shelf.rows {
                if cards.len() == usize::from(shelf.slate.size) {
                    break;
                }
                let index = *row as usize;
                if let Some(item) = query.table.items.get(index)
                    && taken.insert(*item)
                {
                    // Nobody scored the card: its place is all that is known of it, and it was not drawn.
                    let score = 1.0 / (cards.len() + 1) as f32;
                    let reason = reason_of(&query.table, index, &shelf.sources, query.seed_items.first().copied());
                    cards.push(RankedCard {
                        row: *row,
                        score,
                        propensity: 1.0,
                        propensity_error: 0.0,
                        predictions: [0.0; 4],
                        explored: false,
                        reason,
                    });
                }
            }
            let reserve = shelf.rows.len().saturating_sub(cards.len());
            Slate {
                shelf: shelf.shelf.clone(),
                score: 0.0,
                cards,
                reserve: 0,
                unscored: u32::try_from(reserve).unwrap_or(u32::MAX),
            }
        })
        .collect()
}

/// What the best evidence of a shelf's own sources says.
fn reason_of(table: &CandidateTable, row: usize, sources: &[u16], about: Option<ItemKey>) -> Reason {
    let best = table
        .evidence_of(row)
        .iter()
        .filter(|evidence| sources.contains(&evidence.source))
        .min_by_key(|evidence| evidence.rank);
    let name = best.and_then(|evidence| table.sources.get(usize::from(evidence.source)));
    let seed: SmallVec<[ItemKey; 2]> =
        best.map(|evidence| evidence.seed).filter(|seed| seed.is_some()).into_iter().collect();
    let (code, evidence) = match name {
        Some(SourceName::ItemToItem) if about.is_some() => {
            (ReasonCode::SimilarTo, if seed.is_empty() { about.into_iter().collect() } else { seed })
        }
        Some(SourceName::Embedding | SourceName::Exploration) if about.is_some() && !seed.is_empty() => {
            (ReasonCode::SimilarTo, seed)
        }
        // Without ranking's look at the profile, only a seed supports more than that it was picked.
        Some(SourceName::ItemToItem | SourceName::FavouriteArtists) if !seed.is_empty() => {
            (ReasonCode::BecauseYouPlayed, seed)
        }
        Some(
            SourceName::ItemToItem | SourceName::FavouriteArtists | SourceName::Embedding | SourceName::Exploration,
        ) => (ReasonCode::TasteMatch, seed),
        Some(SourceName::NewReleases) => (ReasonCode::NewRelease, seed),
        Some(SourceName::RecentlyPlayed) => {
            (ReasonCode::PlayedBefore, table.items.get(row).copied().into_iter().collect())
        }
        Some(SourceName::PopularInMarket) => (ReasonCode::PopularInMarket, smallvec![]),
        Some(SourceName::Trending) | None => (ReasonCode::Trending, smallvec![]),
    };
    Reason { code, evidence }
}
