//! The newest messages of a stream in memory, so that a consumer that keeps up never reads the disk.
//!
//! This file must not know SQL or consumers.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use service_runtime::trace::TraceParent;
use shared_models::Timestamp;

use crate::{envelope::Envelope, subjects::Subject};

/// The most memory one tail takes.
const MOST_BYTES: usize = 8 << 20;
/// The most messages one tail holds.
const MOST_MESSAGES: usize = 8192;

/// A message as the log keeps it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) subject: Subject,
    pub(super) trace: TraceParent,
    pub(super) published_at: Timestamp,
    pub(super) content: Content,
}

/// What a message holds.
#[derive(Debug)]
pub(super) enum Content {
    Read(Envelope),
    /// Written by a later version of this code.
    Unreadable {
        bytes: Bytes,
        problem: String,
    },
}

impl Stored {
    fn weight(&self) -> usize {
        let content = match &self.content {
            Content::Read(envelope) => envelope.payload.len(),
            Content::Unreadable { bytes, .. } => bytes.len(),
        };
        content + 512
    }
}

/// The newest messages, without gaps.
#[derive(Debug, Default)]
pub(super) struct Tail {
    messages: VecDeque<Arc<Stored>>,
    bytes: usize,
}

impl Tail {
    /// Adds the next message; forgets the oldest when there are too many.
    pub(super) fn push(&mut self, message: Arc<Stored>) {
        if self.messages.back().is_some_and(|last| last.sequence + 1 != message.sequence) {
            self.clear();
        }
        self.bytes += message.weight();
        self.messages.push_back(message);
        while self.bytes > MOST_BYTES || self.messages.len() > MOST_MESSAGES {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= oldest.weight();
        }
    }

    /// Forgets everything: the log does not go on where the tail ends.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }

    /// One message, when it is here.
    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Stored>> {
        let first = self.messages.front()?.sequence;
        self.messages.get(usize::try_from(sequence.checked_sub(first)?).ok()?)
    }

    /// Up to `room` messages after `cursor` and up to `last` that `wanted` wants, and how far the search came.
    /// `None` when the first of them is not here any more.
    pub(super) fn after(
        &self,
        cursor: u64,
        last: u64,
        room: usize,
        wanted: impl Fn(&Subject) -> bool,
    ) -> Option<(Vec<Arc<Stored>>, u64)> {
        let first = self.messages.front()?.sequence;
        let from = usize::try_from((cursor + 1).checked_sub(first)?).ok()?;
        let mut found = Vec::new();
        let mut reached = cursor;
        for message in self.messages.iter().skip(from) {
            if found.len() == room || message.sequence > last {
                break;
            }
            reached = message.sequence;
            if wanted(&message.subject) {
                found.push(Arc::clone(message));
            }
        }
        Some((found, reached))
    }
}

#[cfg(test)]
mod tests {
    use shared_models::TenantId;

    use super::*;
    use crate::subjects;

    fn message(sequence: u64, partition: u16) -> Arc<Stored> {
        let tenant = TenantId::new("demo").unwrap();
        Arc::new(Stored {
            sequence,
            subject: subjects::events(&tenant, partition),
            trace: TraceParent::default(),
            published_at: Timestamp(0),
            content: Content::Read(Envelope::new("kind", 1, Timestamp(0), Bytes::from(vec![0; 1000]))),
        })
    }

    fn sequences(found: &[Arc<Stored>]) -> Vec<u64> {
        found.iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn gives_what_follows_a_place() {
        let mut tail = Tail::default();
        (5..=10).for_each(|sequence| tail.push(message(sequence, (sequence % 2) as u16)));
        let (found, reached) = tail.after(6, 10, 2, |_| true).unwrap();
        assert_eq!((sequences(&found), reached), (vec![7, 8], 8));
        let (found, reached) = tail.after(4, 9, 9, |subject| subject.as_str() == "events.demo.1.batch").unwrap();
        assert_eq!((sequences(&found), reached), (vec![5, 7, 9], 9));
        assert!(tail.after(3, 10, 9, |_| true).is_none(), "message 4 is on disk only");
        assert_eq!(tail.get(5).unwrap().sequence, 5);
        assert!(tail.get(4).is_none() && tail.get(11).is_none());
    }

    #[test]
    fn holds_no_more_than_its_share_of_memory() {
        let mut tail = Tail::default();
        (1..=20_000).for_each(|sequence| tail.push(message(sequence, 0)));
        assert!(tail.bytes <= MOST_BYTES && tail.messages.len() <= MOST_MESSAGES);
        assert!(tail.get(20_000).is_some());
        (0..20_000_u64).filter_map(|sequence| tail.get(sequence)).for_each(|found| assert!(found.sequence > 10_000));
    }

    #[test]
    fn a_gap_starts_it_anew() {
        let mut tail = Tail::default();
        tail.push(message(1, 0));
        tail.push(message(3, 0));
        assert!(tail.get(1).is_none());
        assert!(tail.after(1, 3, 9, |_| true).is_none());
    }
}
