//! What an operator may do with a bus, held against both buses: look into streams, take messages out, send dead letters
//! again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_bus::{
    ConsumerSpec, Envelope, Error, EventBus, Outcome, StreamName,
    dead::{self, Wanted},
    subjects::{self, Filter},
};

use crate::{
    conformance::{consume_until, until_answered},
    rig::{Rig, drain, next, number, numbers, promises, publish, spec, subject},
};

promises!(
    what_lies_in_a_stream_can_be_read,
    a_deleted_message_is_gone_and_its_number_is_not_given_again,
    a_stream_tells_how_it_and_its_consumers_stand,
    poison_is_listed_and_after_the_repair_sent_again_and_counted_once,
    letters_are_found_by_stream_consumer_and_tenant,
    a_letter_that_is_no_message_stays,
    a_stream_that_refuses_forgets_what_is_read_and_nothing_else,
);

async fn what_lies_in_a_stream_can_be_read(rig: Rig) {
    let bus = rig.look().await;
    for value in 0..12 {
        bus.publish(&subject((value % 4) as u16), number(value)).await.unwrap();
    }
    let read = async |after, limit, filter: Option<Filter>| {
        let found = bus.read(StreamName::Events, after, limit, filter.as_ref()).await.unwrap();
        found
            .iter()
            .map(|kept| String::from_utf8_lossy(&kept.envelope().unwrap().payload).parse().unwrap())
            .collect::<Vec<u32>>()
    };
    assert!(read(0, 100, None).await.into_iter().eq(0..12));
    assert_eq!(read(10, 100, None).await, [10, 11]);
    assert_eq!(read(4, 2, Some(Filter::partition(StreamName::Events, 3))).await, [7, 11]);
    assert_eq!(read(0, 100, Some(Filter::partition(StreamName::Events, 9))).await, Vec::<u32>::new());
    assert!(bus.read(StreamName::Catalog, 0, 10, None).await.unwrap().is_empty());
}

async fn a_deleted_message_is_gone_and_its_number_is_not_given_again(rig: Rig) {
    let bus = rig.look().await;
    publish(bus.as_ref(), 0, 0..4).await;
    for (sequence, there) in [(2, true), (2, false), (4, true), (99, false)] {
        assert_eq!(bus.delete(StreamName::Events, sequence).await.unwrap(), there, "{sequence}");
    }
    drop(bus);
    let bus = rig.look().await;
    assert_eq!(bus.publish(&subject(0), number(4)).await.unwrap().sequence, 5);
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    assert_eq!(numbers(&drain(seat.as_mut(), 3).await), [0, 2, 4]);
    assert_eq!(bus.lag(&spec("reader")).await.unwrap().pending, 0);
}

async fn a_stream_tells_how_it_and_its_consumers_stand(rig: Rig) {
    let bus = rig.look().await;
    let spec = spec("reader").for_partition(1);
    let mut seat = bus.subscribe(&spec).await.unwrap();
    for value in 0..8 {
        bus.publish(&subject((value % 2) as u16), number(value)).await.unwrap();
    }
    drain(seat.as_mut(), 4).await;
    publish(bus.as_ref(), 1, 8..10).await;
    seat.close().await;
    let all = bus.standing().await.unwrap();
    assert_eq!(all.len(), StreamName::ALL.len());
    let events = &all[0];
    assert_eq!((events.name, events.messages, events.first, events.last), (StreamName::Events, 10, 1, 10));
    assert!(events.bytes > 100 && events.max_bytes > events.bytes && events.first_at.is_some());
    assert_eq!((events.replicas, events.behind.len(), events.consumers.len()), (1, 0, 1));
    let consumer = &events.consumers[0];
    assert_eq!((consumer.name.as_str(), consumer.lag()), (spec.name.as_ref(), 2));
    assert_eq!(consumer.filter.as_deref(), Some("events.*.1.batch"));
    assert!(consumer.floor >= 8);
    assert_eq!((all[1].messages, all[1].first_at), (0, None));
}

async fn poison_is_listed_and_after_the_repair_sent_again_and_counted_once(rig: Rig) {
    let browse = rig.look().await;
    let bus: Arc<dyn EventBus> = Arc::clone(&browse) as Arc<dyn EventBus>;
    let spec = ConsumerSpec { max_deliver: 3, ..spec("reader").for_partition(0) };
    drop(bus.subscribe(&spec).await.unwrap());
    publish(bus.as_ref(), 0, 0..3).await;
    let repaired = Arc::new(AtomicBool::new(false));
    let judge = |repaired: Arc<AtomicBool>| {
        move |number, _| {
            if number == 1 && !repaired.load(Ordering::Relaxed) {
                return Outcome::Retry { after: Duration::from_millis(10), reason: "cannot read it".to_owned() };
            }
            Outcome::Done
        }
    };
    let mut seen = consume_until(&bus, &spec, judge(Arc::clone(&repaired)), until_answered(bus.as_ref(), &spec)).await;
    seen.sort_unstable();
    assert_eq!(seen, [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1)], "bounded tries");

    let letters = dead::list(browse.as_ref(), &Wanted::default(), 10).await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.letter.reason, "given up after 3 deliveries: cannot read it");
    assert_eq!(letter.message().unwrap().payload, "1");
    assert_eq!(dead::find(browse.as_ref(), letter.id).await.unwrap().as_ref(), Some(letter));
    assert_eq!(dead::find(browse.as_ref(), letter.id + 1).await.unwrap(), None);

    repaired.store(true, Ordering::Relaxed);
    let ack = dead::redrive(browse.as_ref(), letter).await.unwrap();
    assert!(!ack.duplicate, "the window of ids does not swallow it");
    assert!(dead::list(browse.as_ref(), &Wanted::default(), 10).await.unwrap().is_empty());
    assert!(dead::redrive(browse.as_ref(), letter).await.unwrap().duplicate, "twice is once");
    let seen = consume_until(&bus, &spec, judge(repaired), until_answered(bus.as_ref(), &spec)).await;
    assert_eq!(seen, [(1, 1)]);
}

