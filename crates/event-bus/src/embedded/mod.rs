//! The embedded bus: a durable log in this process, in one SQLite file.
//!
//! Promises what JetStream with `sync_interval: always` promises, on one machine: a message is acknowledged when
//! the transaction that holds it is synced to disk. It must never be opened by two processes at once; a lock file
//! beside it sees to that.
//!
//! - `browse`: what an operator sees
//! - `log`: the tables and statements
//! - `tail`: the newest messages in memory
//! - `consumer`: a durable consumer's place
//! - `upkeep`: what is taken out, and what there is
//! - `writer`: the one task that writes
//! - `retention`: what is forgotten, and what is refused
//! - `seat`: a subscription

mod browse;
mod consumer;
mod log;
mod retention;
mod seat;
mod tail;
mod upkeep;
mod writer;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use service_runtime::{
    Runtime,
    tasks::{OnFailure, TaskGroup},
    trace::{self, TraceParent},
};
use shared_models::Clock;
use sqlx::SqlitePool;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tracing::Instrument as _;

use self::{
    consumer::Consumer,
    tail::Tail,
    writer::{Command, Message, Writer},
};
use crate::{
    bus::{Ack, Durability, EventBus, Lag, Subscription},
    config::Config,
    envelope::Envelope,
    error::Error,
    metrics::BusMetrics,
    spans,
    subjects::{ConsumerSpec, Start, StreamName, Subject},
};

/// What the bus is called in traces.
const SYSTEM: &str = "sqlite";
/// The largest message: what NATS takes by default.
const MOST_MESSAGE_BYTES: usize = 1 << 20;
/// How many commands may wait for the writer.
const QUEUE: usize = 4096;
/// How long to wait for a process that is about to let go of the log.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a stream by everybody.
#[derive(Debug)]
struct Known {
    tail: Mutex<Tail>,
    /// The newest number that is on disk.
    last: watch::Sender<u64>,
    /// The newest number that is no longer kept.
    forgotten: AtomicU64,
}

struct Shared {
    streams: HashMap<StreamName, Known>,
    readers: SqlitePool,
    consumers: Mutex<HashMap<(StreamName, String), Arc<Consumer>>>,
    seats: AtomicU64,
    clock: Arc<dyn Clock>,
    metrics: BusMetrics,
    max_bytes: u64,
}

/// A handle of the open log.
#[derive(Clone)]
struct Embedded {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// The embedded bus.
pub struct EmbeddedBus(Embedded);

impl EmbeddedBus {
    /// Opens the log at `config.path`, and makes it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or another process has it open.
    pub async fn open(config: &Config, runtime: &Runtime) -> Result<Self, Error> {
        let unavailable = |error| Error::unavailable("opening the event log", error);
        let lock = lock(&config.path).await?;
        let mut connection = log::open_writer(&config.path).await.map_err(unavailable)?;
        let readers = log::open_readers(&config.path).await.map_err(unavailable)?;
        let now = runtime.clock.now();
        let consumers = log::places(&mut connection)
            .await
            .map_err(unavailable)?
            .iter()
            .map(|place| ((place.stream, place.name.clone()), Arc::new(Consumer::restore(place, now))))
            .collect();
        let known = |_| Known { tail: Mutex::default(), last: watch::Sender::new(0), forgotten: AtomicU64::new(0) };
        let shared = Arc::new(Shared {
            streams: StreamName::ALL.into_iter().map(|name| (name, known(name))).collect(),
            readers,
            consumers: Mutex::new(consumers),
            seats: AtomicU64::new(1),
            clock: Arc::clone(&runtime.clock),
            metrics: BusMetrics::new(&runtime.metrics),
            max_bytes: config.max_bytes,
        });
        let writer =
            Writer::open(config.path.clone(), Arc::clone(&shared), connection, lock).await.map_err(unavailable)?;
        let (commands, queue) = mpsc::channel(QUEUE);
        // A group of its own, because it outlives the drain: others publish and acknowledge until their own end. It
        // ends when nobody is left who could ask it for anything.
        TaskGroup::stopping("event-bus", runtime.stop_signal().clone()).spawn(
            "writer",
            OnFailure::Stop,
            writer.run(queue),
        );
        Ok(Self(Embedded { shared, commands }))
    }
}

#[async_trait]
impl EventBus for EmbeddedBus {
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        callers: &[TraceParent],
    ) -> Result<Ack, Error> {
        self.0.publish_linked(subject, envelope, callers).await
    }

