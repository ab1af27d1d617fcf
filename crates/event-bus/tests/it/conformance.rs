//! What every bus promises. Each promise is one function, and is held against both buses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use event_bus::{
    ConsumerMetrics, ConsumerSpec, Delivery, Durability, EventBus, Handler, Outcome, StreamName, Subscription, consume,
    subjects::{self, Filter, Start},
};
use futures_util::future::join;
use service_runtime::{CancellationToken, Metrics};
use shared_models::TenantId;

use crate::rig::{Rig, dead_letter, drain, next, number, numbers, publish, sequences, spec, subject, within};

crate::rig::promises!(
    an_acknowledged_message_survives_a_crash,
    the_same_id_is_kept_once,
    messages_of_a_subject_keep_their_order,
    many_messages_are_published_at_once,
    a_consumer_goes_on_where_it_stopped,
    a_new_consumer_starts_where_its_spec_says,
    an_unanswered_message_comes_again_after_its_wait,
    work_that_takes_long_can_be_kept_alive,
    a_retry_comes_after_its_delay,
    a_rejected_message_becomes_a_dead_letter,
    a_message_nobody_answers_becomes_a_dead_letter,
    two_seats_share_the_messages,
    a_seat_given_up_frees_its_messages,
    a_filter_shows_its_subjects_only,
    partitions_are_consumed_each_by_its_own,
    an_exclusive_seat_is_taken_over_at_once_and_in_order,
    a_message_that_outlives_its_holders_becomes_a_dead_letter,
    lag_is_what_is_not_answered,
    a_dropped_wait_loses_nothing,
    a_subscriber_is_woken_by_a_publish,
    the_handler_decides_what_is_acknowledged,
    retries_end_in_a_dead_letter,
    an_outage_costs_no_delivery,
    poison_does_not_hold_up_its_neighbours,
    an_oversized_message_is_refused,
    a_synced_bus_is_strong,
);

async fn an_acknowledged_message_survives_a_crash(mut rig: Rig) {
    let bus = rig.open().await;
    let ack = bus.publish(&subject(0), number(7)).await.unwrap();
    assert_eq!((ack.stream, ack.sequence, ack.duplicate), (StreamName::Events, 1, false));
    drop(bus);
    rig.crash().await;
    let bus = rig.open().await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let batch = next(seat.as_mut(), 10).await;
    assert_eq!(numbers(&batch), [7]);
    assert_eq!((batch[0].sequence, batch[0].attempt), (1, 1));
    assert_eq!(batch[0].subject, subject(0));
    assert_eq!(bus.publish(&subject(0), number(8)).await.unwrap().sequence, 2, "numbers go on");
}

async fn the_same_id_is_kept_once(rig: Rig) {
    let bus = rig.open().await;
    let envelope = number(1);
    let first = bus.publish(&subject(0), envelope.clone()).await.unwrap();
    let second = bus.publish(&subject(0), envelope.clone()).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.sequence, second.sequence);
    drop(bus);
    let bus = rig.open().await;
    assert!(bus.publish(&subject(0), envelope).await.unwrap().duplicate, "ids are remembered across a restart");
    bus.publish(&subject(0), number(2)).await.unwrap();
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert_eq!(numbers(&drain(seat.as_mut(), 2).await), [1, 2]);
}

async fn messages_of_a_subject_keep_their_order(rig: Rig) {
    let bus = rig.open().await;
    let (even, odd) = (0..40).step_by(2).zip((1..40).step_by(2)).unzip::<u32, u32, Vec<_>, Vec<_>>();
    let send = |partition: u16, values: Vec<u32>| {
        let bus = Arc::clone(&bus);
        async move {
            for value in values {
                bus.publish(&subject(partition), number(value)).await.unwrap();
            }
        }
    };
    join(send(0, even.clone()), send(1, odd.clone())).await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let all = drain(seat.as_mut(), 40).await;
    assert!(all.is_sorted_by_key(|delivery| delivery.sequence));
    let of = |partition: u16| {
        let own: Vec<Delivery> = all.iter().filter(|each| each.subject == subject(partition)).cloned().collect();
        numbers(&own)
    };
    assert_eq!((of(0), of(1)), (even, odd));
}

