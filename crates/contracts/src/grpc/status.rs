//! The one map between failures and gRPC statuses.
//!
//! Code and text have their places in a status; the reason and the delay travel as metadata. What a
//! service did not say itself (its process is gone, a proxy answered) has no reason: such a status is
//! read by its code alone and its text is not passed on, because nobody has promised that it is safe. A
//! breaker of ours that refuses a call says its reason as a service would.

use std::{error::Error as _, time::Duration};

pub use service_runtime::client::{REASON_KEY, RETRY_AFTER_KEY};
use shared_models::ErrorCode;
use tonic::{Code, Status, TimeoutExpired, metadata::MetadataValue};

use crate::Failure;

/// The longest text that is sent: metadata has a limit for all keys together.
const MAX_MESSAGE_CHARACTERS: usize = 1_000;

fn code_to_wire(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Conflict => Code::AlreadyExists,
        ErrorCode::ResourceExhausted => Code::ResourceExhausted,
        ErrorCode::Internal => Code::Internal,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
    }
}

fn code_from_wire(code: Code) -> ErrorCode {
    match code {
        Code::InvalidArgument => ErrorCode::InvalidArgument,
        Code::Unauthenticated => ErrorCode::Unauthenticated,
        Code::PermissionDenied => ErrorCode::PermissionDenied,
        Code::NotFound => ErrorCode::NotFound,
        Code::AlreadyExists => ErrorCode::Conflict,
        Code::ResourceExhausted => ErrorCode::ResourceExhausted,
        Code::Unavailable => ErrorCode::Unavailable,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::Internal
        | Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => ErrorCode::Internal,
    }
}

/// The status that carries a failure.
#[must_use]
pub fn status_of(failure: &Failure) -> Status {
    let text: String = failure.message.chars().take(MAX_MESSAGE_CHARACTERS).collect();
    let mut status = Status::new(code_to_wire(failure.code), text);
    let reason =
        MetadataValue::try_from(failure.reason.as_ref()).unwrap_or_else(|_| MetadataValue::from_static("unspecified"));
    status.metadata_mut().insert(REASON_KEY, reason);
    if let Some(after) = failure.retry_after {
        // Rounded up: coming back a moment late is right, a moment early is refused again.
        let milliseconds = after.as_nanos().div_ceil(1_000_000).min(u128::from(u64::MAX)) as u64;
        status.metadata_mut().insert(RETRY_AFTER_KEY, MetadataValue::from(milliseconds));
    }
    status
}

/// The failure that a status carries.
#[must_use]
pub fn failure_of(status: &Status) -> Failure {
    let text = |key: &str| status.metadata().get(key).and_then(|value| value.to_str().ok());
    let Some(reason) = text(REASON_KEY) else { return failure_of_stranger(status) };
    Failure {
        code: code_from_wire(status.code()),
        reason: reason.to_owned().into(),
        message: status.message().to_owned(),
        retry_after: text(RETRY_AFTER_KEY).and_then(|value| value.parse().ok()).map(Duration::from_millis),
    }
}

/// What a status means that no service of ours wrote: the transport here or there, or a proxy.
fn failure_of_stranger(status: &Status) -> Failure {
    let unreachable = || Failure::unavailable("unreachable", "the service cannot be reached");
    match status.code() {
        Code::DeadlineExceeded => Failure::deadline_exceeded(),
        // What a tonic server says whose own limit on calls has passed.
        Code::Cancelled if status.message() == TimeoutExpired(()).to_string() => Failure::deadline_exceeded(),
        // The connection ended under the call: the caller, who is us, has not cancelled.
        Code::Cancelled | Code::Unavailable => unreachable(),
        Code::Unknown | Code::Internal if status.source().is_some() => unreachable(),
        Code::OutOfRange => {
            Failure::invalid_argument("message_too_large", "the request or its answer is too large for one message")
        }
        Code::ResourceExhausted => {
            Failure::new(ErrorCode::ResourceExhausted, "overloaded", "the service has too much to do")
        }
        code => Failure::new(
            code_from_wire(code),
            "unexpected_status",
            "the service answered in a way its contract does not know",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_survives_the_wire() {
        for code in ErrorCode::ALL {
            for retry_after in [None, Some(Duration::from_millis(1_500))] {
                let failure = Failure { retry_after, ..Failure::new(code, "some_reason", "Text, with ünïcode") };
                assert_eq!(failure_of(&status_of(&failure)), failure);
            }
        }
    }

    #[test]
    fn delays_are_rounded_up() {
        let failure = Failure::resource_exhausted("quota", "too many", Duration::from_nanos(1));
        assert_eq!(failure_of(&status_of(&failure)).retry_after, Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_status_of_no_service_of_ours_keeps_its_text_to_itself() {
        let check = |code: Code, expected: (ErrorCode, &str)| {
            let failure = failure_of(&Status::new(code, "SELECT secret"));
            assert_eq!((failure.code, failure.reason.as_ref()), expected, "{code:?}");
            assert!(!failure.message.contains("secret"));
        };
        check(Code::Unknown, (ErrorCode::Internal, "unexpected_status"));
        check(Code::Unimplemented, (ErrorCode::Internal, "unexpected_status"));
        check(Code::DataLoss, (ErrorCode::Internal, "unexpected_status"));
        check(Code::NotFound, (ErrorCode::NotFound, "unexpected_status"));
        check(Code::Unavailable, (ErrorCode::Unavailable, "unreachable"));
        check(Code::Cancelled, (ErrorCode::Unavailable, "unreachable"));
        check(Code::OutOfRange, (ErrorCode::InvalidArgument, "message_too_large"));
        check(Code::ResourceExhausted, (ErrorCode::ResourceExhausted, "overloaded"));
        check(Code::DeadlineExceeded, (ErrorCode::DeadlineExceeded, "deadline_passed"));
    }

    #[test]
    fn an_expired_timeout_of_the_server_is_a_deadline() {
        assert_eq!(failure_of(&Status::cancelled("Timeout expired")), Failure::deadline_exceeded());
    }

    #[test]
    fn a_text_too_long_for_metadata_is_cut() {
        let failure = Failure::internal("long", "é".repeat(100_000));
        assert_eq!(failure_of(&status_of(&failure)).message.chars().count(), MAX_MESSAGE_CHARACTERS);
    }
}
