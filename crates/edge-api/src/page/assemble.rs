//! From slates and display items to shelves.
//!
//! Must not know where slates come from: ranking, or the sources' own order.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use shared_models::{
    ItemKey,
    candidates::CandidateTable,
    component::{Fact, ReasonCode, SourceName},
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
                    let reason = reason_of(query, index, &shelf.sources);
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

/// What the best evidence of a shelf's own sources says, as far as the facts bear it out: whatever they do not is a match
/// of taste without evidence, which claims nothing.
fn reason_of(query: &RankQuery, row: usize, sources: &[u16]) -> Reason {
    let table = &query.table;
    let best = table
        .evidence_of(row)
        .iter()
        .filter(|evidence| sources.contains(&evidence.source))
        .min_by_key(|evidence| evidence.rank);
    let name = best.and_then(|evidence| table.sources.get(usize::from(evidence.source)));
    let seed: SmallVec<[ItemKey; 2]> =
        best.map(|evidence| evidence.seed).filter(|seed| seed.is_some()).into_iter().collect();
    let is_about = seed.iter().any(|seed| query.seed_items.contains(seed));
    let is_recent = seed.iter().any(|seed| query.listener.recent.contains(seed));
    let fact = |fact| table.fact(fact).and_then(|column| column.get(row)).copied().unwrap_or(0.0);
    let unclaimed = (ReasonCode::TasteMatch, smallvec![]);
    let (code, evidence) = match name {
        Some(SourceName::ItemToItem | SourceName::Embedding | SourceName::Exploration) if is_about => {
            (ReasonCode::SimilarTo, seed)
        }
        // Without ranking's look at the profile, only a seed supports more than that it was picked.
        Some(SourceName::ItemToItem | SourceName::FavouriteArtists) if !seed.is_empty() => {
            (ReasonCode::BecauseYouPlayed, seed)
        }
        // The source names the nearest of the listener's items, and none that is far.
        Some(SourceName::Embedding | SourceName::Exploration) if is_recent => (ReasonCode::TasteMatch, seed),
        Some(SourceName::NewReleases) => (ReasonCode::NewRelease, seed),
        Some(SourceName::RecentlyPlayed) if table.fact(Fact::ItemPlays).is_none() || fact(Fact::ItemPlays) > 0.0 => {
            (ReasonCode::PlayedBefore, table.items.get(row).copied().into_iter().collect())
        }
        Some(SourceName::PopularInMarket)
            if query.context.market == Market::UNKNOWN || fact(Fact::MarketPopularity) > 0.0 =>
        {
            (ReasonCode::PopularInMarket, smallvec![])
        }
        Some(SourceName::Trending) => (ReasonCode::Trending, smallvec![]),
        _ => unclaimed,
    };
    Reason { code, evidence }
}

#[cfg(test)]
mod tests {
    use shared_models::{
        Seed, TenantId, Timestamp,
        candidates::Evidence,
        listener::ListenerContext,
        plan::{RequestContext, ShelfOrder},
    };

    use super::*;

    fn query(source: SourceName, seed: ItemKey) -> RankQuery {
        RankQuery {
            tenant: TenantId::new("t").unwrap(),
            context: RequestContext {
                now: Timestamp(0),
                local_hour: 0,
                local_weekday: 0,
                market: Market::parse("SE").unwrap(),
                device: String::new(),
                session: None,
                seed: Seed(1),
            },
            seed_items: Vec::new(),
            listener: Arc::new(ListenerContext { recent: vec![ItemKey(50)], ..ListenerContext::default() }),
            table: Arc::new(CandidateTable {
                items: vec![ItemKey(1)],
                artists: vec![ItemKey::NONE],
                sources: vec![source],
                evidence: vec![Evidence { source: 0, rank: 0, score: 1.0, seed }],
                evidence_ends: vec![1],
                facts: vec![vec![1.0]; Fact::ALL.len()],
            }),
            shelves: Vec::new(),
            order: ShelfOrder::default(),
            whole: false,
            release: None,
        }
    }

    #[test]
    fn without_ranking_a_reason_goes_with_its_support() {
        use SourceName::*;
        let (seed, none) = (ItemKey(50), ItemKey::NONE);
        let code = |query: &RankQuery, sources: &[u16]| {
            let reason = reason_of(query, 0, sources);
            (reason.code, reason.evidence.to_vec())
        };
        let unclaimed = (ReasonCode::TasteMatch, vec![]);
        let with: [(SourceName, ItemKey, ReasonCode, Vec<ItemKey>); 7] = [
            (ItemToItem, seed, ReasonCode::BecauseYouPlayed, vec![seed]),
            (FavouriteArtists, seed, ReasonCode::BecauseYouPlayed, vec![seed]),
            (Embedding, seed, ReasonCode::TasteMatch, vec![seed]),
            (RecentlyPlayed, none, ReasonCode::PlayedBefore, vec![ItemKey(1)]),
            (PopularInMarket, none, ReasonCode::PopularInMarket, vec![]),
            (NewReleases, none, ReasonCode::NewRelease, vec![]),
            (Trending, none, ReasonCode::Trending, vec![]),
        ];
        for (source, seed, expected, evidence) in with {
            let mut query = query(source, seed);
            assert_eq!(code(&query, &[0]), (expected, evidence), "{source}");
            assert_eq!(code(&query, &[]), unclaimed, "{source} on another shelf");
            let table = Arc::make_mut(&mut query.table);
            table.evidence[0].seed = none;
            for fact in [Fact::ItemPlays, Fact::MarketPopularity] {
                table.facts[fact as usize] = vec![0.0];
            }
            if !matches!(source, NewReleases | Trending) {
                assert_eq!(code(&query, &[0]), unclaimed, "{source} without its support");
            }
        }
        // What the source names is no longer among what was played lately.
        let mut forgotten = query(Embedding, seed);
        Arc::make_mut(&mut forgotten.listener).recent.clear();
        assert_eq!(code(&forgotten, &[0]), unclaimed);
        // A page about an item says so of that item alone.
        let mut about = query(Embedding, seed);
        about.seed_items = vec![seed];
        assert_eq!(code(&about, &[0]), (ReasonCode::SimilarTo, vec![seed]));
        about.seed_items = vec![ItemKey(51)];
        assert_ne!(code(&about, &[0]).0, ReasonCode::SimilarTo);
    }
}
