//! The bus on NATS JetStream.
//!
//! A publish returns with the server's PubAck, and fails without one: a server whose disk is full answers nothing.
//! Streams and consumers are declared from `streams.toml` when they are first needed, and after every connection, so
//! that a service starts while NATS is away and goes on when a server comes back without its store.
//!
//! - `browse`: what an operator sees, and how a full stream makes room
//! - `declare`: streams and consumers
//! - `durability`: whether the server syncs before it acknowledges
//! - `publish`: sending, and sending again
//! - `seat`: a subscription
//! - `takeover`: how an exclusive seat changes hands

mod browse;
mod declare;
mod durability;
mod publish;
mod seat;
mod takeover;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, HeaderMap, HeaderValue, ServerAddr,
    jetstream::{self, Context, consumer::PullConsumer, context::ConsumerInfoErrorKind},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use service_runtime::{
    Runtime,
    health::Component,
    trace::{self, TraceParent},
};
use shared_models::{Clock, Timestamp};
use tokio::{sync::watch, time::Instant};
use tracing::Instrument as _;

use crate::{
    bus::{Ack, Durability, EventBus, Lag, Subscription},
    config::Config,
    envelope::Envelope,
    error::Error,
    metrics::BusMetrics,
    spans,
    subjects::{ConsumerSpec, Subject},
};

/// What the bus is called in traces.
const SYSTEM: &str = "nats";
/// How many published messages may wait for their PubAck.
const MOST_UNACKNOWLEDGED: usize = 8192;
/// How long the first connection may take before the service starts without it.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);

struct Shared {
    context: Context,
    client: Client,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: BusMetrics,
    /// The connection whose server is known to have the streams; 0 when none is.
    declared: AtomicU64,
    /// Whether it declares streams at all: an operator's look at the server changes nothing.
    declares: bool,
    /// When room was last made in a full stream.
    room_made: tokio::sync::Mutex<Option<Instant>>,
    /// Held while streams are declared, so that it happens once.
    declaring: tokio::sync::Mutex<()>,
    durability: Mutex<Durability>,
    health: Component,
    /// Counts connections, so that a seat asks anew after a lost one.
    connections: watch::Receiver<u64>,
}

/// The bus on NATS JetStream.
#[derive(Clone)]
pub struct JetStreamBus(Arc<Shared>);

impl JetStreamBus {
    /// Connects to the servers at `config.url`. When none answers soon, the bus goes on trying by itself, and
    /// publishing fails until then.
    ///
    /// # Errors
    /// When an address or the credentials cannot be read, or a server that answers is weak and must not be.
    pub async fn connect(config: &Config, runtime: &Runtime) -> Result<Self, Error> {
        Self::start(config, runtime, true).await
    }

    /// The same for an operator: it declares nothing, and a server that is away is an error.
    ///
    /// # Errors
    /// As [`JetStreamBus::connect`], or when no server answers soon.
    pub async fn look(config: &Config, runtime: &Runtime) -> Result<Self, Error> {
        let bus = Self::start(config, runtime, false).await?;
        if *bus.0.connections.borrow() == 0 {
            return Err(Error::unavailable("connecting to NATS", format!("{} does not answer", config.url)));
        }
        Ok(bus)
    }

