//! Batches of events as they travel and as they are kept: `setlist.events.v1.EventBatch`.

use bytes::Bytes;
use prost::Message as _;
use shared_models::{TenantId, event::Event};

pub use crate::payload::Error;
use crate::{convert::events as convert, payload};

/// What an envelope around a batch says it holds.
pub const KIND: &str = "setlist.events.v1.EventBatch";

/// The version that is written; every version from 1 is read.
pub const VERSION: u32 = 1;

/// A batch of one tenant's events.
#[must_use]
pub fn encode(tenant: &TenantId, events: &[Event]) -> Bytes {
    convert::batch_to_wire(tenant, events).encode_to_vec().into()
}

/// The events of a batch and whose they are.
///
/// # Errors
/// When the payload is of another kind or of a newer version, or breaks its contract.
pub fn decode(kind: &str, version: u32, payload: &[u8]) -> Result<(TenantId, Vec<Event>), Error> {
    let batch = payload::decode(kind, version, payload, KIND, VERSION)?;
    convert::batch_from_wire(batch).map_err(|source| Error::Malformed { kind: KIND, source })
}
