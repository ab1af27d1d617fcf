//! The operators' listener, on an address of its own: liveness, readiness, metrics.
//!
//! It stays up until the end of a drain, so that a probe sees the process leave. This file must not know which
//! components there are.

use std::net::{SocketAddr, TcpListener};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::{Deserialize, Serialize};
use shared_models::ErrorCode;
use tokio_util::sync::CancellationToken;

use crate::{
    Health, Metrics, Runtime,
    config::{Problem, Validate},
    metrics,
    telemetry::Recent,
};

/// Where the operators' listener is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address; port 0 takes any free one. It is never the address that clients use.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)) }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// The operators' listener broke down.
#[derive(Debug, thiserror::Error)]
#[error("the operators' listener failed")]
pub struct Error(#[source] std::io::Error);

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Unavailable
    }
}

/// Serves `/livez`, `/readyz`, `/metrics` and, where they are kept, the last `/traces` on `listener` until `stop`.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_until(
    listener: TcpListener,
    runtime: &Runtime,
    recent: Option<Recent>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let router = match recent {
        Some(recent) => router(runtime).merge(traces(recent)),
        None => router(runtime),
    };
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error)?;
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await.map_err(Error)
}

/// The operators' routes.
pub fn router(runtime: &Runtime) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready).with_state(runtime.health.clone()))
        .route("/metrics", get(measures).with_state(runtime.metrics.clone()))
}

/// The routes of the last traces.
fn traces(recent: Recent) -> Router {
    let drawn = |State(recent): State<Recent>, Path(id): Path<String>| async move {
        recent.draw(&id).ok_or((StatusCode::NOT_FOUND, "this trace is not among the last ones; see /traces\n"))
    };
    Router::new()
        .route("/traces", get(|State(recent): State<Recent>| async move { recent.list() }))
        .route("/traces/{id}", get(drawn))
        .with_state(recent)
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn measures(State(registry): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], registry.encode())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use prometheus_client::metrics::counter::Counter;
    use shared_models::SystemClock;
    use tower::ServiceExt as _;

    use super::*;

    async fn asked(runtime: &Runtime, path: &str) -> (StatusCode, String) {
        let request = http::Request::get(path).body(Body::empty()).expect("a request");
        let answer = router(runtime).oneshot(request).await.expect("infallible");
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8(bytes.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn readiness_names_the_component_that_is_missing() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let index = runtime.health.component("index");
        index.detail("release 7");
        let (status, body) = asked(&runtime, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let report: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(report["components"]["index"]["reason"], "starting");
        assert_eq!(report["components"]["index"]["detail"], "release 7");
        index.ready();
        assert_eq!(asked(&runtime, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_process_that_is_not_ready_is_alive() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        runtime.health.drain();
        assert_eq!(asked(&runtime, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(asked(&runtime, "/livez").await, (StatusCode::OK, String::from("alive\n")));
    }

    #[tokio::test]
    async fn metrics_are_shown() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let counter: Counter = Counter::default();
        runtime.metrics.register("setlist_test_things", "Things", counter.clone());
        counter.inc_by(4);
        assert!(asked(&runtime, "/metrics").await.1.contains("setlist_test_things_total 4"));
    }
}
