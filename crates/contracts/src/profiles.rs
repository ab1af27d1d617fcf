//! What the profiles promise: a summary for people, and the attributes a tenant sets.

use async_trait::async_trait;
use shared_models::{
    TenantId, UserId,
    listener::{UserAttributes, UserSummary},
};

use crate::{Deadline, Failure};

/// Keeps what the platform knows of users.
#[async_trait]
pub trait Profiles: Send + Sync {
    /// A summary of one user's profile.
    ///
    /// # Errors
    /// `not_found`, `unavailable`, `deadline_exceeded`, `internal`.
    async fn user(&self, tenant: &TenantId, id: &UserId, deadline: Deadline) -> Result<UserSummary, Failure>;

    /// Writes what the tenant tells of a user; what was folded from events stays.
    ///
    /// # Errors
    /// `invalid_argument`, `unavailable`, `deadline_exceeded`, `internal`.
    async fn put_user(&self, tenant: &TenantId, attributes: UserAttributes, deadline: Deadline) -> Result<(), Failure>;
}
