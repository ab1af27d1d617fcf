//! The server side of a gRPC call: the caller's trace, the caller's deadline, one span.
//!
//! It must not know any method.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use tonic::{Code, Status as GrpcStatus};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::{
    body::TracedBody,
    call::{Call, Side, Status},
    grpc_timeout,
    metrics::{self, Durations},
};
use crate::{Deadline, deadline, metrics::Metrics, pulse::Pulse, trace};

/// Traces the calls a server answers, and ends them at the caller's deadline.
///
/// The deadline stands in the request's extensions as a [`Deadline`]; work past it is dropped, and a call that comes
/// without any time left is not started. What lay unread while the process stood still has less time, or none.
#[derive(Clone, Debug)]
pub struct GrpcServerTrace {
    component: &'static str,
    durations: Option<Durations>,
    pulse: Option<Pulse>,
}

impl GrpcServerTrace {
    /// Traces as `component`, such as `ranking`.
    #[must_use]
    pub fn new(component: &'static str) -> Self {
        Self { component, durations: None, pulse: None }
    }

    /// Measures too.
    #[must_use]
    pub fn with_metrics(self, metrics: &Metrics) -> Self {
        Self { durations: Some(metrics::grpc_server(metrics)), ..self }
    }

    /// Knows when the process stood still.
    #[must_use]
    pub(crate) fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse: Some(pulse), ..self }
    }

    fn unread(&self) -> Duration {
        self.pulse.as_ref().map_or(Duration::ZERO, Pulse::unread)
    }

    fn span(&self, method: &str, deadline: Option<Deadline>) -> Span {
        let span = tracing::info_span!(
            "grpc_server",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = field::Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.status_code = field::Empty,
            error.type = field::Empty,
            setlist.component = self.component,
            setlist.deadline.remaining_ms = field::Empty,
        );
        if let Some(deadline) = deadline {
            span.record("setlist.deadline.remaining_ms", deadline.remaining().as_secs_f64() * 1e3);
        }
        span
    }
}

impl<S> Layer<S> for GrpcServerTrace {
    type Service = GrpcServer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcServer { inner, trace: self.clone() }
    }
}

/// A traced server.
#[derive(Clone, Debug)]
pub struct GrpcServer<S> {
    inner: S,
    trace: GrpcServerTrace,
}

impl<S, B, R> Service<Request<B>> for GrpcServer<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: Body + Default + Unpin + Send + 'static,
{
    type Response = Response<TracedBody<R>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let left = grpc_timeout::decode(request.headers());
        let unread = self.trace.unread();
        let deadline = left.map(|left| Deadline::within(left.saturating_sub(unread)));
        let method = request.uri().path().trim_start_matches('/');
        let span = self.trace.span(method, deadline);
        // Before the span is entered: afterwards it has its own trace for good.
        trace::set_parent(&span, &trace::extract_headers(request.headers()));
        let label = if self.trace.durations.is_some() { method.to_owned() } else { String::new() };
        let call = Call::new(Side::GrpcServer, span.clone(), label, self.trace.durations.clone());
        let Some(deadline) = deadline else {
            let answer = span.in_scope(|| self.inner.call(request));
            return Box::pin(async move { Ok(finish(answer.await, call)) }.instrument(span));
        };
        if deadline.is_past() {
            // A caller who is still there may ask somebody else.
            let refusal = if unread.is_zero() { TOO_LATE } else { STOOD_STILL };
            return Box::pin(std::future::ready(Ok(refused(call, refusal))));
        }
        request.extensions_mut().insert(deadline);
        let answer = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                match deadline::run(deadline, answer).await {
                    Ok(answer) => Ok(finish(answer, call)),
                    Err(deadline::Elapsed) => Ok(refused(call, TOO_LATE)),
                }
            }
            .instrument(span),
        )
    }
}

fn finish<R: Body>(answer: Result<Response<R>, Infallible>, call: Call) -> Response<TracedBody<R>> {
    let Ok(answer) = answer;
    // Only an answer without a body has its status here; the others have it in the trailers.
    let status = answer.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
    answer.map(|body| TracedBody::new(body, call, Status::Grpc(status)))
}

/// A code and why.
type Refusal = (Code, &'static str);

const TOO_LATE: Refusal = (Code::DeadlineExceeded, "the deadline passed before the work was done");
const STOOD_STILL: Refusal = (Code::Unavailable, "the process stood still for longer than the call has time");

fn refused<R: Body + Default>(call: Call, (code, why): Refusal) -> Response<TracedBody<R>> {
    call.finish(Status::Grpc(code));
    GrpcStatus::new(code, why).into_http()
}
