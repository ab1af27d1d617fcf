//! What ranking promises: the ordered shelves of one page, in one call; and what made them.

use async_trait::async_trait;
use shared_models::{
    plan::RankQuery,
    slate::{ExplainQuery, Explanation, RankedPage},
};

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

    /// Ranks a page again, with the release it was ranked with or with another, and tells what made the scores of some
    /// rows. For questions about an answer, never on the way to one.
    ///
    /// # Errors
    /// As [`Ranking::rank`], and `not_found` for a release that is not there.
    async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Failure>;
}
