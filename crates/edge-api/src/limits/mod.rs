//! What a client may use of this process: how often it asks, how fast it sends, how much it has in hand at once.
//!
//! - `class`: who is refused first
//! - `rule`: how many may be in hand; `pulse` and `turns`: how long work waits; `pool` and `admission`: who gets a seat
//! - `bodies`: how fast and how much is sent
//! - `quota`: how often is asked
//!
//! Must not know routes.

mod admission;
mod bodies;
mod class;
mod pool;
mod pulse;
mod quota;
mod rule;
mod turns;

use std::time::Duration;

pub(crate) use admission::{Admission, Waited, Worked};
pub(crate) use bodies::Bodies;
pub(crate) use class::Class;
pub(crate) use quota::{Allowance, Quotas};
use shared_models::ErrorCode;

use crate::problem::Problem;

/// The refusal of what is too much just now. Who is refused together does not come back together.
fn overloaded(detail: &'static str) -> Problem {
    let pause = Duration::from_secs(rand::random_range(1..=3));
    Problem::new(ErrorCode::ResourceExhausted, "overloaded", detail).retry_after(pause)
}
