//! Landing, reading and compaction of events, in a folder.

use std::sync::Arc;

use event_bus::{Delivery, Envelope, Handler, Outcome, StreamName, subjects};
use learning::{
    archive::{Archive, ArchiveHandler, EventRow, Landed, Origin, Span, cells},
    progress::Silent,
    world::{Config, generate},
};
use shared_models::{Seed, TenantId, Timestamp, event::Event};

use super::{DAY, NOW, event, files, message, partition, tenant};

#[test]
fn events_come_back_as_they_went_in_and_in_time_order() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    assert_eq!(
        archive.land(&[message(1, "a", 5..20), message(2, "b", 0..5)]).unwrap(),
        Landed { written: 2, known: 0, files: 1 }
    );
    let expected: Vec<Event> = (0..20).map(event).collect();
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap(), expected);
    let span = Span { from: expected[3].occurred_at, to: expected[8].occurred_at };
    assert_eq!(archive.read(&tenant(), span, &Silent).unwrap(), expected[3..8]);
    assert!(archive.read(&TenantId::new("other").unwrap(), Span::ALL, &Silent).unwrap().is_empty());
}

#[test]
fn a_redelivered_message_is_written_once_however_it_is_batched() {
    let folder = tempfile::tempdir().unwrap();
    {
        let archive = Archive::open(folder.path(), NOW).unwrap();
        archive.land(&[message(1, "a", 0..5), message(2, "b", 5..10)]).unwrap();
    }
    // The process died before it could answer: the stream delivers again, in other batches.
    let archive = Archive::open(folder.path(), NOW).unwrap();
    assert_eq!(archive.land(&[message(1, "a", 0..5)]).unwrap(), Landed { written: 0, known: 1, files: 0 });
    assert_eq!(
        archive.land(&[message(2, "b", 5..10), message(3, "c", 10..12)]).unwrap(),
        Landed { written: 1, known: 1, files: 1 }
    );
    assert_eq!(files(folder.path()), 2);
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 12);
}

#[test]
fn a_position_with_another_envelope_is_another_message() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    archive.land(&[message(1, "a", 0..5)]).unwrap();
    assert_eq!(archive.land(&[message(1, "made anew", 5..6)]).unwrap().written, 1);
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 6);
}

#[test]
fn an_event_published_twice_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    archive.land(&[message(1, "a", 0..5), message(2, "b", 3..8)]).unwrap();
    archive.keep(&tenant(), &[event(1), event(9)], NOW).unwrap();
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 9);
}

#[test]
fn a_day_that_is_over_becomes_one_file_and_is_still_known() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    for n in 0..6_u64 {
        archive.land(&[message(n + 1, &format!("m{n}"), n * 3..n * 3 + 3)]).unwrap();
    }
    assert_eq!(archive.compact(NOW).unwrap(), 0, "today is left alone");
    let tomorrow = Timestamp(NOW.0 + DAY);
    assert_eq!(archive.compact(tomorrow).unwrap(), 6);
    assert_eq!(files(folder.path()), 1);
    let expected: Vec<Event> = (0..18).map(event).collect();
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap(), expected);
    let reopened = Archive::open(folder.path(), tomorrow).unwrap();
    assert_eq!(reopened.land(&[message(4, "m3", 9..12)]).unwrap().known, 1);
    assert_eq!(reopened.compact(tomorrow).unwrap(), 0);
}

#[test]
fn a_compaction_cut_short_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    archive.land(&[message(1, "a", 0..5)]).unwrap();
    archive.land(&[message(2, "b", 5..9)]).unwrap();
    let day = partition(folder.path(), "events");
    let old: Vec<_> = std::fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().path()).collect();
    let copies: Vec<(_, Vec<u8>)> = old.iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    let tomorrow = Timestamp(NOW.0 + DAY);
    archive.compact(tomorrow).unwrap();
    // As if the process had died before it removed the first of them.
    std::fs::write(&copies[0].0, &copies[0].1).unwrap();
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 9);
    assert_eq!(archive.compact(tomorrow).unwrap(), 1);
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn a_broken_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::open(folder.path(), NOW).unwrap();
    archive.land(&[message(1, "a", 0..5)]).unwrap();
    std::fs::write(partition(folder.path(), "events").join("bad.parquet"), b"no").unwrap();
    let error = archive.read(&tenant(), Span::ALL, &Silent).unwrap_err().to_string();
    assert!(error.contains("bad.parquet as Parquet"), "{error}");
}

#[test]
fn a_world_takes_few_bytes_an_event() {
    let world = generate(&Config::small(Seed(5), NOW), &Silent).unwrap();
    // As an edge commits them: some hundred events a message.
    let rows: Vec<EventRow> = (0_u64..)
        .zip(&world.events)
        .map(|(at, event)| EventRow {
            origin: Origin { sequence: at / 300, message: format!("m{}", at / 300).into(), index: (at % 300) as u32 },
            event: event.clone(),
        })
        .collect();
    let bytes = cells::write(&rows, &[]).unwrap().len();
    println!("{} bytes an event", bytes / rows.len());
    assert!(bytes / rows.len() < 60);
}

fn delivery(sequence: u64, envelope: Envelope) -> Delivery {
    Delivery {
        subject: subjects::events(&tenant(), 0),
        stream: StreamName::Events,
        sequence,
        attempt: 1,
        envelope,
        trace: service_runtime::trace::TraceParent::default(),
        published_at: NOW,
    }
}

#[tokio::test]
async fn the_handler_answers_when_messages_are_on_disk_and_rejects_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let handler = ArchiveHandler::new(Arc::clone(&archive));
    let events: Vec<Event> = (0..4).map(event).collect();
    let good = Envelope::new(
        contracts::events::KIND,
        contracts::events::VERSION,
        NOW,
        contracts::events::encode(&tenant(), &events),
    );
    let bad = Envelope::new(contracts::events::KIND, contracts::events::VERSION, NOW, &b"\xff\xff"[..]);
    let outcomes = handler
        .handle(&[
            delivery(1, good.clone()),
            delivery(2, bad),
            delivery(3, Envelope::new("another.kind", 1, NOW, &b""[..])),
        ])
        .await;
    assert_eq!(outcomes[0], Outcome::Done);
    assert!(
        matches!(outcomes[1], Outcome::Reject { .. }) && matches!(outcomes[2], Outcome::Reject { .. }),
        "{outcomes:?}"
    );
    assert_eq!(handler.handle(&[delivery(1, good)]).await, [Outcome::Done]);
    assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap(), events);
}

#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_says_no_costs_no_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    // A file stands where the table's folder belongs.
    std::fs::write(folder.path().join("events"), b"in the way").unwrap();
    let good = Envelope::new(
        contracts::events::KIND,
        contracts::events::VERSION,
        NOW,
        contracts::events::encode(&tenant(), &[event(1)]),
    );
    let outcomes = ArchiveHandler::new(archive).handle(&[delivery(1, good)]).await;
    assert!(
        matches!(&outcomes[0], Outcome::Pause { reason } if reason.contains("could not write events/tenant=demo")),
        "{outcomes:?}"
    );
}
