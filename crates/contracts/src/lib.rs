//! The contracts between the services: one domain trait each, and the gRPC form of it.
//!
//! A caller holds `Arc<dyn Candidates>` and cannot tell whether the service runs in its own process
//! or behind a network: the service itself and the client in [`grpc`] implement the same trait, and
//! answer and fail alike. Generated protobuf types stay inside this crate.
//!
//! This crate must never know what a service does, nor which of them call which.

mod failure;

mod candidates;
mod catalogue;
mod profiles;
mod ranking;
mod releases;

pub mod events;
pub mod records;

pub mod grpc;
pub mod in_process;

mod payload;

mod convert;
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "written by tonic-prost-build, which allows what it must"
)]
mod generated;

pub use candidates::Candidates;
pub use catalogue::{Catalogue, Put};
pub use convert::Malformed;
pub use failure::Failure;
pub use profiles::Profiles;
pub use ranking::Ranking;
pub use records::RecommendationRecord;
pub use releases::{ReleaseControl, ServingRelease};
pub use service_runtime::deadline::Deadline;
