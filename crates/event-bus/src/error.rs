//! What can go wrong on a bus, as far as a caller can act on it.
//!
//! Errors are `Clone`, because one failed commit fails every publisher that shared it.

use std::sync::Arc;

use shared_models::ErrorCode;

use crate::streams::StreamName;

/// The cause beneath an [`Error`].
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a bus did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The bus did not say that the message is kept, or cannot be reached. The message may or may not be kept:
    /// publish it again with the same id.
    #[error("event bus is away during {step}")]
    Unavailable {
        /// What was being done.
        step: &'static str,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The bus did not answer in time. The message may or may not be kept: publish it again with the same id.
    #[error("event bus did not answer in time during {step}")]
    TimedOut {
        /// What was being done.
        step: &'static str,
    },
    /// Too much waits to be published already.
    #[error("queue of unpublished items is full")]
    Full,
    /// The stream holds as much as it may, and its consumers have not dealt with it yet: nothing of it is forgotten for
    /// a new message. Publish again later, with the same id.
    #[error("stream {stream} is full of messages that are not dealt with yet")]
    StreamFull {
        /// Which stream.
        stream: StreamName,
    },
    /// The message is larger than the bus takes.
    #[error("message of {bytes} bytes is larger than the {limit} the bus takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// The bus is set up in a way that cannot work.
    #[error("event bus is misconfigured: {problem}")]
    Misconfigured {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// What lies in the stream is no envelope that this version reads.
    #[error("envelope cannot be read: {problem}")]
    Undecodable {
        /// What is wrong with it.
        problem: String,
    },
    /// The bus has been closed.
    #[error("event bus is closed")]
    Closed,
}

impl Error {
    /// Whose fault it is, and whether to try again.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::StreamFull { .. } | Self::Closed => {
                ErrorCode::Unavailable
            }
            Self::Full => ErrorCode::ResourceExhausted,
            Self::TooLarge { .. } => ErrorCode::InvalidArgument,
            Self::Misconfigured { .. } | Self::Undecodable { .. } => ErrorCode::Internal,
        }
    }

    /// A strong bus is required, and this one is weak.
    pub(crate) fn weak(reason: &str) -> Self {
        Self::Misconfigured { problem: format!("a strong bus is required, and this one is weak: {reason}") }
    }

    /// The failure of `step` because of `cause`.
    pub(crate) fn unavailable(step: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { step, cause: Arc::from(cause.into()) }
    }
}
