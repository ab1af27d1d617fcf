//! A ranking behind a network that is not there, or hangs: pages stay quick, and say what is missing.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::grpc::{RankingClient, RankingServer};
use edge_api::{
    App, Backends, Config,
    auth::{Key, Scope},
};
use serde_json::Value;
use service_runtime::{
    OnFailure, Runtime, client,
    grpc::{Limits, Server, Services},
    listen,
};
use shared_models::{SystemClock, TenantId};

use crate::support::{Edge, World, item_ids};

const BREAKER: &str = "setlist_client_breaker_state{dependency=\"ranking\"}";

/// An edge whose ranking is at `places`.
async fn edge_with_ranking_at(places: &str) -> Edge {
    let world = World::new();
    let (key, entry) = Key::generate(&TenantId::new("demo").unwrap(), &Scope::ALL);
    let mut config = Config::default();
    config.auth.keys.push(entry);
    let runtime = Runtime::new(Arc::new(SystemClock));
    let ranking = client::connect("ranking", places, &config.services.resilience, &runtime).await.unwrap();
    let backends = Backends {
        candidates: world.clone(),
        catalogue: world.clone(),
        profiles: world.clone(),
        ranking: Arc::new(RankingClient::new(ranking)),
        bus: world.clone(),
        records: None,
    };
    let app = App::build(&config, &runtime, backends).unwrap();
    let openapi = serde_json::to_string(app.openapi()).unwrap();
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.tasks.work.spawn("http", OnFailure::Log, app.serve(listener));
    Edge { address, world, runtime, key: key.expose().to_owned(), openapi, client: reqwest::Client::new() }
}

fn missing(page: &Value) -> (&str, &str) {
    assert_eq!(page["degraded"]["level"], "source_order", "{page}");
    let stage = &page["degraded"]["stages"][0];
    (stage["stage"].as_str().unwrap(), stage["cause"].as_str().unwrap())
}

fn breaker_is_open(edge: &Edge) -> bool {
    edge.runtime.metrics.encode().lines().any(|line| line.starts_with(BREAKER) && !line.ends_with(" 0"))
}

/// Pages until the breaker is open; then how long the slowest but one of a hundred takes.
async fn pages_until_open(edge: &Edge, cause: &str) -> Duration {
    let began = Instant::now();
    while !breaker_is_open(edge) {
        assert!(began.elapsed() < Duration::from_secs(10), "the breaker stays closed");
        let page = edge.page(r#"{"budget_ms": 200}"#).await;
        assert_eq!(missing(&page), ("ranking", cause));
        assert_eq!(item_ids(&page)[0], "track-0");
    }
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let page = edge.page(r#"{"budget_ms": 200}"#).await;
        took.push(began.elapsed());
        // A probe now and then finds out that it is still so.
        assert!(["unavailable", cause].contains(&missing(&page).1), "{page}");
    }
    took.sort();
    took[took.len() / 2]
}

#[tokio::test]
async fn a_page_without_ranking_is_quick_and_ranking_comes_back() {
    let reserved = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let edge = edge_with_ranking_at(&format!("http://{address}")).await;
    let slow = pages_until_open(&edge, "unavailable").await;
    assert!(slow < Duration::from_millis(60), "{slow:?}");
    let ready = edge.runtime.health.report();
    assert!(ready.ready, "{ready:?}");
    let detail = ready.components["client.ranking"].detail.clone().unwrap();
    assert!(detail.starts_with("circuit open") || detail.starts_with("circuit half-open"), "{detail}");

    let listener = listen::bind(address).unwrap();
    let services = Services::new().add(RankingServer::new(World::new()));
    let work = &edge.runtime.tasks.work;
    let server = Server::new("ranking", listener, services, Limits::default(), &edge.runtime);
    work.spawn("ranking", OnFailure::Log, server.serve_until(work.token()));
    let began = Instant::now();
    while edge.page("{}").await["degraded"]["level"] != "none" || breaker_is_open(&edge) {
        assert!(began.elapsed() < Duration::from_secs(3), "it takes too long to recover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_page_beside_a_hung_ranking_is_quick_after_a_few() {
    // It takes connections, and that is all.
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let edge = edge_with_ranking_at(&format!("http://{}", listener.local_addr().unwrap())).await;
    let slow = pages_until_open(&edge, "timeout").await;
    // Only the probes, two a second, take as long as their budget.
    assert!(slow < Duration::from_millis(60), "{slow:?}");
    drop(listener);
}