    async fn publish_many_linked(
        &self,
        messages: Vec<(Subject, Envelope)>,
        callers: &[TraceParent],
    ) -> Result<Vec<Ack>, Error> {
        self.0.publish_many(messages, callers).await
    }

    async fn subscribe(&self, spec: &ConsumerSpec) -> Result<Box<dyn Subscription>, Error> {
        let Some(known) = self.0.shared.streams.get(&spec.stream) else { return Err(Error::Closed) };
        let consumer = {
            let mut consumers = self.0.shared.consumers.lock();
            let key = (spec.stream, spec.name.to_string());
            let consumer = consumers.entry(key).or_insert_with(|| {
                let cursor = match spec.start {
                    Start::Oldest => 0,
                    Start::Newest => *known.last.borrow(),
                };
                Arc::new(Consumer::new(spec.stream, spec.name.to_string(), cursor))
            });
            Arc::clone(consumer)
        };
        consumer.filter_by(spec.filter.clone());
        self.0.save(&consumer).await?;
        let number = self.0.shared.seats.fetch_add(1, Ordering::Relaxed);
        if spec.exclusive {
            consumer.take_over(number);
        }
        Ok(Box::new(seat::Seat::new(number, spec.clone(), self.0.clone(), consumer, known.last.subscribe())))
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, Error> {
        self.0.lag(spec).await
    }

    fn durability(&self) -> Durability {
        Durability::Strong
    }

    fn name(&self) -> &'static str {
        SYSTEM
    }
}

