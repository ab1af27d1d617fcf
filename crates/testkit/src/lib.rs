//! What tests share: real processes on free ports, a collector that remembers, folders that vanish.
//!
//! This crate is a dependency of tests only. What it starts is real (no mocks), and what is missing on the machine
//! fails loudly with what to do. It must never know the code of a service: `cluster` knows services as programs with a
//! command line and a configuration.

pub mod abuse;
pub mod cluster;
pub mod folder;
pub mod nats;
pub mod nats_cluster;
pub mod otlp;
pub mod ports;
pub mod postgres;
pub mod process;
mod signals;
pub mod tools;
pub mod volume;

pub use cluster::Cluster;
pub use folder::Folder;
pub use nats::NatsServer;
pub use nats_cluster::NatsCluster;
pub use otlp::Collector;
pub use postgres::Postgres;
pub use process::Process;
pub use volume::Volume;