    async fn start(config: &Config, runtime: &Runtime, declares: bool) -> Result<Self, Error> {
        let misconfigured = |problem: String| Error::Misconfigured { problem };
        let servers = config
            .url
            .split(',')
            .map(|url| url.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| misconfigured(format!("url {} cannot be read: {error}", config.url)))?;
        let (counter, connections) = watch::channel(0_u64);
        let health = runtime.health.component("event-bus");
        let events = health.clone();
        // The service answers without its bus, degraded: a lost connection does not take it out of traffic.
        health.ready();
        let mut options = ConnectOptions::new()
            .name("setlist")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(pause_before)
            .request_timeout(Some(config.publish_timeout))
            .event_callback(move |event| {
                heard(&event, &counter, &events);
                std::future::ready(())
            });
        if !config.credentials.as_os_str().is_empty() {
            options = options
                .credentials_file(&config.credentials)
                .await
                .map_err(|error| misconfigured(format!("credentials {}: {error}", config.credentials.display())))?;
        }
        let client = options.connect(servers).await.map_err(|error| Error::unavailable("connecting to NATS", error))?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(config.publish_timeout)
            .max_ack_inflight(MOST_UNACKNOWLEDGED)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let bus = Self(Arc::new(Shared {
            context,
            client,
            config: config.clone(),
            clock: Arc::clone(&runtime.clock),
            metrics: BusMetrics::new(&runtime.metrics),
            declared: AtomicU64::new(0),
            declares,
            room_made: tokio::sync::Mutex::new(None),
            declaring: tokio::sync::Mutex::new(()),
            durability: Mutex::new(Durability::Weak("NATS has not been reached yet".to_owned())),
            health,
            connections,
        }));
        let mut connected = bus.0.connections.clone();
        // What it waited for is let go of before the next wait: it must not travel between threads.
        let answers = tokio::time::timeout(FIRST_CONNECTION, connected.wait_for(|count| *count > 0)).await.is_ok();
        if answers {
            match bus.ready().await {
                // A cluster that is starting has no leader for a while: it is as good as away.
                Err(error) if declares && !matches!(error, Error::Misconfigured { .. }) => {
                    bus.0.health.detail("NATS answers, its streams do not");
                    tracing::warn!(url = config.url, %error, "NATS has no streams yet; the service starts without them");
                }
                outcome => outcome?,
            }
        } else {
            bus.0.health.detail("NATS is away");
            tracing::warn!(url = config.url, "NATS does not answer; the service starts without it");
        }
        Ok(bus)
    }

    /// Waits until the streams are declared, anew after a lost connection: a server may come back without its store.
    async fn ready(&self) -> Result<(), Error> {
        let connection = *self.0.connections.borrow();
        if self.0.declared.load(Ordering::Acquire) == connection && connection > 0 {
            return Ok(());
        }
        let _once = self.0.declaring.lock().await;
        if self.0.declared.load(Ordering::Acquire) == connection && connection > 0 {
            return Ok(());
        }
        if self.0.declares {
            declare::streams(&self.0.context, &self.0.config).await?;
        }
        let version = self.0.client.try_server_info().map(|info| info.version).unwrap_or_default();
        let durability = durability::of(&self.0.config, &version).await;
        self.0.metrics.durability(&durability);
        *self.0.durability.lock() = durability.clone();
        match durability {
            Durability::Strong => self.0.health.detail("connected to NATS; durability: strong"),
            Durability::Weak(reason) => {
                self.0.health.detail(format!("connected to NATS; durability: weak, {reason}"));
                if self.0.config.require_strong {
                    return Err(Error::weak(&reason));
                }
                tracing::warn!(bus = SYSTEM, reason, "event bus may lose acknowledged messages on power loss");
            }
        }
        self.0.declared.store(connection, Ordering::Release);
        Ok(())
    }
}

