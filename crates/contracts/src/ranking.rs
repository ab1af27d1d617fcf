//! What ranking promises: the ordered shelves of one page, in one call.

use async_trait::async_trait;
use shared_models::{plan::RankQuery, slate::RankedPage};

use crate::{Deadline, Failure};

/// Scores candidates and arranges them into slates.
#[async_trait]
pub trait Ranking: Send + Sync {
    /// The slates of one page in page order, each card with score, propensity, predictions and
    /// reason. The same query and release give the same answer, bit for bit.
    ///
    /// # Errors
    /// `invalid_argument` for a table or a plan that contradicts itself, `deadline_exceeded`,
    /// `unavailable`, `internal`.
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure>;
}
