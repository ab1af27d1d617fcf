//! What can go wrong with a page, and how a caller sees it. It must hold no internals of a release.

use contracts::Failure;
use shared_models::{ErrorCode, ShelfId, degraded::DegradedCause};

/// Why a page was not ranked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table contradicts itself.
    #[error("candidate table is inconsistent: {detail}")]
    Table {
        /// The first inconsistency.
        detail: String,
    },
    /// There are more candidates than this service takes.
    #[error("page has {given} candidates, at most {limit} are ranked")]
    TooMany {
        /// How many there are.
        given: usize,
        /// How many are taken.
        limit: usize,
    },
    /// A shelf names a row that the table does not have, or one twice.
    #[error("shelf {shelf} names row {row}, which is past the table's {rows} rows or named twice")]
    Row {
        /// Which shelf.
        shelf: ShelfId,
        /// Which row.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// A shelf reads a source that the table does not have.
    #[error("shelf {shelf} reads source {source_index}, the table has {sources}")]
    Source {
        /// Which shelf.
        shelf: ShelfId,
        /// Which index.
        source_index: u16,
        /// How many there are.
        sources: usize,
    },
    /// A number of a shelf's plan is outside its range.
    #[error("{key} of shelf {shelf} is {given}, expected {expected}")]
    Plan {
        /// Which shelf.
        shelf: ShelfId,
        /// Which number.
        key: &'static str,
        /// What was given.
        given: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Two shelves have one name.
    #[error("shelf {shelf} is on the page twice")]
    Shelf {
        /// Which.
        shelf: ShelfId,
    },
    /// A row is asked about that the table does not have.
    #[error("rows holds {row}, which is past the table's {rows} rows")]
    Unknown {
        /// Which row.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// The deadline passed.
    #[error("deadline passed before the page was ranked")]
    Deadline,
    /// A required stage failed.
    #[error("a required stage failed")]
    Stage(#[source] pipeline::Failure),
    /// A release cannot be used.
    #[error("release cannot be used")]
    Release(#[source] releases::Error),
    /// A release's scorer cannot be used by this code.
    #[error("scorer of the release cannot be used: {0}")]
    Scorer(#[source] crate::scorers::document::Error),
    /// Work on the blocking pool broke off.
    #[error("background work broke off")]
    Background,
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Table { .. }
            | Self::TooMany { .. }
            | Self::Row { .. }
            | Self::Source { .. }
            | Self::Plan { .. }
            | Self::Unknown { .. }
            | Self::Shelf { .. } => ErrorCode::InvalidArgument,
            Self::Scorer(error) => error.code(),
            Self::Deadline => ErrorCode::DeadlineExceeded,
            Self::Stage(failure) => match failure.cause {
                DegradedCause::Timeout | DegradedCause::Skipped => ErrorCode::DeadlineExceeded,
                DegradedCause::Unavailable | DegradedCause::NoRelease => ErrorCode::Unavailable,
                DegradedCause::Failed => ErrorCode::Internal,
            },
            Self::Release(error) => error.code(),
            Self::Background => ErrorCode::Internal,
        }
    }

    /// The stable name of the failure, for callers to match on.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Table { .. } => "inconsistent_table",
            Self::TooMany { .. } => "too_many_candidates",
            Self::Row { .. } => "unknown_row",
            Self::Source { .. } => "unknown_source",
            Self::Plan { .. } => "invalid_plan",
            Self::Unknown { .. } => "unknown_row",
            Self::Scorer(_) => "unusable_scorer",
            Self::Shelf { .. } => "duplicate_shelf",
            Self::Deadline => "deadline_passed",
            Self::Stage(_) => "stage_failed",
            Self::Release(error) => error.reason(),
            Self::Background => "background_failed",
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match &error {
            // What is wrong with a release is the caller's business: it named the release.
            Error::Release(cause) => cause.to_string(),
            other => other.to_string(),
        };
        Self::new(error.code(), error.reason(), message)
    }
}
