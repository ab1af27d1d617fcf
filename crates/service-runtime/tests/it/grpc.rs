//! Server and client layers over a real connection: one trace, one deadline.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use opentelemetry::trace::{SpanKind, Status as SpanStatus};
use service_runtime::{
    Deadline, OnFailure, Runtime,
    grpc::{self, Limits, Server, Services, TracedChannel, deadline_of, with_deadline},
    layers::{GrpcClientTrace, GrpcServerTrace},
    listen, trace,
};
use shared_models::SystemClock;
use tokio::{sync::Notify, time::Instant};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::http::uri::PathAndQuery,
    server::{NamedService, UnaryService},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tower::{Layer as _, Service, service_fn};

use crate::spans::{Caught, assert_only_pinned_names, attribute};

const METHOD: &str = "test.v1.Probe/Ask";

/// A service that says what it sees.
#[derive(Clone, Default)]
struct Probe(Arc<Endless>);

/// What becomes of a call that never ends by itself.
#[derive(Default)]
struct Endless {
    started: Notify,
    dropped: Notify,
}

struct TellsWhenDropped(Arc<Endless>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "test.v1.Probe";
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut server = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
        let handler = self.clone();
        Box::pin(async move { Ok(server.unary(handler, request).await) })
    }
}

impl UnaryService<String> for Probe {
    type Response = String;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let endless = Arc::clone(&self.0);
        Box::pin(async move {
            match request.get_ref().as_str() {
                "remaining" => {
                    let left = deadline_of(&request, Duration::ZERO).remaining();
                    Ok(Response::new(left.as_millis().to_string()))
                }
                "trace" => Ok(Response::new(trace::current_trace_id().unwrap_or_default())),
                "forever" => {
                    let _guard = TellsWhenDropped(Arc::clone(&endless));
                    endless.started.notify_one();
                    std::future::pending().await
                }
                "missing" => Err(Status::not_found("no such thing")),
                _ => Err(Status::internal("broken")),
            }
        })
    }
}

struct Rig {
    runtime: Runtime,
    address: SocketAddr,
    channel: TracedChannel,
    probe: Probe,
}

impl Rig {
    fn start() -> Self {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listen::address_of(&listener).expect("bound");
        let probe = Probe::default();
        let server = Server::new("probe", listener, Services::new().add(probe.clone()), Limits::default(), &runtime);
        runtime.tasks.work.spawn("grpc", OnFailure::Stop, server.serve_until(runtime.tasks.work.token()));
        let channel = grpc::measured_channel(&format!("http://{address}"), &runtime.metrics).expect("a URL");
        Self { runtime, address, channel, probe }
    }

    async fn ask(&self, request: Request<String>) -> Result<String, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.expect("ready");
        let path = PathAndQuery::from_static("/test.v1.Probe/Ask");
        client.unary(request, path, ProstCodec::<String, String>::default()).await.map(Response::into_inner)
    }

    async fn serving(&self) -> Result<i32, Status> {
        let mut client = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest { service: String::from("test.v1.Probe") };
        client.check(request).await.map(|answer| answer.into_inner().status)
    }
}

fn given(what: &str, budget: Duration) -> Request<String> {
    with_deadline(what.to_owned(), Deadline::within(budget))
}

#[tokio::test]
async fn client_span_is_the_parent_of_the_server_span() {
    let caught = Caught::start();
    let rig = Rig::start();
    let seen = rig.ask(given("trace", Duration::from_secs(5))).await.expect("an answer");
    assert_eq!(rig.runtime.drain(Duration::from_secs(5)).await, 0);

    let spans = caught.named(METHOD);
    let of_kind = |kind| spans.iter().find(|span| span.span_kind == kind).expect("both sides have a span");
    let (client, server) = (of_kind(SpanKind::Client), of_kind(SpanKind::Server));
    assert_eq!(spans.len(), 2);
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert_eq!(server.span_context.trace_id(), client.span_context.trace_id());
    assert_eq!(server.span_context.trace_id().to_string(), seen);
    for span in [client, server] {
        assert_eq!(attribute(span, "rpc.system.name").as_deref(), Some("grpc"));
        assert_eq!(attribute(span, "rpc.method").as_deref(), Some(METHOD));
        assert_eq!(attribute(span, "rpc.status_code").as_deref(), Some("OK"));
        assert_eq!(span.status, SpanStatus::Unset);
        assert_only_pinned_names(span);
    }
    assert_eq!(attribute(server, "setlist.component").as_deref(), Some("probe"));
    assert_eq!(attribute(client, "server.port"), Some(rig.address.port().to_string()));
}

#[tokio::test]
async fn the_caller_sees_an_error_where_the_server_does_not() {
    let caught = Caught::start();
    let rig = Rig::start();
    let error = rig.ask(Request::new(String::from("missing"))).await.expect_err("not found");
    assert_eq!(error.code(), Code::NotFound);
    rig.runtime.drain(Duration::from_secs(5)).await;
    for span in caught.named(METHOD) {
        assert_eq!(attribute(&span, "rpc.status_code").as_deref(), Some("NOT_FOUND"));
        let is_error = matches!(span.status, SpanStatus::Error { .. });
        assert_eq!(is_error, span.span_kind == SpanKind::Client);
        assert_eq!(attribute(&span, "error.type").is_some(), is_error);
    }
}

