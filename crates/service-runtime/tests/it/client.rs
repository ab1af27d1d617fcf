//! A client and several replicas of a service: what a caller sees when they are killed, frozen, restarted or moved.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use service_runtime::{client, grpc::Limits};
use tokio::{io::AsyncReadExt as _, task::JoinSet};
use tonic::Code;

use crate::fleet::{Echo, Replica, SECOND, ask, client_of, connect, endpoints, metric, quick, read, until, write};

const ATTEMPTS: &str = "setlist_client_attempts_total{dependency=\"echo\"}";
const BREAKER: &str = "setlist_client_breaker_state{dependency=\"echo\"}";
const OPENED: &str = "setlist_client_breaker_opened_total{dependency=\"echo\"}";
const RETRIED: &str = "setlist_client_retries_total{dependency=\"echo\",outcome=\"retried\"}";

/// Runs `work` beside the test, until the set is dropped.
fn started<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    let mut set = JoinSet::new();
    set.spawn(work);
    set
}

/// A replica that stood still takes what it reads at first for older than its budget.
const CAUGHT_UP: Duration = Duration::from_millis(400);

#[tokio::test]
async fn calls_are_spread_over_the_endpoints() {
    let replicas = [Replica::start(), Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    for _ in 0..300 {
        ask(&channel, read("hello", SECOND)).await.expect("an answer");
    }
    let calls: Vec<usize> = replicas.iter().map(Replica::calls).collect();
    assert!(calls.iter().all(|calls| (60..140).contains(calls)), "{calls:?}");
    assert_eq!(metric(&runtime, ATTEMPTS), 300.0);
    assert_eq!(endpoints(&runtime, "known"), 3);
    assert_eq!(metric(&runtime, "setlist_client_calls_in_flight{dependency=\"echo\"}"), 0.0);
    let told = runtime.health.report().components["client.echo"].clone();
    assert!(told.ready);
    assert_eq!(told.detail.as_deref(), Some("circuit closed, 3 of 3 endpoints usable, 0 ejected"));
}

#[tokio::test]
async fn a_killed_endpoint_costs_no_call() {
    let mut replicas = vec![Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    let mut load = started({
        let channel = channel.clone();
        async move {
            let workers = (0..8).map(|_| {
                let channel = channel.clone();
                async move {
                    for _ in 0..60 {
                        ask(&channel, read("wait:5", SECOND)).await.expect("no call is lost");
                    }
                }
            });
            futures_util::future::join_all(workers).await;
        }
    });
    until("some load", || replicas[0].calls() > 60).await;
    let calls = replicas[1].calls();
    replicas.remove(0).kill().await;
    load.join_next().await.expect("it was started").expect("no call is lost");
    assert!(replicas[0].calls() > calls + 60);
    until("one to be away", || endpoints(&runtime, "usable") == 1).await;
    assert_eq!(metric(&runtime, BREAKER), 0.0);
}

#[tokio::test]
async fn a_frozen_endpoint_is_left_after_a_few_calls_and_returns() {
    let mut replicas = vec![Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    replicas[0].freeze();
    let mut lost = 0;
    for _ in 0..60 {
        lost += usize::from(ask(&channel, read("hello", Duration::from_millis(50))).await.is_err());
    }
    assert!((1..=6).contains(&lost), "{lost} calls were lost");
    assert_eq!(metric(&runtime, "setlist_client_ejections_total{dependency=\"echo\"}"), 1.0);
    assert_eq!(metric(&runtime, BREAKER), 0.0);
    // Its ejection ends while it does not answer: it is not tried, because it is not known to serve.
    until("it to be known as away", || endpoints(&runtime, "ejected") == 0 && endpoints(&runtime, "usable") == 1).await;
    for _ in 0..60 {
        ask(&channel, read("hello", Duration::from_millis(200))).await.expect("nobody tries it");
    }
    replicas[0].thaw();
    until("it to serve again", || endpoints(&runtime, "usable") == 2).await;
    tokio::time::sleep(CAUGHT_UP).await;
    let before = replicas[0].calls();
    for _ in 0..60 {
        ask(&channel, read("hello", SECOND)).await.expect("an answer");
    }
    assert!(replicas[0].calls() > before);
}

#[tokio::test]
async fn an_endpoint_that_answers_with_failures_is_ejected() {
    let replicas = [Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    replicas[0].echo.status.store(Code::Internal as i32, Ordering::Relaxed);
    let mut lost = 0;
    for _ in 0..60 {
        lost += usize::from(ask(&channel, read("hello", SECOND)).await.is_err());
    }
    assert_eq!(lost, 5);
    assert_eq!((endpoints(&runtime, "known"), endpoints(&runtime, "ejected")), (2, 1));
    // What is the caller's own fault is not the endpoint's.
    replicas[1].echo.status.store(Code::InvalidArgument as i32, Ordering::Relaxed);
    for _ in 0..20 {
        let error = ask(&channel, read("hello", SECOND)).await.expect_err("told to fail");
        assert!([Code::InvalidArgument, Code::Internal].contains(&error.code()));
    }
    assert_eq!(metric(&runtime, BREAKER), 0.0);
}

#[tokio::test]
async fn when_all_are_down_calls_fail_at_once_and_recover_soon() {
    let replicas = [Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    let mut addresses = Vec::new();
    for replica in replicas {
        addresses.push(replica.kill().await);
    }
    let began = Instant::now();
    while metric(&runtime, BREAKER) == 0.0 {
        assert!(began.elapsed() < SECOND, "the breaker stays closed");
        ask(&channel, read("hello", SECOND)).await.expect_err("nobody is there");
    }
    let attempts = metric(&runtime, ATTEMPTS);
    let mut took = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        let error = ask(&channel, read("hello", SECOND)).await.expect_err("nobody is there");
        assert_eq!(error.code(), Code::Unavailable);
        if error.message().contains("circuit open") {
            took.push(began.elapsed());
            assert!(error.message().starts_with("echo: circuit open, next probe in "), "{}", error.message());
            assert_eq!(error.metadata().get(client::REASON_KEY).expect("a reason"), client::CIRCUIT_OPEN);
        }
    }
    took.sort();
    // The machine has other things to do, too.
    let most = took[took.len() * 95 / 100];
    assert!(most < Duration::from_millis(5), "{most:?}");
    assert!(metric(&runtime, ATTEMPTS) - attempts < 10.0, "only probes are sent");
    assert_eq!(metric(&runtime, OPENED), 1.0);
    assert!(metric(&runtime, "setlist_client_calls_refused_total{dependency=\"echo\"}") > 400.0);
    let told = runtime.health.report();
    assert!(told.ready, "pages are made without it");
    assert!(told.components["client.echo"].detail.as_deref().is_some_and(|detail| !detail.contains("closed")));

    let _back: Vec<Replica> =
        addresses.into_iter().map(|address| Replica::start_with(address, Echo::default(), Limits::default())).collect();
    let began = Instant::now();
    while ask(&channel, read("hello", SECOND)).await.is_err() || metric(&runtime, BREAKER) > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(2), "it takes too long to recover");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for _ in 0..100 {
        ask(&channel, read("hello", SECOND)).await.expect("an answer");
    }
}

/// Takes connections, reads a little and breaks them; counts them.
async fn breaking() -> (SocketAddr, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let serving = started(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut some = [0; 64];
            let _broken = connection.read(&mut some).await;
        }
    });
    (address, count, serving)
}

#[tokio::test]
async fn an_outage_is_not_made_worse_by_retries() {
    let (one, at_one, _one_serves) = breaking().await;
    let (other, at_other, _other_serves) = breaking().await;
    // The health checks are not calls: they stay out of the count.
    let config = client::Config { health_interval: Duration::from_secs(60), ..quick() };
    // Neither the breaker nor an ejection helps: the budget alone holds retries down.
    let config =
        client::Config { open_after: 10_000, open_calls: 10_000, eject_after: 10_000, eject_calls: 10_000, ..config };
    let (channel, runtime) = connect(&format!("http://{one},http://{other}"), config).await;
    const OFFERED: usize = 1_000;
    for _ in 0..OFFERED {
        ask(&channel, read("hello", SECOND)).await.expect_err("it breaks");
    }
    let connections = at_one.load(Ordering::Relaxed) + at_other.load(Ordering::Relaxed);
    let attempts = metric(&runtime, ATTEMPTS) as usize;
    assert!(attempts <= OFFERED * 12 / 10, "{attempts} attempts for {OFFERED} calls");
    assert!(connections <= OFFERED * 12 / 10 + 2, "{connections} connections for {OFFERED} calls");
    assert!(metric(&runtime, RETRIED) > 0.0);
    assert!(metric(&runtime, "setlist_client_retries_total{dependency=\"echo\",outcome=\"budget_exhausted\"}") > 0.0);
}

#[tokio::test]
async fn only_what_reads_is_sent_again_when_it_may_have_been_worked_on() {
    for (repeat, again) in [(read as fn(&str, Duration) -> _, true), (write, false)] {
        let mut replicas = vec![Replica::start(), Replica::start()];
        let (channel, runtime) = client_of(&replicas).await;
        let mut asked = started({
            let channel = channel.clone();
            async move { ask(&channel, repeat("wait:300", Duration::from_secs(5))).await }
        });
        until("somebody to work on it", || replicas.iter().any(|replica| replica.calls() > 0)).await;
        let busy = replicas.iter().position(|replica| replica.calls() > 0).expect("one works on it");
        replicas.remove(busy).kill().await;
        let answer = asked.join_next().await.expect("it was started").expect("it does not panic");
        assert_eq!(replicas[0].calls(), usize::from(again));
        assert_eq!(metric(&runtime, ATTEMPTS), if again { 2.0 } else { 1.0 });
        match answer {
            Ok(_) => assert!(again),
            Err(error) => assert!(!again && error.code() == Code::Unavailable, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_not_ready_hands_reads_to_the_next() {
    let replicas = [Replica::start(), Replica::start()];
    let (channel, runtime) = client_of(&replicas).await;
    // Some calls, which pay for the retries.
    for _ in 0..40 {
        ask(&channel, read("hello", SECOND)).await.expect("an answer");
    }
    replicas[0].echo.status.store(Code::Unavailable as i32, Ordering::Relaxed);
    for _ in 0..40 {
        ask(&channel, read("hello", SECOND)).await.expect("the other one answers");
    }
    assert!(metric(&runtime, RETRIED) > 0.0);
}

#[tokio::test]
async fn rolling_restarts_lose_nothing_and_repeat_no_write() {
    // A hundred of them take half a minute; a few show as much when they show something.
    let restarts: usize =
        std::env::var("SETLIST_TEST_RESTARTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let echo = Echo::default();
    // Connections come of age in between, too.
    let limits = Limits { max_connection_age: Duration::from_millis(150), ..Limits::default() };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut replicas: Vec<Replica> =
        (0..2).map(|_| Replica::start_with(anywhere, echo.clone(), limits.clone())).collect();
    let (channel, runtime) = client_of(&replicas).await;
    let going = Arc::new(AtomicUsize::new(1));
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let (channel, going) = (channel.clone(), Arc::clone(&going));
            started(async move {
                let mut failures = Vec::new();
                let mut asked = 0;
                while going.load(Ordering::Relaxed) > 0 {
                    let message = format!("{worker}/{asked}");
                    let request = if worker % 2 == 0 { read(&message, SECOND) } else { write(&message, SECOND) };
                    if let Err(error) = ask(&channel, request).await {
                        failures.push(format!("{message}: {error}"));
                    }
                    asked += 1;
                }
                (asked, failures)
            })
        })
        .collect();
    for _ in 0..restarts {
        let address = replicas.remove(0).stop().await;
        // A call or a health check finds out that it is gone.
        until("it to be away", || endpoints(&runtime, "usable") == 1).await;
        replicas.push(Replica::start_with(address, echo.clone(), limits.clone()));
        until("it to be back", || endpoints(&runtime, "usable") == 2).await;
    }
    going.store(0, Ordering::Relaxed);
    let (mut asked, mut failures) = (0, Vec::new());
    for mut worker in workers {
        let (of_one, failed) = worker.join_next().await.expect("it was started").expect("it does not panic");
        asked += of_one;
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "{} of {asked} calls failed in {restarts} restarts: {failures:#?}", failures.len());
    assert!(asked > restarts * 10, "{asked} calls in {restarts} restarts");
    let worked = echo.worked.lock().expect("not poisoned");
    let twice = |(message, count): (&String, &usize)| *count > 1 && !message.starts_with(['0', '2', '4']);
    assert_eq!(worked.iter().filter(|entry| twice(*entry)).count(), 0, "no write is worked on twice");
    assert_eq!(worked.len(), asked);
}

#[tokio::test]
async fn a_connection_into_the_void_is_given_up_within_seconds() {
    let mut replica = Replica::start();
    let (channel, runtime) = client_of(std::slice::from_ref(&replica)).await;
    replica.freeze();
    let began = Instant::now();
    // The deadline is far away: the connection's own pings notice that nobody is there.
    let error = ask(&channel, write("hello", Duration::from_secs(60))).await.expect_err("frozen");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    until("it to be away", || endpoints(&runtime, "usable") == 0).await;
    replica.thaw();
    until("it to serve again", || endpoints(&runtime, "usable") == 1).await;
    tokio::time::sleep(CAUGHT_UP).await;
    ask(&channel, write("again", SECOND)).await.expect("an answer");
}
