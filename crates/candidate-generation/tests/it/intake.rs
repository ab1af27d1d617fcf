//! Intake, exactly once: whatever comes again, in whatever shape, each event changes its profile once.

use std::{path::PathBuf, sync::Arc};

use candidate_generation::{
    catalog::Change,
    config::{self, Config},
    index::embedding,
    intake::Intake,
    metrics::CandidatesMetrics,
    profiles::{Profile, memory::ProfileMemory},
    store::{self, NextProfile, Store},
    worlds::Worlds,
};
use contracts::events;
use event_bus::{Delivery, Envelope, Handler as _, Outcome, StreamName, subjects};
use proptest::prelude::*;
use service_runtime::{Metrics, TaskGroup, trace::TraceParent};
use shared_models::{
    UserId, UserKey,
    clock::ManualClock,
    event::{Event, EventKind},
};
use tempfile::TempDir;

use crate::{
    store::{fresh, open},
    world::{NOW, event, tenant, track},
};

/// A process that takes events in: it may crash, and another takes its place on the same disk.
struct Process {
    intake: Intake,
    store: Arc<dyn Store>,
    memory: ProfileMemory,
    worlds: Arc<Worlds>,
}

pub(crate) fn config(folder: &TempDir) -> Config {
    let mut config: Config = service_runtime::config::load(config::DEFAULTS, None, "CANDIDATES_TEST", &[]).unwrap();
    config.releases.path = folder.path().join("releases");
    config.store = store::Config::at(format!("sqlite://{}", folder.path().join("deep/candidates.db").display()));
    config.bus.path = PathBuf::from(folder.path()).join("bus.db");
    config.embedding = embedding::Config::default();
    // A busy machine takes longer than a page may.
    config.profiles.read_budget = std::time::Duration::from_secs(5);
    config
}

fn process(folder: &TempDir, store: impl Store + 'static) -> Process {
    let store: Arc<dyn Store> = Arc::new(store);
    let metrics = CandidatesMetrics::register(&Metrics::new());
    let clock = Arc::new(ManualClock::at(NOW));
    let worlds = Arc::new(Worlds::open(&config(folder), clock.clone(), metrics.clone()).unwrap());
    let memory = ProfileMemory::new(64 << 20);
    let intake =
        Intake::new(Arc::clone(&store), Arc::clone(&worlds), memory.clone(), TaskGroup::new("intake"), clock, metrics);
    Process { intake, store, memory, worlds }
}

fn delivery(sequence: u64, envelope: &str, events: &[Event]) -> Delivery {
    Delivery {
        subject: subjects::events(&tenant(), 0),
        stream: StreamName::Events,
        sequence,
        attempt: 1,
        envelope: Envelope {
            id: envelope.to_owned(),
            kind: events::KIND.to_owned(),
            version: events::VERSION,
            occurred_at: NOW,
            payload: events::encode(&tenant(), events),
        },
        trace: TraceParent::default(),
        published_at: NOW,
    }
}

fn play(number: u64, user: &str) -> Event {
    event(number, user, EventKind::Play, &format!("t{}", number % 7), NOW)
}

fn user(name: &str) -> UserKey {
    UserKey::of(&UserId::new(name).unwrap())
}

impl Process {
    async fn plays(&self, name: &str) -> u64 {
        let stored = self.store.user(&tenant(), user(name)).await.unwrap().profile.counters.plays;
        if let Some(known) = self.memory.find(self.worlds.of(&tenant()).number, user(name)) {
            assert_eq!(known.profile.counters.plays, stored, "memory and store differ");
        }
        stored
    }
}

