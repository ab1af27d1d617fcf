//! The platform standard every service starts from: configuration, telemetry, trace carriers, health, deadlines,
//! task groups, servers and an orderly stop.
//!
//! This crate must never know which service it runs.
//!
//! Modules stand in the order in which a starting service meets them.

pub mod cli;
pub mod probe;
pub mod process;

pub mod config;
pub mod reload;

pub mod telemetry;
pub mod trace;

pub mod runtime;

pub mod health;
pub mod metrics;
pub mod tasks;
mod usage;

pub mod listen;

pub mod client;
pub mod grpc;
pub mod layers;
pub mod ops;

pub mod deadline;
mod pulse;

pub use deadline::Deadline;
pub use health::Health;
pub use metrics::Metrics;
pub use runtime::{Runtime, TaskGroups};
pub use tasks::{OnFailure, TaskGroup};
pub use tokio_util::sync::CancellationToken;
