//! What serving computes for a page, training computes again from the events: value for value, through the whole of
//! candidate generation on one side and the replay on the other.
//!
//! Flags and counts are equal; spans, shares and cosines to `TOLERANCE` of their size, because a decayed count is added
//! up in another order and the trend is read a millisecond earlier. What the sources say of a card (ranks, scores) is in
//! no event: there the replay has the defaults.

use std::{sync::Arc, time::Duration};

use candidate_generation::{
    catalog::Snapshot,
    index::{Serving, Trending, embedding},
    pipeline::Pipeline,
    profiles::{ItemFactsForFold, Profile, context, counted_at, memory::ServingProfile},
    query::PageQuery,
};
use learning::{
    progress::{Progress, Silent, Unit},
    ranker::{
        Settings,
        facts::Catalogue,
        replay::{Input, replay},
        trend::Trends,
    },
    world::{Config, World, generate},
};
use pipeline::StageMetrics;
use ranking::features::{self, COLUMNS, Column, Kind, Matrix, SCHEMA};
use releases::{
    Factors, Meta, Parts, Popularity, Rates, Release,
    rates::{Four, ItemRates, MarketRates},
};
use service_runtime::{Metrics, deadline::Deadline};
use shared_models::{
    EventId, ItemKey, Seed, ShelfId, TenantId, Timestamp, UserId,
    component::{SourceName, SourceParams},
    event::{Event, EventKind},
    item::Market,
    plan::{
        CandidatePlan, CandidateQuery, RankQuery, RequestContext, ShelfCandidatePlan, ShelfOrder, SourcePlan, SourceUse,
    },
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const TOLERANCE: f32 = 2e-5;
/// Cards of a page.
const CARDS: usize = 25;

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn sweden() -> Market {
    Market::parse("SE").unwrap()
}

/// Numbers for every item, other for each.
fn release(items: &[shared_models::item::Item]) -> Release {
    let mut keys: Vec<ItemKey> = items.iter().map(shared_models::item::Item::key).collect();
    keys.sort_unstable();
    let count = keys.len();
    let values: Vec<f32> = (0..count * 8).map(|n| ((n * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let four = |n: usize| Four {
        play: (n % 11) as f32 / 11.0,
        complete: (n % 7) as f32 / 7.0,
        skip: (n % 5) as f32 / 5.0,
        like: (n % 3) as f32 / 9.0,
    };
    let rates: Vec<ItemRates> = (0..count)
        .map(|n| ItemRates {
            all: four(n),
            quarter_play: [0.1, 0.2, 0.3, 0.4],
            quarter_skip: [0.4, 0.3, 0.2, 0.1],
            momentum: (n % 9) as f32 / 4.0 - 1.0,
            listeners: n as f32,
            impressions: 3.0 * n as f32,
            first_seen_days: 20_400.0 + (n % 100) as f32,
        })
        .collect();
    let here = (0..count).step_by(2).map(|n| (n as u32, four(n + 1))).collect();
    let parts = Parts {
        items: keys,
        factors: Some(Factors::new(8, &values, 2.0, 0.01, 1.0).unwrap()),
        popularity: Some(Popularity {
            global: (0..count).map(|n| Popularity::of_share(1.0 / (n + 2) as f64)).collect(),
            markets: vec![(sweden(), (0..50).map(|n| (n, 9.0 - n as f32 / 50.0)).collect())],
        }),
        rates: Some(Rates::new(&rates, four(2), vec![(sweden(), MarketRates::new(here))])),
        ..Parts::default()
    };
    Release::in_memory(tenant(), Meta::default(), parts).unwrap()
}

/// The listener whom most is known of, and a moment at which they are in the middle of something.
fn somebody(world: &World) -> (UserId, Timestamp) {
    let of = |user: &UserId| world.events.iter().filter(|event| event.user == *user).count();
    let user = world.users.iter().map(|user| user.id.clone()).max_by_key(|user| of(user)).unwrap();
    let last = world.events.iter().rfind(|event| event.user == user && event.kind == EventKind::Play);
    (user, Timestamp(counted_at(last.unwrap()).0 + 60_000))
}

fn moment(now: Timestamp) -> RequestContext {
    RequestContext {
        now,
        local_hour: (now.0.div_euclid(3_600_000).rem_euclid(24)) as u8,
        local_weekday: ((now.0.div_euclid(86_400_000) + 3).rem_euclid(7)) as u8,
        market: sweden(),
        device: "phone".to_owned(),
        session: None,
        seed: Seed(1),
    }
}

fn plan() -> CandidatePlan {
    let names = [SourceName::RecentlyPlayed, SourceName::Embedding, SourceName::Trending, SourceName::FavouriteArtists];
    let source = |name| SourcePlan { name, limit: 12, params: SourceParams::default(), budget: Duration::from_secs(5) };
    let uses = (0..names.len() as u16).map(|source| SourceUse { source, limit: 12 }).collect();
    let shelf =
        ShelfCandidatePlan { shelf: ShelfId::new("shelf").unwrap(), sources: uses, filters: Vec::new(), limit: 100 };
    CandidatePlan { sources: names.map(source).to_vec(), shelves: vec![shelf], crowd: false }
}

/// What serving answers: the items of a page, and the features that ranking computed for them.
async fn served(
    world: &World,
    release: &Arc<Release>,
    past: &[Event],
    user: &UserId,
    now: Timestamp,
) -> (Vec<ItemKey>, Matrix) {
    let snapshot = Arc::new(Snapshot::of(world.items.iter().cloned()));
    let mut profile = Profile::default();
    for event in past.iter().filter(|event| event.user == *user) {
        let row = snapshot.find(event.item_key());
        let facts = row
            .map_or_else(ItemFactsForFold::default, |row| ItemFactsForFold { artist: row.artist, genres: &row.genres });
        profile.apply(event, &facts);
    }
    let trending = Trending::new(Settings::default().trend_half_life);
    let plays = past.iter().filter(|event| event.kind == EventKind::Play);
    trending.add(plays.map(|event| (event.item_key(), 1.0, counted_at(event))));
    trending.refresh();
    let serving = Arc::new(Serving::build(Arc::clone(release), &snapshot, &embedding::Config::default()));
    let asked = CandidateQuery {
        tenant: tenant(),
        user: Some(user.clone()),
        context: moment(now),
        seed_items: Vec::new(),
        exclude: Vec::new(),
        plan: Arc::new(plan()),
        whole: false,
        release: None,
    };
    let listener = Arc::new(ServingProfile::new(1, profile, None));
    let page = PageQuery::new(asked, snapshot, Some(Arc::clone(&serving)), listener, trending.trends());
    let candidates = Pipeline::new(StageMetrics::register(&Metrics::new(), "candidates"));
    let run = candidates.run(&page, Deadline::within(Duration::from_secs(30))).await.unwrap();
    let popularity = |key: ItemKey| serving.popularity_of(key);
    let listener =
        context(&page.listener.profile, page.listener.recent(), page.vector.as_deref(), popularity, page.now());
    let answer = run.answer(Arc::new(listener), Vec::new(), None);
    assert!(answer.degraded.is_empty(), "{:?}", answer.degraded);
    let query = RankQuery {
        tenant: tenant(),
        context: moment(now),
        seed_items: Vec::new(),
        listener: answer.listener,
        table: answer.table,
        shelves: Vec::new(),
        order: ShelfOrder::default(),
        whole: false,
        release: None,
    };
    let matrix = features::compute(&query, Some(release));
    (query.table.items.clone(), matrix)
}

/// The cards as the client says that it showed them.
fn shown(world: &World, user: &UserId, items: &[ItemKey], now: Timestamp) -> Vec<Event> {
    let impression = |(at, key): (usize, &ItemKey)| Event {
        id: EventId::new(format!("shown-{at}")).unwrap(),
        user: user.clone(),
        kind: EventKind::Impression,
        item: world.items.iter().find(|item| item.key() == *key).unwrap().id.clone(),
        occurred_at: now,
        received_at: now,
        ms_played: None,
        recommendation: Some(Uuid::from_u128(7)),
        shelf: None,
        position: None,
        session: None,
        device: Some("phone".to_owned()),
        market: Some(sweden()),
    };
    items.iter().enumerate().map(impression).collect()
}

/// What only the sources of a page know.
fn is_evidence(name: &str) -> bool {
    ["rank_", "score_"].iter().any(|prefix| name.starts_with(prefix))
        || ["source_count", "best_rank", "best_score", "neighbour_score"].contains(&name)
}

#[tokio::test]
async fn what_serving_computed_training_computes_again() {
    let world = generate(&Config::small(Seed(5), NOW), &Silent).unwrap();
    let (user, now) = somebody(&world);
    let past: Vec<Event> = world.events.iter().filter(|event| counted_at(event) < now).cloned().collect();
    let release = Arc::new(release(&world.items));
    let (mut items, matrix) = served(&world, &release, &past, &user, now).await;
    assert!(items.len() > CARDS, "{} candidates", items.len());
    items.truncate(CARDS);
    let events = [past, shown(&world, &user, &items, now)].concat();
    let (tenant, catalogue, stage) = (tenant(), Catalogue::of(&world.items), Silent.stage("replay", Unit::Rows, None));
    let settings = Settings { rows: usize::MAX, ..Settings::default() };
    let plays = events.iter().filter(|event| event.kind == EventKind::Play);
    let trends = Trends::of(plays.map(|play| (play.item_key(), counted_at(play))), settings.trend_half_life);
    let input = Input {
        tenant: &tenant,
        events: &events,
        trends: &trends,
        catalogue: &catalogue,
        release: &release,
        from: now,
    };
    let rows = replay(input, &settings, stage.as_ref());
    assert_eq!((rows.len(), rows.pages), (CARDS, 1));

    let mut moved = 0;
    for (column, feature) in Column::ALL.iter().zip(SCHEMA) {
        let served = &matrix.column(*column)[..CARDS];
        let trained: Vec<f32> = rows.features.chunks_exact(COLUMNS).map(|row| row[*column as usize]).collect();
        if is_evidence(feature.name) {
            assert!(trained.iter().all(|value| *value == feature.default), "{}", feature.name);
            continue;
        }
        let tolerance = if matches!(feature.kind, Kind::Flag | Kind::Count) { 0.0 } else { TOLERANCE };
        for (row, (served, trained)) in served.iter().zip(&trained).enumerate() {
            assert!(
                (served - trained).abs() <= tolerance * served.abs().max(1.0),
                "{} of card {row}: served {served}, trained {trained}",
                feature.name
            );
        }
        moved += usize::from(served.iter().any(|value| *value != feature.default));
    }
    // A page on which most features say nothing would prove nothing.
    let silent: Vec<&str> = Column::ALL
        .iter()
        .filter(|column| {
            let feature = column.feature();
            !is_evidence(feature.name) && matrix.column(**column)[..CARDS].iter().all(|value| *value == feature.default)
        })
        .map(|column| column.feature().name)
        .collect();
    println!("{moved} features compared; at their defaults are {silent:?}");
    assert!(moved >= 70, "only {moved} features say anything: {silent:?} are silent");
}
