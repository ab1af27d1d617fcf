//! The closed set of failures that cross a service's boundary.
//!
//! The two total maps (gRPC status, HTTP status) live once each, in `contracts` and `edge-api`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure this is, for a caller that must decide what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is wrong in itself; the same request will fail again.
    InvalidArgument,
    /// Nobody knows who is calling.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// What was asked for does not exist.
    NotFound,
    /// The thing has changed, or another one stands in its place; read it, then decide.
    Conflict,
    /// A quota or a queue is full; come back after the given delay.
    ResourceExhausted,
    /// A defect of ours.
    Internal,
    /// A dependency is away; retry with backoff.
    Unavailable,
    /// The deadline passed before the work was done.
    DeadlineExceeded,
}

impl ErrorCode {
    /// All codes, in the order of the table in `docs/architecture.md`.
    pub const ALL: [Self; 9] = [
        Self::InvalidArgument,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Conflict,
        Self::ResourceExhausted,
        Self::Internal,
        Self::Unavailable,
        Self::DeadlineExceeded,
    ];

    /// The code as it stands in logs, metrics and problem bodies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    /// Whether the same request may succeed if it is sent again.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::ResourceExhausted | Self::Unavailable | Self::DeadlineExceeded)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
