//! Where events go: many requests' events in one message, one write to disk for all.
//!
//! Must not know HTTP bodies, nor what an event does to a profile.

use std::{sync::Arc, time::Duration};

use contracts::events as wire;
use event_bus::{Envelope, Error, EventBus, GroupCommit, Subject, group_commit::Limits, subjects};
use futures_util::future::try_join_all;
use http::StatusCode;
use service_runtime::{
    Deadline, Runtime,
    client::{Config as Client, Guard, Unanswered},
    tasks::chain,
};
use shared_models::{ErrorCode, TenantId, UserKey, event::Event};

use crate::{config, problem::Problem};

/// The events of one request that travel in one message, and about how many bytes they take.
#[derive(Default)]
struct Parcel {
    bytes: usize,
    events: Vec<Event>,
}

/// Where events go.
pub(crate) struct EventSink {
    commit: GroupCommit<(TenantId, Vec<Event>)>,
    /// While the bus is away nobody waits for it.
    guard: Guard,
    partitions: u16,
    most_bytes: usize,
    patience: Duration,
}

impl EventSink {
    /// A sink before a bus.
    pub(crate) fn new(bus: Arc<dyn EventBus>, config: &config::Events, partitions: u16, runtime: &Runtime) -> Self {
        let clock = Arc::clone(&runtime.clock);
        let encode = move |_: &Subject, batches: Vec<(TenantId, Vec<Event>)>| {
            let mut events = Vec::with_capacity(batches.iter().map(|(_, events)| events.len()).sum());
            // One subject is one tenant's: all batches of a message are of the same one.
            let tenant = batches.first().map(|(tenant, _)| tenant.clone());
            for (_, batch) in batches {
                events.extend(batch);
            }
            let payload = tenant.map(|tenant| wire::encode(&tenant, &events)).unwrap_or_default();
            Envelope::new(wire::KIND, wire::VERSION, clock.now(), payload)
        };
        let limits = Limits { window: config.window, max_bytes: config.max_bytes, ..Limits::default() };
        Self {
            commit: GroupCommit::new(bus, runtime, limits, encode),
            guard: Guard::new("events", &Client::default(), runtime),
            partitions,
            most_bytes: config.max_bytes,
            patience: config.ack_timeout,
        }
    }

    /// Returns when every event is on disk.
    pub(crate) async fn store(&self, tenant: &TenantId, events: Vec<Event>) -> Result<(), Problem> {
        let published = parcels(events, self.partitions, self.most_bytes).into_iter().map(|(partition, parcel)| {
            let subject = subjects::events(tenant, partition);
            async move { self.commit.publish(&subject, (tenant.clone(), parcel.events), parcel.bytes).await }
        });
        let is_away = |error: &Error| matches!(error, Error::Unavailable { .. } | Error::TimedOut { .. });
        match self.guard.run(Deadline::within(self.patience), try_join_all(published), is_away).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(&error)),
            Err(Unanswered::Elapsed(_)) => Err(not_stored("no acknowledgement in time".to_owned())),
            Err(Unanswered::Open(open)) => Err(not_stored(open.to_string())),
        }
    }
}

/// The events by partition, in their order, in parcels that each fit into a message: what one listener did may be more
/// than the bus takes at once.
fn parcels(events: Vec<Event>, partitions: u16, most_bytes: usize) -> Vec<(u16, Parcel)> {
    let mut parcels: Vec<(u16, Parcel)> = Vec::new();
    for event in events {
        let partition = UserKey::of(&event.user).partition(partitions);
        let bytes = size_of(&event);
        // The last parcel of a partition is the one that is filling up.
        let open = parcels.iter_mut().rev().find(|(known, _)| *known == partition);
        match open.filter(|(_, parcel)| parcel.bytes + bytes <= most_bytes) {
            Some((_, parcel)) => {
                parcel.bytes += bytes;
                parcel.events.push(event);
            }
            None => parcels.push((partition, Parcel { bytes, events: vec![event] })),
        }
    }
    parcels
}

