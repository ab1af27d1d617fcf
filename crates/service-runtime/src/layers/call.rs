//! One call in flight: it is closed exactly once, with the status it ended with or as cancelled.
//!
//! This file must not know a transport; the three layers give it their rules.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use super::metrics::{Durations, Labels};

/// How a call ended, as its protocol says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Http(u16),
    Grpc(Code),
}

/// Which side of which protocol this is: the rules of what counts as an error differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    HttpServer,
    GrpcServer,
    GrpcClient,
}

/// One call in flight.
#[derive(Debug)]
pub(super) struct Call {
    side: Side,
    span: Span,
    started: Instant,
    /// What the histogram calls it: a route or a method, never what a stranger sent.
    label: Cow<'static, str>,
    durations: Option<Durations>,
    open: bool,
}

impl Call {
    pub(super) fn new(
        side: Side,
        span: Span,
        label: impl Into<Cow<'static, str>>,
        durations: Option<Durations>,
    ) -> Self {
        Self { side, span, started: Instant::now(), label: label.into(), durations, open: true }
    }

    /// The call ended with `status`.
    pub(super) fn finish(mut self, status: Status) {
        self.close(status);
    }

    fn close(&mut self, status: Status) {
        self.open = false;
        let took = self.started.elapsed();
        let name = match status {
            Status::Http(code) => {
                self.span.record("http.response.status_code", code);
                http_name(code)
            }
            Status::Grpc(code) => {
                self.span.record("rpc.status_code", grpc_name(code));
                grpc_name(code)
            }
        };
        if is_error(self.side, status) {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", name);
        }
        self.observe(took, name, status);
    }

    fn observe(&mut self, took: Duration, name: &'static str, status: Status) {
        let Some(durations) = &self.durations else { return };
        // A method nobody serves is the caller's invention; it must not become a label.
        let unknown = self.side == Side::GrpcServer && status == Status::Grpc(Code::Unimplemented);
        let method = if unknown { Cow::Borrowed("_OTHER") } else { std::mem::take(&mut self.label) };
        durations.get_or_create(&Labels { method, status: name }).observe(took.as_secs_f64());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.open {
            match self.side {
                // HTTP has no word for it; 499 is what proxies write for a client that went away.
                Side::HttpServer => self.close(Status::Http(499)),
                Side::GrpcServer | Side::GrpcClient => self.close(Status::Grpc(Code::Cancelled)),
            }
        }
    }
}

/// A client sees every failure as its own error. A server does not blame itself for what the caller did wrong.
fn is_error(side: Side, status: Status) -> bool {
    match (side, status) {
        (Side::GrpcClient, Status::Grpc(code)) => code != Code::Ok,
        (_, Status::Grpc(code)) => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
        (_, Status::Http(code)) => code >= 500,
    }
}

/// The status of a gRPC call by its name in the protocol.
pub(super) fn grpc_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The statuses we answer, as text; the rest by their hundred, so that labels stay few.
fn http_name(code: u16) -> &'static str {
    match code {
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        499 => "499",
        500 => "500",
        503 => "503",
        504 => "504",
        other => match other / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_blame_itself_for_the_caller() {
        for (status, server, client) in [
            (Code::Ok, false, false),
            (Code::InvalidArgument, false, true),
            (Code::NotFound, false, true),
            (Code::Cancelled, false, true),
            (Code::ResourceExhausted, false, true),
            (Code::DeadlineExceeded, true, true),
            (Code::Unimplemented, true, true),
            (Code::Internal, true, true),
        ] {
            assert_eq!(is_error(Side::GrpcServer, Status::Grpc(status)), server, "{status:?}");
            assert_eq!(is_error(Side::GrpcClient, Status::Grpc(status)), client, "{status:?}");
        }
        assert!(!is_error(Side::HttpServer, Status::Http(404)));
        assert!(is_error(Side::HttpServer, Status::Http(503)));
    }
}