#[async_trait]
impl EventBus for JetStreamBus {
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        callers: &[TraceParent],
    ) -> Result<Ack, Error> {
        let bytes = envelope.encode();
        let span = spans::producer(SYSTEM, subject, &envelope.id, 1, bytes.len(), callers);
        let trace = trace::of(&span);
        let started = Instant::now();
        let outcome = self.publish_one(subject, &envelope.id, &trace, bytes).instrument(span.clone()).await;
        match &outcome {
            Ok(ack) => {
                span.record("setlist.stream.sequence", ack.sequence);
            }
            Err(error) => spans::failed(&span, error),
        }
        self.0.metrics.published(subject.stream(), started.elapsed(), &outcome);
        outcome
    }

    async fn publish_many_linked(
        &self,
        messages: Vec<(Subject, Envelope)>,
        callers: &[TraceParent],
    ) -> Result<Vec<Ack>, Error> {
        let Some((subject, first)) = messages.first() else { return Ok(Vec::new()) };
        let size = messages.iter().map(|(_, envelope)| envelope.payload.len()).sum();
        let span = spans::producer(SYSTEM, subject, &first.id, messages.len(), size, &[]);
        spans::link(&span, callers.iter());
        let trace = trace::of(&span);
        let started = Instant::now();
        let outcome = self.publish_in_order(&messages, &trace).instrument(span.clone()).await;
        match &outcome {
            Ok(acks) => {
                for ack in acks {
                    self.0.metrics.published(ack.stream, started.elapsed(), &Ok(ack.clone()));
                }
            }
            Err(error) => {
                spans::failed(&span, error);
                self.0.metrics.published(subject.stream(), started.elapsed(), &Err(error.clone()));
            }
        }
        outcome
    }

    async fn subscribe(&self, spec: &ConsumerSpec) -> Result<Box<dyn Subscription>, Error> {
        self.ready().await?;
        let consumer = declare::consumer(&self.0.context, spec).await?;
        let mut seat = seat::Seat::new(self.clone(), spec.clone(), consumer);
        seat.settle().await?;
        Ok(Box::new(seat))
    }

    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, Error> {
        self.ready().await?;
        let stream = self
            .0
            .context
            .get_stream_no_info(spec.stream.as_str())
            .await
            .map_err(|error| Error::unavailable("reading a stream", error))?;
        let info = match stream.consumer_info(spec.name.as_ref()).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => return Ok(Lag::default()),
            Err(error) => return Err(Error::unavailable("reading a consumer", error)),
        };
        let pending = info.num_pending + info.num_ack_pending as u64;
        if pending == 0 {
            return Ok(Lag::default());
        }
        let subjects = match &spec.filter {
            Some(filter) => filter.as_str(),
            None => spec.stream.spec().subjects.as_str(),
        };
        let oldest = stream
            .raw_message_builder()
            .sequence(info.ack_floor.stream_sequence + 1)
            .next_by_subject(subjects)
            .send()
            .await;
        // The message may have been forgotten between the two questions: then the age is not known, and 0.
        let oldest_age = oldest.map(|message| self.0.clock.now().since(milliseconds(message.time))).unwrap_or_default();
        Ok(Lag { pending, oldest_age })
    }

    fn durability(&self) -> Durability {
        self.0.durability.lock().clone()
    }

    fn name(&self) -> &'static str {
        SYSTEM
    }
}

/// How long to wait before a server is tried: doubling, and never the same for all clients of a server that is back.
fn pause_before(attempt: usize) -> Duration {
    let most = Duration::from_millis(50 * 2_u64.pow(attempt.min(6) as u32));
    // The low bits of such an id are random.
    let share = (uuid::Uuid::now_v7().as_u128() & 0xffff) as f64 / f64::from(0xffff_u32);
    most.mul_f64(0.5 + share / 2.0)
}

fn milliseconds(time: async_nats::datetime::DateTime) -> Timestamp {
    Timestamp(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

fn headers(id: &str, trace: &TraceParent) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let value: HeaderValue =
        id.parse().map_err(|_| Error::Misconfigured { problem: "an envelope's id holds a line break".to_owned() })?;
    headers.insert("Nats-Msg-Id", value);
    trace::inject(trace, &mut |name, value| {
        // What the tracer writes has no line breaks; if it had, the message matters more than its trace.
        if let Ok(value) = value.parse::<HeaderValue>() {
            headers.insert(name, value);
        }
    });
    Ok(headers)
}

fn heard(event: &Event, connections: &watch::Sender<u64>, health: &Component) {
    match event {
        Event::Connected => {
            connections.send_modify(|count| *count += 1);
            health.detail("connected to NATS");
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => {
            health.detail("NATS is away");
            tracing::warn!("connection to NATS is lost");
        }
        other => tracing::warn!(event = %other, "NATS reports a problem"),
    }
}

/// What a seat needs of the bus.
impl JetStreamBus {
    fn connections(&self) -> watch::Receiver<u64> {
        self.0.connections.clone()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn client(&self) -> &Client {
        &self.0.client
    }

    /// The consumer anew, after the server forgot it.
    async fn redeclare(&self, spec: &ConsumerSpec) -> Result<PullConsumer, Error> {
        declare::consumer(&self.0.context, spec).await
    }
}