async fn many_messages_are_published_at_once(rig: Rig) {
    let bus = rig.open().await;
    let messages: Vec<_> = (0..2000).map(|value| (subject((value % 8) as u16), number(value))).collect();
    let started = Instant::now();
    let acks = bus.publish_many(messages.clone()).await.unwrap();
    eprintln!("{}: 2,000 messages published at once in {:?}", bus.name(), started.elapsed());
    assert_eq!(acks.len(), 2000);
    assert!(acks.iter().map(|ack| ack.sequence).eq(1..=2000));
    assert!(bus.publish_many(messages).await.unwrap().iter().all(|ack| ack.duplicate), "sending again is free");
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert!(numbers(&drain(seat.as_mut(), 2000).await).into_iter().eq(0..2000));
}

async fn a_consumer_goes_on_where_it_stopped(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_batch: 4, ..spec("reader") };
    publish(bus.as_ref(), 0, 0..10).await;
    let mut seat = bus.subscribe(&spec).await.unwrap();
    assert_eq!(numbers(&drain(seat.as_mut(), 4).await), [0, 1, 2, 3]);
    seat.close().await;
    drop(bus);
    let bus = rig.open().await;
    let mut seat = bus.subscribe(&spec).await.unwrap();
    assert_eq!(numbers(&drain(seat.as_mut(), 6).await), [4, 5, 6, 7, 8, 9]);
}

async fn a_new_consumer_starts_where_its_spec_says(rig: Rig) {
    let bus = rig.open().await;
    publish(bus.as_ref(), 0, 0..3).await;
    let mut oldest = bus.subscribe(&spec("oldest")).await.unwrap();
    let mut newest = bus.subscribe(&ConsumerSpec { start: Start::Newest, ..spec("newest") }).await.unwrap();
    publish(bus.as_ref(), 0, 3..4).await;
    assert_eq!(numbers(&drain(oldest.as_mut(), 4).await), [0, 1, 2, 3]);
    assert_eq!(numbers(&drain(newest.as_mut(), 1).await), [3]);
}

async fn an_unanswered_message_comes_again_after_its_wait(rig: Rig) {
    let bus = rig.open().await;
    publish(bus.as_ref(), 0, 0..2).await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let started = Instant::now();
    let mut first = next(seat.as_mut(), 2).await;
    while first.len() < 2 {
        first.extend(next(seat.as_mut(), 1).await);
    }
    seat.ack(&[first[1].sequence]).await.unwrap();
    let again = next(seat.as_mut(), 2).await;
    assert!(started.elapsed() >= Duration::from_millis(1900), "it came after {:?}", started.elapsed());
    assert_eq!(numbers(&again), [0]);
    assert_eq!(again[0].attempt, 2);
}

async fn work_that_takes_long_can_be_kept_alive(rig: Rig) {
    let bus = rig.open().await;
    publish(bus.as_ref(), 0, 0..1).await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let batch = next(seat.as_mut(), 1).await;
    let mut other = bus.subscribe(&spec("reader")).await.unwrap();
    // Twice as long as the wait, in steps shorter than it.
    let mut beat = tokio::time::interval(Duration::from_millis(400));
    for _beat in 0..10 {
        beat.tick().await;
        seat.extend(&sequences(&batch)).await.unwrap();
        let stolen = tokio::time::timeout(Duration::from_millis(1), other.next_batch(1)).await;
        assert!(stolen.is_err(), "it was given to another");
    }
    seat.ack(&sequences(&batch)).await.unwrap();
    assert_eq!(bus.lag(&spec("reader")).await.unwrap().pending, 0);
}

