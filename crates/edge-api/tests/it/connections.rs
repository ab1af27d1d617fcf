//! Connections: silent and slow ones are closed, a stop finishes what is in hand.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Edge, Mood, World};

async fn closed_after(edge: &Edge, bytes: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    // An error is a close too.
    let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "{:?} is still open", String::from_utf8_lossy(bytes));
    began.elapsed()
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let edge = Edge::with(|config| config.http.header_read_timeout = Duration::from_millis(300)).await;
    for bytes in [&b""[..], b"P", b"PRI * HT", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let took = closed_after(&edge, bytes).await;
        assert!(took < Duration::from_secs(5), "{:?} took {took:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(edge.send("GET", "/livez", "").await.status, 200);
}

#[tokio::test]
async fn connections_past_the_cap_are_closed_at_once() {
    let edge = Edge::with(|config| config.http.max_connections = 1).await;
    let mut first = TcpStream::connect(edge.address).await.unwrap();
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert!(closed_after(&edge, b"").await < Duration::from_secs(5));
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_connections_refused_total 1"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand() {
    let edge = Edge::start().await;
    // Ranking hangs, so that the answer takes most of its budget.
    World::set(&edge.world.ranking, Mood::Hangs);
    let page = edge.page(r#"{"budget_ms": 600}"#);
    let stop = async {
        while edge.world.ranked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        edge.runtime.tasks.work.drain(Duration::from_secs(10)).await
    };
    let (page, left) = tokio::join!(page, stop);
    assert_eq!(page["degraded"]["level"], "source_order");
    assert_eq!(left, 0);
    assert!(TcpStream::connect(edge.address).await.is_err());
}

#[tokio::test]
async fn a_body_that_dribbles_takes_nobodys_place() {
    let edge = Edge::with(|config| {
        config.limits.concurrency = 1;
        config.limits.body_timeout = Duration::from_millis(400);
    })
    .await;
    let mut slow = TcpStream::connect(edge.address).await.unwrap();
    let head = format!(
        "POST /v1/surfaces/home:page HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
        edge.key
    );
    let began = Instant::now();
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answered = 0;
    let mut text = Vec::new();
    let refused = async {
        slow.read_to_end(&mut text).await.unwrap();
        began.elapsed()
    };
    let others = async {
        while began.elapsed() < Duration::from_millis(300) {
            edge.page("{}").await;
            answered += 1;
        }
    };
    let (took, ()) = tokio::join!(refused, others);
    assert!(answered > 0 && took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{answered} {took:?}");
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("\"reason\":\"body_timeout\""), "{text}");
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_bodies_refused_total{outcome=\"slow\"} 1"));
}
