//! What every service with model artefacts promises: which release serves, and how to change it.

use async_trait::async_trait;
use shared_models::{ReleaseId, TenantId, Timestamp};

use crate::{Deadline, Failure};

/// Which release a service serves a tenant from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingRelease {
    /// The release in use; `None` before the first.
    pub live: Option<ReleaseId>,
    /// The one before it, kept in memory for rollback.
    pub previous: Option<ReleaseId>,
    /// Since when `live` serves.
    pub since: Option<Timestamp>,
}

/// Shows and changes the release a service serves from.
#[async_trait]
pub trait ReleaseControl: Send + Sync {
    /// The release in use.
    ///
    /// # Errors
    /// `unavailable`, `deadline_exceeded`, `internal`.
    async fn status(&self, tenant: &TenantId, deadline: Deadline) -> Result<ServingRelease, Failure>;

    /// Loads, verifies and swaps in a release. On any failure the one in use stays.
    ///
    /// # Errors
    /// `not_found`, `invalid_argument` for a release that does not verify, `deadline_exceeded`,
    /// `unavailable`, `internal`.
    async fn activate(&self, tenant: &TenantId, id: &ReleaseId, deadline: Deadline) -> Result<(), Failure>;
}