async fn a_retry_comes_after_its_delay(rig: Rig) {
    let bus = rig.open().await;
    publish(bus.as_ref(), 0, 0..1).await;
    let mut seat = bus.subscribe(&ConsumerSpec { ack_wait: Duration::from_secs(30), ..spec("reader") }).await.unwrap();
    let batch = next(seat.as_mut(), 1).await;
    let started = Instant::now();
    seat.retry(batch[0].sequence, Duration::from_millis(300)).await.unwrap();
    let again = next(seat.as_mut(), 1).await;
    assert!(started.elapsed() >= Duration::from_millis(290), "it came after {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(15), "it came after {:?}", started.elapsed());
    assert_eq!((numbers(&again), again[0].attempt), (vec![0], 2));
}

async fn a_rejected_message_becomes_a_dead_letter(rig: Rig) {
    let bus = rig.open().await;
    let envelope = number(13);
    bus.publish(&subject(3), envelope.clone()).await.unwrap();
    let spec = spec("reader");
    let mut seat = bus.subscribe(&spec).await.unwrap();
    let batch = next(seat.as_mut(), 1).await;
    seat.reject(&batch[0], "unlucky").await.unwrap();
    assert_eq!(bus.lag(&spec).await.unwrap().pending, 0, "it is answered");
    let letter = dead_letter(bus.as_ref()).await.unwrap();
    assert_eq!((letter.stream.as_str(), letter.consumer.as_str(), letter.sequence), ("EVENTS", "reader", 1));
    assert_eq!(
        (letter.subject.as_str(), letter.deliveries, letter.reason.as_str()),
        ("events.demo.3.batch", 1, "unlucky")
    );
    assert_eq!(event_bus::Envelope::decode(letter.message).unwrap(), envelope, "it is there byte for byte");
}

async fn a_message_nobody_answers_becomes_a_dead_letter(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_deliver: 2, max_batch: 1, ack_wait: Duration::from_millis(100), ..spec("reader") };
    publish(bus.as_ref(), 0, 0..1).await;
    let mut seat = bus.subscribe(&spec).await.unwrap();
    for attempt in 1..=2 {
        assert_eq!(next(seat.as_mut(), 1).await[0].attempt, attempt);
    }
    // The seat buries it while it looks for more.
    within(async {
        while bus.lag(&spec).await.unwrap().pending > 0 {
            let _none = tokio::time::timeout(Duration::from_millis(200), seat.next_batch(1)).await;
        }
    })
    .await;
    let letter = dead_letter(bus.as_ref()).await.unwrap();
    assert_eq!(letter.reason, "was delivered 2 times without an answer");
}

async fn two_seats_share_the_messages(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_batch: 5, ack_wait: Duration::from_secs(30), ..spec("reader") };
    let messages: Vec<_> = (0..200).map(|value| (subject(0), number(value))).collect();
    let (first, second) = (bus.subscribe(&spec).await.unwrap(), bus.subscribe(&spec).await.unwrap());
    let (seen, stop) = (AtomicUsize::new(0), CancellationToken::new());
    let work = |mut seat: Box<dyn Subscription>| {
        let (seen, stop) = (&seen, &stop);
        async move {
            let mut own = Vec::new();
            while let Some(batch) = stop.run_until_cancelled(seat.next_batch(5)).await {
                let batch = batch.unwrap();
                seat.ack(&sequences(&batch)).await.unwrap();
                if seen.fetch_add(batch.len(), Ordering::Relaxed) + batch.len() >= 200 {
                    stop.cancel();
                }
                own.extend(numbers(&batch));
            }
            own
        }
    };
    let ((), (first, second)) = within(join(
        async {
            bus.publish_many(messages).await.unwrap();
        },
        join(work(first), work(second)),
    ))
    .await;
    assert!(!first.is_empty() && !second.is_empty(), "{} and {}", first.len(), second.len());
    let mut all: Vec<u32> = first.into_iter().chain(second).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..200), "each exactly once");
}

async fn a_seat_given_up_frees_its_messages(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { ack_wait: Duration::from_secs(10), ..spec("reader") };
    publish(bus.as_ref(), 0, 0..3).await;
    let mut first = bus.subscribe(&spec).await.unwrap();
    next(first.as_mut(), 1).await;
    first.close().await;
    let mut second = bus.subscribe(&spec).await.unwrap();
    let mut all = numbers(&drain(second.as_mut(), 3).await);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
}

