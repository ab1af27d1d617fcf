//! Reading a delivery: whose it is, where it stood, what it tells.

use contracts::events;
use event_bus::Delivery;
use shared_models::{TenantId, event::Event};

use crate::store::Position;

/// A delivery that could be read.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) tenant: TenantId,
    pub(super) position: Position,
    pub(super) events: Vec<Event>,
}

/// Reads a delivery, or says why it can never be read.
pub(super) fn read(delivery: &Delivery) -> Result<Message, String> {
    let envelope = &delivery.envelope;
    let (tenant, events) = events::decode(&envelope.kind, envelope.version, &envelope.payload)
        .map_err(|error| service_runtime::tasks::chain(&error))?;
    if delivery.subject.tenant() != Some(tenant.as_str()) {
        return Err(format!("the batch is of tenant {tenant}, its subject {} is not", delivery.subject.as_str()));
    }
    let partition = delivery.subject.as_str().split('.').nth(2).and_then(|token| token.parse().ok()).unwrap_or(0);
    let position = Position {
        stream: delivery.stream.as_str(),
        partition,
        sequence: delivery.sequence,
        envelope: envelope.id.clone(),
    };
    Ok(Message { tenant, position, events })
}
