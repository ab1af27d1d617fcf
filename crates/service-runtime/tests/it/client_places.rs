//! Where a client finds its endpoints, and what a span tells of the one that was called.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use opentelemetry::trace::SpanKind;
use service_runtime::{
    Runtime,
    client::{self, Resolve, Resolving},
};
use shared_models::SystemClock;
use tonic::Code;

use crate::{
    fleet::{Replica, SECOND, ask, connect, endpoints, quick, read, until},
    spans::{Caught, assert_only_pinned_names, attribute},
};

/// A resolver whose answer the test changes.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<SocketAddr>>>);

impl Resolve for Told {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        assert_eq!((host, port), ("echo.internal", 7_000));
        let addresses = self.0.lock().expect("not poisoned").clone();
        Box::pin(
            async move { if addresses.is_empty() { Err(io::Error::other("no such name")) } else { Ok(addresses) } },
        )
    }
}

#[tokio::test]
async fn a_name_is_looked_up_again_and_again() {
    let replicas = [Replica::start(), Replica::start(), Replica::start()];
    let told = Told::default();
    let tell = |which: &[usize]| {
        *told.0.lock().expect("not poisoned") = which.iter().map(|n| replicas[*n].address).collect();
    };
    let runtime = Runtime::new(Arc::new(SystemClock));
    let resolver = Arc::new(told.clone());
    let channel = client::connect_by(resolver, "echo", "dns://echo.internal:7000", &quick(), &runtime)
        .await
        .expect("a good place");
    let error = ask(&channel, read("hello", SECOND)).await.expect_err("no address yet");
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "echo: no endpoint is known"));

    let calls = || replicas.iter().map(Replica::calls).collect::<Vec<_>>();
    let some = async || {
        let before = calls();
        for _ in 0..30 {
            ask(&channel, read("hello", SECOND)).await.expect("an answer");
        }
        before.iter().zip(calls()).map(|(before, after)| after > *before).collect::<Vec<_>>()
    };
    tell(&[0, 1]);
    until("two", || endpoints(&runtime, "usable") == 2).await;
    assert_eq!(some().await, [true, true, false]);
    tell(&[2]);
    until("one", || endpoints(&runtime, "known") == 1 && endpoints(&runtime, "usable") == 1).await;
    assert_eq!(some().await, [false, false, true]);
    // The name cannot be looked up: what is known stays.
    tell(&[]);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(some().await, [false, false, true]);
}

#[tokio::test]
async fn the_span_tells_attempts_endpoint_and_breaker() {
    let replicas = [Replica::start(), Replica::start()];
    let places = format!("{},{}", replicas[0].url(), replicas[1].url());
    let (channel, runtime) = connect(&places, client::Config { open_after: 1, ..quick() }).await;
    until("all to serve", || endpoints(&runtime, "usable") == 2).await;
    // One call before spans are caught: who reaches a span's place in the code first, on any thread and without a
    // subscriber, would switch it off.
    ask(&channel, read("hello", SECOND)).await.expect("an answer");
    let caught = Caught::start();
    replicas[0].echo.status.store(Code::Unavailable as i32, Ordering::Relaxed);
    // Until one call was refused by the first, and went on to the other.
    let clients = || {
        let spans = caught.named("test.v1.Echo/Ask");
        spans.into_iter().filter(|span| span.span_kind == SpanKind::Client).collect::<Vec<_>>()
    };
    let attempts = |span: &_| attribute(span, "setlist.attempts");
    for _ in 0..200 {
        ask(&channel, read("hello", SECOND)).await.expect("an answer");
        if clients().iter().any(|span| attempts(span).as_deref() == Some("2")) {
            break;
        }
    }
    let spans = clients();
    let twice = spans.iter().find(|span| attempts(span).as_deref() == Some("2")).expect("one call took two attempts");
    for span in spans.iter().filter(|span| attempts(span).as_deref() == Some("1")).chain([twice]) {
        assert_eq!(attribute(span, "server.address").as_deref(), Some("127.0.0.1"));
        assert_eq!(attribute(span, "server.port"), Some(replicas[1].address.port().to_string()));
        assert_eq!(attribute(span, "setlist.breaker"), None);
        assert_eq!(span.attributes.iter().filter(|pair| pair.key.as_str() == "server.port").count(), 1);
        assert_only_pinned_names(span);
    }
    for replica in replicas {
        replica.kill().await;
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ask(&channel, read("hello", SECOND)).await.expect_err("nobody is there");
    }
    let spans = clients();
    let refused = spans.iter().find(|span| attribute(span, "setlist.breaker").is_some()).expect("one was refused");
    assert_eq!(attribute(refused, "setlist.breaker").as_deref(), Some("open"));
    assert_eq!(attribute(refused, "rpc.status_code").as_deref(), Some("UNAVAILABLE"));
    assert_eq!(attribute(refused, "server.port"), None);
    assert_only_pinned_names(refused);
}

#[tokio::test]
async fn places_that_do_not_parse_are_refused() {
    let runtime = Runtime::new(Arc::new(SystemClock));
    for places in ["", "127.0.0.1:7101", "http://a:1,", "https://a:1", "dns://a"] {
        assert!(client::connect("echo", places, &quick(), &runtime).await.is_err(), "{places}");
    }
}
