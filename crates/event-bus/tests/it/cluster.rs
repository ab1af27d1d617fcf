//! Three servers that keep every stream together: what was acknowledged outlives any of them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use event_bus::{Config, EventBus, Kind, StreamName};
use testkit::NatsCluster;

use crate::rig::{drain, number, runtime, spec, subject, within};

/// Publishes until it is told to stop; every number that was acknowledged.
async fn publish_until(bus: Arc<dyn EventBus>, numbers: Arc<AtomicU32>, stop: Arc<AtomicBool>) -> BTreeSet<u32> {
    let mut kept = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let value = numbers.fetch_add(1, Ordering::Relaxed);
        let message = number(value);
        // The same id until it is kept, as the edge's clients do.
        while bus.publish(&subject((value % 4) as u16), message.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
        kept.insert(value);
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_three_servers_acknowledged_outlives_each_of_them() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let config = Config {
        kind: Kind::Nats,
        url: cluster.url(),
        synced_always: true,
        replicas: 3,
        publish_timeout: Duration::from_secs(5),
        ..Config::default()
    };
    let bus: Arc<dyn EventBus> = event_bus::open(&config, &runtime()).await.unwrap();
    within(async { while bus.publish(&subject(0), number(u32::MAX)).await.is_err() {} }).await;

    let (numbers, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let mut publishers = tokio::task::JoinSet::new();
    for _publisher in 0..4 {
        publishers.spawn(publish_until(Arc::clone(&bus), Arc::clone(&numbers), Arc::clone(&stop)));
    }
    let passed = async |count: u32| {
        let target = numbers.load(Ordering::Relaxed) + count;
        within(async {
            while numbers.load(Ordering::Relaxed) < target {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    passed(300).await;
    // One is gone for a while; then all go and come, one after another.
    cluster.kill(1).unwrap();
    passed(300).await;
    cluster.restart(1).await.unwrap();
    passed(100).await;
    for index in 0..3 {
        until_all_are_current(&config).await;
        cluster.restart(index).await.unwrap();
        passed(100).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut kept = BTreeSet::from([u32::MAX]);
    for published in within(publishers.join_all()).await {
        kept.extend(published);
    }

    let look = event_bus::look(&config, &runtime()).await.unwrap();
    // The last restart may have left a stream without a leader for a moment: whoever looks tries again.
    let stored = within(async {
        loop {
            match look.read(StreamName::Events, 0, kept.len() * 2, None).await {
                Ok(stored) => return stored,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
    .await;
    let mut seen = BTreeSet::new();
    for kept in &stored {
        let number: u32 = String::from_utf8_lossy(&kept.envelope().unwrap().payload).parse().unwrap();
        assert!(seen.insert(number), "{number} is there twice");
    }
    assert!(kept.is_subset(&seen), "lost: {:?}", kept.difference(&seen).collect::<Vec<_>>());
    eprintln!("{} messages acknowledged through four restarts, none lost", kept.len());

    // A consumer has as many copies as its stream, and a wrong setting takes none away.
    let reader = spec("reader").for_partition(0);
    // After the last restart its leader may still have to be found: whoever consumes tries again.
    let mut seat = within(async {
        loop {
            if let Ok(seat) = bus.subscribe(&reader).await {
                return seat;
            }
        }
    })
    .await;
    drain(seat.as_mut(), 1).await;
    let fewer = Config { replicas: 1, ..config };
    within(async { while event_bus::open(&fewer, &runtime()).await.is_err() {} }).await;
    let standing = within(async {
        loop {
            if let Ok(standing) = look.standing().await {
                return standing;
            }
        }
    })
    .await;
    assert!(standing.iter().all(|stream| stream.replicas == 3), "{standing:?}");
}

async fn until_all_are_current(config: &Config) {
    within(async {
        loop {
            let looked = async {
                let bus = event_bus::look(config, &runtime()).await?;
                bus.standing().await
            };
            if let Ok(all) = looked.await
                && !all.is_empty()
                && all.iter().all(|stream| stream.leader.is_some() && stream.behind.is_empty())
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
