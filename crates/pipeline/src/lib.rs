//! The verbs of the request path: what a stage is, and the two runners that put stages in order.
//!
//! The runners own order, budgets, spans, counts and `degraded`; a component owns one decision. This
//! crate must never know product rules, clients, SQL or the wire.
//!
//! *Candidates:* sources (each with its own limit and budget) → merge by key, keeping every source's
//! rank and score → hydrators (each returns a patch) → filters in turn, first drop wins → cap.
//!
//! *Ranking:* features → predict → blend → order of the groups → adjust → select.
//!
//! # Laws
//! Each is a property test beside its runner.
//! 1. Nothing is lost: merged = kept + dropped for every group; given = chosen + reserve + unscored.
//! 2. Nothing is twice on a page.
//! 3. Same query, data and seed give the same answer; ties are broken by key.
//! 4. A best-effort failure changes only its own contribution, and shows in `degraded`.
//! 5. A required failure fails the run, within the deadline.
//! 6. Every drop has a reason from a closed list.
//! 7. A number that is not finite never becomes a score.

pub mod stage;

pub mod candidates;
pub mod ranking;

pub mod metrics;
pub mod score;

#[cfg(test)]
mod spans;

pub use metrics::StageMetrics;
pub use score::Score;
pub use stage::{Failure, Need, Patch, StageResult, Step};