#[tokio::test]
async fn a_batch_changes_profiles_in_store_and_memory() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let known = (0..7).map(|n| Change::Put(Arc::new(track(&format!("t{n}"), "a"))));
    process.worlds.of(&tenant()).catalogue.apply(known.collect());
    let batch = [delivery(1, "m1", &[play(1, "u"), play(2, "v")]), delivery(2, "m2", &[play(3, "u")])];
    assert_eq!(process.intake.handle(&batch).await, [Outcome::Done, Outcome::Done]);
    assert_eq!((process.plays("u").await, process.plays("v").await), (2, 1));
    let world = process.worlds.of(&tenant());
    assert!(process.memory.find(world.number, user("u")).is_some());
    assert!(world.trending.refresh());
    assert_eq!(world.trending.trends().top(NOW).count(), 3);
}

#[tokio::test]
async fn what_the_catalogue_does_not_hold_never_trends() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let world = process.worlds.of(&tenant());
    world.catalogue.apply(vec![Change::Put(Arc::new(track("t1", "a")))]);
    let mut events: Vec<Event> =
        (0..500).map(|n| event(n, "u", EventKind::Play, &format!("made-up-{n}"), NOW)).collect();
    events.push(event(900, "u", EventKind::Play, "t1", NOW));
    assert_eq!(process.intake.handle(&[delivery(1, "m1", &events)]).await, [Outcome::Done]);
    assert!(world.trending.refresh());
    let top: Vec<_> = world.trending.trends().top(NOW).collect();
    assert_eq!(top, [(crate::world::key("t1"), 1.0)]);
    assert_eq!(world.trending.take_unsaved().counted.len(), 1, "the store does not grow either");
}

#[tokio::test]
async fn a_profile_that_does_not_read_back_costs_nobody_else_anything() {
    let (folder, store) = fresh().await;
    let garbage = |version: i64| NextProfile { user: user("broken"), version, blob: b"garbage".to_vec() };
    let mut tx = store.begin(None).await.unwrap();
    tx.save(&tenant(), &[garbage(1)], NOW).await.unwrap();
    tx.commit().await.unwrap();
    let before = process(&folder, store);
    let batch = [
        delivery(1, "m1", &[play(1, "u"), play(2, "broken"), play(3, "v")]),
        delivery(2, "m2", &[play(4, "u"), play(5, "v")]),
    ];
    for _ in 0..2 {
        // The second time stands for a crash before the answer: nothing is lost and nothing counts twice.
        let outcomes = before.intake.handle(&batch).await;
        let Outcome::Reject { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert!(reason.starts_with("1 of 3 events are set aside, the others are folded: user "), "{reason}");
        assert_eq!(outcomes[1], Outcome::Done);
        assert_eq!((before.plays("u").await, before.plays("v").await), (2, 2));
    }
    let mut tx = before.store.begin(None).await.unwrap();
    let found = tx.users(&tenant(), &[user("broken")]).await.unwrap();
    assert!(matches!(found[..], [(_, Err(store::Error::Corrupt { .. }))]), "the stored bytes stay: {found:?}");

    // Repaired, and the dead letter published again: what was set aside is folded, and nothing else.
    let repaired = NextProfile { blob: store::encode(&Profile::default()), ..garbage(2) };
    tx.save(&tenant(), &[repaired], NOW).await.unwrap();
    tx.commit().await.unwrap();
    let again = [delivery(9, "m1", &[play(1, "u"), play(2, "broken"), play(3, "v")])];
    assert_eq!(before.intake.handle(&again).await, [Outcome::Done]);
    assert_eq!((before.plays("broken").await, before.plays("u").await, before.plays("v").await), (1, 2, 2));
}

#[tokio::test]
async fn a_crash_between_commit_and_ack_counts_once() {
    let (folder, store) = fresh().await;
    let batch = [delivery(1, "m1", &[play(1, "u"), play(2, "u")])];
    let before = process(&folder, store);
    assert_eq!(before.intake.handle(&batch).await, [Outcome::Done]);
    // The acknowledgement never left: another process gets the same message.
    drop(before);
    let after = process(&folder, open(&folder).await);
    assert_eq!(after.intake.handle(&batch).await, [Outcome::Done]);
    assert_eq!(after.plays("u").await, 2);
}

#[tokio::test]
async fn an_event_that_comes_again_in_another_message_counts_once() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let batch = [delivery(1, "m1", &[play(1, "u"), play(1, "u")]), delivery(2, "m2", &[play(1, "u"), play(2, "u")])];
    process.intake.handle(&batch).await;
    process.intake.handle(&[delivery(9, "m9", &[play(2, "u"), play(1, "u")])]).await;
    assert_eq!(process.plays("u").await, 2);
}

