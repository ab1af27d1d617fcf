//! What a collector sees of the edge alone: one server span, and whose trace it is.

use std::{sync::OnceLock, time::Duration};

use service_runtime::{telemetry, trace};
use shared_models::ErrorCode;
use testkit::{Collector, otlp::Kind};

use crate::support::{Answer, Edge, Mood, World};

const PATIENCE: Duration = Duration::from_secs(20);
const STRANGER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The process's collector: telemetry is set up once in a process, for all its tests.
fn collector() -> &'static Collector {
    static COLLECTOR: OnceLock<(tokio::runtime::Runtime, Collector, telemetry::Telemetry)> = OnceLock::new();
    let (_, collector, _) = COLLECTOR.get_or_init(|| {
        let start = || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let (collector, telemetry) = runtime.block_on(async {
                let collector = Collector::start().await.unwrap();
                let config = telemetry::Config {
                    otlp_endpoint: collector.endpoint().to_owned(),
                    log: "off".to_owned(),
                    ..telemetry::Config::default()
                };
                (collector, telemetry::init(&config, "edge-api-test").unwrap())
            });
            (runtime, collector, telemetry)
        };
        // A runtime must not be made on another one's thread.
        std::thread::spawn(start).join().unwrap()
    });
    collector
}

#[tokio::test]
async fn a_strangers_trace_is_only_linked() {
    collector();
    for trusted in [false, true] {
        let edge = Edge::with(|config| {
            if trusted {
                config.http.trust_traceparent = true;
            }
        })
        .await;
        let asked = edge.client.get(edge.url("/v1/schemas/surface.json")).header("traceparent", STRANGER);
        let answer = Answer::of(asked).await;
        let id = answer.header("x-request-id");
        assert_eq!(id == "4bf92f3577b34da6a3ce929d0e0e4736", trusted, "{id}");
        assert!(answer.header("traceparent").contains(id));
        let span = collector().span(PATIENCE, |span| span.trace == id).await.unwrap();
        assert_eq!(span.name, "GET /v1/schemas/surface.json");
        let linked = [("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned())];
        if trusted {
            assert_eq!((span.parent.as_str(), span.links.len()), ("00f067aa0ba902b7", 0));
        } else {
            assert_eq!((span.parent.as_str(), span.links.as_slice()), ("", &linked[..]));
        }
    }
}

#[tokio::test]
async fn a_page_is_one_span_that_tells_what_became_of_it() {
    collector();
    let edge = Edge::start().await;
    World::set(&edge.world.ranking, Mood::Fails(ErrorCode::Unavailable));
    let page = edge.page("{}").await;
    let id = page["trace_id"].as_str().unwrap();
    let trace = collector().trace(id, &["POST /v1/surfaces/{surface}:page"], PATIENCE).await.unwrap();
    assert_eq!(trace.spans.len(), 1, "{:?}", trace.spans);
    let span = &trace.spans[0];
    assert_eq!(span.kind, Kind::Server);
    let shelves = page["shelves"].as_array().unwrap();
    let cards: usize = shelves.iter().map(|shelf| shelf["cards"].as_array().unwrap().len()).sum();
    for (name, value) in [
        ("setlist.tenant", "demo"),
        ("setlist.surface", "home"),
        ("setlist.release", "r1"),
        ("setlist.degraded", "source_order"),
        ("setlist.shelves", &shelves.len().to_string()),
        ("setlist.cards", &cards.to_string()),
    ] {
        assert_eq!(span.attribute(name), value, "{name}");
    }
    let reasons = span.attribute("setlist.degraded.reasons");
    assert!(reasons.contains("ranking=unavailable"), "{reasons}");

    // Its record says whose it is.
    edge.runtime.tasks.observers.drain(Duration::from_secs(5)).await;
    let callers = edge.world.callers.lock().unwrap();
    assert_eq!(callers.iter().map(trace::trace_id).collect::<Vec<_>>(), [Some(id.to_owned())]);
}
