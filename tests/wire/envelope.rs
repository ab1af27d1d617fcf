//! The envelope that event-bus reads and writes by hand is the one that `envelope.proto` describes.

use event_bus::{DeadLetter, Envelope};
use protox::prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};
use shared_models::Timestamp;
use tests::root;

use crate::generate::compile;

/// The message of a name as its `.proto` file describes it, read from these bytes.
fn described(name: &str, bytes: &[u8]) -> DynamicMessage {
    let pool = DescriptorPool::from_file_descriptor_set(compile(&root()).unwrap()).unwrap();
    let descriptor = pool.get_message_by_name(name).unwrap();
    let message = DynamicMessage::decode(descriptor, bytes).unwrap();
    assert_eq!(message.unknown_fields().count(), 0, "{name} has fields that its contract does not know");
    for field in message.descriptor().fields() {
        assert!(message.has_field(&field), "{}: the test fills every field in", field.name());
    }
    message
}

fn field(message: &DynamicMessage, name: &str) -> Value {
    message.get_field_by_name(name).unwrap().into_owned()
}

#[test]
fn the_envelope_is_the_one_of_its_contract() {
    let envelope = Envelope {
        id: "id-1".to_owned(),
        kind: "setlist.events.v1.EventBatch".to_owned(),
        version: 7,
        occurred_at: Timestamp(1_700_000_000_123),
        payload: vec![1, 2, 3].into(),
    };
    let message = described("setlist.events.v1.Envelope", &envelope.encode());
    assert_eq!(field(&message, "id"), Value::String("id-1".to_owned()));
    assert_eq!(field(&message, "kind"), Value::String("setlist.events.v1.EventBatch".to_owned()));
    assert_eq!(field(&message, "version"), Value::U32(7));
    assert_eq!(field(&message, "occurred_at_ms"), Value::I64(1_700_000_000_123));
    assert_eq!(field(&message, "payload"), Value::Bytes(vec![1, 2, 3].into()));

    let bytes = prost::Message::encode_to_vec(&message);
    assert_eq!(Envelope::decode(bytes.into()).unwrap(), envelope);
}

#[test]
fn the_dead_letter_is_the_one_of_its_contract() {
    let letter = DeadLetter {
        stream: "EVENTS".to_owned(),
        consumer: "candidates".to_owned(),
        sequence: 9,
        subject: "events.demo.3.batch".to_owned(),
        deliveries: 5,
        reason: "unreadable".to_owned(),
        message: vec![9, 9].into(),
    };
    let message = described("setlist.events.v1.DeadLetter", &prost::Message::encode_to_vec(&letter));
    assert_eq!(field(&message, "stream"), Value::String("EVENTS".to_owned()));
    assert_eq!(field(&message, "consumer"), Value::String("candidates".to_owned()));
    assert_eq!(field(&message, "sequence"), Value::U64(9));
    assert_eq!(field(&message, "subject"), Value::String("events.demo.3.batch".to_owned()));
    assert_eq!(field(&message, "deliveries"), Value::U32(5));
    assert_eq!(field(&message, "reason"), Value::String("unreadable".to_owned()));
    assert_eq!(field(&message, "message"), Value::Bytes(vec![9, 9].into()));
}