async fn a_filter_shows_its_subjects_only(rig: Rig) {
    let bus = rig.open().await;
    for value in 0..24 {
        bus.publish(&subject((value % 8) as u16), number(value)).await.unwrap();
    }
    let other = TenantId::new("other").unwrap();
    bus.publish(&subjects::events(&other, 3), number(100)).await.unwrap();
    let mut partition = bus.subscribe(&spec("reader").for_partition(3)).await.unwrap();
    assert_eq!(numbers(&drain(partition.as_mut(), 4).await), [3, 11, 19, 100]);
    let of_other = spec("of-other").filtered(Filter::tenant(StreamName::Events, &other));
    let mut tenant = bus.subscribe(&of_other).await.unwrap();
    assert_eq!(numbers(&drain(tenant.as_mut(), 1).await), [100]);
    assert_eq!(bus.lag(&of_other).await.unwrap().pending, 0);
}

async fn partitions_are_consumed_each_by_its_own(rig: Rig) {
    let bus = rig.open().await;
    let specs: Vec<ConsumerSpec> = (0..4).map(|partition| spec("reader").for_partition(partition)).collect();
    let mut seats = Vec::new();
    for spec in &specs {
        // Declared twice: it stays one consumer.
        drop(bus.subscribe(spec).await.unwrap());
        seats.push(bus.subscribe(spec).await.unwrap());
    }
    publish_spread(bus.as_ref(), 0..40).await;
    for (partition, (spec, seat)) in (0..).zip(specs.iter().zip(&mut seats)) {
        assert_eq!(bus.lag(spec).await.unwrap().pending, 10);
        let expected = (0..10).map(|nth| nth * 4 + partition);
        assert!(numbers(&drain(seat.as_mut(), 10).await).into_iter().eq(expected), "partition {partition}");
        assert_eq!(bus.lag(spec).await.unwrap(), event_bus::Lag::default());
    }
}

async fn an_exclusive_seat_is_taken_over_at_once_and_in_order(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { ack_wait: Duration::from_secs(60), ..spec("reader").for_partition(3) };
    let mut first = bus.subscribe(&spec).await.unwrap();
    publish_spread(bus.as_ref(), 0..80).await;
    let held = next(first.as_mut(), 8).await;
    first.ack(&sequences(&held[1..3.min(held.len())])).await.unwrap();
    let answered = numbers(&held[1..3.min(held.len())]);
    // The first holder says nothing more, and does not close.
    let started = Instant::now();
    let mut second = bus.subscribe(&spec).await.unwrap();
    publish_spread(bus.as_ref(), 80..88).await;
    let expected: Vec<u32> = (0..88).filter(|n| n % 4 == 3 && !answered.contains(n)).collect();
    let all = drain(second.as_mut(), expected.len()).await;
    assert!(started.elapsed() < Duration::from_secs(4), "it took {:?}", started.elapsed());
    assert_eq!(numbers(&all), expected);
    assert_eq!(all[0].attempt, 2, "its deliveries are counted on");
    assert_eq!(bus.lag(&spec).await.unwrap().pending, 0);
}

async fn a_message_that_outlives_its_holders_becomes_a_dead_letter(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { ack_wait: Duration::from_secs(60), max_deliver: 2, ..spec("reader").for_partition(0) };
    publish(bus.as_ref(), 0, 0..1).await;
    for attempt in 1..=2 {
        let mut holder = bus.subscribe(&spec).await.unwrap();
        assert_eq!(next(holder.as_mut(), 1).await[0].attempt, attempt);
        // It dies of the message.
        drop(holder);
    }
    let mut third = bus.subscribe(&spec).await.unwrap();
    publish(bus.as_ref(), 0, 1..2).await;
    assert_eq!(numbers(&next(third.as_mut(), 1).await), [1]);
    assert_eq!(dead_letter(bus.as_ref()).await.unwrap().reason, "was delivered 2 times without an answer");
}

/// Publishes numbers, each into the partition of its remainder by four.
async fn publish_spread(bus: &dyn EventBus, range: std::ops::Range<u32>) {
    bus.publish_many(range.map(|value| (subject((value % 4) as u16), number(value))).collect()).await.unwrap();
}

