//! What every message is wrapped in, and its bytes: protobuf, documented in `proto/setlist/events/v1/envelope.proto`.
//!
//! Every version ever written is read; the current one is written. `tests/golden` holds bytes of each version,
//! which are never edited. This file must not know what a payload means.

use bytes::Bytes;
use prost::Message as _;
use shared_models::Timestamp;
use uuid::Uuid;

use crate::error::Error;

/// The version of the wrapping that this code writes.
pub const FORMAT: u32 = 1;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Its identity: published twice within the stream's dedup window, it is kept once.
    pub id: String,
    /// What the payload is: its full protobuf name, such as `setlist.events.v1.EventBatch`.
    pub kind: String,
    /// The version of the payload's kind.
    pub version: u32,
    /// When what it tells happened.
    pub occurred_at: Timestamp,
    /// The content.
    pub payload: Bytes,
}

/// The bytes of an [`Envelope`].
#[derive(Clone, PartialEq, prost::Message)]
struct EnvelopeBytes {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(uint32, tag = "4")]
    version: u32,
    #[prost(int64, tag = "5")]
    occurred_at_ms: i64,
    #[prost(bytes = "bytes", tag = "6")]
    payload: Bytes,
}

impl Envelope {
    /// A message with a new id.
    #[must_use]
    pub fn new(kind: impl Into<String>, version: u32, occurred_at: Timestamp, payload: impl Into<Bytes>) -> Self {
        Self { id: Uuid::now_v7().to_string(), kind: kind.into(), version, occurred_at, payload: payload.into() }
    }

    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bytes = EnvelopeBytes {
            format: FORMAT,
            id: self.id.clone(),
            kind: self.kind.clone(),
            version: self.version,
            occurred_at_ms: self.occurred_at.0,
            payload: self.payload.clone(),
        };
        bytes.encode_to_vec().into()
    }

    /// Reads a message; its payload shares the memory of `bytes`.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when the bytes are no envelope, or one of a later format.
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        let undecodable = |problem: String| Error::Undecodable { problem };
        let read = EnvelopeBytes::decode(bytes).map_err(|error| undecodable(error.to_string()))?;
        if read.format != FORMAT {
            return Err(undecodable(format!("format {} is not the known {FORMAT}", read.format)));
        }
        if read.id.is_empty() || read.kind.is_empty() {
            return Err(undecodable("id or kind is missing".to_owned()));
        }
        Ok(Self {
            id: read.id,
            kind: read.kind,
            version: read.version,
            occurred_at: Timestamp(read.occurred_at_ms),
            payload: read.payload,
        })
    }
}

/// A message that a consumer could not take, as it lies on the stream of dead letters.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeadLetter {
    /// The stream it came from, such as `EVENTS`.
    #[prost(string, tag = "1")]
    pub stream: String,
    /// The consumer that could not take it.
    #[prost(string, tag = "2")]
    pub consumer: String,
    /// Its number on that stream.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// Its subject.
    #[prost(string, tag = "4")]
    pub subject: String,
    /// How often it was delivered.
    #[prost(uint32, tag = "5")]
    pub deliveries: u32,
    /// Why it was given up.
    #[prost(string, tag = "6")]
    pub reason: String,
    /// The message itself, byte for byte: an encoded [`Envelope`] unless it was unreadable.
    #[prost(bytes = "bytes", tag = "7")]
    pub message: Bytes,
}

impl DeadLetter {
    /// The kind of envelope that holds a dead letter.
    pub const KIND: &str = "setlist.events.v1.DeadLetter";
    /// The version of that kind.
    pub const VERSION: u32 = 1;

    /// The dead letter in an envelope. Its id follows from what it is about, so that it is kept once however
    /// often it is given up.
    #[must_use]
    pub fn into_envelope(self, now: Timestamp) -> Envelope {
        Envelope {
            id: format!("dead-{}-{}-{}", self.stream, self.consumer, self.sequence),
            kind: Self::KIND.to_owned(),
            version: Self::VERSION,
            occurred_at: now,
            payload: self.encode_to_vec().into(),
        }
    }

    /// Reads a dead letter from its envelope.
    ///
    /// # Errors
    /// [`Error::Undecodable`] when the envelope holds something else.
    pub fn from_envelope(envelope: &Envelope) -> Result<Self, Error> {
        if envelope.kind != Self::KIND {
            return Err(Error::Undecodable { problem: format!("kind {} is no dead letter", envelope.kind) });
        }
        Self::decode(envelope.payload.clone()).map_err(|error| Error::Undecodable { problem: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let envelope = Envelope::new("setlist.events.v1.EventBatch", 3, Timestamp(17), Bytes::from_static(b"abc"));
        assert_eq!(Envelope::decode(envelope.encode()).unwrap(), envelope);
    }

    #[test]
    fn strange_bytes_are_refused_with_the_reason() {
        let check = |bytes: &'static [u8], expected: &str| {
            let error = Envelope::decode(Bytes::from_static(bytes)).unwrap_err();
            assert_eq!(error.to_string(), format!("envelope cannot be read: {expected}"));
        };
        check(b"", "format 0 is not the known 1");
        check(&[8, 2], "format 2 is not the known 1");
        check(&[8, 1], "id or kind is missing");
        assert!(Envelope::decode(Bytes::from_static(b"{\"json\": true}")).is_err());
    }
}
