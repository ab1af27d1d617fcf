//! The archive: every row once, whatever is delivered again and wherever it crashes.

mod answers;
mod candidates;
mod crash;
mod dictionary;
mod export;
mod history;
mod landing;
mod recommendations;
mod s3;
mod stream;

use std::path::{Path, PathBuf};

use learning::archive::{EventRow, Message};
use shared_models::{
    EventId, ItemId, TenantId, Timestamp, UserId,
    event::{Event, EventKind},
    item::Market,
};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const DAY: i64 = 86_400_000;

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn event(n: u64) -> Event {
    Event {
        id: EventId::new(format!("e-{n}")).unwrap(),
        user: UserId::new(format!("user-{}", n % 7)).unwrap(),
        kind: if n.is_multiple_of(5) { EventKind::Other("wobble".to_owned()) } else { EventKind::Play },
        item: ItemId::new(format!("item-{}", n % 11)).unwrap(),
        occurred_at: Timestamp(NOW.0 - DAY + n as i64 * 1_000),
        received_at: NOW,
        ms_played: n.is_multiple_of(2).then_some(n as u32),
        recommendation: n.is_multiple_of(3).then(|| uuid::Uuid::from_u128(u128::from(n))),
        shelf: n.is_multiple_of(3).then(|| "home".to_owned()),
        position: n.is_multiple_of(3).then_some(n as u16),
        session: None,
        device: Some("phone".to_owned()),
        market: Market::parse("SE"),
    }
}

fn message(sequence: u64, id: &str, numbers: std::ops::Range<u64>) -> Message<EventRow> {
    Message::of_events(sequence, id, NOW, tenant(), numbers.map(event).collect())
}

/// The folder of the day of [`NOW`] in a table.
fn partition(root: &Path, table: &str) -> PathBuf {
    root.join(table).join("tenant=demo").join("day=2026-05-28")
}

fn files(root: &Path) -> usize {
    std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}
