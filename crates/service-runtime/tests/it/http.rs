//! The HTTP server layer on an axum router.

use axum::{Router, body::Body, http::StatusCode, routing::get};
use http::{Method, Request};
use opentelemetry::trace::{SpanKind, Status};
use service_runtime::{
    Metrics,
    layers::{DocumentedRoute, HttpServerTrace},
    trace::{self, Attribute, names},
};
use tower::ServiceExt as _;

use crate::spans::{Caught, assert_only_pinned_names, attribute};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn router(layer: HttpServerTrace) -> Router {
    Router::new()
        .route("/v1/things/{id}", get(|| async { trace::current_trace_id().unwrap_or_default() }))
        .route("/v1/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/v1/marked", get(marked))
        .layer(layer)
}

async fn marked() -> StatusCode {
    // A span below info is in no trace; the mark belongs to the one above it.
    tracing::debug_span!("detail").in_scope(|| {
        trace::annotate(|| {
            [
                (names::SURFACE, Attribute::Text("home".to_owned())),
                (names::CARDS, Attribute::Count(7)),
                (names::DEGRADED_REASONS, Attribute::Texts(vec!["ranking=timeout".to_owned()])),
            ]
        });
    });
    StatusCode::OK
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

#[tokio::test]
async fn a_handler_marks_the_span_of_its_request() {
    let caught = Caught::start();
    asked(router(HttpServerTrace::new("edge-api")), Method::GET, "/v1/marked").await;
    let span = &caught.named("GET /v1/marked")[0];
    assert_eq!(attribute(span, "setlist.surface").as_deref(), Some("home"));
    assert_eq!(attribute(span, "setlist.cards").as_deref(), Some("7"));
    assert_eq!(attribute(span, "setlist.degraded.reasons").as_deref(), Some("[\"ranking=timeout\"]"));
    // Where nobody records, nothing is made.
    trace::annotate(|| -> [_; 0] { panic!("nobody asked") });
}

#[tokio::test]
async fn a_documented_route_gives_span_and_label_their_name() {
    let caught = Caught::start();
    let metrics = Metrics::new();
    let documented = |name| DocumentedRoute { route: "/v1/things/{thing}:read", name };
    for (name, expected) in
        [(Some("GET /v1/things/{thing}:read"), "GET /v1/things/{thing}:read"), (None, "PUT /v1/things/{thing}:read")]
    {
        let layer = HttpServerTrace::new("edge-api").with_metrics(&metrics);
        let router = router(layer).layer(axum::Extension(documented(name)));
        asked(router, if name.is_some() { Method::GET } else { Method::PUT }, "/v1/things/7").await;
        let spans = caught.named(expected);
        assert_eq!(attribute(&spans[0], "http.route").as_deref(), Some("/v1/things/{thing}:read"));
        assert!(metrics.encode().contains(&format!("method=\"{expected}\"")), "{}", metrics.encode());
    }
}

#[tokio::test]
async fn a_call_within_the_process_stands_for_the_remote_one() {
    let caught = Caught::start();
    let deadline = service_runtime::Deadline::within(std::time::Duration::from_secs(1));
    let span = trace::in_process_span("ranking", "setlist.ranking.v1.RankingService/Rank", deadline);
    trace::in_process_failed(&span, shared_models::ErrorCode::Unavailable);
    drop(span);
    let span = &caught.named("setlist.ranking.v1.RankingService/Rank")[0];
    assert_eq!(span.span_kind, SpanKind::Internal);
    assert!(matches!(span.status, Status::Error { .. }));
    assert_eq!(attribute(span, "error.type").as_deref(), Some("unavailable"));
    assert_eq!(attribute(span, "rpc.system.name").as_deref(), Some("in_process"));
    assert_eq!(attribute(span, "setlist.component").as_deref(), Some("ranking"));
    assert!(attribute(span, "setlist.deadline.remaining_ms").is_some());
    assert_only_pinned_names(span);
}