async fn letters_are_found_by_stream_consumer_and_tenant(rig: Rig) {
    let bus = rig.look().await;
    for name in ["intake", "intake-two"] {
        let spec = spec(name).for_partition(0);
        let mut seat = bus.subscribe(&spec).await.unwrap();
        if name == "intake" {
            publish(bus.as_ref(), 0, 0..2).await;
        }
        for _message in 0..2 {
            let batch = next(seat.as_mut(), 1).await;
            seat.reject(&batch[0], "never").await.unwrap();
        }
    }
    let found = async |wanted: Wanted, limit| dead::list(bus.as_ref(), &wanted, limit).await.unwrap().len();
    assert_eq!(found(Wanted::default(), 100).await, 4);
    assert_eq!(found(Wanted::default(), 3).await, 3);
    let consumer = |name: &str| Wanted { consumer: Some(name.to_owned()), ..Wanted::default() };
    assert_eq!(found(consumer("intake"), 100).await, 2, "that of a partition is meant, another's name is not");
    assert_eq!(found(consumer("intake-p0"), 100).await, 2);
    assert_eq!(found(consumer("in"), 100).await, 0);
    let tenant = |name: &str| Wanted { tenant: Some(name.to_owned()), ..Wanted::default() };
    assert_eq!((found(tenant("demo"), 100).await, found(tenant("other"), 100).await), (4, 0));
    let stream = |name| Wanted { stream: Some(name), ..Wanted::default() };
    assert_eq!((found(stream(StreamName::Events), 9).await, found(stream(StreamName::Catalog), 9).await), (4, 0));
}

async fn a_letter_that_is_no_message_stays(rig: Rig) {
    let bus = rig.look().await;
    let letter = event_bus::DeadLetter {
        stream: "EVENTS".to_owned(),
        consumer: "reader".to_owned(),
        sequence: 1,
        subject: subject(0).to_string(),
        deliveries: 1,
        reason: "is strange".to_owned(),
        message: "{}".into(),
    };
    let envelope = letter.into_envelope(shared_models::Timestamp(0));
    bus.publish(&subjects::dead(StreamName::Events, "reader"), envelope).await.unwrap();
    let letters = dead::list(bus.as_ref(), &Wanted::default(), 10).await.unwrap();
    let error = dead::redrive(bus.as_ref(), &letters[0]).await.unwrap_err();
    assert!(matches!(error, Error::Undecodable { .. }), "{error}");
    assert_eq!(dead::list(bus.as_ref(), &Wanted::default(), 10).await.unwrap().len(), 1);
}

async fn a_stream_that_refuses_forgets_what_is_read_and_nothing_else(mut rig: Rig) {
    rig.config.max_bytes = 16 << 20;
    let bus = rig.look().await;
    let large = |value: u32| Envelope { payload: vec![0; 100_000].into(), ..number(value) };
    let fill = async |from: u32| {
        for value in from..from + 200 {
            match bus.publish(&subject(0), large(value)).await {
                Ok(_) => {}
                Err(error) => return (value - from, error),
            }
        }
        panic!("it takes everything")
    };
    let mut seat = bus.subscribe(&spec("reader")).await.unwrap();
    let (kept, error) = fill(0).await;
    assert!((75..85).contains(&kept), "8 MiB hold 83 messages of 100 kB, and {kept} were kept");
    assert!(matches!(error, Error::StreamFull { stream: StreamName::Events }), "{error}");
    assert_eq!(error.code(), shared_models::ErrorCode::Unavailable);
    assert_eq!(bus.lag(&spec("reader")).await.unwrap().pending, u64::from(kept), "nothing unread is lost");
    bus.publish(&subjects::dead(StreamName::Events, "x"), number(0)).await.expect("another stream has room");

    // Half of them are read: they make room for about as many, and the unread half stays.
    let read = drain(seat.as_mut(), kept as usize / 2).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut more = 0;
    for value in 1000..1000 + read.len() as u32 {
        let mut tries = 0;
        while bus.publish(&subject(0), large(value)).await.is_err() && tries < 3 {
            tries += 1;
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        if tries == 3 {
            break;
        }
        more += 1;
    }
    assert!(more > read.len() / 2, "{more} of {} fitted", read.len());
    let rest = drain(seat.as_mut(), (kept as usize - read.len()) + more).await;
    assert_eq!(rest[0].sequence, read.last().unwrap().sequence + 1, "no gap");
    assert_eq!(rest.len(), kept as usize - read.len() + more);
}
