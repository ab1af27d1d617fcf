//! The bus as an operator sees it: what lies in the streams, how far each consumer is, and the way to take something
//! out. Services never need it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use service_runtime::Runtime;
use shared_models::Timestamp;

use crate::{
    bus::EventBus,
    config::{Config, Kind},
    embedded::EmbeddedBus,
    envelope::Envelope,
    error::Error,
    jetstream::JetStreamBus,
    subjects::{Filter, StreamName},
};

/// A message as a stream keeps it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where it was published.
    pub subject: String,
    /// Its number.
    pub sequence: u64,
    /// When the bus took it, by the bus's clock.
    pub published_at: Timestamp,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Kept {
    /// The envelope.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when the bytes are none.
    pub fn envelope(&self) -> Result<Envelope, Error> {
        Envelope::decode(self.bytes.clone())
    }
}

/// How a stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStanding {
    /// Which stream.
    pub name: StreamName,
    /// How many messages it keeps.
    pub messages: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// How many bytes it may keep.
    pub max_bytes: u64,
    /// The number of the oldest message; one more than `last` when there is none.
    pub first: u64,
    /// The newest number that was given.
    pub last: u64,
    /// When the oldest message was taken; `None` when there is none.
    pub first_at: Option<Timestamp>,
    /// How many servers keep it.
    pub replicas: usize,
    /// The server that leads it, where there are several.
    pub leader: Option<String>,
    /// The servers that keep it and are behind or away.
    pub behind: Vec<String>,
    /// Its consumers, by name.
    pub consumers: Vec<ConsumerStanding>,
}

/// How a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStanding {
    /// Its name on the stream.
    pub name: String,
    /// Which subjects it sees; `None` is all.
    pub filter: Option<String>,
    /// How many messages it has not been given yet.
    pub unseen: u64,
    /// How many messages it was given and has not answered.
    pub unanswered: u64,
    /// Every message up to here is dealt with.
    pub floor: u64,
}

impl ConsumerStanding {
    /// How many messages it has not dealt with.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.unseen + self.unanswered
    }
}

/// What an operator may do with a bus, besides what a service does.
#[async_trait]
pub trait Browse: EventBus {
    /// Up to `limit` messages of a stream after a number, in their order, of the subjects that `filter` lets through.
    ///
    /// # Errors
    /// When the bus is away.
    async fn read(
        &self,
        stream: StreamName,
        after: u64,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Kept>, Error>;

    /// Removes a message, for good, before any consumer that has not seen it; whether it was there. Its number is not
    /// given again.
    ///
    /// # Errors
    /// When the bus is away; the message may be gone all the same.
    async fn delete(&self, stream: StreamName, sequence: u64) -> Result<bool, Error>;

    /// How every stream stands, with its consumers. A stream that nobody has made yet is left out.
    ///
    /// # Errors
    /// When the bus is away.
    async fn standing(&self) -> Result<Vec<StreamStanding>, Error>;
}

/// Opens the bus that `config` names for an operator: nothing is declared or changed by opening it.
///
/// # Errors
/// When it cannot be opened or reached now; an embedded log that a running process has open cannot.
pub async fn look(config: &Config, runtime: &Runtime) -> Result<Arc<dyn Browse>, Error> {
    Ok(match config.kind {
        Kind::Nats => Arc::new(JetStreamBus::look(config, runtime).await?),
        Kind::Embedded => Arc::new(EmbeddedBus::open(config, runtime).await?),
    })
}
