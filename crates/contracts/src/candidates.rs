//! What candidate-generation promises: the candidates of one page, in one call.

use async_trait::async_trait;
use shared_models::{candidates::CandidateSet, plan::CandidateQuery};

use crate::{Deadline, Failure};

/// Gathers and filters the candidates of a page.
#[async_trait]
pub trait Candidates: Send + Sync {
    /// The candidates of all shelves of one page, with the facts ranking needs and the listener's
    /// context. A source that fails or is slow shows in `degraded`; it does not fail the call.
    ///
    /// # Errors
    /// `invalid_argument` for a plan that contradicts itself, `deadline_exceeded`, `unavailable`,
    /// `internal`.
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure>;
}
