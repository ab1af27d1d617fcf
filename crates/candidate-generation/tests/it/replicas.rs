//! Two processes on one PostgreSQL: what one takes in or writes, the other serves; when one goes, the other takes
//! its partitions over.

use std::{sync::Arc, time::Duration};

use candidate_generation::{App, store::Config as StoreConfig};
use contracts::{Deadline, events};
use event_bus::{Envelope, EventBus, subjects};
use service_runtime::Runtime;
use shared_models::{
    SystemClock, Timestamp, UserId, UserKey,
    event::{Event, EventKind},
    listener::UserAttributes,
};
use tempfile::TempDir;
use testkit::Postgres;

use crate::{
    intake::config,
    world::{event, id, tenant, track},
};

const PARTITIONS: u16 = 8;
const LISTENERS: u64 = 24;

struct Cluster {
    _server: Arc<Postgres>,
    folder: TempDir,
    url: String,
    bus: Arc<dyn EventBus>,
}

struct Replica {
    runtime: Runtime,
    app: App,
}

impl Cluster {
    async fn start() -> Self {
        let server = Postgres::shared().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let url = server.database().await.unwrap();
        let bus = event_bus::open(&config(&folder).bus, &Runtime::new(Arc::new(SystemClock))).await.unwrap();
        Self { _server: server, folder, url, bus }
    }

    async fn replica(&self) -> Replica {
        let mut config = config(&self.folder);
        config.store = StoreConfig { connections: 4, follow: Duration::from_millis(20), ..StoreConfig::at(&self.url) };
        config.intake.lease = Duration::from_secs(1);
        config.intake.renew = Duration::from_millis(50);
        config.trending.exchange = Duration::from_millis(100);
        config.trending.refresh = Duration::from_millis(20);
        config.bus.partitions = PARTITIONS;
        let runtime = Runtime::new(Arc::new(SystemClock));
        let app = App::build(config, &runtime, Arc::clone(&self.bus)).await.unwrap();
        Replica { runtime, app }
    }

    /// A play of each listener, each message twice.
    async fn play(&self, round: u64) {
        for listener in 0..LISTENERS {
            let user = UserId::new(format!("u{listener}")).unwrap();
            let now = Timestamp(shared_models::Clock::now(&SystemClock).0);
            let played: Event =
                event(round * LISTENERS + listener, user.as_str(), EventKind::Play, &format!("t{}", round % 3), now);
            let partition = UserKey::of(&user).partition(PARTITIONS);
            let subject = subjects::events(&tenant(), partition);
            for _ in 0..2 {
                let payload = events::encode(&tenant(), std::slice::from_ref(&played));
                self.bus.publish(&subject, Envelope::new(events::KIND, events::VERSION, now, payload)).await.unwrap();
            }
        }
    }
}

impl Replica {
    async fn plays(&self) -> Vec<u64> {
        let mut plays = Vec::new();
        for listener in 0..LISTENERS {
            let id = UserId::new(format!("u{listener}")).unwrap();
            let user = self.app.profiles().user(&tenant(), &id, Deadline::within(Duration::from_secs(10))).await;
            plays.push(user.map_or(0, |user| user.plays));
        }
        plays
    }

    fn intake(&self) -> String {
        let report = self.runtime.health.report();
        report.components.get("candidates-intake").and_then(|state| state.detail.clone()).unwrap_or_default()
    }
}

async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, what: impl AsyncFn() -> T) {
    let mut seen = what().await;
    for _ in 0..400 {
        if seen == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
        seen = what().await;
    }
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_partitions_and_see_each_other() {
    let cluster = Cluster::start().await;
    let a = cluster.replica().await;
    eventually(true, async || a.intake().contains("0, 1, 2, 3, 4, 5, 6, 7 of 8")).await;
    let b = cluster.replica().await;
    let halves =
        |replica: &Replica| replica.intake().contains("shared by 2") && replica.intake().matches(", ").count() == 4;
    eventually(true, async || halves(&a) && halves(&b)).await;

    // What one writes to the catalogue, the other shows, trends and all.
    let soon = || Deadline::within(Duration::from_secs(10));
    let items = (0..3).map(|n| track(&format!("t{n}"), "a")).collect();
    a.app.catalogue().put_items(&tenant(), items, soon()).await.unwrap();
    eventually(true, async || b.app.catalogue().item(&tenant(), &id("t2"), soon()).await.is_ok()).await;
    a.app.catalogue().delete_item(&tenant(), &id("t2"), soon()).await.unwrap();
    eventually(false, async || b.app.catalogue().item(&tenant(), &id("t2"), soon()).await.is_ok()).await;

    // Each takes in a half; both serve the whole, each event once.
    cluster.play(0).await;
    eventually(vec![1; LISTENERS as usize], async || a.plays().await).await;
    assert_eq!(b.plays().await, a.plays().await, "what is committed shows in the other process at once");
    cluster.play(1).await;
    eventually(vec![2; LISTENERS as usize], async || b.plays().await).await;
    assert_eq!(b.plays().await, a.plays().await);
    let now = shared_models::Clock::now(&SystemClock);
    let trend = |replica: &Replica| {
        let plays = replica.app.world(&tenant()).trending.trends().plays(now)(crate::world::key("t0"));
        (plays - LISTENERS as f32).abs() < 0.1
    };
    eventually((true, true), async || (trend(&a), trend(&b))).await;

    // What the tenant tells one process, the other knows.
    let told =
        UserAttributes { id: UserId::new("u0").unwrap(), market: None, explicit_allowed: false, updated_at: now };
    a.app.profiles().put_user(&tenant(), told.clone(), soon()).await.unwrap();
    let user = b.app.profiles().user(&tenant(), &told.id, soon()).await.unwrap();
    assert!(!user.attributes.explicit_allowed);

    // One is killed: it gives nothing back. The other goes on with its partitions, and nothing is counted twice.
    a.runtime.tasks.intake.drain(Duration::ZERO).await;
    cluster.play(2).await;
    eventually(vec![3; LISTENERS as usize], async || b.plays().await).await;
    eventually(true, async || b.intake().contains("0, 1, 2, 3, 4, 5, 6, 7 of 8, shared by 1")).await;

    // One that stops in good order gives its partitions back at once.
    let c = cluster.replica().await;
    eventually(true, async || halves(&b) && halves(&c)).await;
    b.runtime.drain(Duration::from_secs(10)).await;
    cluster.play(3).await;
    eventually(vec![4; LISTENERS as usize], async || c.plays().await).await;
    c.runtime.drain(Duration::from_secs(10)).await;
    a.runtime.drain(Duration::from_secs(1)).await;
}
