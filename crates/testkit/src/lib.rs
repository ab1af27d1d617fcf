//! What tests share: real processes on free ports, a collector that remembers, folders that vanish.
//!
//! This crate is a dependency of tests only. It must never know a service; what it starts is real (no mocks), and
//! what is missing on the machine fails loudly with what to do.

pub mod folder;
pub mod nats;
pub mod nats_cluster;
pub mod otlp;
pub mod ports;
pub mod postgres;
pub mod tools;

pub use folder::Folder;
pub use nats::NatsServer;
pub use nats_cluster::NatsCluster;
pub use otlp::Collector;
pub use postgres::Postgres;
