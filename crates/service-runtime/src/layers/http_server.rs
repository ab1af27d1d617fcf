//! The server side of an HTTP request: the caller's trace and one span named by the matched route.
//!
//! It must not know any route. Put it on an axum router with `Router::layer`, after the routes are there: only then
//! is the matched route known.

use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::MatchedPath;
use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

use super::{
    body::TracedBody,
    call::{Call, Side, Status},
    metrics::{self, Durations},
};
use crate::{metrics::Metrics, trace};

/// What the histogram calls a request that matches no route.
const UNMATCHED: &str = "_OTHER";

/// Traces the requests a server answers.
#[derive(Clone, Debug)]
pub struct HttpServerTrace {
    component: &'static str,
    trusts_callers: bool,
    durations: Option<Durations>,
}

impl HttpServerTrace {
    /// Traces as `component`, such as `edge-api`. The span hangs under the caller's trace.
    #[must_use]
    pub fn new(component: &'static str) -> Self {
        Self { component, trusts_callers: true, durations: None }
    }

    /// Starts a new trace for every request and links the caller's: for callers who may write what they like.
    #[must_use]
    pub fn linking_callers(self) -> Self {
        Self { trusts_callers: false, ..self }
    }

    /// Measures too.
    #[must_use]
    pub fn with_metrics(self, metrics: &Metrics) -> Self {
        Self { durations: Some(metrics::http_server(metrics)), ..self }
    }

    fn span<B>(&self, request: &Request<B>, method: &'static str, route: Option<&str>, name: Option<&str>) -> Span {
        let made;
        let name = match (name, route) {
            (Some(name), _) => name,
            (None, Some(route)) => {
                made = format!("{method} {route}");
                made.as_str()
            }
            // Without a route the name is the method alone: a path would make as many names as there are strangers.
            (None, None) if method == UNMATCHED => "HTTP",
            (None, None) => method,
        };
        tracing::info_span!(
            "http_server",
            otel.name = name,
            otel.kind = "server",
            otel.status_code = field::Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = field::Empty,
            url.path = request.uri().path(),
            url.scheme = "http",
            error.type = field::Empty,
            setlist.component = self.component,
        )
    }
}

impl<S> Layer<S> for HttpServerTrace {
    type Service = HttpServer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpServer { inner, trace: self.clone() }
    }
}

/// A traced server.
#[derive(Clone, Debug)]
pub struct HttpServer<S> {
    inner: S,
    trace: HttpServerTrace,
}

impl<S, B, R> Service<Request<B>> for HttpServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
    R: Body + Unpin + Send + 'static,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = known_method(request.method());
        let documented = request.extensions().get::<DocumentedRoute>().copied();
        let matched = || request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = documented.map(|documented| documented.route).or_else(matched);
        let span = self.trace.span(&request, method, route, documented.and_then(|documented| documented.name));
        let caller = trace::extract_headers(request.headers());
        if self.trace.trusts_callers {
            trace::set_parent(&span, &caller);
        } else {
            trace::add_link(&span, &caller);
        }
        let label = match (&self.trace.durations, documented.and_then(|documented| documented.name)) {
            (None, _) => Cow::Borrowed(""),
            (Some(_), Some(name)) => Cow::Borrowed(name),
            (Some(_), None) => Cow::Owned(format!("{method} {}", route.unwrap_or(UNMATCHED))),
        };
        let call = Call::new(Side::HttpServer, span.clone(), label, self.trace.durations.clone());
        let answer = span.in_scope(|| self.inner.call(request));
        Box::pin(
            async move {
                let answer = answer.await?;
                let status = Status::Http(answer.status().as_u16());
                Ok(answer.map(|body| TracedBody::new(body, call, status)))
            }
            .instrument(span),
        )
    }
}

/// The route of a request as the API documents it: put it into the request's extensions before this layer, where the
/// router matches something else, and where the span's name need not be made anew for every request.
#[derive(Clone, Copy, Debug)]
pub struct DocumentedRoute {
    /// The route, such as `/v1/surfaces/{surface}:page`.
    pub route: &'static str,
    /// The method and the route, such as `POST /v1/surfaces/{surface}:page`, when the route has the request's method.
    pub name: Option<&'static str>,
}

/// A method a stranger made up must become neither a span's name nor a label.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => UNMATCHED,
    }
}
