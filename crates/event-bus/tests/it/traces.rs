//! One trace from a publisher to its consumer, as a collector sees it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use event_bus::{
    ConsumerMetrics, ConsumerSpec, Delivery, Envelope, EventBus, GroupCommit, Handler, Outcome, consume,
    group_commit::Limits,
};
use futures_util::future::{join, join_all};
use service_runtime::{CancellationToken, Metrics, telemetry, trace};
use shared_models::Timestamp;
use testkit::{
    Collector,
    otlp::{Kind, Trace},
};
use tracing::Instrument as _;

use crate::rig::{KIND, PATIENCE, Rig, number, publish, runtime, spec, subject, within};

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
                (collector, telemetry::init(&config, "event-bus-test").unwrap())
            });
            (runtime, collector, telemetry)
        };
        // A runtime must not be made on another one's thread.
        std::thread::spawn(start).join().unwrap()
    });
    collector
}

struct Deaf(CancellationToken, usize, parking_lot::Mutex<Vec<Delivery>>);

#[async_trait]
impl Handler for Deaf {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        tracing::info_span!("handle").in_scope(|| {});
        let mut seen = self.2.lock();
        seen.extend_from_slice(batch);
        if seen.len() >= self.1 {
            self.0.cancel();
        }
        batch.iter().map(|_| Outcome::Done).collect()
    }
}

async fn consume_some(bus: &Arc<dyn EventBus>, spec: &ConsumerSpec, count: usize) -> Vec<Delivery> {
    let stop = CancellationToken::new();
    let handler = Arc::new(Deaf(stop.clone(), count, parking_lot::Mutex::default()));
    let metrics = ConsumerMetrics::new(&Metrics::new());
    within(consume(Arc::clone(bus), spec.clone(), Arc::clone(&handler) as Arc<dyn Handler>, metrics, stop))
        .await
        .unwrap();

    handler.2.lock().clone()
}

async fn whole(trace_id: &str, names: &[&str]) -> Trace {
    let trace = collector().trace(trace_id, names, PATIENCE).await.unwrap();
    trace.assert_whole().unwrap();
    trace
}

