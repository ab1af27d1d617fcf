//! The bus as its users see it: publish, subscribe, answer.
//!
//! This file must not know how messages are kept.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use service_runtime::{Runtime, trace::TraceParent};
use shared_models::Timestamp;

use crate::{
    config::{Config, Kind},
    embedded::EmbeddedBus,
    envelope::Envelope,
    error::Error,
    jetstream::JetStreamBus,
    subjects::{ConsumerSpec, StreamName, Subject},
};

/// The word of the bus that a message is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream that keeps it.
    pub stream: StreamName,
    /// Its number there.
    pub sequence: u64,
    /// Whether it was there already, under the same envelope id.
    pub duplicate: bool,
}

/// A message on its way to a handler.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where it was published.
    pub subject: Subject,
    /// The stream that keeps it.
    pub stream: StreamName,
    /// Its number there. Numbers rise, and may skip.
    pub sequence: u64,
    /// Which delivery of it to this consumer this is, from 1.
    pub attempt: u32,
    /// The message.
    pub envelope: Envelope,
    /// The trace context of its publisher.
    pub trace: TraceParent,
    /// When the bus took it, by the bus's clock.
    pub published_at: Timestamp,
}

/// How far a consumer is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// How many messages it has not answered yet.
    pub pending: u64,
    /// How long the oldest of them has been waiting.
    pub oldest_age: Duration,
}

/// What an acknowledged message survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of any process, and a power cut.
    Strong,
    /// Less, or nobody knows; the reason says what is missing.
    Weak(String),
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strong => f.write_str("strong"),
            Self::Weak(reason) => write!(f, "weak: {reason}"),
        }
    }
}

/// A durable log of messages.
#[async_trait]
pub trait EventBus: Send + Sync {
    /// Publishes a message, and returns when it is on disk.
    ///
    /// Opens a PRODUCER span, whose context travels with the message.
    ///
    /// # Errors
    /// When the bus does not say that the message is kept. It may be kept all the same: publishing it again with
    /// the same id is free.
    async fn publish(&self, subject: &Subject, envelope: Envelope) -> Result<Ack, Error> {
        self.publish_linked(subject, envelope, &[]).await
    }

    /// The same for a message that carries the work of several callers: their trace contexts become links of the
    /// PRODUCER span.
    ///
    /// # Errors
    /// As [`EventBus::publish`].
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        callers: &[TraceParent],
    ) -> Result<Ack, Error>;

    /// Publishes many messages, in their order, and returns when all are on disk. Faster than one by one.
    ///
    /// # Errors
    /// As [`EventBus::publish`]; some of the messages may be kept, and publishing all again is free.
    async fn publish_many(&self, messages: Vec<(Subject, Envelope)>) -> Result<Vec<Ack>, Error> {
        self.publish_many_linked(messages, &[]).await
    }

    /// The same for messages that come of several callers' work: their trace contexts become links of the PRODUCER
    /// span, which belongs to none of their traces.
    ///
    /// # Errors
    /// As [`EventBus::publish_many`].
    async fn publish_many_linked(
        &self,
        messages: Vec<(Subject, Envelope)>,
        callers: &[TraceParent],
    ) -> Result<Vec<Ack>, Error> {
        // Sent one by one, messages have no span in common that could carry links.
        let _ = callers;
        let mut acks = Vec::with_capacity(messages.len());
        for (subject, envelope) in messages {
            acks.push(self.publish(&subject, envelope).await?);
        }
        Ok(acks)
    }

    /// Takes a seat at a consumer; the consumer is made when it is new.
    ///
    /// # Errors
    /// When the bus is away, or the consumer exists with a filter that cannot be changed.
    async fn subscribe(&self, consumer: &ConsumerSpec) -> Result<Box<dyn Subscription>, Error>;

    /// How far a consumer is behind. A consumer that does not exist is behind by nothing.
    ///
    /// # Errors
    /// When the bus is away.
    async fn lag(&self, consumer: &ConsumerSpec) -> Result<Lag, Error>;

    /// What an acknowledged message survives.
    fn durability(&self) -> Durability;

    /// Which bus this is, as traces name it: `sqlite` or `nats`.
    fn name(&self) -> &'static str;
}

/// A seat at a consumer.
///
/// Every delivered message is answered by its number: acknowledged, put off, or rejected. What is not answered
/// within the consumer's `ack_wait` is delivered again, here or at another seat.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for messages, and gives 1 to `max` of them in stream order, redelivered ones first. Nothing is lost
    /// when the future is dropped.
    ///
    /// A message that was delivered `max_deliver` times without an answer goes to the dead letters instead.
    ///
    /// # Errors
    /// When the bus is away.
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Error>;

    /// The messages are dealt with. Returns when the bus knows it for good.
    ///
    /// # Errors
    /// When the bus is away; the messages will be delivered again.
    async fn ack(&mut self, sequences: &[u64]) -> Result<(), Error>;

    /// The message is to be delivered again after a while.
    ///
    /// # Errors
    /// When the bus is away; the message will be delivered again after `ack_wait`.
    async fn retry(&mut self, sequence: u64, after: Duration) -> Result<(), Error>;

    /// The message can never be dealt with: it goes to the dead letters with `reason`, and is then acknowledged.
    ///
    /// # Errors
    /// When the bus is away; the message will be delivered again.
    async fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), Error>;

    /// The messages are still being worked on: their `ack_wait` begins anew.
    ///
    /// # Errors
    /// When the bus is away.
    async fn extend(&mut self, sequences: &[u64]) -> Result<(), Error>;

    /// Gives the seat up: what it holds unanswered is free for other seats at once.
    async fn close(self: Box<Self>);
}

/// Opens the bus that `config` names.
///
/// # Errors
/// When it cannot be opened or reached, or when it is weak and `config` requires a strong one.
pub async fn open(config: &Config, runtime: &Runtime) -> Result<Arc<dyn EventBus>, Error> {
    match config.kind {
        // Judges its servers at each connection by itself.
        Kind::Nats => Ok(Arc::new(JetStreamBus::connect(config, runtime).await?)),
        Kind::Embedded => {
            let bus = EmbeddedBus::open(config, runtime).await?;
            match bus.durability() {
                Durability::Weak(reason) if config.require_strong => return Err(Error::weak(&reason)),
                Durability::Weak(reason) => {
                    tracing::warn!(bus = bus.name(), reason, "event bus may lose acknowledged messages on power loss");
                }
                Durability::Strong => {}
            }
            Ok(Arc::new(bus))
        }
    }
}
