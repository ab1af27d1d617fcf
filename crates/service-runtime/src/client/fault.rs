//! What is known when an attempt gets no answer: whether the request was sent, and whether it may have been worked on.
//!
//! Two sources say so: the errors of the transport, and the protocol. HTTP/2 (RFC 9113, 6.8 and 8.7) promises that a
//! stream above the last one of a GOAWAY, and one refused, has not been worked on. This file must not know what is done
//! about it.

use std::error::Error as StdError;

use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// Why an attempt got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection: nothing was sent.
    Unreachable,
    /// The connection was on its way out: nothing was sent, or nothing of it was looked at.
    Unprocessed,
    /// The connection broke: what became of the request is not known.
    Broken,
    /// The time was up.
    Overdue,
}

impl Fault {
    /// What `error` of the transport says.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(one) = cause {
            if one.is::<TimeoutExpired>() {
                return Self::Overdue;
            }
            if one.is::<ConnectError>() {
                return Self::Unreachable;
            }
            // hyper says so of requests that were still in its queue when the connection closed.
            if one.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
                return Self::Unprocessed;
            }
            if let Some(h2) = one.downcast_ref::<h2::Error>() {
                let left_out = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
                let refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
                return if h2.is_remote() && (left_out || refused) { Self::Unprocessed } else { Self::Broken };
            }
            cause = one.source();
        }
        Self::Broken
    }

    /// What a caller is told.
    pub(super) fn status(self, dependency: &str) -> Status {
        let (code, what) = match self {
            Self::Unreachable => (Code::Unavailable, "no endpoint can be connected"),
            Self::Unprocessed => (Code::Unavailable, "the connection was closed before the call was taken"),
            Self::Broken => (Code::Unavailable, "the connection broke during the call"),
            Self::Overdue => (Code::DeadlineExceeded, "the deadline passed before an answer came"),
        };
        Status::new(code, format!("{dependency}: {what}"))
    }
}