async fn lag_is_what_is_not_answered(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_batch: 4, ack_wait: Duration::from_secs(30), ..spec("reader").for_partition(0) };
    assert_eq!(bus.lag(&spec).await.unwrap(), event_bus::Lag::default(), "nobody is behind by nothing");
    publish(bus.as_ref(), 0, 0..10).await;
    publish(bus.as_ref(), 1, 10..20).await;
    let mut seat = bus.subscribe(&spec).await.unwrap();
    assert_eq!(bus.lag(&spec).await.unwrap().pending, 10);
    let batch = next(seat.as_mut(), 4).await;
    assert_eq!(bus.lag(&spec).await.unwrap().pending, 10, "delivered is not answered");
    seat.ack(&sequences(&batch)).await.unwrap();
    let lag = bus.lag(&spec).await.unwrap();
    assert_eq!(lag.pending, 10 - batch.len() as u64);
    drain(seat.as_mut(), 10 - batch.len()).await;
    assert_eq!(bus.lag(&spec).await.unwrap(), event_bus::Lag::default());
}

async fn a_dropped_wait_loses_nothing(rig: Rig) {
    let bus = rig.open().await;
    let spec = spec("reader");
    let mut seat = bus.subscribe(&spec).await.unwrap();
    for value in 0..20 {
        let impatient = tokio::time::timeout(Duration::from_micros(300 * u64::from(value)), seat.next_batch(10)).await;
        assert!(impatient.is_err(), "nothing was there yet");
        publish(bus.as_ref(), 0, value..value + 1).await;
        let batch = next(seat.as_mut(), 10).await;
        assert_eq!((numbers(&batch), batch[0].attempt), (vec![value], 1));
        seat.ack(&sequences(&batch)).await.unwrap();
    }
}

async fn a_subscriber_is_woken_by_a_publish(rig: Rig) {
    let bus = rig.open().await;
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let mut waits = Vec::new();
    for value in 0..50 {
        let started = Instant::now();
        let (batch, ()) = join(next(seat.as_mut(), 1), publish(bus.as_ref(), 0, value..value + 1)).await;
        waits.push(started.elapsed());
        seat.ack(&sequences(&batch)).await.unwrap();
    }
    waits.sort_unstable();
    eprintln!("{}: publish to delivery p50 {:?}, worst {:?}", bus.name(), waits[25], waits[49]);
    assert!(waits[25] < Duration::from_millis(250), "half of them took {:?}", waits[25]);
}

async fn a_synced_bus_is_strong(rig: Rig) {
    assert_eq!(rig.open().await.durability(), Durability::Strong);
}

async fn an_oversized_message_is_refused(rig: Rig) {
    let bus = rig.open().await;
    let huge = event_bus::Envelope { payload: vec![0; 2 << 20].into(), ..number(0) };
    let error = bus.publish(&subject(0), huge).await.unwrap_err();
    assert!(matches!(error, event_bus::Error::TooLarge { .. }), "{error}");
    bus.publish(&subject(0), number(1)).await.unwrap();
}

/// A handler that does what a closure says, and tells how often each number came.
pub(crate) struct Judge<F> {
    judge: F,
    seen: parking_lot::Mutex<Vec<(u32, u32)>>,
}

#[async_trait]
impl<F: Fn(u32, u32) -> Outcome + Send + Sync> Handler for Judge<F> {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let judged: Vec<(u32, u32)> = numbers(batch).into_iter().zip(batch.iter().map(|each| each.attempt)).collect();
        self.seen.lock().extend(&judged);
        judged.into_iter().map(|(number, attempt)| (self.judge)(number, attempt)).collect()
    }
}

/// Runs a consumer until `enough`, and gives what its handler saw.
pub(crate) async fn consume_until<F>(
    bus: &Arc<dyn EventBus>,
    spec: &ConsumerSpec,
    judge: F,
    enough: impl Future<Output = ()>,
) -> Vec<(u32, u32)>
where
    F: Fn(u32, u32) -> Outcome + Send + Sync + 'static,
{
    let handler = Arc::new(Judge { judge, seen: parking_lot::Mutex::default() });
    let stop = CancellationToken::new();
    let consuming = consume(
        Arc::clone(bus),
        spec.clone(),
        Arc::clone(&handler) as Arc<dyn Handler>,
        ConsumerMetrics::new(&Metrics::new()),
        stop.clone(),
    );
    let (consumed, ()) = within(join(consuming, async {
        enough.await;
        stop.cancel();
    }))
    .await;
    consumed.unwrap();

    handler.seen.lock().clone()
}

