//! The event bus as its users see it: both buses against one suite, and what only one of them can show.
//!
//! JetStream is a real nats-server; `scripts/nats-server` gets one.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod conformance;
mod embedded;
mod golden;
mod group_commit;
mod jetstream;
mod operators;
mod rig;
mod traces;