impl Embedded {
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        callers: &[TraceParent],
    ) -> Result<Ack, Error> {
        let bytes = envelope.encode();
        let span = spans::producer(SYSTEM, subject, &envelope.id, 1, bytes.len(), callers);
        let message = Message { subject: subject.clone(), envelope, bytes, trace: trace::of(&span) };
        let started = Instant::now();
        let outcome = match self.write(vec![message]).instrument(span.clone()).await {
            Ok(acks) => acks.into_iter().next().ok_or(Error::Closed),
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(ack) => {
                span.record("setlist.stream.sequence", ack.sequence);
            }
            Err(error) => spans::failed(&span, error),
        }
        self.shared.metrics.published(subject.stream(), started.elapsed(), &outcome);
        outcome
    }

    async fn publish_many(
        &self,
        messages: Vec<(Subject, Envelope)>,
        callers: &[TraceParent],
    ) -> Result<Vec<Ack>, Error> {
        let Some((subject, first)) = messages.first() else { return Ok(Vec::new()) };
        let size = messages.iter().map(|(_, envelope)| envelope.payload.len()).sum();
        let span = spans::producer(SYSTEM, subject, &first.id, messages.len(), size, &[]);
        spans::link(&span, callers.iter());
        let trace = trace::of(&span);
        let (stream, started) = (subject.stream(), Instant::now());
        let messages = messages
            .into_iter()
            .map(|(subject, envelope)| Message { bytes: envelope.encode(), subject, envelope, trace: trace.clone() })
            .collect();
        let outcome = self.write(messages).instrument(span.clone()).await;
        match &outcome {
            Ok(acks) => {
                for ack in acks {
                    self.shared.metrics.published(ack.stream, started.elapsed(), &Ok(ack.clone()));
                }
            }
            Err(error) => {
                spans::failed(&span, error);
                self.shared.metrics.published(stream, started.elapsed(), &Err(error.clone()));
            }
        }
        outcome
    }

    async fn write(&self, messages: Vec<Message>) -> Result<Vec<Ack>, Error> {
        if let Some(large) = messages.iter().find(|message| message.bytes.len() > MOST_MESSAGE_BYTES) {
            return Err(Error::TooLarge { bytes: large.bytes.len(), limit: MOST_MESSAGE_BYTES });
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Publish { messages, reply }).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Writes a consumer's place, and returns when it is on disk.
    async fn save(&self, consumer: &Arc<Consumer>) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Save { consumer: Arc::clone(consumer), reply: Some(reply) };
        self.commands.send(command).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Writes a consumer's place soon.
    fn save_later(&self, consumer: &Arc<Consumer>) {
        // A full queue means that commits are under way; the next answer writes the place.
        let _full = self.commands.try_send(Command::Save { consumer: Arc::clone(consumer), reply: None });
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, Error> {
        let unavailable = |error| Error::unavailable("reading the event log", error);
        let consumer = self.shared.consumers.lock().get(&(spec.stream, spec.name.to_string())).cloned();
        let (Some(consumer), Some(known)) = (consumer, self.shared.streams.get(&spec.stream)) else {
            return Ok(Lag::default());
        };
        let (cursor, filter, waiting, oldest_waiting) = consumer.standing();
        let last = *known.last.borrow();
        let from = cursor.max(known.forgotten.load(Ordering::Relaxed));
        let unseen = self.unseen(spec.stream, cursor, last, filter.as_ref()).await?;
        let oldest = match oldest_waiting {
            Some(sequence) => log::message(&self.shared.readers, spec.stream, sequence).await.map_err(unavailable)?,
            None if unseen > 0 => {
                log::messages_after(&self.shared.readers, spec.stream, from, last, 1, filter.as_ref())
                    .await
                    .map_err(unavailable)?
                    .0
                    .pop()
            }
            None => None,
        };
        let now = self.shared.clock.now();
        Ok(Lag {
            pending: unseen + waiting as u64,
            oldest_age: oldest.map(|message| now.since(message.published_at)).unwrap_or_default(),
        })
    }
}

impl Embedded {
    /// How many messages lie after a place that a filter lets through.
    async fn unseen(
        &self,
        stream: StreamName,
        cursor: u64,
        last: u64,
        filter: Option<&crate::subjects::Filter>,
    ) -> Result<u64, Error> {
        let forgotten = self.shared.streams.get(&stream).map_or(0, |known| known.forgotten.load(Ordering::Relaxed));
        let from = cursor.max(forgotten);
        match filter {
            _ if from >= last => Ok(0),
            None => Ok(last - from),
            Some(filter) => log::count_after(&self.shared.readers, stream, from, filter)
                .await
                .map_err(|error| Error::unavailable("reading the event log", error)),
        }
    }
}

/// Takes the lock file beside the log.
async fn lock(path: &Path) -> Result<std::fs::File, Error> {
    let unavailable = |error: std::io::Error| Error::unavailable("locking the event log", error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(unavailable)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(unavailable)?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(unavailable(error)),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(Error::Misconfigured {
                    problem: format!(
                        "{} is open in another process; stop it, or give this one a path of its own",
                        path.display()
                    ),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_models::{SystemClock, TenantId, Timestamp};
    use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::subjects;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failed_commit_tells_everybody_and_the_log_recovers() {
        let folder = testkit::Folder::new().unwrap();
        let config = Config { path: folder.join("events.db"), ..Config::default() };
        let runtime = Runtime::new(Arc::new(SystemClock));
        let bus = EmbeddedBus::open(&config, &runtime).await.unwrap();
        let subject = subjects::events(&TenantId::new("demo").unwrap(), 0);
        let message = |text: &'static str| Envelope::new("test", 1, Timestamp(0), text);
        bus.publish(&subject, message("before")).await.unwrap();

        let mut stranger = SqliteConnectOptions::new().filename(&config.path).connect().await.unwrap();
        let blocking = stranger.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let failed = message("refused");
        let both = futures_util::future::join(
            bus.publish(&subject, failed.clone()),
            bus.publish_many(vec![(subject.clone(), message("refused too"))]),
        );
        let (one, many) = both.await;
        assert!(matches!(one, Err(Error::Unavailable { .. })), "{one:?}");
        assert!(matches!(many, Err(Error::Unavailable { .. })), "{many:?}");
        blocking.rollback().await.unwrap();

        let ack = bus.publish(&subject, failed).await.unwrap();
        assert_eq!((ack.sequence, ack.duplicate), (2, false), "nothing of the failure is left");
        let mut seat = bus.subscribe(&subjects::CANDIDATES_INTAKE).await.unwrap();
        let batch = seat.next_batch(10).await.unwrap();
        let texts: Vec<&[u8]> = batch.iter().map(|delivery| delivery.envelope.payload.as_ref()).collect();
        assert_eq!(texts, [b"before".as_slice(), b"refused"]);
    }
}
