//! A corpus of reasons: which one a card gets, and that it goes when its support goes.

use std::sync::Arc;

use ranking::{features::Gathered, slate::reasons};
use releases::Release;
use shared_models::{
    ItemKey,
    candidates::Evidence,
    component::{Fact, ReasonCode, SourceName},
    item::Market,
    plan::RankQuery,
};

use crate::pages;

/// The card is item 3; items 23, 43, … lie in its cluster, item 4 does not.
const CARD: usize = 3;

/// A page of one card that the given sources brought, in the order of the list.
fn page(words: &[(SourceName, u32, f32, ItemKey)], release: Option<&Release>) -> RankQuery {
    let mut query = pages::page(1, 1, 1, release);
    let table = Arc::make_mut(&mut query.table);
    table.items = vec![pages::key(CARD)];
    table.artists = vec![pages::key(700_000)];
    table.facts = vec![vec![0.0]; Fact::ALL.len()];
    table.evidence = words
        .iter()
        .map(|(source, rank, score, seed)| Evidence { source: *source as u16, rank: *rank, score: *score, seed: *seed })
        .collect();
    table.evidence_ends = vec![table.evidence.len() as u32];
    Arc::make_mut(&mut query.listener).recent.clear();
    query
}

fn reason(query: &RankQuery, release: Option<&Release>) -> (ReasonCode, Vec<ItemKey>) {
    let given = reasons::reason(query, &Gathered::of(query, release), &query.shelves[0].sources, 0);
    (given.code, given.evidence.to_vec())
}

fn fact(query: &mut RankQuery, fact: Fact, value: f32) {
    Arc::make_mut(&mut query.table).facts[fact as usize] = vec![value];
}

fn recent(query: &mut RankQuery, items: &[usize]) {
    Arc::make_mut(&mut query.listener).recent = items.iter().map(|index| pages::key(*index)).collect();
}

const NONE: ItemKey = ItemKey::NONE;

/// What a card is given when nothing supports anything.
const UNSUPPORTED: (ReasonCode, Vec<ItemKey>) = (ReasonCode::TasteMatch, Vec::new());

#[test]
fn each_source_argues_for_its_reason_and_loses_it_with_its_support() {
    use SourceName::*;
    let seed = pages::key(50);
    type Case = (SourceName, ItemKey, Option<Fact>, ReasonCode, Vec<ItemKey>);
    let corpus: Vec<Case> = vec![
        (ItemToItem, seed, None, ReasonCode::BecauseYouPlayed, vec![seed]),
        (RecentlyPlayed, NONE, Some(Fact::ItemPlays), ReasonCode::PlayedBefore, vec![pages::key(CARD)]),
        (FavouriteArtists, seed, None, ReasonCode::BecauseYouPlayed, vec![seed]),
        (NewReleases, NONE, None, ReasonCode::NewRelease, vec![]),
        (NewReleases, seed, None, ReasonCode::NewRelease, vec![seed]),
        (Trending, NONE, None, ReasonCode::Trending, vec![]),
        (PopularInMarket, NONE, Some(Fact::MarketPopularity), ReasonCode::PopularInMarket, vec![]),
    ];
    for (source, seed, support, code, evidence) in corpus {
        let mut query = page(&[(source, 0, 1.0, seed)], None);
        if let Some(support) = support {
            fact(&mut query, support, 2.0);
        }
        assert_eq!(reason(&query, None), (code, evidence.clone()), "{source}");
        // Without the source's word, or on a shelf that does not read the source, it is not given.
        let mut silent = query.clone();
        silent.shelves[0].sources.retain(|index| *index != source as u16);
        assert_eq!(reason(&silent, None), UNSUPPORTED, "{source} on another shelf");
        // Without the items that support it, it is not given with them.
        if let Some(support) = support {
            fact(&mut query, support, 0.0);
            assert_eq!(reason(&query, None), UNSUPPORTED, "{source} without {support}");
        } else if seed.is_some() {
            let bare = page(&[(source, 0, 1.0, NONE)], None);
            assert!(
                reason(&bare, None).1.is_empty()
                    && (reason(&bare, None).0 == ReasonCode::NewRelease || reason(&bare, None) == UNSUPPORTED),
                "{source} without its seed"
            );
        }
    }
}

