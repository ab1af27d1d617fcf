//! Each feature moves with its input, and with nothing else that it should not see.

use std::sync::Arc;

use ranking::features::{COLUMNS, Column, SCHEMA, compute};
use shared_models::{
    ItemKey,
    candidates::Evidence,
    component::{Fact, SourceName},
    listener::ListenerContext,
    plan::RankQuery,
};

use crate::pages;

/// One candidate that no source, no fact and no listener says anything of.
fn blank() -> RankQuery {
    let mut query = pages::page(1, 1, 1, None);
    let table = Arc::make_mut(&mut query.table);
    table.items = vec![pages::key(3)];
    table.artists = vec![ItemKey::NONE];
    table.evidence.clear();
    table.evidence_ends = vec![0];
    table.facts = vec![vec![0.0]; Fact::ALL.len()];
    for unknown in [Fact::AgeDays, Fact::ItemAgeDays, Fact::ImpressionAgeHours] {
        table.facts[unknown as usize] = vec![-1.0];
    }
    query.listener = Arc::new(ListenerContext::default());
    query.context.device = String::new();
    query.context.local_weekday = 1;
    query
}

fn table(query: &mut RankQuery) -> &mut shared_models::candidates::CandidateTable {
    Arc::make_mut(&mut query.table)
}

fn word(query: &mut RankQuery, source: SourceName, rank: u32, score: f32) {
    let table = table(query);
    table.evidence.push(Evidence { source: source as u16, rank, score, seed: ItemKey::NONE });
    table.evidence_ends = vec![table.evidence.len() as u32];
}

#[test]
fn a_blank_candidate_has_the_defaults() {
    let matrix = compute(&blank(), None);
    for (column, feature) in Column::ALL.iter().zip(SCHEMA) {
        assert_eq!(matrix.get(0, *column), feature.default, "{}", feature.name);
    }
}

#[test]
fn an_absent_fact_column_reads_as_unknown() {
    let mut query = blank();
    table(&mut query).facts.clear();
    assert_eq!(compute(&query, None), compute(&blank(), None));
}

#[test]
fn each_feature_moves_with_its_input() {
    type Change = fn(&mut RankQuery);
    let fact = |fact: Fact, value: f32| move |query: &mut RankQuery| table(query).facts[fact as usize] = vec![value];
    let listener: fn(&mut RankQuery) -> &mut ListenerContext = |query| {
        let listener = Arc::make_mut(&mut query.listener);
        listener.known = true;
        listener.idle_days = -1.0;
        listener.hour_share = 1.0 / 24.0;
        listener.repeat_rate = 0.5;
        listener
    };
    type Case = (Vec<Column>, Box<dyn Fn(&mut RankQuery)>);
    let mut cases: Vec<Case> = vec![
        (vec![Column::Popularity], Box::new(fact(Fact::Popularity, 3.0))),
        (vec![Column::MarketPopularity], Box::new(fact(Fact::MarketPopularity, 3.0))),
        (vec![Column::Trend], Box::new(fact(Fact::Trend, 3.0))),
        (vec![Column::Newness, Column::Age], Box::new(fact(Fact::AgeDays, 10.0))),
        (vec![Column::Duration], Box::new(fact(Fact::DurationSeconds, 100.0))),
        (vec![Column::Explicit], Box::new(fact(Fact::Explicit, 1.0))),
        (vec![Column::ItemPlays], Box::new(fact(Fact::ItemPlays, 2.0))),
        (vec![Column::ItemSkips], Box::new(fact(Fact::ItemSkips, 2.0))),
        (vec![Column::ItemRecency], Box::new(fact(Fact::ItemAgeDays, 0.0))),
        (vec![Column::ItemLiked], Box::new(fact(Fact::ItemLiked, 1.0))),
        (vec![Column::Impressions], Box::new(fact(Fact::Impressions, 2.0))),
        (vec![Column::ImpressionRecency], Box::new(fact(Fact::ImpressionAgeHours, 2.0))),
        (vec![Column::ArtistAffinity], Box::new(fact(Fact::ArtistAffinity, 0.4))),
        (vec![Column::ArtistPlays], Box::new(fact(Fact::ArtistPlays, 4.0))),
        (vec![Column::ArtistFollowed], Box::new(fact(Fact::ArtistFollowed, 1.0))),
        (vec![Column::GenreAffinity], Box::new(fact(Fact::GenreAffinity, 0.4))),
        (vec![Column::ListenerPlays], Box::new(move |query| listener(query).plays = 3)),
        (vec![Column::ListenerPlaysWeek], Box::new(move |query| listener(query).plays_7d = 3)),
        (vec![Column::ListenerSkipRate], Box::new(move |query| listener(query).skip_rate = 0.3)),
        (vec![Column::ListenerCompleteRate], Box::new(move |query| listener(query).complete_rate = 0.3)),
        (vec![Column::ListenerRepeatRate, Column::RepeatFit], Box::new(move |query| listener(query).repeat_rate = 0.3)),
        (vec![Column::ListenerIdle], Box::new(move |query| listener(query).idle_days = 3.0)),
        (vec![Column::HourShare], Box::new(move |query| listener(query).hour_share = 0.1)),
        (vec![Column::PopularityGap], Box::new(move |query| listener(query).mean_popularity = 0.1)),
        (vec![Column::Weekend], Box::new(|query| query.context.local_weekday = 6)),
        (vec![Column::Handheld], Box::new(|query| query.context.device = "phone".to_owned())),
        (vec![Column::Stationary], Box::new(|query| query.context.device = "speaker".to_owned())),
    ];
    let mut neutral = blank();
    listener(&mut neutral);
    let neutral = compute(&neutral, None);
    let sources: [(SourceName, Column, Change); 7] = [
        (SourceName::Embedding, Column::RankEmbedding, |query| word(query, SourceName::Embedding, 5, 1.0)),
        (SourceName::ItemToItem, Column::RankItemToItem, |query| word(query, SourceName::ItemToItem, 5, 1.0)),
        (SourceName::Trending, Column::RankTrending, |query| word(query, SourceName::Trending, 5, 1.0)),
        (SourceName::NewReleases, Column::RankNewReleases, |query| word(query, SourceName::NewReleases, 5, 1.0)),
        (SourceName::RecentlyPlayed, Column::RankRecentlyPlayed, |query| {
            word(query, SourceName::RecentlyPlayed, 5, 1.0);
        }),
        (SourceName::PopularInMarket, Column::RankPopularInMarket, |query| {
            word(query, SourceName::PopularInMarket, 5, 1.0);
        }),
        (SourceName::FavouriteArtists, Column::RankFavouriteArtists, |query| {
            word(query, SourceName::FavouriteArtists, 5, 1.0);
        }),
    ];
    for (source, column, change) in sources {
        let mut moved = vec![column, Column::SourceCount, Column::BestRank, Column::BestScore];
        if source == SourceName::ItemToItem {
            moved.push(Column::NeighbourScore);
        }
        cases.push((moved, Box::new(change)));
    }
    let mut seen = std::collections::HashSet::new();
    for (moved, change) in &cases {
        let mut query = blank();
        change(&mut query);
        let before = if query.listener.known { &neutral } else { &compute(&blank(), None) };
        let after = compute(&query, None);
        for column in Column::ALL {
            let has_moved = after.get(0, *column) != before.get(0, *column);
            assert_eq!(has_moved, moved.contains(column), "{column:?} where {moved:?} should move");
        }
        seen.extend(moved.iter().copied());
    }
    let by_factors = 8;
    assert_eq!(seen.len() + by_factors, COLUMNS, "a feature that no case moves");
}

