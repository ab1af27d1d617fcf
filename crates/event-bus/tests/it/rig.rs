//! A bus to test: made, dropped and opened again over the same store.

use std::{sync::Arc, time::Duration};

use event_bus::{
    Browse, Config, ConsumerSpec, Delivery, Envelope, Error, EventBus, Kind, StreamName, Subject, Subscription,
    subjects,
};
use service_runtime::Runtime;
use shared_models::{SystemClock, TenantId, Timestamp};
use testkit::{Folder, NatsServer};

/// Holds each promise against both buses.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(crate::rig::Rig::embedded().await).await;
            })+
        }
        mod jetstream {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(crate::rig::Rig::jetstream().await).await;
            })+
        }
    };
}
pub(crate) use promises;

/// How long anything may take that is waited for. Generous: the machine is shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const KIND: &str = "setlist.test.v1.Number";

/// What a bus stands on.
pub(crate) struct Rig {
    pub(crate) config: Config,
    pub(crate) server: Option<NatsServer>,
    _folder: Folder,
}

impl Rig {
    pub(crate) async fn embedded() -> Self {
        let folder = Folder::new().unwrap();
        let config = Config { kind: Kind::Embedded, path: folder.join("events.db"), ..Config::default() };
        Self { config, server: None, _folder: folder }
    }

    pub(crate) async fn jetstream() -> Self {
        let server = NatsServer::start().await.unwrap();
        let config = Config {
            kind: Kind::Nats,
            url: server.url(),
            monitor_url: server.monitor_url(),
            publish_timeout: Duration::from_secs(10),
            ..Config::default()
        };
        Self { config, server: Some(server), _folder: Folder::new().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<dyn EventBus> {
        event_bus::open(&self.config, &runtime()).await.unwrap()
    }

    /// An operator's view of the bus; where several may have it open, the streams are declared by a service.
    pub(crate) async fn look(&self) -> Arc<dyn Browse> {
        if self.server.is_some() {
            drop(self.open().await);
        }
        event_bus::look(&self.config, &runtime()).await.unwrap()
    }

    /// A crash of whatever keeps the messages, when it is not this process.
    pub(crate) async fn crash(&mut self) {
        if let Some(server) = &mut self.server {
            server.restart().await.unwrap();
        }
    }
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new(Arc::new(SystemClock))
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

pub(crate) fn subject(partition: u16) -> Subject {
    subjects::events(&tenant(), partition)
}

pub(crate) fn number(number: u32) -> Envelope {
    Envelope::new(KIND, 1, Timestamp(1_700_000_000_000), number.to_string())
}

pub(crate) fn numbers(batch: &[Delivery]) -> Vec<u32> {
    batch.iter().map(|delivery| String::from_utf8_lossy(&delivery.envelope.payload).parse().unwrap()).collect()
}

pub(crate) fn sequences(batch: &[Delivery]) -> Vec<u64> {
    batch.iter().map(|delivery| delivery.sequence).collect()
}

/// A consumer of the events with a short wait, long enough for a busy machine.
pub(crate) fn spec(name: &'static str) -> ConsumerSpec {
    ConsumerSpec { name: name.into(), ack_wait: Duration::from_secs(2), ..subjects::CANDIDATES_INTAKE.clone() }
}

pub(crate) async fn publish(bus: &dyn EventBus, partition: u16, range: std::ops::Range<u32>) {
    for value in range {
        bus.publish(&subject(partition), number(value)).await.unwrap();
    }
}

pub(crate) async fn next(seat: &mut dyn Subscription, max: usize) -> Vec<Delivery> {
    within(seat.next_batch(max)).await.unwrap()
}

pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("it takes too long")
}

/// Consumes until `count` messages came, acknowledging all.
pub(crate) async fn drain(seat: &mut dyn Subscription, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let batch = next(seat, 1000).await;
        seat.ack(&sequences(&batch)).await.unwrap();
        all.extend(batch);
    }
    all
}

/// The first dead letter.
pub(crate) async fn dead_letter(bus: &dyn EventBus) -> Result<event_bus::DeadLetter, Error> {
    let mut seat = bus.subscribe(&subjects::DEAD_LETTERS).await?;
    let batch = within(seat.next_batch(1)).await?;
    seat.ack(&sequences(&batch)).await?;
    assert_eq!(batch[0].stream, StreamName::Dead);
    event_bus::DeadLetter::from_envelope(&batch[0].envelope)
}
