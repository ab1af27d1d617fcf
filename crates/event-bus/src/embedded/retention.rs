//! How the embedded log forgets: by age, and by its share of the disk. What somebody still has to read is forgotten
//! for room only where a stream is declared so, and never in silence. This file must not know subscriptions.

use std::sync::atomic::Ordering;

use super::{
    upkeep::{self, Bounds, Forgotten},
    writer::{Message, Writer},
};
use crate::{
    consumers,
    error::Error,
    subjects::{StreamName, WhenFull},
};

/// What a row takes besides its message and its subject, at most: two trace headers and SQLite's own.
const ROW: usize = 320;

/// A stream that refuses begins to make room at this share of its bytes, and makes as much as to the second.
const TIGHT: (u64, u64) = (95, 90);

impl Writer {
    /// Whether a stream that would refuse is nearly full.
    pub(super) fn is_tight(&self) -> bool {
        self.streams.iter().any(|(name, stream)| {
            let spec = name.spec();
            spec.when_full == WhenFull::Refuse && stream.bytes > spec.max_bytes(self.shared.max_bytes) / 100 * TIGHT.0
        })
    }

    /// The stream that would hold more than its share with these messages, and refuses it. `waiting` are the bytes of
    /// what is about to be written besides.
    pub(super) fn refuses(&self, messages: &[Message], waiting: impl Fn(StreamName) -> u64) -> Option<StreamName> {
        StreamName::ALL.into_iter().filter(|name| name.spec().when_full == WhenFull::Refuse).find(|name| {
            let of_stream = messages.iter().filter(|message| message.subject.stream() == *name);
            let new: usize = of_stream
                .filter(|message| !self.knows(message))
                .map(|message| message.bytes.len() + message.subject.as_str().len() + ROW)
                .sum();
            let held = self.streams.get(name).map_or(0, |stream| stream.bytes);
            new > 0 && held + waiting(*name) + new as u64 > name.spec().max_bytes(self.shared.max_bytes)
        })
    }

    pub(super) async fn retain_or_tell(&mut self) {
        if let Err(error) = self.retain().await {
            tracing::warn!(%error, "event log could not forget old messages");
        }
    }

    /// Forgets what is older than a stream keeps, or beyond its share of the disk.
    pub(super) async fn retain(&mut self) -> Result<(), sqlx::Error> {
        for name in StreamName::ALL {
            let read = self.read_by_all(name);
            // One slice at a time, and publishers between them; what is left is forgotten at the next tick.
            for _slice in 0..8 {
                let Some(forgotten) = self.retain_slice(name, read).await? else { break };
                self.tell(name, forgotten);
            }
        }
        Ok(())
    }

    async fn retain_slice(&mut self, name: StreamName, read: Option<u64>) -> Result<Option<Forgotten>, sqlx::Error> {
        let now = self.shared.clock.now();
        let spec = name.spec();
        let share = spec.max_bytes(self.shared.max_bytes);
        let (Some(connection), Some(stream)) = (self.connection.as_mut(), self.streams.get_mut(&name)) else {
            return Ok(None);
        };
        let (excess, up_to) = match spec.when_full {
            WhenFull::Forget => (stream.bytes.saturating_sub(share), u64::MAX),
            WhenFull::Refuse if stream.bytes > share / 100 * TIGHT.0 => {
                (stream.bytes.saturating_sub(share / 100 * TIGHT.1), read.unwrap_or(0))
            }
            WhenFull::Refuse => (0, 0),
        };
        // Where nobody reads, nothing is missed.
        let bounds = Bounds { before: now.before(spec.max_age), excess, up_to, read: read.unwrap_or(u64::MAX) };
        let Some(forgotten) = upkeep::forget(connection, name, bounds).await? else { return Ok(None) };
        stream.bytes = stream.bytes.saturating_sub(forgotten.bytes);
        if let Some(known) = self.shared.streams.get(&name) {
            known.forgotten.store(forgotten.last, Ordering::Relaxed);
        }
        Ok(Some(forgotten))
    }

    fn tell(&self, name: StreamName, forgotten: Forgotten) {
        self.shared.metrics.dropped_unread(name, forgotten.unread);
        if forgotten.unread > 0 {
            tracing::error!(
                stream = name.as_str(),
                messages = forgotten.unread,
                up_to = forgotten.last,
                "event log forgot messages that a consumer had not read"
            );
        } else {
            tracing::debug!(stream = name.as_str(), messages = forgotten.count, "event log forgot its oldest messages");
        }
    }

    /// Up to which number every consumer has dealt with its messages; `None` when nobody reads the stream.
    fn read_by_all(&self, name: StreamName) -> Option<u64> {
        let all: Vec<(String, u64)> = {
            let known = self.shared.consumers.lock();
            let of_stream = known.values().filter(|consumer| consumer.stream == name);
            of_stream.map(|consumer| (consumer.name.clone(), consumer.floor())).collect()
        };
        consumers::read_by_all(all.iter().map(|(name, floor)| (name.as_str(), *floor)))
    }

    /// Deletes a message; whether it was there.
    pub(super) async fn delete(&mut self, name: StreamName, sequence: u64) -> Result<bool, Error> {
        let away = || Error::unavailable("deleting a message", "the log could not be opened again after a failure");
        let connection = self.connection.as_mut().ok_or_else(away)?;
        let Some(stream) = self.streams.get_mut(&name) else { return Ok(false) };
        let deleted = upkeep::delete(connection, name, sequence, stream.last)
            .await
            .map_err(|error| Error::unavailable("deleting a message", error))?;
        stream.bytes = stream.bytes.saturating_sub(deleted.unwrap_or(0));
        if let Some(known) = self.shared.streams.get(&name) {
            // It holds no gaps, and fills again.
            known.tail.lock().clear();
        }
        Ok(deleted.is_some())
    }
}
