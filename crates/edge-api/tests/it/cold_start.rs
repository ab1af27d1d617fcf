//! A start while every service is away: what was popular is served from disk, and the edge says what is missing.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use edge_api::{
    Config,
    auth::{Key, Scope},
    service,
};
use serde_json::json;
use service_runtime::Runtime;
use shared_models::{SystemClock, TenantId};
use testkit::ports;

use crate::support::{Answer, Edge, item_ids};

/// Fills a folder through an edge whose services are there.
async fn filled(folder: &Path) {
    let edge = Edge::with(|config| config.serving.snapshot = folder.to_owned()).await;
    let file = folder.join("popular.json");
    let holds = |text: &str| std::fs::read_to_string(&file).is_ok_and(|kept| kept.contains(text));
    let began = Instant::now();
    let patience = |what: &str| assert!(began.elapsed() < Duration::from_secs(20), "{what}");
    while !holds("Song 19") {
        patience("nothing is written");
        tokio::task::yield_now().await;
    }
    // What is deleted does not come back with a restart.
    assert_eq!(edge.send("DELETE", "/v1/items/track-12", "").await.status, 204);
    while holds("track-12") {
        patience("track-12 is still there");
        tokio::task::yield_now().await;
    }
    // A market that is asked for is kept too.
    edge.page(r#"{"market": "SE"}"#).await;
    while !holds("track-29") {
        patience("market SE is not there");
        tokio::task::yield_now().await;
    }
    edge.runtime.drain(Duration::from_secs(5)).await;
}

/// An edge process's own way of starting, with nothing to connect to.
struct Alone {
    address: SocketAddr,
    runtime: Runtime,
    key: String,
    client: reqwest::Client,
}

impl Alone {
    async fn start(folder: &Path) -> Self {
        let (key, entry) = Key::generate(&TenantId::new("demo").unwrap(), &Scope::ALL);
        let nobody = || format!("http://{}", ports::unused().unwrap());
        let mut config = Config::default();
        config.auth.keys.push(entry);
        config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        (config.services.candidates, config.services.ranking) = (nobody(), nobody());
        config.bus.kind = event_bus::Kind::Nats;
        config.bus.url = format!("nats://{}", ports::unused().unwrap());
        config.serving.snapshot = folder.to_owned();
        config.store.url = format!("sqlite://{}", folder.join("edge.db").display());
        let runtime = Runtime::new(Arc::new(SystemClock));
        let began = Instant::now();
        let listening = service::serve(config, runtime.clone()).await.unwrap();
        let alone = Self {
            address: listening[0].address,
            runtime,
            key: key.expose().to_owned(),
            client: reqwest::Client::new(),
        };
        assert_eq!(alone.send("GET", "/readyz", "").await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(5), "ready after {:?}", began.elapsed());
        alone
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.address));
        let request = request.bearer_auth(&self.key).header("content-type", "application/json");
        Answer::of(request.body(body.to_owned())).await
    }

    async fn page(&self, body: &str) -> serde_json::Value {
        let answer = self.send("POST", "/v1/surfaces/home:page", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_alone_serves_what_was_popular() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let edge = Alone::start(folder.path()).await;
    let page = edge.page(r#"{"user_id": "user-1"}"#).await;
    assert_eq!(page["degraded"]["level"], "popular");
    assert_eq!(page["degraded"]["stages"][0]["stage"], "candidates");
    let expected = [10, 11, 13, 14, 15, 16, 17, 18, 19].map(|number| format!("track-{number}"));
    assert_eq!(item_ids(&page), expected, "without what was deleted");
    assert_eq!(page["shelves"][0]["cards"][0]["title"], "Song 10");
    let page = edge.page(r#"{"market": "SE", "limit": 2}"#).await;
    assert_eq!(item_ids(&page), ["track-20", "track-21"]);
    let slate = edge.send("POST", "/v1/surfaces/home:recommend", "{}").await;
    assert_eq!((slate.status, slate.json()["degraded"]["level"].as_str()), (200, Some("popular")));
    let similar = edge.send("GET", "/v1/items/track-5/similar", "").await;
    assert_eq!((similar.status, similar.json()["degraded"]["level"].as_str()), (200, Some("empty")));

    // What cannot be answered from memory is not answered, and the client is told when to come back.
    let event = json!({"events": [{"user_id": "u", "type": "play", "item_id": "track-1"}]}).to_string();
    for (method, path, body) in [("POST", "/v1/events", event.as_str()), ("GET", "/v1/items/track-1", "")] {
        let began = Instant::now();
        let answer = edge.send(method, path, body).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        assert!(began.elapsed() < Duration::from_secs(4), "{path} took {:?}", began.elapsed());
    }
    let report = edge.runtime.health.report();
    assert!(report.ready);
    assert_eq!(report.components["event-bus"].detail.as_deref(), Some("NATS is away"));
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_snapshots_total{outcome=\"read\"} 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_alone_without_a_good_snapshot_serves_empty_pages() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("popular.json"), "setlist-popular 2 0\n{}").unwrap();
    let edge = Alone::start(folder.path()).await;
    let page = edge.page(r#"{"user_id": "user-1"}"#).await;
    assert_eq!((page["degraded"]["level"].as_str(), &page["shelves"]), (Some("empty"), &json!([])));
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_snapshots_total{outcome=\"ignored\"} 1"));
}