#[tokio::test]
async fn a_message_that_was_put_off_is_not_lost_behind_later_ones() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    process.intake.handle(&[delivery(6, "m6", &[play(6, "u")])]).await;
    process.intake.handle(&[delivery(5, "m5", &[play(5, "u")])]).await;
    assert_eq!(process.plays("u").await, 2);
}

#[tokio::test]
async fn a_stream_made_anew_is_not_taken_for_the_old_one() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    process.intake.handle(&[delivery(1, "old", &[play(1, "u")])]).await;
    process.intake.handle(&[delivery(1, "new", &[play(2, "u")])]).await;
    assert_eq!(process.plays("u").await, 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_rejected_and_holds_nobody_up() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let mut garbage = delivery(1, "m1", &[]);
    garbage.envelope.payload = bytes::Bytes::from_static(b"\xff\xff garbage");
    let mut stranger = delivery(2, "m2", &[play(1, "u")]);
    stranger.envelope.kind = "somebody.Elses".to_owned();
    let mut misfiled = delivery(3, "m3", &[play(2, "u")]);
    misfiled.subject = subjects::events(&shared_models::TenantId::new("other").unwrap(), 0);
    let outcomes = process.intake.handle(&[garbage, stranger, misfiled, delivery(4, "m4", &[play(3, "u")])]).await;
    assert!(
        outcomes[..3].iter().all(|outcome| matches!(outcome, Outcome::Reject { reason } if !reason.is_empty())),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[3], Outcome::Done);
    assert_eq!(process.plays("u").await, 1);
}

#[tokio::test]
async fn an_event_on_an_unknown_item_keeps_the_items_key() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    process.intake.handle(&[delivery(1, "m1", &[event(1, "u", EventKind::Like, "nobody-knows", NOW)])]).await;
    let profile = process.store.user(&tenant(), user("u")).await.unwrap().profile;
    assert_eq!(profile.items.recent(5), [(crate::world::key("nobody-knows"), NOW)]);
}

#[tokio::test]
async fn another_writers_change_is_folded_upon_not_over() {
    let (folder, store) = fresh().await;
    let (one, two) = (process(&folder, store), process(&folder, open(&folder).await));
    one.intake.handle(&[delivery(1, "m1", &[play(1, "u")])]).await;
    two.intake.handle(&[delivery(2, "m2", &[play(2, "u")])]).await;
    // The first still has its own version in memory.
    assert_eq!(one.intake.handle(&[delivery(3, "m3", &[play(3, "u")])]).await, [Outcome::Done]);
    assert_eq!(one.plays("u").await, 3);
}

