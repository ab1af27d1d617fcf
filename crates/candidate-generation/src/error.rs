//! What can go wrong with a call, and how a caller sees it. It must hold no internals of the store.

use contracts::Failure;
use shared_models::{ErrorCode, ItemId, ShelfId, component::SourceName, degraded::DegradedCause};

use crate::store;

/// Why a call was not answered, or the service not built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A plan names one source with the same settings twice.
    #[error("source {source_name} stands in the plan twice")]
    Twice {
        /// Which.
        source_name: SourceName,
    },
    /// A plan asks a source for too many candidates, or for none.
    #[error("limit of source {source_name} is {limit}, give 1 to 2000")]
    Limit {
        /// Which.
        source_name: SourceName,
        /// What was given.
        limit: u32,
    },
    /// A shelf uses a source that the plan does not have.
    #[error("shelf {shelf} uses source {index}, the plan has {sources}")]
    Source {
        /// Which shelf.
        shelf: ShelfId,
        /// Which index.
        index: u16,
        /// How many there are.
        sources: usize,
    },
    /// A required stage failed.
    #[error("a required stage failed")]
    Stage(#[source] pipeline::Failure),
    /// The deadline passed.
    #[error("deadline passed before the work was done")]
    Deadline,
    /// There is no such item.
    #[error("item {id} is not in the catalogue")]
    NoItem {
        /// Which.
        id: ItemId,
    },
    /// Nobody has heard of the user.
    #[error("user is not known")]
    NoUser,
    /// Another id has the item's key.
    #[error("item {id} has the key of another item, choose another id")]
    KeyTaken {
        /// Which.
        id: ItemId,
    },
    /// An item breaks a rule.
    #[error("{field} of item {id} is {given}, expected {expected}")]
    Item {
        /// Which.
        id: ItemId,
        /// Which field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What would be right.
        expected: &'static str,
    },
    /// More items at once than are taken.
    #[error("{given} items were given, at most {limit} are taken at once")]
    TooMany {
        /// How many were given.
        given: usize,
        /// How many are taken.
        limit: usize,
    },
    /// The store failed.
    #[error("store failed")]
    Store(#[from] store::Error),
    /// The store is known to be away and was not asked.
    #[error("store is away")]
    StoreAway(#[from] service_runtime::client::Open),
    /// A release cannot be used.
    #[error("release cannot be used")]
    Release(#[source] releases::Error),
    /// Work on the blocking pool broke off.
    #[error("background work broke off")]
    Background,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Twice { .. } | Self::Limit { .. } | Self::Source { .. } | Self::Item { .. } => {
                ErrorCode::InvalidArgument
            }
            Self::Stage(failure) => match failure.cause {
                DegradedCause::Timeout | DegradedCause::Skipped => ErrorCode::DeadlineExceeded,
                DegradedCause::Unavailable | DegradedCause::NoRelease => ErrorCode::Unavailable,
                DegradedCause::Failed => ErrorCode::Internal,
            },
            Self::Deadline => ErrorCode::DeadlineExceeded,
            Self::NoItem { .. } | Self::NoUser => ErrorCode::NotFound,
            Self::KeyTaken { .. } => ErrorCode::Conflict,
            Self::TooMany { .. } => ErrorCode::ResourceExhausted,
            Self::Store(error) => error.code(),
            Self::StoreAway(_) => ErrorCode::Unavailable,
            Self::Release(error) => error.code(),
            Self::Background => ErrorCode::Internal,
        }
    }

    /// The stable name of the failure, for callers to match on.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Twice { .. } => "duplicate_source",
            Self::Limit { .. } => "invalid_limit",
            Self::Source { .. } => "unknown_source",
            Self::Stage(_) => "stage_failed",
            Self::Deadline => "deadline_passed",
            Self::NoItem { .. } => "item_not_found",
            Self::NoUser => "user_not_found",
            Self::KeyTaken { .. } => "item_key_taken",
            Self::Item { .. } => "invalid_item",
            Self::TooMany { .. } => "too_many_items",
            Self::Store(_) => "store_failed",
            Self::StoreAway(_) => service_runtime::client::CIRCUIT_OPEN,
            Self::Release(error) => error.reason(),
            Self::Background => "background_failed",
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match &error {
            // What is wrong with a release is the caller's business: it named the release.
            Error::Release(cause) => service_runtime::tasks::chain(cause),
            other => other.to_string(),
        };
        Self::new(error.code(), error.reason(), message)
    }
}