/// Until the consumer has answered everything.
pub(crate) async fn until_answered(bus: &dyn EventBus, spec: &ConsumerSpec) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        // A consumer that does not exist yet is behind by nothing.
        if bus.lag(spec).await.unwrap().pending == 0 {
            return;
        }
    }
}

async fn the_handler_decides_what_is_acknowledged(rig: Rig) {
    let bus = rig.open().await;
    let spec = spec("reader");
    drop(bus.subscribe(&spec).await.unwrap());
    publish(bus.as_ref(), 0, 0..6).await;
    let judge = |number, attempt| match (number, attempt) {
        (1, 1) => Outcome::Retry { after: Duration::from_millis(50), reason: "busy".to_owned() },
        (2, _) => Outcome::Reject { reason: "never".to_owned() },
        _ => Outcome::Done,
    };
    let mut seen = consume_until(&bus, &spec, judge, until_answered(bus.as_ref(), &spec)).await;
    seen.sort_unstable();
    assert_eq!(seen, [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]);
    assert_eq!(dead_letter(bus.as_ref()).await.unwrap().reason, "never");
}

async fn retries_end_in_a_dead_letter(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_deliver: 3, ..spec("reader") };
    drop(bus.subscribe(&spec).await.unwrap());
    publish(bus.as_ref(), 0, 0..1).await;
    let judge = |_, _| Outcome::Retry { after: Duration::from_millis(10), reason: "still busy".to_owned() };
    let seen = consume_until(&bus, &spec, judge, until_answered(bus.as_ref(), &spec)).await;
    assert_eq!(seen, [(0, 1), (0, 2), (0, 3)]);
    let letter = dead_letter(bus.as_ref()).await.unwrap();
    assert_eq!((letter.reason.as_str(), letter.deliveries), ("given up after 3 deliveries: still busy", 3));
}

async fn an_outage_costs_no_delivery(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_deliver: 2, ack_wait: Duration::from_secs(2), ..spec("reader") };
    for spec in [&spec, &subjects::DEAD_LETTERS] {
        drop(bus.subscribe(spec).await.unwrap());
    }
    publish(bus.as_ref(), 0, 0..3).await;
    // More tries than the consumer has deliveries, and longer than a message may go unanswered.
    let tries = std::sync::atomic::AtomicU32::new(0);
    let judge = move |number, _| {
        if number == 1 && tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 6 {
            return Outcome::Pause { reason: "the store is away".to_owned() };
        }
        Outcome::Done
    };
    let seen = consume_until(&bus, &spec, judge, until_answered(bus.as_ref(), &spec)).await;
    assert_eq!(seen.iter().filter(|(number, _)| *number == 1).count(), 7, "{seen:?}");
    assert!(seen.iter().all(|(_, attempt)| *attempt == 1), "{seen:?}");
    assert_eq!(bus.lag(&subjects::DEAD_LETTERS).await.unwrap().pending, 0);
}

async fn poison_does_not_hold_up_its_neighbours(rig: Rig) {
    let bus = rig.open().await;
    let spec = ConsumerSpec { max_deliver: 2, ack_wait: Duration::from_secs(10), ..spec("reader") };
    drop(bus.subscribe(&spec).await.unwrap());
    publish(bus.as_ref(), 0, 0..10).await;
    let judge = |number, _| {
        assert_ne!(number, 4, "poison");
        Outcome::Done
    };
    let started = Instant::now();
    let seen = consume_until(&bus, &spec, judge, until_answered(bus.as_ref(), &spec)).await;
    for number in (0..10).filter(|number| *number != 4) {
        assert!(seen.iter().any(|(seen, attempt)| *seen == number && *attempt == 1), "{number} in {seen:?}");
        assert!(!seen.contains(&(number, 2)), "{number} waited for the poison: {seen:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    let letter = dead_letter(bus.as_ref()).await.unwrap();
    assert_eq!(letter.deliveries, 2);
    assert!(letter.reason.starts_with("given up after 2 deliveries: handler panicked: "), "{}", letter.reason);
}
