//! The bytes of envelopes, version by version. The files in `tests/golden` are never edited: what was written once
//! is read for ever. A new format adds a file.

use std::{fs, path::PathBuf};

use bytes::Bytes;
use event_bus::{DeadLetter, Envelope};
use shared_models::Timestamp;

fn golden(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn envelope_1() -> Envelope {
    Envelope {
        id: "018bcfe5-6800-7000-8000-000000000001".to_owned(),
        kind: "setlist.events.v1.EventBatch".to_owned(),
        version: 1,
        occurred_at: Timestamp(1_700_000_000_123),
        payload: Bytes::from_static(b"\x00\x01payload\xff"),
    }
}

fn dead_letter_1() -> DeadLetter {
    DeadLetter {
        stream: "EVENTS".to_owned(),
        consumer: "candidates-intake".to_owned(),
        sequence: 4711,
        subject: "events.demo.3.batch".to_owned(),
        deliveries: 8,
        reason: "given up after 8 deliveries: store is away".to_owned(),
        message: envelope_1().encode(),
    }
}

#[test]
fn envelopes_of_format_1_are_read_and_written() {
    assert_eq!(Envelope::decode(golden("envelope_1.bin")).unwrap(), envelope_1());
    assert_eq!(envelope_1().encode(), golden("envelope_1.bin"));
}

#[test]
fn an_envelope_with_a_field_of_the_future_is_read() {
    assert_eq!(Envelope::decode(golden("envelope_1_with_unknown_field.bin")).unwrap(), envelope_1());
}

#[test]
fn dead_letters_of_version_1_are_read_and_written() {
    let golden = golden("dead_letter_1.bin");
    let envelope = Envelope::decode(golden.clone()).unwrap();
    assert_eq!(envelope.id, "dead-EVENTS-candidates-intake-4711");
    assert_eq!(DeadLetter::from_envelope(&envelope).unwrap(), dead_letter_1());
    assert_eq!(dead_letter_1().into_envelope(Timestamp(1_700_000_000_456)).encode(), golden);
}
