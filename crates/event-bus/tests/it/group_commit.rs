//! Many callers, few messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use event_bus::{
    Ack, ConsumerSpec, Durability, Envelope, Error, EventBus, GroupCommit, Lag, Subject, Subscription,
    group_commit::Limits,
};
use futures_util::{FutureExt as _, future::join_all};
use service_runtime::trace::TraceParent;
use shared_models::Timestamp;

use crate::rig::{KIND, PATIENCE, Rig, drain, runtime, spec, subject, within};

fn group(bus: &Arc<dyn EventBus>, limits: Limits) -> GroupCommit<u32> {
    GroupCommit::new(Arc::clone(bus), &runtime(), limits, |_, items| {
        let text: Vec<String> = items.iter().map(u32::to_string).collect();
        Envelope::new(KIND, 1, Timestamp(0), text.join(","))
    })
}

/// All items on the stream with the number of messages that carry them.
async fn carried(bus: &dyn EventBus, messages: usize) -> Vec<u32> {
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let mut all = Vec::new();
    for delivery in drain(seat.as_mut(), messages).await {
        let text = String::from_utf8_lossy(&delivery.envelope.payload).into_owned();
        all.extend(text.split(',').map(|item| item.parse::<u32>().unwrap()));
    }
    all
}

async fn every_caller_hears_of_its_item(rig: Rig) {
    let bus = rig.open().await;
    let group = group(&bus, Limits { max_bytes: 2000, ..Limits::default() });
    let started = Instant::now();
    let acks = within(join_all((0..1000).map(|item| {
        let group = group.clone();
        async move { group.publish(&subject((item % 4) as u16), item, 10).await.unwrap() }
    })))
    .await;
    let last = acks.iter().map(|ack| ack.sequence).max().unwrap();
    eprintln!("{}: 1,000 items in {last} messages in {:?}", bus.name(), started.elapsed());
    assert!(last >= 5, "a message holds 200 items at most");
    assert!(last <= 100, "{last} messages carried 1,000 items");
    let mut all = carried(bus.as_ref(), last as usize).await;
    all.sort_unstable();
    assert!(all.into_iter().eq(0..1000), "each item exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_hears_of_its_item_on_the_embedded_bus() {
    every_caller_hears_of_its_item(Rig::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_hears_of_its_item_on_jetstream() {
    every_caller_hears_of_its_item(Rig::jetstream().await).await;
}

#[tokio::test]
async fn a_lone_item_waits_no_longer_than_the_window() {
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    let group = group(&bus, Limits { window: Duration::ZERO, ..Limits::default() });
    let ack = group.publish(&subject(0), 7, 1_000_000).await.unwrap();
    assert_eq!(ack.sequence, 1, "an item larger than a message travels alone");
}

/// A bus that fails until it is told not to: between the group and a real one.
struct Flaky {
    bus: Arc<dyn EventBus>,
    away: AtomicBool,
    hold: tokio::sync::Semaphore,
}

#[async_trait]
impl EventBus for Flaky {
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        callers: &[TraceParent],
    ) -> Result<Ack, Error> {
        self.hold.acquire().await.unwrap().forget();
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::TimedOut { step: "publishing" });
        }
        self.bus.publish_linked(subject, envelope, callers).await
    }
    async fn subscribe(&self, spec: &ConsumerSpec) -> Result<Box<dyn Subscription>, Error> {
        self.bus.subscribe(spec).await
    }
    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, Error> {
        self.bus.lag(spec).await
    }
    fn durability(&self) -> Durability {
        self.bus.durability()
    }
    fn name(&self) -> &'static str {
        self.bus.name()
    }
}

async fn flaky() -> (Rig, Arc<Flaky>, Arc<dyn EventBus>) {
    let rig = Rig::embedded().await;
    let bus = rig.open().await;
    let flaky = Arc::new(Flaky { bus, away: AtomicBool::new(false), hold: tokio::sync::Semaphore::new(0) });
    let bus = Arc::clone(&flaky) as Arc<dyn EventBus>;
    (rig, flaky, bus)
}

#[tokio::test]
async fn nobody_is_told_that_a_lost_item_is_kept() {
    let (_rig, flaky, bus) = flaky().await;
    flaky.away.store(true, Ordering::Relaxed);
    flaky.hold.add_permits(1000);
    let group = group(&bus, Limits::default());
    let subject = subject(0);
    for answer in within(join_all((0..20).map(|item| group.publish(&subject, item, 10)))).await {
        assert_eq!(answer.unwrap_err().code(), shared_models::ErrorCode::Unavailable);
    }
    flaky.away.store(false, Ordering::Relaxed);
    group.publish(&subject, 20, 10).await.unwrap();
}

#[tokio::test]
async fn items_gather_while_a_message_is_on_its_way() {
    let (_rig, flaky, bus) = flaky().await;
    let group = group(&bus, Limits { window: Duration::ZERO, ..Limits::default() });
    let subject = subject(0);
    let mut first = Box::pin(group.publish(&subject, 0, 10));
    assert!(first.as_mut().now_or_never().is_none());
    // The driver takes the first item and sends it; the bus holds it there.
    for _turn in 0..100 {
        tokio::task::yield_now().await;
    }
    let others = join_all((1..50).map(|item| group.publish(&subject, item, 10)));
    let release = async {
        for _turn in 0..100 {
            tokio::task::yield_now().await;
        }
        flaky.hold.add_permits(2);
    };
    let (first, others, ()) = within(futures_util::future::join3(first, others, release)).await;
    assert_eq!(first.unwrap().sequence, 1);
    assert!(others.into_iter().all(|ack| ack.unwrap().sequence == 2), "they go out together");
}

#[tokio::test]
async fn callers_are_turned_away_when_too_much_waits() {
    let (_rig, flaky, bus) = flaky().await;
    let group = group(&bus, Limits { waiting_bytes: 100, window: PATIENCE, max_bytes: 1 << 20, ..Limits::default() });
    let subject = subject(0);
    let mut waiting: Vec<_> = (0..10).map(|item| Box::pin(group.publish(&subject, item, 10))).collect();
    for call in &mut waiting {
        assert!(futures_util::FutureExt::now_or_never(call.as_mut()).is_none());
    }
    // However long the driver had to take them in, they wait, and there is no room for more.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let full = group.publish(&subject, 10, 10).await;
    assert!(matches!(full, Err(Error::Full)), "{full:?}");
    drop(flaky);
}
