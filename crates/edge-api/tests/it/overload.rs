//! More to do than can be done: who is refused, how they are told, and that it passes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, Edge, Mood, World};

const PAGE: &str = "/v1/surfaces/home:page";

/// Asserts a refusal that a client can act on.
fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (429, Some("overloaded")), "{}", answer.text);
    assert!((1..=3).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(answer.header("x-request-id").len(), 32);
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

async fn ahead(edge: &Edge, body: &str) -> Answer {
    let request = edge.request("POST", PAGE).header("sec-purpose", "prefetch");
    Answer::of(request.header("content-type", "application/json").body(body.to_owned())).await
}

fn event() -> String {
    json!({"events": [{"user_id": "u", "type": "play", "item_id": "track-1"}]}).to_string()
}

/// Waits until so many pages hang at ranking.
async fn hanging(edge: &Edge, count: usize) {
    while edge.world.ranked.lock().unwrap().len() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_refused_while_pages_pass() {
    let edge = Edge::with(|config| {
        (config.limits.concurrency, config.limits.least_concurrency) = (4, 4);
    })
    .await;
    World::set(&edge.world.ranking, Mood::Hangs);
    let slow = || edge.page(r#"{"budget_ms": 3000}"#);
    let others = async {
        hanging(&edge, 2).await;
        World::set(&edge.world.ranking, Mood::Well);
        refused(&ahead(&edge, "{}").await);
        refused(&edge.send("POST", "/v1/items:batch", r#"{"items": []}"#).await);
        refused(&edge.send("GET", "/docs", "").await);
        // Without a key the refusal is the same: it comes first, and costs nothing.
        refused(&Answer::of(edge.client.get(edge.url("/nowhere"))).await);
        for (path, status) in [(PAGE, 200), ("/v1/surfaces/home:recommend", 200), ("/v1/events", 202)] {
            let body = if status == 202 { event() } else { "{}".to_owned() };
            assert_eq!(edge.send("POST", path, &body).await.status, status, "{path}");
        }
        assert_eq!(edge.send("GET", "/readyz", "").await.status, 200);
        let metrics = edge.runtime.metrics.encode();
        for line in [
            "setlist_edge_limit 4",
            "setlist_edge_in_flight{class=\"page\"} 2",
            "setlist_edge_refused_total{class=\"background\",reason=\"share\"} 4",
        ] {
            assert!(metrics.contains(line), "{line} is not in {metrics}");
        }
    };
    tokio::join!(slow(), slow(), others);
    assert_eq!(ahead(&edge, "{}").await.status, 200, "there is room again");
}

#[tokio::test]
async fn events_and_pages_do_not_starve_each_other() {
    let edge = Edge::with(|config| {
        (config.limits.concurrency, config.limits.least_concurrency) = (1, 1);
        config.limits.events_concurrency = 1;
        config.events.ack_timeout = Duration::from_secs(1);
    })
    .await;
    let body = event();
    World::set(&edge.world.ranking, Mood::Hangs);
    let page = edge.page(r#"{"budget_ms": 1000}"#);
    let others = async {
        hanging(&edge, 1).await;
        refused(&edge.send("POST", PAGE, "{}").await);
        assert_eq!(edge.send("POST", "/v1/events", &body).await.status, 202);
    };
    tokio::join!(page, others);

    World::set(&edge.world.ranking, Mood::Well);
    World::set(&edge.world.bus, Mood::Hangs);
    let events = edge.send("POST", "/v1/events", &body);
    let others = async {
        edge.has_in_flight("events", 1).await;
        refused(&edge.send("POST", "/v1/events", &body).await);
        edge.page("{}").await;
    };
    tokio::join!(events, others);
}

/// An edge on two threads of its own, so that clients are not slowed down with it.
fn on_its_own() -> (tokio::runtime::Runtime, Arc<Edge>) {
    let start = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let edge = runtime.block_on(Edge::start());
        (runtime, Arc::new(edge))
    };
    std::thread::spawn(start).join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overload_is_refused_and_passes() {
    let (runtime, edge) = on_its_own();
    let limit = || {
        let page = edge.runtime.metrics.encode();
        let line = page.lines().find_map(|line| line.strip_prefix("setlist_edge_limit ")).unwrap();
        line.parse::<usize>().unwrap()
    };
    assert_eq!(limit(), 64);
    // Each page keeps one of the two threads busy: some three hundred a second are possible, many more are wanted.
    World::set(&edge.world.candidates, Mood::Works(6));
    let until = Instant::now() + Duration::from_secs(3);
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let edge = Arc::clone(&edge);
        clients.spawn(async move {
            let (mut served, mut turned_away) = (0, 0);
            while Instant::now() < until {
                let answer = edge.send("POST", PAGE, r#"{"budget_ms": 5000}"#).await;
                if answer.status == 429 {
                    refused(&answer);
                    turned_away += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                } else {
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    served += 1;
                }
            }
            (served, turned_away)
        });
    }
    let (mut served, mut turned_away) = (0, 0);
    while let Some(client) = clients.join_next().await {
        let (some, others) = client.unwrap();
        (served, turned_away) = (served + some, turned_away + others);
    }
    assert!(served > 20 && turned_away > 20, "{served} served, {turned_away} refused");
    assert!(limit() < 40, "{}", limit());

    // What is left of the load is answered, and the limit comes back.
    let began = Instant::now();
    while limit() < 64 {
        assert!(began.elapsed() < Duration::from_secs(5), "{}", limit());
        edge.page("{}").await;
    }
    runtime.shutdown_background();
}
