//! What a client may use of this process: how often it asks, how fast it sends, how much it has in hand at once.
//!
//! Must not know routes.

mod admission;
mod bodies;
mod quota;

pub(crate) use admission::Admission;
pub(crate) use bodies::Bodies;
pub(crate) use quota::{Allowance, Quotas};