#[test]
fn an_artist_is_a_favourite_only_when_played_often() {
    let seed = pages::key(50);
    let given = |plays: f32, share: f32, seed: ItemKey| {
        let mut query = page(&[(SourceName::FavouriteArtists, 0, 1.0, seed)], None);
        fact(&mut query, Fact::ArtistPlays, plays);
        fact(&mut query, Fact::ArtistAffinity, share);
        fact(&mut query, Fact::ArtistFollowed, 1.0);
        reason(&query, None)
    };
    assert_eq!(given(3.0, 0.01, seed), (ReasonCode::FavouriteArtist, vec![seed]));
    assert_eq!(given(3.0, 0.01, NONE), (ReasonCode::FavouriteArtist, vec![]));
    // A play or two, or three among thousands, are not often; but they are plays.
    assert_eq!(given(1.0, 1.0, seed), (ReasonCode::BecauseYouPlayed, vec![seed]));
    assert_eq!(given(3.0, 0.001, seed), (ReasonCode::BecauseYouPlayed, vec![seed]));
    // Followed, and never played.
    assert_eq!(given(0.0, 0.0, NONE), UNSUPPORTED);
}

#[test]
fn no_market_is_named_for_what_is_popular_everywhere() {
    let mut query = page(&[(SourceName::PopularInMarket, 0, 1.0, NONE)], None);
    assert_eq!(reason(&query, None), UNSUPPORTED, "the release has no list of the market");
    query.context.market = Market::UNKNOWN;
    assert_eq!(reason(&query, None).0, ReasonCode::PopularInMarket, "the request names no market");
}

#[test]
fn taste_is_supported_by_the_item_that_the_source_names_when_it_is_near() {
    let release = pages::release(16);
    let taste = |seed: ItemKey, items: &[usize], release: Option<&Release>| {
        let mut query = page(&[(SourceName::Embedding, 0, 1.0, seed)], release);
        recent(&mut query, items);
        reason(&query, release)
    };
    let near = pages::key(23);
    assert_eq!(taste(near, &[4, 23, 5, 43], Some(&release)), (ReasonCode::TasteMatch, vec![near]));
    // Recent items that the source does not name may never have been played: none is taken in its place.
    assert_eq!(taste(NONE, &[4, 23, 5, 43], Some(&release)), UNSUPPORTED);
    assert_eq!(taste(near, &[4, 5, 43], Some(&release)), UNSUPPORTED, "it is no longer one of the recent");
    assert_eq!(taste(pages::key(4), &[4, 23], Some(&release)), UNSUPPORTED, "it is far");
    assert_eq!(taste(near, &[23], None), UNSUPPORTED, "without factors nothing is known to be near");
}

#[test]
fn the_item_itself_is_no_evidence_for_a_match_of_taste() {
    let release = pages::release(16);
    let mut query = page(&[(SourceName::Embedding, 0, 1.0, pages::key(CARD))], Some(&release));
    recent(&mut query, &[CARD]);
    assert_eq!(reason(&query, Some(&release)), UNSUPPORTED);
}

#[test]
fn what_a_page_is_about_is_no_match_of_taste() {
    let release = pages::release(16);
    for (about, expected) in [(23, (ReasonCode::SimilarTo, vec![pages::key(23)])), (4, UNSUPPORTED)] {
        let mut query = page(&[(SourceName::Embedding, 0, 1.0, pages::key(about))], Some(&release));
        query.seed_items = vec![pages::key(about)];
        assert_eq!(reason(&query, Some(&release)), expected);
    }
}

#[test]
fn the_seed_with_the_highest_contribution_says_why() {
    let words = [
        (SourceName::ItemToItem, 4, 0.2, pages::key(50)),
        (SourceName::ItemToItem, 4, 0.9, pages::key(51)),
        (SourceName::ItemToItem, 4, 0.5, pages::key(52)),
    ];
    assert_eq!(reason(&page(&words, None), None), (ReasonCode::BecauseYouPlayed, vec![pages::key(51)]));
    assert_eq!(reason(&page(&words[..1], None), None), (ReasonCode::BecauseYouPlayed, vec![pages::key(50)]));
}

#[test]
fn an_item_surface_names_the_item_it_is_about() {
    let seed = pages::key(50);
    let mut query = page(&[(SourceName::ItemToItem, 0, 1.0, seed)], None);
    query.seed_items = vec![seed];
    assert_eq!(reason(&query, None), (ReasonCode::SimilarTo, vec![seed]));
}

#[test]
fn a_good_rank_outweighs_a_kind_that_says_more() {
    let words = |rank| [(SourceName::ItemToItem, rank, 1.0, pages::key(50)), (SourceName::Trending, 0, 1.0, NONE)];
    assert_eq!(reason(&page(&words(2), None), None).0, ReasonCode::BecauseYouPlayed);
    assert_eq!(reason(&page(&words(200), None), None).0, ReasonCode::Trending);
}

#[test]
fn a_pinned_card_says_so() {
    assert_eq!((reasons::pinned().code, reasons::pinned().evidence.len()), (ReasonCode::Pinned, 0));
}