async fn one_message_is_one_trace(rig: Rig, commit: Option<&str>) {
    collector();
    let bus = rig.open().await;
    let caller = tracing::info_span!(parent: None, "caller");
    let trace_id = trace::trace_id(&trace::of(&caller)).unwrap();
    let reader = spec("reader");
    let consuming = consume_some(&bus, &reader, 1);
    let publishing = publish(bus.as_ref(), 3, 0..1).instrument(caller.clone());
    let (seen, ()) = join(consuming, publishing).await;
    drop(caller);
    assert_eq!(trace::trace_id(&seen[0].trace).as_deref(), Some(trace_id.as_str()), "the context travels");

    let mut names = vec!["caller", "send events.{tenant}", "process events.{tenant}", "handle"];
    names.extend(commit);
    let trace = whole(&trace_id, &names).await;
    trace.assert_under("send events.{tenant}", "caller").unwrap();
    trace.assert_under("process events.{tenant}", "send events.{tenant}").unwrap();
    trace.assert_under("handle", "process events.{tenant}").unwrap();
    trace.assert_kind("send events.{tenant}", Kind::Producer).unwrap();
    trace.assert_kind("process events.{tenant}", Kind::Consumer).unwrap();
    let send = trace.only("send events.{tenant}").unwrap();
    assert_eq!(send.attribute("messaging.system"), bus.name());
    assert_eq!(send.attribute("messaging.operation.type"), "send");
    assert_eq!(send.attribute("messaging.destination.name"), "events.demo.3.batch");
    assert_eq!(send.attribute("messaging.destination.template"), "events.{tenant}");
    assert_eq!(send.attribute("messaging.message.id"), seen[0].envelope.id);
    assert_eq!(send.attribute("setlist.stream.sequence"), "1");
    let process = trace.only("process events.{tenant}").unwrap();
    assert_eq!(process.attribute("messaging.consumer.group.name"), "reader");
    assert_eq!(process.attribute("messaging.batch.message_count"), "1");
    assert!(process.links.is_empty());
    if let Some(commit) = commit {
        trace.assert_under(commit, "send events.{tenant}").unwrap();
        trace.assert_kind(commit, Kind::Client).unwrap();
        let commit = trace.only(commit).unwrap();
        assert_eq!(commit.attribute("db.system.name"), "sqlite");
        assert_eq!(commit.attribute("db.operation.name"), "INSERT");
        assert_eq!(commit.attribute("db.query.summary"), "INSERT messages");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_is_one_trace_on_the_embedded_bus() {
    one_message_is_one_trace(Rig::embedded().await, Some("INSERT messages")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_is_one_trace_on_jetstream() {
    one_message_is_one_trace(Rig::jetstream().await, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_links_to_each_publisher() {
    collector();
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    let mut ids = Vec::new();
    for value in 0..3 {
        let caller = tracing::info_span!(parent: None, "caller");
        ids.push(trace::trace_id(&trace::of(&caller)).unwrap());
        bus.publish(&subject(5), number(value)).instrument(caller).await.unwrap();
    }
    consume_some(&bus, &ConsumerSpec { name: "linked".into(), ..spec("reader") }, 3).await;
    let process =
        collector().span(PATIENCE, |span| span.attribute("messaging.consumer.group.name") == "linked").await.unwrap();
    assert!(process.parent.is_empty(), "a batch is a trace of its own");
    assert_eq!(process.attribute("messaging.batch.message_count"), "3");
    for id in &ids {
        let sent = whole(id, &["caller", "send events.{tenant}"]).await;
        assert!(process.links_to(sent.only("send events.{tenant}").unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_commit_hangs_under_one_caller_and_links_to_the_others() {
    collector();
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    let limits = Limits { window: Duration::from_millis(50), ..Limits::default() };
    let group: GroupCommit<u32> = GroupCommit::new(Arc::clone(&bus), &runtime(), limits, |_, items| {
        Envelope::new(KIND, 1, Timestamp(0), format!("{items:?}"))
    });
    let callers: Vec<_> = (0..4).map(|_| tracing::info_span!(parent: None, "caller")).collect();
    let places: Vec<_> = callers.iter().map(trace::of).collect();
    let publishing = callers.into_iter().map(|caller| {
        let group = group.clone();
        async move { group.publish(&subject(0), 1, 10).await.unwrap() }.instrument(caller)
    });
    let acks = within(join_all(publishing)).await;
    assert!(acks.iter().all(|ack| ack.sequence == 1), "one message carries all");
    let first = trace::trace_id(&places[0]).unwrap();
    let trace = whole(&first, &["caller", "send events.{tenant}", "INSERT messages"]).await;
    trace.assert_under("send events.{tenant}", "caller").unwrap();
    let send = trace.only("send events.{tenant}").unwrap();
    for other in &places[1..] {
        let other = (trace::trace_id(other).unwrap(), trace::span_id(other).unwrap());
        assert!(send.links.contains(&other), "{other:?} is not in {:?}", send.links);
    }
}

async fn messages_sent_together_link_to_whose_work_they_are(rig: Rig, partition: u16) {
    collector();
    let bus = rig.open().await;
    let callers: Vec<_> = (0..3).map(|_| tracing::info_span!(parent: None, "caller")).collect();
    let places: Vec<_> = callers.iter().map(trace::of).collect();
    drop(callers);
    let messages = (0..3).map(|value| (subject(partition), number(value))).collect();
    assert_eq!(bus.publish_many_linked(messages, &places).await.unwrap().len(), 3);
    let name = subject(partition).as_str().to_owned();
    let sent = |span: &testkit::otlp::Span| {
        span.kind == Kind::Producer && span.attribute("messaging.destination.name") == name
    };
    let send = collector().span(PATIENCE, sent).await.unwrap();
    assert!(send.parent.is_empty(), "it belongs to none of their traces");
    let expected: Vec<_> =
        places.iter().map(|place| (trace::trace_id(place).unwrap(), trace::span_id(place).unwrap())).collect();
    assert_eq!(send.links, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_sent_together_link_to_whose_work_they_are_on_the_embedded_bus() {
    messages_sent_together_link_to_whose_work_they_are(Rig::embedded().await, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_sent_together_link_to_whose_work_they_are_on_jetstream() {
    messages_sent_together_link_to_whose_work_they_are(Rig::jetstream().await, 7).await;
}
