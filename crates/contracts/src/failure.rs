//! What a caller learns when a call fails: a closed code to act on, a stable reason to match on, and
//! a text that is safe to show. It must never carry another service's internals.

use std::{borrow::Cow, time::Duration};

use shared_models::ErrorCode;

/// The reason given where a deadline passed.
pub(crate) const DEADLINE_PASSED: &str = "deadline_passed";

/// A failed call, the same in process and over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure this is, for a caller that must decide what to do.
    pub code: ErrorCode,
    /// Which failure it is, in `snake_case`: stable, documented, what clients match on.
    pub reason: Cow<'static, str>,
    /// A text for people that holds nothing they may not see.
    pub message: String,
    /// When to come back, where the service knows.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with a code, a stable reason and a safe text.
    #[must_use]
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), retry_after: None }
    }

    /// The request is wrong in itself.
    #[must_use]
    pub fn invalid_argument(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, reason, message)
    }

    /// What was asked for does not exist.
    #[must_use]
    pub fn not_found(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, reason, message)
    }

    /// The thing has changed, or another one stands in its place.
    #[must_use]
    pub fn conflict(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, reason, message)
    }

    /// A quota or a queue is full; come back after `retry_after`.
    #[must_use]
    pub fn resource_exhausted(
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ErrorCode::ResourceExhausted, reason, message) }
    }

    /// A defect of ours.
    #[must_use]
    pub fn internal(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, reason, message)
    }

    /// A dependency is away; retry with backoff.
    #[must_use]
    pub fn unavailable(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, reason, message)
    }

    /// The deadline passed before the work was done.
    #[must_use]
    pub fn deadline_exceeded() -> Self {
        Self::new(ErrorCode::DeadlineExceeded, DEADLINE_PASSED, "the deadline passed before the work was done")
    }

    /// The failure's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }
}
