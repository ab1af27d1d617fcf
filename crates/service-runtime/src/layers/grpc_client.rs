//! The client side of a gRPC call: one span, our trace and the remaining time on the wire.
//!
//! It must not know any method.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tonic::{Code, Status as GrpcStatus, TimeoutExpired};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::{
    body::TracedBody,
    call::{Call, Side, Status},
    grpc_timeout,
    metrics::{self, Durations},
};
use crate::{Deadline, deadline, metrics::Metrics, trace};

/// Traces the calls a client makes, and tells the server how much time is left.
///
/// The time comes from a [`Deadline`] in the request's extensions (see [`crate::grpc::with_deadline`]). A call without
/// any time left is not sent.
///
/// Who is called stands in the span, unless there are several to choose from: then the one inside writes it there (see
/// [`crate::client`]).
#[derive(Clone, Debug, Default)]
pub struct GrpcClientTrace {
    address: String,
    port: u16,
    durations: Option<Durations>,
}

impl GrpcClientTrace {
    /// Traces calls to `address` at `port`.
    #[must_use]
    pub fn new(address: impl Into<String>, port: u16) -> Self {
        Self { address: address.into(), port, durations: None }
    }

    /// Measures too.
    #[must_use]
    pub fn with_metrics(self, metrics: &Metrics) -> Self {
        Self { durations: Some(metrics::grpc_client(metrics)), ..self }
    }

    fn span(&self, method: &str, deadline: Option<Deadline>) -> Span {
        let span = tracing::info_span!(
            "grpc_client",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.status_code = field::Empty,
            error.type = field::Empty,
            server.address = field::Empty,
            server.port = field::Empty,
            setlist.deadline.remaining_ms = field::Empty,
            setlist.attempts = field::Empty,
            setlist.breaker = field::Empty,
        );
        if !self.address.is_empty() {
            span.record("server.address", self.address.as_str());
            span.record("server.port", self.port);
        }
        if let Some(deadline) = deadline {
            span.record("setlist.deadline.remaining_ms", deadline.remaining().as_secs_f64() * 1e3);
        }
        span
    }
}

impl<S> Layer<S> for GrpcClientTrace {
    type Service = GrpcClient<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcClient { inner, trace: self.clone() }
    }
}

/// A traced client.
#[derive(Clone, Debug)]
pub struct GrpcClient<S> {
    inner: S,
    trace: GrpcClientTrace,
}

impl<S, B, R> Service<Request<B>> for GrpcClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    S::Future: Send + 'static,
    R: Body + Default + Unpin + Send + 'static,
{
    type Response = Response<TracedBody<R>>;
    type Error = GrpcStatus;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, GrpcStatus>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GrpcStatus>> {
        self.inner.poll_ready(cx).map_err(|error| status_of(error.into()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = request.extensions().get::<Deadline>().copied();
        let method = request.uri().path().trim_start_matches('/');
        let span = self.trace.span(method, deadline);
        let label = if self.trace.durations.is_some() { method.to_owned() } else { String::new() };
        let call = Call::new(Side::GrpcClient, span.clone(), label, self.trace.durations.clone());
        // This span's place, not the caller's: the server's span hangs under this one.
        trace::inject_headers(&trace::of(&span), request.headers_mut());
        let Some(deadline) = deadline else {
            let answer = span.in_scope(|| self.inner.call(request));
            return Box::pin(async move { finish(answer.await, call) }.instrument(span));
        };
        if !grpc_timeout::give(request.headers_mut(), deadline) {
            return Box::pin(std::future::ready(Err(too_late(call))));
        }
        let answer = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                match deadline::run(deadline, answer).await {
                    Ok(answer) => finish(answer, call),
                    Err(deadline::Elapsed) => Err(too_late(call)),
                }
            }
            .instrument(span),
        )
    }
}

fn finish<R: Body, E: Into<Box<dyn StdError + Send + Sync>>>(
    answer: Result<Response<R>, E>,
    call: Call,
) -> Result<Response<TracedBody<R>>, GrpcStatus> {
    match answer {
        Ok(answer) => {
            let code =
                answer.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
            Ok(answer.map(|body| TracedBody::new(body, call, Status::Grpc(code))))
        }
        Err(error) => {
            let status = status_of(error.into());
            call.finish(Status::Grpc(status.code()));
            Err(status)
        }
    }
}

/// tonic reads its own expired timeout as `CANCELLED`; it is the deadline that passed.
fn status_of(error: Box<dyn StdError + Send + Sync>) -> GrpcStatus {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error.as_ref());
    while let Some(one) = cause {
        if one.is::<TimeoutExpired>() {
            return GrpcStatus::deadline_exceeded("the deadline passed before an answer came");
        }
        cause = one.source();
    }
    GrpcStatus::from_error(error)
}

fn too_late(call: Call) -> GrpcStatus {
    call.finish(Status::Grpc(Code::DeadlineExceeded));
    GrpcStatus::deadline_exceeded("the deadline passed before an answer came")
}
