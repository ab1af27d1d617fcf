//! What only JetStream can show: a server that goes away, one that does not sync, messages from strangers.

use std::{collections::BTreeSet, time::Duration};

use event_bus::{ConsumerSpec, Durability, Error, EventBus, jetstream::JetStreamBus, subjects};
use futures_util::future::join;
use testkit::{NatsServer, nats::Sync, ports};

use crate::rig::{Rig, dead_letter, drain, next, number, numbers, publish, runtime, sequences, spec, subject, within};

#[tokio::test]
async fn a_publish_without_an_answer_fails_and_the_next_one_works() {
    let mut rig = Rig::jetstream().await;
    rig.config.publish_timeout = Duration::from_millis(500);
    let bus = rig.open().await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    publish(bus.as_ref(), 0, 0..1).await;
    assert_eq!(numbers(&drain(seat.as_mut(), 1).await), [0]);

    rig.server.as_mut().unwrap().kill().unwrap();
    let lost = number(1);
    let error = bus.publish(&subject(0), lost.clone()).await.unwrap_err();
    assert_eq!(error.code(), shared_models::ErrorCode::Unavailable);
    rig.server.as_mut().unwrap().restart().await.unwrap();

    // The same id again until it is kept; once on the stream, however often it was sent.
    let keep = async {
        while bus.publish(&subject(0), lost.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
        bus.publish(&subject(0), number(2)).await.unwrap();
    };
    let receive = async {
        // A set: an answer that the crash swallowed brings its message again.
        let mut all = BTreeSet::new();
        while !(all.contains(&1) && all.contains(&2)) {
            if let Ok(batch) = seat.next_batch(10).await {
                let _again = seat.ack(&sequences(&batch)).await;
                all.extend(numbers(&batch));
            }
        }
        all
    };
    let ((), all) = within(join(keep, receive)).await;
    assert!(all.is_superset(&BTreeSet::from([1, 2])), "{all:?}: 0 may come again, when the crash swallowed its answer");
}

#[tokio::test]
async fn a_service_starts_while_nats_is_away() {
    let mut rig = Rig::jetstream().await;
    rig.config.publish_timeout = Duration::from_millis(300);
    rig.server.as_mut().unwrap().kill().unwrap();
    let runtime = runtime();
    let bus = event_bus::open(&rig.config, &runtime).await.unwrap();
    assert!(runtime.health.is_ready(), "answers do not need the bus");
    assert!(matches!(bus.durability(), Durability::Weak(_)));
    assert!(bus.publish(&subject(0), number(0)).await.is_err());
    rig.server.as_mut().unwrap().restart().await.unwrap();
    within(async {
        while bus.publish(&subject(0), number(1)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(bus.durability(), Durability::Strong);
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_weak() {
    let server = NatsServer::start_with(Sync::Default).await.unwrap();
    let mut rig = Rig::jetstream().await;
    (rig.config.url, rig.config.monitor_url) = (server.url(), server.monitor_url());
    let Durability::Weak(reason) = rig.open().await.durability() else { panic!("it is strong") };
    assert_eq!(reason, "NATS syncs every 120s only; run it with `sync_interval: always`");
    rig.config.require_strong = true;
    let error = event_bus::open(&rig.config, &runtime()).await.err().unwrap();
    assert!(matches!(error, Error::Misconfigured { .. }), "{error}");
}

#[tokio::test]
async fn what_nobody_knows_is_weak_until_somebody_vouches() {
    let mut rig = Rig::jetstream().await;
    rig.config.monitor_url = String::new();
    assert!(matches!(rig.open().await.durability(), Durability::Weak(_)));
    rig.config.synced_always = true;
    assert_eq!(rig.open().await.durability(), Durability::Strong);
    rig.config.monitor_url = format!("http://{}", ports::unused().unwrap());
    assert!(matches!(rig.open().await.durability(), Durability::Weak(_)), "the server's own word counts more");
}

#[tokio::test]
async fn a_strangers_bytes_become_a_dead_letter() {
    let rig = Rig::jetstream().await;
    let bus = JetStreamBus::connect(&rig.config, &runtime()).await.unwrap();
    let stranger = async_nats::connect(&rig.config.url).await.unwrap();
    let subject_text = subject(0).as_str().to_owned();
    stranger.request(subject_text.clone(), "{\"json\": true}".into()).await.unwrap();
    publish(&bus, 0, 1..2).await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert_eq!(numbers(&next(seat.as_mut(), 10).await), [1]);
    let letter = dead_letter(&bus).await.unwrap();
    assert_eq!((letter.sequence, letter.subject.as_str()), (1, subject_text.as_str()));
    assert_eq!(letter.message, "{\"json\": true}");
    assert!(letter.reason.starts_with("envelope cannot be read: "), "{}", letter.reason);
}

#[tokio::test]
async fn declaring_again_changes_nothing_and_a_filter_may_change() {
    let rig = Rig::jetstream().await;
    let bus = rig.open().await;
    publish(bus.as_ref(), 1, 0..3).await;
    publish(bus.as_ref(), 2, 3..6).await;
    drop(rig.open().await);
    let mut seat = bus
        .subscribe(&spec("reader").filtered(subjects::Filter::partition(event_bus::StreamName::Events, 1)))
        .await
        .unwrap();
    assert_eq!(numbers(&drain(seat.as_mut(), 3).await), [0, 1, 2]);
    seat.close().await;
    let mut seat = bus
        .subscribe(&spec("reader").filtered(subjects::Filter::partition(event_bus::StreamName::Events, 2)))
        .await
        .unwrap();
    publish(bus.as_ref(), 2, 6..7).await;
    let batch = next(seat.as_mut(), 1).await;
    assert!(numbers(&batch)[0] >= 3);
}

/// Sits down in a runtime of its own, takes a batch, and is gone with it, as after a kill -9: nothing is closed.
fn dies_with_a_batch(config: event_bus::Config, spec: ConsumerSpec) -> Vec<u32> {
    let own = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    own.spawn(async move {
        let bus = event_bus::open(&config, &runtime()).await.unwrap();
        let mut seat = bus.subscribe(&spec).await.unwrap();
        told.send(numbers(&next(seat.as_mut(), 5).await)).unwrap();
        std::future::pending::<()>().await;
    });
    let held = hears.recv_timeout(crate::rig::PATIENCE).unwrap();
    own.shutdown_background();
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_over_from_the_dead_goes_on_within_seconds() {
    let rig = Rig::jetstream().await;
    let bus = rig.open().await;
    let spec = ConsumerSpec { ack_wait: Duration::from_secs(60), ..spec("reader").for_partition(1) };
    for value in 0..40 {
        bus.publish(&subject((value % 2) as u16), number(value)).await.unwrap();
    }
    let (config, of_the_dead) = (rig.config.clone(), spec.clone());
    let held = tokio::task::spawn_blocking(move || dies_with_a_batch(config, of_the_dead)).await.unwrap();
    assert!(!held.is_empty());
    let died = std::time::Instant::now();
    let mut seat = bus.subscribe(&spec).await.unwrap();
    publish(bus.as_ref(), 1, 100..103).await;
    let all = numbers(&drain(seat.as_mut(), 23).await);
    eprintln!("taken over in {:?}", died.elapsed());
    assert!(died.elapsed() < Duration::from_secs(4), "it took {:?}", died.elapsed());
    assert!(all.into_iter().eq((0..40).filter(|n| n % 2 == 1).chain(100..103)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exclusive_seat_goes_on_in_order_after_its_server_was_killed() {
    let mut rig = Rig::jetstream().await;
    rig.config.publish_timeout = Duration::from_secs(2);
    let bus = rig.open().await;
    let spec = ConsumerSpec { ack_wait: Duration::from_secs(60), max_batch: 16, ..spec("reader").for_partition(0) };
    let mut seat = bus.subscribe(&spec).await.unwrap();
    publish(bus.as_ref(), 0, 0..16).await;
    // Some are given out and answered; the rest came along and is lost with the connection.
    let held = next(seat.as_mut(), 4).await;
    seat.ack(&sequences(&held)).await.unwrap();
    let from = held.len() as u32;
    rig.crash().await;
    let mut all = Vec::new();
    within(async {
        while all.last() != Some(&15) {
            if let Ok(batch) = seat.next_batch(16).await {
                // An answer that was not confirmed may have arrived all the same; else they come again.
                let _confirmed = seat.ack(&sequences(&batch)).await;
                all.extend(
                    numbers(&batch)
                        .into_iter()
                        .filter(|number| all.last().is_none_or(|last| number > last))
                        .collect::<Vec<_>>(),
                );
            }
        }
    })
    .await;
    // The crash may have swallowed the answers to the first ones.
    assert!(all[0] <= from && all.iter().copied().eq(all[0]..16), "{all:?} after {from}");
}