#[test]
fn factors_give_preference_and_similarity() {
    let release = pages::release(16);
    let mut query = blank();
    let check = |query: &RankQuery, moved: &[Column]| {
        let (with, without) = (compute(query, Some(&release)), compute(query, None));
        for column in Column::ALL {
            assert_eq!(with.get(0, *column) != without.get(0, *column), moved.contains(column), "{column:?}");
        }
        with
    };
    check(&query, &[Column::FactorsKnown]);
    // Items 20 apart lie in one cluster.
    query.seed_items = vec![pages::key(23), pages::key(4)];
    let seeded = check(&query, &[Column::FactorsKnown, Column::SeedMax, Column::SeedMean]);
    assert!(seeded.get(0, Column::SeedMax) > 0.8 && seeded.get(0, Column::SeedMax) > seeded.get(0, Column::SeedMean));
    query.seed_items.clear();
    Arc::make_mut(&mut query.listener).recent = vec![pages::key(23), pages::key(43)];
    let recent = [
        Column::FactorsKnown,
        Column::LatestSimilarity,
        Column::RecentMax,
        Column::RecentMean,
        Column::UserDot,
        Column::UserCosine,
    ];
    let near = check(&query, &recent);
    assert!(near.get(0, Column::RecentMean) > 0.8 && near.get(0, Column::UserCosine) > 0.5);
}

#[test]
fn a_vector_of_another_release_is_folded_anew() {
    let release = pages::release(16);
    let mut query = blank();
    let listener = Arc::make_mut(&mut query.listener);
    listener.recent = vec![pages::key(23)];
    let folded = compute(&query, Some(&release)).get(0, Column::UserCosine);
    let listener = Arc::make_mut(&mut query.listener);
    listener.vector = vec![-1.0; 16];
    listener.vector_release = Some(shared_models::ReleaseId::new("another").unwrap());
    assert_eq!(compute(&query, Some(&release)).get(0, Column::UserCosine), folded);
    Arc::make_mut(&mut query.listener).vector_release = Some(release.id().clone());
    assert_ne!(compute(&query, Some(&release)).get(0, Column::UserCosine), folded);
}

#[test]
fn a_number_that_is_not_finite_stays_visible() {
    let mut query = blank();
    table(&mut query).facts[Fact::Trend as usize] = vec![f32::NAN];
    table(&mut query).facts[Fact::ItemPlays as usize] = vec![f32::INFINITY];
    let matrix = compute(&query, None);
    assert!(matrix.get(0, Column::Trend).is_nan());
    assert!(!matrix.get(0, Column::ItemPlays).is_finite());
}

#[test]
fn scores_of_a_source_are_scaled_over_the_page() {
    let mut query = pages::page(3, 1, 1, None);
    let all = table(&mut query);
    let words = [(0, 10.0), (1, 30.0), (2, 20.0)];
    all.evidence = words
        .iter()
        .map(|(rank, score)| Evidence { source: 0, rank: *rank, score: *score, seed: ItemKey::NONE })
        .collect();
    all.evidence_ends = vec![1, 2, 3];
    let matrix = compute(&query, None);
    assert_eq!([0, 1, 2].map(|row| matrix.get(row, Column::BestScore)), [0.0, 1.0, 0.5]);
}
