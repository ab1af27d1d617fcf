//! Streams of events between the services: what is on them, and how to publish, consume and acknowledge.
//!
//! Two buses stand behind one trait: an embedded durable log, and NATS JetStream. What one promises the other
//! promises; `tests/it/conformance.rs` holds both to it. This crate must never know who publishes or consumes,
//! nor what a payload means.
//!
//! The promise: [`EventBus::publish`] returns only when the message is on disk; a consumer sees every message
//! at least once. Counting a message once is the consumer's part, in the transaction that holds its effects.
//!
//! Modules stand in the order in which a message meets them.
#![warn(missing_docs)]

pub mod config;
pub mod error;

pub mod envelope;

pub mod consumers;
mod declared;
pub mod streams;
pub mod subjects;

pub mod browse;
pub mod bus;

pub mod group_commit;
pub mod spans;

pub mod embedded;
pub mod jetstream;

pub mod consume;
pub mod dead;

pub mod metrics;

pub use browse::{Browse, Kept, look};
pub use bus::{Ack, Delivery, Durability, EventBus, Lag, Subscription, open};
pub use config::{Config, Kind};
pub use consume::{Handler, Outcome, consume};
pub use envelope::{DeadLetter, Envelope};
pub use error::Error;
pub use group_commit::GroupCommit;
pub use metrics::ConsumerMetrics;
pub use subjects::{ConsumerSpec, StreamName, Subject};
