//! Events and batches of them.

use bytes::Bytes;
use shared_models::{
    TenantId, Timestamp,
    event::{Event, EventKind},
    item::Market,
};
use uuid::Uuid;

use super::{Malformed, Result, each, name, narrow, optional_market};
use crate::generated::events::v1 as wire;

pub(crate) fn batch_to_wire(tenant: &TenantId, events: &[Event]) -> wire::EventBatch {
    wire::EventBatch { tenant: tenant.as_str().to_owned(), events: events.iter().map(event_to_wire).collect() }
}

pub(crate) fn batch_from_wire(batch: wire::EventBatch) -> Result<(TenantId, Vec<Event>)> {
    Ok((name(&batch.tenant, "tenant")?, each(batch.events, "events", event_from_wire)?))
}

fn event_to_wire(event: &Event) -> wire::Event {
    wire::Event {
        id: event.id.as_str().to_owned(),
        user: event.user.as_str().to_owned(),
        kind: event.kind.as_str().to_owned(),
        item: event.item.as_str().to_owned(),
        occurred_at_ms: event.occurred_at.0,
        received_at_ms: event.received_at.0,
        ms_played: event.ms_played,
        recommendation: event.recommendation.as_ref().map_or_else(Bytes::new, uuid_to_wire),
        shelf: event.shelf.clone(),
        position: event.position.map(u32::from),
        session: event.session.clone(),
        device: event.device.clone(),
        market: event.market.as_ref().map_or("", Market::as_str).to_owned(),
    }
}

fn event_from_wire(event: wire::Event) -> Result<Event> {
    if event.kind.is_empty() {
        return Err(Malformed::new("kind", "is empty"));
    }
    Ok(Event {
        id: name(&event.id, "id")?,
        user: name(&event.user, "user")?,
        kind: EventKind::from(event.kind.as_str()),
        item: name(&event.item, "item")?,
        occurred_at: Timestamp(event.occurred_at_ms),
        received_at: Timestamp(event.received_at_ms),
        ms_played: event.ms_played,
        recommendation: if event.recommendation.is_empty() {
            None
        } else {
            Some(uuid_from_wire(&event.recommendation, "recommendation")?)
        },
        shelf: event.shelf,
        position: event.position.map(|position| narrow(position, "position")).transpose()?,
        session: event.session,
        device: event.device,
        market: optional_market(&event.market, "market")?,
    })
}

pub(crate) fn uuid_to_wire(id: &Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

pub(crate) fn uuid_from_wire(bytes: &[u8], field: &str) -> Result<Uuid> {
    Uuid::from_slice(bytes)
        .map_err(|_| Malformed::new(field, format_args!("has {} bytes where 16 belong", bytes.len())))
}
