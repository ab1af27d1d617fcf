//! Pages for tests and the bench: a release with clustered factors, and pages over its items. All of it
//! follows from a seed.

use std::sync::Arc;

use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::Rng};
use ranking::features::schema_hash;
use ranking::scorers::{LinearModel, cold};
use releases::{
    Factors, Meta, Parts, Rates, Release,
    rates::{Four, ItemRates, MarketRates},
};
use shared_models::{
    ItemKey, Seed, ShelfId, TenantId, Timestamp,
    candidates::{CandidateTable, Evidence},
    component::{Fact, SourceName},
    explore::Explore,
    item::Market,
    listener::ListenerContext,
    plan::{Objective, RankQuery, RequestContext, ShelfOrder, ShelfRankPlan, SlatePlan},
};

/// The number of items of [`release`].
pub(crate) const ITEMS: usize = 3_000;

/// A number in [0, 1).
pub(crate) fn unit(rng: &mut Xoshiro256PlusPlus) -> f32 {
    (rng.next_u64() >> 40) as f32 / (1_u64 << 24) as f32
}

/// The key of the item with this number.
pub(crate) fn key(index: usize) -> ItemKey {
    ItemKey(1_000 + index as u64)
}

/// The tenant of all pages.
pub(crate) fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

/// A trained scorer's stand-in with other numbers than the cold model: the cold weights, standardised.
pub(crate) fn scorer() -> LinearModel {
    let mut model = cold::model().clone();
    for mean in &mut model.means {
        *mean = 0.25;
    }
    model
}

/// What a release is made of: factors in 20 clusters, and a scorer.
pub(crate) fn parts(dimensions: usize, scorer: Option<&LinearModel>) -> Parts {
    let mut rng = Seed(1).stream("factors");
    let centres: Vec<f32> = (0..20 * dimensions).map(|_| unit(&mut rng) - 0.5).collect();
    let values: Vec<f32> = (0..ITEMS * dimensions)
        .map(|index| {
            centres[(index / dimensions % 20) * dimensions + index % dimensions] + 0.3 * (unit(&mut rng) - 0.5)
        })
        .collect();
    Parts {
        items: (0..ITEMS).map(key).collect(),
        factors: Some(Factors::new(dimensions, &values, 10.0, 0.1, 0.5).unwrap()),
        rates: Some(rates()),
        scorer: scorer.map(|model| model.to_json().unwrap()),
        ..Parts::default()
    }
}

/// What everybody does with the items, other for each of them.
fn rates() -> Rates {
    let mut rng = Seed(2).stream("rates");
    let mut four =
        || Four { play: unit(&mut rng), complete: unit(&mut rng), skip: unit(&mut rng), like: unit(&mut rng) };
    let items: Vec<ItemRates> = (0..ITEMS)
        .map(|index| {
            let (play, skip) = (four(), four());
            ItemRates {
                all: four(),
                quarter_play: [play.play, play.complete, play.skip, play.like],
                quarter_skip: [skip.play, skip.complete, skip.skip, skip.like],
                momentum: play.play - skip.play,
                listeners: (index % 97) as f32,
                impressions: (index % 1_009) as f32,
                first_seen_days: 20_000.0 + (index % 500) as f32,
            }
        })
        .collect();
    let here: Vec<(u32, Four)> = (0..ITEMS as u32).step_by(3).map(|row| (row, four())).collect();
    Rates::new(&items, four(), vec![(Market::parse("SE").unwrap(), MarketRates::new(here))])
}

/// What a release tells of itself.
pub(crate) fn meta() -> Meta {
    Meta { feature_schema: schema_hash(), ..Meta::default() }
}

/// A release in memory.
pub(crate) fn release(dimensions: usize) -> Arc<Release> {
    Arc::new(Release::in_memory(tenant(), meta(), parts(dimensions, Some(&scorer()))).unwrap())
}

/// A context at a fixed time.
pub(crate) fn context(seed: u64) -> RequestContext {
    RequestContext {
        now: Timestamp(1_800_000_000_000),
        local_hour: 20,
        local_weekday: 5,
        market: Market::parse("SE").unwrap(),
        device: "phone".to_owned(),
        session: None,
        seed: Seed(seed),
    }
}

/// A shelf of all `rows` with plain rules.
pub(crate) fn shelf(name: &str, rows: Vec<u32>) -> ShelfRankPlan {
    ShelfRankPlan {
        shelf: ShelfId::new(name).unwrap(),
        rows,
        sources: (0..SourceName::ALL.len() as u16).collect(),
        objective: Objective { play: 1.0, complete: 2.0, like: 4.0, skip: -1.5 },
        slate: SlatePlan {
            size: 20,
            max_per_artist: 0,
            diversity: 0.0,
            explore: Explore::None,
            new_items: None,
            pins: Vec::new(),
        },
        pinned_slot: None,
    }
}

