//! The HTTP server layer on an axum router.

use axum::{Router, body::Body, http::StatusCode, routing::get};
use http::{Method, Request};
use opentelemetry::trace::{SpanKind, Status};
use service_runtime::{Metrics, layers::HttpServerTrace, trace};
use tower::ServiceExt as _;

use crate::spans::{Caught, assert_only_pinned_names, attribute};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn router(layer: HttpServerTrace) -> Router {
    Router::new()
        .route("/v1/things/{id}", get(|| async { trace::current_trace_id().unwrap_or_default() }))
        .route("/v1/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(layer)
}

async fn asked(router: Router, method: Method, path: &str) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(path).header("traceparent", PARENT).body(Body::empty()).expect("valid");
    let answer = router.oneshot(request).await.expect("infallible");
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_request_hangs_under_its_caller_and_is_named_by_its_route() {
    let caught = Caught::start();
    let (status, seen) = asked(router(HttpServerTrace::new("edge-api")), Method::GET, "/v1/things/7").await;
    assert_eq!((status, seen.as_str()), (StatusCode::OK, "4bf92f3577b34da6a3ce929d0e0e4736"));
    let spans = caught.named("GET /v1/things/{id}");
    let [span] = spans.as_slice() else { panic!("one span, not {}", spans.len()) };
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(span, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(span, "url.path").as_deref(), Some("/v1/things/7"));
    assert_eq!(attribute(span, "setlist.component").as_deref(), Some("edge-api"));
    assert_only_pinned_names(span);
}

#[tokio::test]
async fn a_caller_who_is_not_trusted_is_only_linked() {
    let caught = Caught::start();
    let (_, seen) =
        asked(router(HttpServerTrace::new("edge-api").linking_callers()), Method::GET, "/v1/things/7").await;
    assert_eq!(seen.len(), 32);
    assert_ne!(seen, "4bf92f3577b34da6a3ce929d0e0e4736");
    let spans = caught.named("GET /v1/things/{id}");
    let link = spans[0].links.iter().next().expect("a link");
    assert_eq!(link.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn only_a_failure_of_the_server_is_an_error() {
    let caught = Caught::start();
    asked(router(HttpServerTrace::new("edge-api")), Method::GET, "/v1/broken").await;
    asked(router(HttpServerTrace::new("edge-api")), Method::GET, "/nowhere/at/all").await;
    let broken = &caught.named("GET /v1/broken")[0];
    assert!(matches!(broken.status, Status::Error { .. }));
    assert_eq!(attribute(broken, "error.type").as_deref(), Some("503"));
    let missing = &caught.named("GET")[0];
    assert_eq!(missing.status, Status::Unset);
    assert_eq!(attribute(missing, "http.response.status_code").as_deref(), Some("404"));
}

#[tokio::test]
async fn strangers_cannot_invent_names_or_labels() {
    let caught = Caught::start();
    let metrics = Metrics::new();
    let layer = HttpServerTrace::new("edge-api").with_metrics(&metrics);
    let invented = Method::from_bytes(b"INVENTED").expect("a token");
    asked(router(layer.clone()), invented, "/some/path").await;
    asked(router(layer), Method::GET, "/v1/things/8").await;
    assert_eq!(caught.named("HTTP").len(), 1);
    let page = metrics.encode();
    assert!(
        page.contains(
            "setlist_http_server_request_duration_seconds_count{method=\"GET /v1/things/{id}\",status=\"200\"} 1"
        ),
        "{page}"
    );
    assert!(!page.contains("INVENTED") && !page.contains("/some/path"), "{page}");
}
