//! 500,000 events of 10,000 listeners on 20,000 items, folded through the handler into a fresh SQLite
//! file: batches of 64 messages with 327 events each, as the bus delivers a backlog. Prints seconds and
//! events a second; the target is well under 20 seconds.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

use std::{sync::Arc, time::Instant};

use candidate_generation::{
    catalog::Change,
    config::{self, Config},
    intake::Intake,
    metrics::CandidatesMetrics,
    profiles::memory::ProfileMemory,
    store::{self, Store, sqlite::SqliteStore},
    worlds::Worlds,
};
use contracts::events;
use event_bus::{Delivery, Envelope, Handler as _, Outcome, StreamName, subjects};
use service_runtime::{Metrics, TaskGroup, trace::TraceParent};
use shared_models::{
    EventId, ItemId, SystemClock, TenantId, Timestamp, UserId, UserKey,
    event::{Event, EventKind},
    item::{Item, ItemKind},
};

const EVENTS: usize = 500_000;
const USERS: usize = 10_000;
const ITEMS: usize = 20_000;
const PER_MESSAGE: usize = 327;
const PER_BATCH: usize = 64;

fn item(n: usize) -> Item {
    Item {
        id: ItemId::new(format!("track-{n}")).unwrap(),
        kind: ItemKind::Track,
        title: format!("Track {n}"),
        artist_id: Some(ItemId::new(format!("artist-{}", n % 2_000)).unwrap()),
        artist_name: None,
        genres: vec![format!("genre-{}", n % 40)],
        released_at: None,
        duration_ms: Some(180_000),
        explicit: false,
        markets: Default::default(),
        numbers: None,
    }
}

fn event(n: usize) -> Event {
    // Spread as a permutation would: listeners meet in every batch.
    let mixed = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let at = Timestamp(1_700_000_000_000 + n as i64 * 1_000);
    Event {
        id: EventId::new(format!("event-{n}")).unwrap(),
        user: UserId::new(format!("user-{}", mixed as usize % USERS)).unwrap(),
        kind: if n.is_multiple_of(3) { EventKind::Complete } else { EventKind::Play },
        item: ItemId::new(format!("track-{}", (mixed >> 13) as usize % ITEMS)).unwrap(),
        occurred_at: at,
        received_at: at,
        ms_played: None,
        recommendation: None,
        shelf: None,
        position: None,
        session: None,
        device: None,
        market: None,
    }
}

fn main() {
    let tenant = TenantId::new("demo").unwrap();
    let messages: Vec<Delivery> = (0..EVENTS)
        .collect::<Vec<_>>()
        .chunks(PER_MESSAGE)
        .enumerate()
        .map(|(sequence, numbers)| {
            let told: Vec<Event> = numbers.iter().map(|n| event(*n)).collect();
            Delivery {
                subject: subjects::events(&tenant, (sequence % 8) as u16),
                stream: StreamName::Events,
                sequence: sequence as u64 + 1,
                attempt: 1,
                envelope: Envelope {
                    id: format!("message-{sequence}"),
                    kind: events::KIND.to_owned(),
                    version: events::VERSION,
                    occurred_at: Timestamp(0),
                    payload: events::encode(&tenant, &told),
                },
                trace: TraceParent::default(),
                published_at: Timestamp(0),
            }
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut config: Config =
            service_runtime::config::load(config::DEFAULTS, None, "CANDIDATES_BENCH", &[]).unwrap();
        config.releases.path = folder.path().join("releases");
        let url = format!("sqlite://{}", folder.path().join("candidates.db").display());
        let sqlite = SqliteStore::open(&store::Config::at(url)).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(sqlite);
        let metrics = CandidatesMetrics::register(&Metrics::new());
        let worlds = Arc::new(Worlds::open(&config, Arc::new(SystemClock), metrics.clone()).unwrap());
        worlds.of(&tenant).catalogue.apply((0..ITEMS).map(|n| Change::Put(Arc::new(item(n)))).collect());
        let memory = ProfileMemory::new(config.profiles.memory_bytes);
        let intake =
            Intake::new(Arc::clone(&store), worlds, memory, TaskGroup::new("intake"), Arc::new(SystemClock), metrics);
        for round in ["first", "redelivered"] {
            let started = Instant::now();
            for batch in messages.chunks(PER_BATCH) {
                let outcomes = intake.handle(batch).await;
                assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
            }
            let seconds = started.elapsed().as_secs_f64();
            println!("{round}: {EVENTS} events in {seconds:.2} s, {:.0} events/s", EVENTS as f64 / seconds);
        }
        let plays = store.user(&tenant, UserKey::of(&UserId::new("user-1").unwrap())).await.unwrap().profile.counters;
        println!("one listener: {plays:?}");
    });
}