/// A table of `rows` items with full facts, and one to three sources' word for each.
pub(crate) fn table(rows: usize, seed: u64) -> CandidateTable {
    let mut rng = Seed(seed).stream("table");
    let mut table = CandidateTable { sources: SourceName::ALL.to_vec(), ..CandidateTable::default() };
    let first = rng.next_u64() as usize % ITEMS;
    for row in 0..rows {
        // 7 shares no factor with the number of items: no item comes twice.
        table.items.push(key((first + row * 7) % ITEMS));
        table.artists.push(key(1_000_000 + row % 90));
        let start = rng.next_u64() as usize % 7;
        let count = 1 + rng.next_u64() as usize % 3;
        let mut sources: Vec<u16> = (0..count).map(|offset| ((start + offset * 2) % 7) as u16).collect();
        sources.sort_unstable();
        for source in sources {
            let seed = if SourceName::ALL[usize::from(source)] == SourceName::ItemToItem {
                key(rng.next_u64() as usize % ITEMS)
            } else {
                ItemKey::NONE
            };
            table.evidence.push(Evidence {
                source,
                rank: (rng.next_u64() % 300) as u32,
                score: unit(&mut rng) * 10.0,
                seed,
            });
        }
        table.evidence_ends.push(table.evidence.len() as u32);
    }
    table.facts = Fact::ALL
        .iter()
        .map(|fact| {
            (0..rows)
                .map(|_| match fact {
                    Fact::Explicit | Fact::ItemLiked | Fact::ArtistFollowed => f32::from(unit(&mut rng) < 0.1),
                    Fact::ItemAgeDays | Fact::ImpressionAgeHours | Fact::ItemCycleDays | Fact::ArtistAgeDays => {
                        if unit(&mut rng) < 0.7 { -1.0 } else { unit(&mut rng) * 100.0 }
                    }
                    Fact::ItemPlays
                    | Fact::ItemSkips
                    | Fact::Impressions
                    | Fact::ImpressionsKept
                    | Fact::ShownSincePlay
                    | Fact::ItemWeight
                    | Fact::ArtistShown
                    | Fact::ArtistPlays => (unit(&mut rng) * 1.4).powi(8).floor(),
                    Fact::ArtistAffinity | Fact::GenreAffinity | Fact::ArtistSkipRate | Fact::GenreSkipRate => {
                        unit(&mut rng).powi(4)
                    }
                    Fact::DurationSeconds => 120.0 + unit(&mut rng) * 200.0,
                    Fact::CrowdShown | Fact::CrowdTaken | Fact::CrowdShownHourly => unit(&mut rng) * 50.0,
                    Fact::AgeDays | Fact::ArtistNewestDays => unit(&mut rng) * 4_000.0,
                    Fact::Popularity | Fact::MarketPopularity | Fact::Trend => unit(&mut rng) * 8.0,
                })
                .collect()
        })
        .collect();
    table
}

/// A known listener with a vector of the release, when there is one.
pub(crate) fn listener(release: Option<&Release>) -> ListenerContext {
    let recent: Vec<ItemKey> = (0..20).map(|index| key(index * 20)).collect();
    let factors = release.and_then(|release| release.factors.as_ref());
    ListenerContext {
        known: true,
        vector: factors.map_or_else(Vec::new, |factors| factors.fold_in(&[(0, 10.0), (20, 10.0)])),
        vector_release: release.map(|release| release.id().clone()),
        recent,
        plays: 500,
        plays_7d: 40,
        skip_rate: 0.2,
        complete_rate: 0.6,
        repeat_rate: 0.4,
        artists: 80,
        idle_days: 0.5,
        hour_share: 0.08,
        mean_popularity: 4.0,
        favourites: (0..10).map(|index| key(index * 20 + 5)).collect(),
        skipped: (0..10).map(|index| key(index * 20 + 11)).collect(),
        session_items: 4,
        session_plays: 6,
        session_skips: 2,
        session_artists: 3,
        session_minutes: 17.0,
        impressions: 2_000,
        click_rate: 0.1,
        like_rate: 0.05,
    }
}

/// A page of `shelves` shelves over `rows` candidates; neighbouring shelves share half of theirs.
pub(crate) fn page(rows: usize, shelves: usize, seed: u64, release: Option<&Release>) -> RankQuery {
    let share = (rows * 2 / (shelves + 1)).max(1);
    let shelves = (0..shelves)
        .map(|index| {
            let start = index * share / 2;
            shelf(&format!("shelf-{index}"), (start..(start + share).min(rows)).map(|row| row as u32).collect())
        })
        .collect();
    RankQuery {
        tenant: tenant(),
        context: context(seed),
        seed_items: Vec::new(),
        listener: Arc::new(listener(release)),
        table: Arc::new(table(rows, seed)),
        shelves,
        order: ShelfOrder::ByScore,
        whole: false,
        release: None,
    }
}