/// At most how many bytes an event takes on the wire: its texts, and what stands around them and beside them.
fn size_of(event: &Event) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    112 + event.id.as_str().len()
        + event.user.as_str().len()
        + event.kind.as_str().len()
        + event.item.as_str().len()
        + text(&event.shelf)
        + text(&event.session)
        + text(&event.device)
}

fn refused(error: &Error) -> Problem {
    let cause = chain(error);
    match error {
        Error::TooLarge { .. } => {
            let detail = "the events are larger than the event log takes; send less at once";
            Problem::new(ErrorCode::InvalidArgument, "events_too_large", detail)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)
                .because(cause)
        }
        Error::Full => {
            let detail = "too many events wait to be stored; send them again with the same event_ids";
            Problem::new(ErrorCode::ResourceExhausted, "events_queue_full", detail)
                .retry_after(Duration::from_secs(1))
                .because(cause)
        }
        Error::Unavailable { .. }
        | Error::TimedOut { .. }
        | Error::StreamFull { .. }
        | Error::Misconfigured { .. }
        | Error::Undecodable { .. }
        | Error::Closed => not_stored(cause),
    }
}

fn not_stored(cause: String) -> Problem {
    let detail = "the events are not known to be stored; send them again with the same event_ids";
    Problem::new(ErrorCode::Unavailable, "events_not_stored", detail).retry_after(Duration::from_secs(1)).because(cause)
}

#[cfg(test)]
mod tests {
    use shared_models::{EventId, ItemId, Timestamp, UserId, event::EventKind, item::Market};

    use super::*;

    /// An event whose texts have as many characters as they may.
    fn event(number: usize, user: &str, text: &str) -> Event {
        let long = |prefix: String| format!("{prefix}{}", text.repeat(128 - prefix.chars().count()));
        Event {
            id: EventId::new(long(format!("{number}-"))).unwrap(),
            user: UserId::new(user).unwrap(),
            kind: EventKind::Other("k".repeat(64)),
            item: ItemId::new(long(String::new())).unwrap(),
            occurred_at: Timestamp(-1),
            received_at: Timestamp(i64::MAX),
            ms_played: Some(u32::MAX),
            recommendation: Some(uuid::Uuid::now_v7()),
            shelf: Some(long(String::new())),
            position: Some(u16::MAX),
            session: Some(long(String::new())),
            device: Some("d".repeat(32)),
            market: Market::parse("SE"),
        }
    }

    #[test]
    fn no_parcel_is_larger_than_a_message() {
        let tenant = TenantId::new("demo").unwrap();
        let events: Vec<_> = (0..900).map(|number| event(number, &format!("user-{}", number % 3), "𝄞")).collect();
        let parcels = parcels(events.clone(), 8, 64 << 10);
        for (partition, parcel) in &parcels {
            assert!(parcel.bytes <= 64 << 10, "{} bytes", parcel.bytes);
            let encoded = wire::encode(&tenant, &parcel.events).len();
            assert!(encoded <= parcel.bytes + 32, "{encoded} bytes, and {} were counted", parcel.bytes);
            assert!(parcel.events.iter().all(|event| UserKey::of(&event.user).partition(8) == *partition));
        }
        for user in 0..3 {
            let of = |event: &&Event| event.user.as_str() == format!("user-{user}");
            let sent: Vec<_> = parcels.iter().flat_map(|(_, parcel)| &parcel.events).filter(of).collect();
            assert_eq!(sent, events.iter().filter(of).collect::<Vec<_>>(), "all, and in their order");
        }
    }

    #[test]
    fn an_event_larger_than_a_message_travels_alone() {
        let parcels = parcels(vec![event(1, "u", "a"), event(2, "u", "a")], 8, 100);
        assert_eq!(parcels.iter().map(|(_, parcel)| parcel.events.len()).collect::<Vec<_>>(), [1, 1]);
    }
}