#[tokio::test]
async fn a_large_backlog_is_folded_like_a_small_one() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let batch: Vec<Delivery> = (0..8)
        .map(|message| {
            let events: Vec<Event> = (0..200).map(|n| play(message * 200 + n, &format!("u{}", n % 90))).collect();
            delivery(message + 1, &format!("m{message}"), &events)
        })
        .collect();
    let again = process.intake.handle(&batch).await;
    assert!(again.iter().all(|outcome| *outcome == Outcome::Done));
    process.intake.handle(&batch).await;
    let mut total = 0;
    for n in 0..90 {
        total += process.plays(&format!("u{n}")).await;
    }
    assert_eq!(total, 1_600);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_mix_of_duplicates_redeliveries_and_crashes_counts_each_event_once(
        messages in prop::collection::vec(prop::collection::vec((0_u64..40, 0_u8..3), 1..8), 1..8),
        order in prop::collection::vec((0_usize..8, prop::bool::weighted(0.2)), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (folder, store) = fresh().await;
            let mut now = process(&folder, store);
            let mut told = std::collections::BTreeSet::new();
            for (at, crash) in order {
                let Some(message) = messages.get(at) else { continue };
                // An event's id says whose it is, as a client's ids do.
                let events: Vec<Event> = message.iter().map(|(number, user)| play(number * 3 + u64::from(*user), &format!("u{user}"))).collect();
                told.extend(message.iter().copied());
                let outcomes = now.intake.handle(&[delivery(at as u64 + 1, &format!("m{at}"), &events)]).await;
                assert_eq!(outcomes, [Outcome::Done]);
                if crash {
                    drop(now);
                    now = process(&folder, open(&folder).await);
                }
            }
            for name in 0..3_u8 {
                let expected = told.iter().filter(|(_, user)| *user == name).count() as u64;
                assert_eq!(now.plays(&format!("u{name}")).await, expected);
            }
        });
    }
}

#[tokio::test]
async fn a_store_that_is_away_costs_no_delivery() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store.clone());
    store.close().await;
    let outcomes = process.intake.handle(&[delivery(1, "m1", &[play(1, "u")])]).await;
    assert!(matches!(&outcomes[..], [Outcome::Pause { .. }]), "{outcomes:?}");
}

#[tokio::test]
async fn what_was_shown_and_what_of_it_was_taken_is_counted_once_each() {
    let (folder, store) = fresh().await;
    let process = process(&folder, store);
    let world = process.worlds.of(&tenant());
    world.apply((0..3).map(|n| Change::Put(Arc::new(track(&format!("t{n}"), "a")))).collect());
    let minute = |minutes: i64| shared_models::Timestamp(NOW.0 + minutes * 60_000);
    let told = |number: u64, user: &str, kind: EventKind, item: &str, minutes: i64| {
        event(number, user, kind, item, minute(minutes))
    };
    let events = [
        // Shown and played, twice: one play each time it was shown.
        told(1, "u", EventKind::Impression, "t0", 0),
        told(2, "u", EventKind::Play, "t0", 1),
        told(3, "u", EventKind::Play, "t0", 2),
        told(4, "v", EventKind::Impression, "t0", 1),
        // Shown and left, and played without having been shown.
        told(5, "v", EventKind::Impression, "t1", 1),
        told(6, "v", EventKind::Play, "t2", 2),
        // Played two days after it was shown; and something that is in no catalogue.
        told(7, "v", EventKind::Play, "t1", 2 * 1_440 + 2),
        told(8, "v", EventKind::Impression, "t9", 1),
        told(9, "v", EventKind::Play, "t9", 2),
    ];
    let told = [delivery(1, "m1", &events), delivery(2, "m1", &events)];
    for delivery in &told {
        assert_eq!(process.intake.handle(std::slice::from_ref(delivery)).await, [Outcome::Done]);
    }
    assert!(world.refresh_counts() && !world.refresh_counts());
    let (crowd, now) = (world.crowd(), minute(2));
    let of = |counts: &candidate_generation::index::Trends, item: &str| counts.plays(now)(crate::world::key(item));
    let near = |counted: f32, expected: f32| (counted - expected).abs() < 0.01;
    assert!(near(of(&crowd.shown, "t0"), 2.0) && near(of(&crowd.taken, "t0"), 1.0));
    assert!(near(of(&crowd.shown, "t1"), 1.0) && of(&crowd.taken, "t1") == 0.0);
    assert!(of(&crowd.shown, "t2") == 0.0 && of(&crowd.taken, "t2") == 0.0 && of(&crowd.shown, "t9") == 0.0);
    // Two minutes are a thirtieth of an hour.
    assert!((of(&crowd.hourly, "t0") - 2.0).abs() < 0.1, "{}", of(&crowd.hourly, "t0"));
    let hours = minute(180);
    assert!(crowd.hourly.plays(hours)(crate::world::key("t0")) < 0.11);
}
