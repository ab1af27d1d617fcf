//! Each feature moves with its input, and with nothing else that it should not see.

use std::sync::Arc;

use ranking::features::{COLUMNS, Column, Cost, SCHEMA, compute, compute::evidence_columns, fixed};
use shared_models::{
    ItemKey,
    candidates::Evidence,
    component::{Fact, SourceName},
    listener::ListenerContext,
    plan::RankQuery,
};

use crate::pages;

/// Facts of which -1 says that nobody knows.
const UNKNOWN: [Fact; 8] = [
    Fact::AgeDays,
    Fact::ItemAgeDays,
    Fact::ImpressionAgeHours,
    Fact::ItemCycleDays,
    Fact::ArtistAgeDays,
    Fact::ArtistSkipRate,
    Fact::GenreSkipRate,
    Fact::ArtistNewestDays,
];

/// What the time of the request alone says.
const TIME: [Column; 4] = [Column::HourSin, Column::HourCos, Column::WeekdaySin, Column::WeekdayCos];

/// What only a release with rates says.
const CROWD: [Column; 14] = [
    Column::CrowdPlayRate,
    Column::CrowdCompleteRate,
    Column::CrowdSkipRate,
    Column::CrowdLikeRate,
    Column::MarketPlayRate,
    Column::MarketCompleteRate,
    Column::MarketSkipRate,
    Column::MarketLikeRate,
    Column::HourPlayRate,
    Column::HourSkipRate,
    Column::CrowdMomentum,
    Column::CrowdListeners,
    Column::CrowdImpressions,
    Column::ListedAge,
];