#[tokio::test]
async fn the_deadline_reaches_the_server_a_little_nearer() {
    let rig = Rig::start();
    let left: u64 =
        rig.ask(given("remaining", Duration::from_secs(30))).await.expect("an answer").parse().expect("a number");
    assert!((1..30_000).contains(&left), "{left}");
    let none = rig.ask(Request::new(String::from("remaining"))).await.expect("an answer");
    assert_eq!(none, "0", "without a deadline the server takes its own");
}

#[tokio::test]
async fn work_stops_when_the_caller_gives_up() {
    let caught = Caught::start();
    let rig = Rig::start();
    tokio::select! {
        answer = rig.ask(given("forever", Duration::from_secs(60))) => panic!("answered {answer:?}"),
        () = rig.probe.0.started.notified() => {}
    }
    // The caller's future is gone; the work on the other side follows it.
    rig.probe.0.dropped.notified().await;
    rig.runtime.drain(Duration::from_secs(5)).await;
    let spans = caught.named(METHOD);
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!(attribute(&span, "rpc.status_code").as_deref(), Some("CANCELLED"));
        assert_eq!(matches!(span.status, SpanStatus::Error { .. }), span.span_kind == SpanKind::Client);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_ends_its_work_at_the_callers_deadline() {
    let endless =
        service_fn(|_: http::Request<Body>| std::future::pending::<Result<http::Response<Body>, Infallible>>());
    let mut server = GrpcServerTrace::new("probe").layer(endless);
    let request =
        http::Request::post("/test.v1.Probe/Ask").header("grpc-timeout", "60m").body(Body::empty()).expect("valid");
    let started = Instant::now();
    let Ok(answer) = server.call(request).await;
    assert_eq!(answer.headers()["grpc-status"], (Code::DeadlineExceeded as i32).to_string());
    assert_eq!(started.elapsed(), Duration::from_millis(60));
}

#[tokio::test]
async fn a_server_does_not_start_what_comes_after_its_callers_deadline() {
    let started = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&started);
    let counting = service_fn(move |_: http::Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, Infallible>(http::Response::new(Body::empty())))
    });
    let mut server = GrpcServerTrace::new("probe").layer(counting);
    for (timeout, starts) in [("0n", 0), ("0S", 0), ("1S", 1)] {
        let request = http::Request::post("/test.v1.Probe/Ask").header("grpc-timeout", timeout);
        let Ok(answer) = server.call(request.body(Body::empty()).expect("valid")).await;
        assert_eq!(started.load(Ordering::Relaxed), starts, "{timeout}");
        assert_eq!(answer.headers().contains_key("grpc-status"), starts == 0, "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_no_longer_than_its_deadline() {
    let endless = service_fn(|request: http::Request<Body>| async move {
        assert_eq!(request.headers()["grpc-timeout"], "58000000n", "the callee gets a little less");
        std::future::pending::<Result<http::Response<Body>, Infallible>>().await
    });
    let mut client = GrpcClientTrace::new("localhost", 1).layer(endless);
    let mut request = http::Request::post("/test.v1.Probe/Ask").body(Body::empty()).expect("valid");
    request.extensions_mut().insert(Deadline::within(Duration::from_millis(60)));
    let started = Instant::now();
    let status = client.call(request).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(started.elapsed(), Duration::from_millis(60));
}

#[tokio::test]
async fn a_call_without_any_time_left_is_not_sent() {
    let caught = Caught::start();
    let rig = Rig::start();
    let error = rig.ask(given("trace", Duration::ZERO)).await.expect_err("too late");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    rig.runtime.drain(Duration::from_secs(5)).await;
    assert!(caught.named(METHOD).iter().all(|span| span.span_kind == SpanKind::Client));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listen::address_of(&listener).expect("bound");
    drop(listener);
    let runtime = Runtime::new(Arc::new(SystemClock));
    let channel = grpc::channel(&format!("http://{address}")).expect("a URL");
    let rig = Rig { runtime, address, channel, probe: Probe::default() };
    let error = rig.ask(given("trace", Duration::from_secs(5))).await.expect_err("nobody is there");
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn calls_are_measured_by_method_and_status() {
    let rig = Rig::start();
    rig.ask(given("trace", Duration::from_secs(5))).await.expect("an answer");
    rig.ask(given("anything", Duration::from_secs(5))).await.expect_err("broken");
    rig.runtime.drain(Duration::from_secs(5)).await;
    let page = rig.runtime.metrics.encode();
    for side in ["server", "client"] {
        for status in ["OK", "INTERNAL"] {
            let line =
                format!("setlist_rpc_{side}_call_duration_seconds_count{{method=\"{METHOD}\",status=\"{status}\"}} 1");
            assert!(page.contains(&line), "{line} is not in\n{page}");
        }
    }
}

#[tokio::test]
async fn health_over_grpc_follows_the_process() {
    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;
    let rig = Rig::start();
    let index = rig.runtime.health.component("index");
    let mut seen = Vec::new();
    for ready in [true, false] {
        if ready {
            index.ready();
        } else {
            index.not_ready("rebuilding");
        }
        let expected = if ready { SERVING } else { NOT_SERVING };
        // The change travels through a task; each question lets it run.
        let mut status = rig.serving().await.expect("an answer");
        for _ in 0..100 {
            if status == expected {
                break;
            }
            status = rig.serving().await.expect("an answer");
        }
        seen.push(status);
    }
    assert_eq!(seen, [SERVING, NOT_SERVING]);
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused() {
    for endpoint in ["", "not a url"] {
        assert!(grpc::channel(endpoint).is_err(), "{endpoint}");
    }
}
