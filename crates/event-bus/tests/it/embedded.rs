//! What only the embedded log can show: its file, its lock, its retention.

use std::{sync::Arc, time::Duration};

use event_bus::{ConsumerSpec, EventBus, StreamName, embedded::EmbeddedBus, subjects};
use futures_util::future::join_all;
use service_runtime::Runtime;
use shared_models::{Clock, ManualClock, SystemClock};

use crate::rig::{Rig, drain, next, number, numbers, publish, runtime, sequences, spec, subject, tenant};

#[tokio::test]
async fn two_processes_cannot_open_one_log() {
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    let error = EmbeddedBus::open(&rig.config, &runtime()).await.err().unwrap().to_string();
    assert!(error.ends_with("is open in another process; stop it, or give this one a path of its own"), "{error}");
    drop(bus);
    rig.open().await;
}

#[tokio::test]
async fn a_file_that_is_no_log_is_left_alone() {
    let rig = Rig::embedded().await;
    std::fs::write(&rig.config.path, b"this is somebody's text file, and no database at all. ".repeat(20)).unwrap();
    let error = EmbeddedBus::open(&rig.config, &runtime()).await.err().unwrap();
    assert_eq!(error.to_string(), "event bus is away during opening the event log");
    assert!(std::fs::read(&rig.config.path).unwrap().starts_with(b"this is somebody's"));
}

#[tokio::test]
async fn old_messages_are_forgotten_and_numbers_go_on() {
    let rig = Rig::embedded().await;
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let open = || async {
        let runtime = Runtime::new(Arc::clone(&clock) as Arc<dyn Clock>);
        EmbeddedBus::open(&rig.config, &runtime).await.unwrap()
    };
    let bus = open().await;
    bus.publish_many((0..2500).map(|value| (subject(0), number(value))).collect()).await.unwrap();
    clock.advance(StreamName::Events.spec().max_age - Duration::from_secs(1));
    publish(&bus, 0, 2500..2510).await;
    drop(bus);
    clock.advance(Duration::from_secs(2));
    let bus = open().await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert!(numbers(&drain(seat.as_mut(), 10).await).into_iter().eq(2500..2510));
    drop(seat);
    drop(bus);
    clock.advance(StreamName::Events.spec().max_age * 2);
    let bus = open().await;
    let ack = bus.publish(&subject(0), number(1)).await.unwrap();
    assert_eq!(ack.sequence, 2511, "an empty stream remembers its last number");
}

#[tokio::test]
async fn a_stream_keeps_no_more_than_its_share() {
    let mut rig = Rig::embedded().await;
    rig.config.max_bytes = 16 << 20;
    // One page of metrics for both openings: either may be the one that forgets.
    let runtime = runtime();
    let bus = event_bus::open(&rig.config, &runtime).await.unwrap();
    let large = |value: u32| event_bus::Envelope { payload: vec![0; 100_000].into(), ..number(value) };
    let to = || subjects::recommendations(&tenant(), 0);
    let spec = ConsumerSpec { stream: StreamName::Recommendations, ..spec("reader") };
    drop(bus.subscribe(&spec).await.unwrap());
    bus.publish_many((0..200).map(|value| (to(), large(value))).collect()).await.unwrap();
    drop(bus);
    let bus = event_bus::open(&rig.config, &runtime).await.unwrap();
    let mut seat = bus.subscribe(&spec).await.unwrap();
    let first = next(seat.as_mut(), 1).await[0].sequence;
    assert!((148..=158).contains(&first), "4.8 MiB hold 50 messages of 100 kB; the oldest is {first}");
    let told = format!("setlist_bus_dropped_unread_total{{stream=\"RECOMMENDATIONS\"}} {}", first - 1);
    let page = runtime.metrics.encode();
    assert!(page.contains(&told), "{told} is not in\n{page}");
}

#[tokio::test]
async fn an_id_outside_the_window_is_a_new_message() {
    let rig = Rig::embedded().await;
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let runtime = Runtime::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let bus = EmbeddedBus::open(&rig.config, &runtime).await.unwrap();
    let envelope = number(1);
    bus.publish(&subject(0), envelope.clone()).await.unwrap();
    clock.advance(Duration::from_secs(119));
    assert!(bus.publish(&subject(0), envelope.clone()).await.unwrap().duplicate);
    clock.advance(Duration::from_secs(2));
    assert!(!bus.publish(&subject(0), envelope).await.unwrap().duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_share_commits() {
    let rig = Rig::embedded().await;
    let runtime = runtime();
    let bus: Arc<dyn EventBus> = event_bus::open(&rig.config, &runtime).await.unwrap();
    let started = std::time::Instant::now();
    join_all((0..500).map(|value| {
        let bus = Arc::clone(&bus);
        async move { bus.publish(&subject(0), number(value)).await.unwrap() }
    }))
    .await;
    let page = runtime.metrics.encode();
    let commits = page.lines().find_map(|line| line.strip_prefix("setlist_bus_commit_messages_count ")).unwrap();
    eprintln!("500 concurrent publishes in {commits} commits in {:?}", started.elapsed());
    assert!(commits.parse::<f64>().unwrap() < 100.0, "{commits} commits");
}

#[tokio::test]
async fn a_consumer_far_behind_reads_from_disk() {
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    // More than memory holds of a stream.
    for block in 0..10_u32 {
        let range = block * 1000..(block + 1) * 1000;
        bus.publish_many(range.map(|value| (subject((value % 8) as u16), number(value))).collect()).await.unwrap();
    }
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert!(numbers(&drain(seat.as_mut(), 10_000).await).into_iter().eq(0..10_000));
    let mut one = bus.subscribe(&spec("reader").for_partition(5)).await.unwrap();
    assert!(numbers(&drain(one.as_mut(), 1250).await).into_iter().eq((0..1250).map(|nth| nth * 8 + 5)));
}

#[tokio::test]
async fn attempts_are_counted_across_a_crash() {
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    publish(bus.as_ref(), 0, 0..2).await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let batch = next(seat.as_mut(), 2).await;
    seat.ack(&sequences(&batch[1..])).await.unwrap();
    drop(seat);
    drop(bus);
    let bus = rig.open().await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let again = next(seat.as_mut(), 2).await;
    assert_eq!((numbers(&again), again[0].attempt), (vec![0], 2));
}
