//! A corpus of reasons: which one a card gets, and that it goes when its support goes.

use std::sync::Arc;

use ranking::{features::Gathered, slate::reasons};
use releases::Release;
use shared_models::{
    ItemKey,
    candidates::Evidence,
    component::{Fact, ReasonCode, SourceName},
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
        (FavouriteArtists, seed, None, ReasonCode::FavouriteArtist, vec![seed]),
        (FavouriteArtists, NONE, Some(Fact::ArtistPlays), ReasonCode::FavouriteArtist, vec![]),
        (FavouriteArtists, NONE, Some(Fact::ArtistFollowed), ReasonCode::FavouriteArtist, vec![]),
        (NewReleases, NONE, None, ReasonCode::NewRelease, vec![]),
        (NewReleases, seed, None, ReasonCode::NewRelease, vec![seed]),
        (Trending, NONE, None, ReasonCode::Trending, vec![]),
        (PopularInMarket, NONE, None, ReasonCode::PopularInMarket, vec![]),
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
fn taste_is_supported_by_the_nearest_recent_items() {
    let release = pages::release(16);
    let mut query = page(&[(SourceName::Embedding, 0, 1.0, NONE)], Some(&release));
    recent(&mut query, &[4, 23, 5, 43, 63]);
    let (code, evidence) = reason(&query, Some(&release));
    assert_eq!(code, ReasonCode::TasteMatch);
    assert_eq!(evidence.len(), 2);
    let cluster = [23, 43, 63].map(pages::key);
    assert!(evidence.iter().all(|item| cluster.contains(item)), "{evidence:?}");
    // Each piece of evidence supports the card by itself; without any, none is named.
    let left: Vec<usize> =
        [4, 23, 5, 43, 63].into_iter().filter(|index| !evidence.contains(&pages::key(*index))).collect();
    recent(&mut query, &left);
    let (_, others) = reason(&query, Some(&release));
    assert!(others.iter().all(|item| !evidence.contains(item)) && others.len() == 1);
    recent(&mut query, &[4, 5]);
    assert_eq!(reason(&query, Some(&release)), UNSUPPORTED);
    recent(&mut query, &[23]);
    assert_eq!(reason(&query, None), UNSUPPORTED, "without factors nothing is known to be near");
}

#[test]
fn the_item_itself_is_no_evidence_for_a_match_of_taste() {
    let release = pages::release(16);
    let mut query = page(&[(SourceName::Embedding, 0, 1.0, NONE)], Some(&release));
    recent(&mut query, &[CARD]);
    assert_eq!(reason(&query, Some(&release)), UNSUPPORTED);
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