/// One candidate that no source, no fact and no listener says anything of.
fn blank() -> RankQuery {
    let mut query = pages::page(1, 1, 1, None);
    let table = Arc::make_mut(&mut query.table);
    table.items = vec![pages::key(3)];
    table.artists = vec![ItemKey::NONE];
    table.evidence.clear();
    table.evidence_ends = vec![0];
    table.facts = vec![vec![0.0]; Fact::ALL.len()];
    for unknown in UNKNOWN {
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
    for (column, feature) in Column::ALL.iter().zip(SCHEMA).filter(|(column, _)| !TIME.contains(column)) {
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
        (vec![Column::MarketPopularity, Column::MarketLift], Box::new(fact(Fact::MarketPopularity, 3.0))),
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
        (vec![Column::ArtistPlays, Column::ArtistPlayShare], Box::new(fact(Fact::ArtistPlays, 4.0))),
        (vec![Column::ArtistShown], Box::new(fact(Fact::ArtistShown, 4.0))),
        (vec![Column::ArtistRecency], Box::new(fact(Fact::ArtistAgeDays, 4.0))),
        (vec![Column::ArtistSkipRate], Box::new(fact(Fact::ArtistSkipRate, 0.4))),
        (vec![Column::GenreSkipRate], Box::new(fact(Fact::GenreSkipRate, 0.4))),
        (vec![Column::ArtistNewestAge], Box::new(fact(Fact::ArtistNewestDays, 40.0))),
        (
            vec![Column::ArtistNewestAge, Column::IsArtistNewest, Column::Age, Column::Newness],
            Box::new(move |query| {
                fact(Fact::AgeDays, 40.0)(query);
                fact(Fact::ArtistNewestDays, 40.0)(query);
            }),
        ),
        (vec![Column::ItemWeight], Box::new(fact(Fact::ItemWeight, -2.0))),
        (vec![Column::ItemCycle], Box::new(fact(Fact::ItemCycleDays, 2.0))),
        (
            vec![Column::ItemCycle, Column::ItemRecency, Column::RepeatDue],
            Box::new(move |query| {
                fact(Fact::ItemCycleDays, 2.0)(query);
                fact(Fact::ItemAgeDays, 5.0)(query);
            }),
        ),
        (vec![Column::ItemShown], Box::new(fact(Fact::ImpressionsKept, 2.0))),
        (vec![Column::ShownUnplayed], Box::new(fact(Fact::ShownSincePlay, 2.0))),
        (vec![Column::ListenerArtists], Box::new(move |query| listener(query).artists = 3)),
        (vec![Column::ListenerImpressions], Box::new(move |query| listener(query).impressions = 3)),
        (vec![Column::ListenerClickRate], Box::new(move |query| listener(query).click_rate = 0.3)),
        (vec![Column::ListenerLikeRate], Box::new(move |query| listener(query).like_rate = 0.3)),
        (vec![Column::SessionMinutes], Box::new(move |query| listener(query).session_minutes = 3.0)),
        (vec![Column::SessionPlays], Box::new(move |query| listener(query).session_plays = 3)),
        (vec![Column::SessionSkips], Box::new(move |query| listener(query).session_skips = 3)),
        (
            vec![Column::SessionPlays, Column::SessionSkips, Column::SessionSkipShare],
            Box::new(move |query| {
                listener(query).session_plays = 4;
                listener(query).session_skips = 1;
            }),
        ),
        (vec![Column::SessionArtists], Box::new(move |query| listener(query).session_artists = 3)),
        (vec![Column::DeviceDesktop], Box::new(|query| query.context.device = "desktop".to_owned())),
        (vec![Column::Stationary, Column::DeviceCar], Box::new(|query| query.context.device = "car".to_owned())),
        (vec![Column::Stationary, Column::DeviceScreen], Box::new(|query| query.context.device = "tv".to_owned())),
        (vec![Column::ArtistFollowed], Box::new(fact(Fact::ArtistFollowed, 1.0))),
        (vec![Column::GenreAffinity], Box::new(fact(Fact::GenreAffinity, 0.4))),
        (vec![Column::ListenerPlays], Box::new(move |query| listener(query).plays = 3)),
        (vec![Column::ListenerPlaysWeek], Box::new(move |query| listener(query).plays_7d = 3)),
        (vec![Column::ListenerSkipRate], Box::new(move |query| listener(query).skip_rate = 0.3)),
        (vec![Column::ListenerCompleteRate], Box::new(move |query| listener(query).complete_rate = 0.3)),
        (vec![Column::ListenerRepeatRate, Column::RepeatFit], Box::new(move |query| listener(query).repeat_rate = 0.3)),
        (vec![Column::ListenerIdle], Box::new(move |query| listener(query).idle_days = 3.0)),
        (vec![Column::HourShare], Box::new(move |query| listener(query).hour_share = 0.1)),
        (
            vec![Column::PopularityGap, Column::PopularityLift, Column::ListenerPopularity],
            Box::new(move |query| listener(query).mean_popularity = 0.1),
        ),
        (vec![Column::Weekend], Box::new(|query| query.context.local_weekday = 6)),
        (vec![Column::Handheld], Box::new(|query| query.context.device = "phone".to_owned())),
        (
            vec![Column::Stationary, Column::DeviceSpeaker],
            Box::new(|query| query.context.device = "speaker".to_owned()),
        ),
        (TIME.to_vec(), Box::new(|query| query.context.now.0 += 31 * 3_600_000)),
    ];
    let mut neutral = blank();
    listener(&mut neutral);
    let neutral = compute(&neutral, None);
    assert!(neutral.get(0, Column::ListenerKnown) > compute(&blank(), None).get(0, Column::ListenerKnown));
    for source in SourceName::ALL {
        let (rank, score) = evidence_columns(*source);
        let mut moved = vec![rank, score];
        // That few have met an item says nothing for it.
        if *source != SourceName::Exploration {
            moved.extend([Column::SourceCount, Column::BestRank, Column::BestScore]);
        }
        cases.push((moved, Box::new(move |query| word(query, *source, 5, 1.0))));
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
    // `ListenerKnown` moves with every listener.
    let (by_factors, of_everybody) = (14, 1);
    assert_eq!(seen.len() + by_factors + CROWD.len() + of_everybody, COLUMNS, "a feature that no case moves");
}

#[test]
fn factors_give_preference_and_similarity() {
    let release = pages::release(16);
    let mut query = blank();
    let check = |query: &RankQuery, moved: &[Column]| {
        let (with, without) = (compute(query, Some(&release)), compute(query, None));
        for column in Column::ALL.iter().filter(|column| !CROWD.contains(column)) {
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
    // Of the two recent items one belongs to the session.
    let listener = Arc::make_mut(&mut query.listener);
    listener.recent = vec![pages::key(23), pages::key(4)];
    listener.session_items = 1;
    let session = [&recent[..], &[Column::SessionMax, Column::SessionMean]].concat();
    let session = check(&query, &session);
    assert_eq!(session.get(0, Column::SessionMean), session.get(0, Column::LatestSimilarity));
    assert_eq!(session.get(0, Column::SessionMax), session.get(0, Column::RecentMax));
    assert!(session.get(0, Column::SessionMean) > session.get(0, Column::RecentMean));
    Arc::make_mut(&mut query.listener).session_items = 2;
    let both = compute(&query, Some(&release));
    assert_eq!(both.get(0, Column::SessionMean), both.get(0, Column::RecentMean));
    query.listener = Arc::new(ListenerContext {
        favourites: vec![pages::key(4), pages::key(43)],
        skipped: vec![pages::key(5), pages::key(6)],
        ..ListenerContext::default()
    });
    let moved =
        [Column::FactorsKnown, Column::FavouriteMax, Column::FavouriteMean, Column::SkippedMax, Column::SkippedMean];
    let far = check(&query, &moved);
    assert!(far.get(0, Column::FavouriteMax) > 0.8 && far.get(0, Column::SkippedMax) < 0.8);
}

#[test]
fn everybodys_rates_come_from_the_release() {
    let release = pages::release(16);
    let rates = release.rates.as_ref().unwrap();
    let mut query = blank();
    let at = |query: &RankQuery, columns: [Column; 4]| {
        let matrix = compute(query, Some(&release));
        columns.map(|column| matrix.get(0, column))
    };
    let four = |rates: &releases::rates::Four| [rates.play, rates.complete, rates.skip, rates.like];
    let all = [Column::CrowdPlayRate, Column::CrowdCompleteRate, Column::CrowdSkipRate, Column::CrowdLikeRate];
    let here = [Column::MarketPlayRate, Column::MarketCompleteRate, Column::MarketSkipRate, Column::MarketLikeRate];
    let row = release.index_of(pages::key(3)).unwrap();
    let item = rates.of(row).unwrap();
    assert_eq!(at(&query, all), four(&item.all));
    assert_eq!(at(&query, here), four(rates.market(query.context.market).unwrap().of(row).unwrap()));
    query.context.market = shared_models::item::Market::parse("BR").unwrap();
    assert_eq!(at(&query, here), four(&item.all), "a market that the release does not know");
    for (quarter, (play, skip)) in item.quarter_play.iter().zip(item.quarter_skip).enumerate() {
        query.context.now = shared_models::Timestamp(20_500 * 86_400_000 + quarter as i64 * 6 * 3_600_000);
        let matrix = compute(&query, Some(&release));
        assert_eq!((matrix.get(0, Column::HourPlayRate), matrix.get(0, Column::HourSkipRate)), (*play, skip));
    }
    let age = compute(&query, Some(&release)).get(0, Column::ListedAge).exp_m1();
    assert!((age - (20_500.75 - item.first_seen_days)).abs() < 0.01, "{age}");
    table(&mut query).items = vec![ItemKey(7)];
    assert_eq!(at(&query, all), four(&rates.mean), "an item that the release does not know");
}

#[test]
fn what_is_said_of_cost_is_so() {
    // Listener columns are the same in every row; item columns do not know who listens.
    let release = pages::release(16);
    let query = pages::page(50, 1, 9, Some(&release));
    let mut other = query.clone();
    other.listener = Arc::new(ListenerContext { known: true, plays: 9, ..ListenerContext::default() });
    let (one, another) = (compute(&query, Some(&release)), compute(&other, Some(&release)));
    for column in Column::ALL {
        let numbers = one.column(*column);
        match column.feature().cost {
            Cost::Listener => assert!(numbers.iter().all(|number| *number == numbers[0]), "{column:?}"),
            Cost::Item => assert_eq!(numbers, another.column(*column), "{column:?}"),
            Cost::Cross => {}
        }
    }
}

#[test]
fn sound_pages_stay_in_range() {
    let release = pages::release(16);
    for seed in 0..8 {
        let mut query = pages::page(60, 2, seed, Some(&release));
        query.seed_items = vec![pages::key(23), pages::key(4)];
        let matrix = compute(&query, Some(&release));
        for column in Column::ALL {
            let wrong = matrix.column(*column).iter().find(|value| !column.feature().is_in_range(**value));
            assert_eq!(wrong, None, "{column:?}");
        }
    }
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

#[test]
fn fixed_columns_are_what_a_page_computes() {
    let release = pages::release(16);
    let query = pages::page(200, 1, 9, Some(&release));
    let gathered = ranking::features::Gathered::of(&query, Some(&release));
    let matrix = compute(&query, Some(&release));
    for column in fixed::FIXED {
        let of_release = fixed::column(&release, column).unwrap();
        assert_eq!(of_release.len(), pages::ITEMS);
        for (candidate, value) in matrix.column(column).iter().enumerate() {
            let row = fixed::row(&gathered, candidate).unwrap();
            assert_eq!(of_release[row as usize], *value, "{column:?}");
        }
    }
    assert_eq!(fixed::column(&release, Column::Trend), None);
}
