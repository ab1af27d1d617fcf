//! A durable consumer's place in its stream: what was given out, what was answered, what is due again.
//!
//! The place lives in memory and is written with the next commit. A crash loses at most the last answers, which
//! are then asked for again. This file must not know SQL or tasks.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use shared_models::Timestamp;
use tokio::{sync::Notify, time::Instant};

use super::log::Place;
use crate::subjects::{Filter, StreamName};

/// A seat's number within this process.
pub(super) type Seat = u64;

/// A message that was given out and not dealt with yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    attempt: u32,
    /// When it is delivered again if nothing happens.
    due: Instant,
    /// Who has it; `None` while it waits to be given out again.
    seat: Option<Seat>,
}

#[derive(Debug)]
struct State {
    filter: Option<Filter>,
    /// Every message up to here was given out or is not wanted.
    cursor: u64,
    /// The messages up to `cursor` that are not dealt with.
    waiting: BTreeMap<u64, Waiting>,
    /// Who sits at an exclusive consumer; `None` where everybody may.
    holder: Option<Seat>,
}

/// What a seat may take now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Messages to be given out again.
    pub(super) again: Vec<u64>,
    /// Where new messages begin.
    pub(super) cursor: u64,
    /// How many new messages there is room for.
    pub(super) room: usize,
    /// When the next message is to be given out again.
    pub(super) next_due: Option<Instant>,
}

/// A durable consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) stream: StreamName,
    pub(super) name: String,
    state: Mutex<State>,
    /// Held by the seat that is looking for messages: seats take turns.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Told when a message becomes free for a seat, or when room does.
    pub(super) changed: Notify,
}

const RECORD: usize = 8 + 4 + 8;

impl Consumer {
    /// A consumer that has seen everything up to `cursor`.
    pub(super) fn new(stream: StreamName, name: String, cursor: u64) -> Self {
        Self {
            stream,
            name,
            state: Mutex::new(State { filter: None, cursor, waiting: BTreeMap::new(), holder: None }),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// A consumer as it was written. What was being worked on is due at once: whoever worked on it is gone.
    pub(super) fn restore(place: &Place, now: Timestamp) -> Self {
        let consumer = Self::new(place.stream, place.name.clone(), place.cursor);
        {
            let mut state = consumer.state.lock();
            for record in place.waiting.chunks_exact(RECORD) {
                let (sequence, rest) = record.split_at(8);
                let (attempt, due) = rest.split_at(4);
                let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
                let due = Timestamp(number(due).cast_signed());
                state.waiting.insert(
                    number(sequence),
                    Waiting { attempt: number(attempt) as u32, due: Instant::now() + due.since(now), seat: None },
                );
            }
        }
        consumer
    }

    /// The place, to be written.
    pub(super) fn place(&self, now: Timestamp) -> Place {
        let state = self.state.lock();
        let clock = Instant::now();
        let mut waiting = Vec::with_capacity(state.waiting.len() * RECORD);
        for (sequence, message) in &state.waiting {
            let due = match message.seat {
                Some(_) => Timestamp(0),
                None => now.after(message.due.saturating_duration_since(clock)),
            };
            waiting.extend_from_slice(&sequence.to_le_bytes());
            waiting.extend_from_slice(&message.attempt.to_le_bytes());
            waiting.extend_from_slice(&due.0.to_le_bytes());
        }
        Place {
            stream: self.stream,
            name: self.name.clone(),
            filter: state.filter.as_ref().map(|filter| filter.as_str().to_owned()),
            cursor: state.cursor,
            waiting,
        }
    }

    /// Changes which subjects are seen, from the cursor on.
    pub(super) fn filter_by(&self, filter: Option<Filter>) {
        self.state.lock().filter = filter;
    }

    /// The cursor, the filter, and how many messages are not dealt with, with the oldest of them.
    pub(super) fn standing(&self) -> (u64, Option<Filter>, usize, Option<u64>) {
        let state = self.state.lock();
        (state.cursor, state.filter.clone(), state.waiting.len(), state.waiting.keys().next().copied())
    }

    /// Every message up to here is dealt with.
    pub(super) fn floor(&self) -> u64 {
        let state = self.state.lock();
        state.waiting.keys().next().map_or(state.cursor, |oldest| oldest - 1)
    }

    /// What a seat may take now, `max` messages at most and `most_unanswered` given out at a time.
    pub(super) fn offer(&self, max: usize, most_unanswered: usize) -> Offer {
        let state = self.state.lock();
        let now = Instant::now();
        let again: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, message)| message.due <= now)
            .map(|(sequence, _)| *sequence)
            .take(max)
            .collect();
        let room = max.saturating_sub(again.len()).min(most_unanswered.saturating_sub(state.waiting.len()));
        let next_due = state.waiting.values().map(|message| message.due).min();
        Offer { again, cursor: state.cursor, room, next_due }
    }

    /// A seat takes messages: those again, then new ones, and the search came as far as `reached`. Gives which
    /// attempt each is, in the same order.
    pub(super) fn take(&self, seat: Seat, sequences: &[u64], reached: u64, ack_wait: Duration) -> Vec<u32> {
        let mut state = self.state.lock();
        let due = Instant::now() + ack_wait;
        state.cursor = state.cursor.max(reached);
        sequences
            .iter()
            .map(|sequence| {
                let message = state.waiting.entry(*sequence).or_insert(Waiting { attempt: 0, due, seat: None });
                message.attempt += 1;
                message.due = due;
                message.seat = Some(seat);
                message.attempt
            })
            .collect()
    }

    /// Messages are dealt with, or are not there any more.
    pub(super) fn done(&self, sequences: &[u64]) {
        // A seat calls this while it waits to be told: telling it of nothing would make it look again for ever.
        if sequences.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for sequence in sequences {
            state.waiting.remove(sequence);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A message is to be given out again after a while.
    pub(super) fn put_off(&self, sequence: u64, after: Duration) {
        if let Some(message) = self.state.lock().waiting.get_mut(&sequence) {
            message.due = Instant::now() + after;
            message.seat = None;
        }
        self.changed.notify_waiters();
    }

    /// Messages are still being worked on.
    pub(super) fn extend(&self, seat: Seat, sequences: &[u64], ack_wait: Duration) {
        let mut state = self.state.lock();
        let due = Instant::now() + ack_wait;
        for sequence in sequences {
            if let Some(message) = state.waiting.get_mut(sequence)
                && message.seat == Some(seat)
            {
                message.due = due;
            }
        }
    }

    /// A seat is taken from whoever held it: everything unanswered is due at once, and others take nothing more.
    pub(super) fn take_over(&self, seat: Seat) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.holder = Some(seat);
        for message in state.waiting.values_mut() {
            message.seat = None;
            message.due = now;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether a seat may take messages.
    pub(super) fn admits(&self, seat: Seat) -> bool {
        self.state.lock().holder.is_none_or(|holder| holder == seat)
    }

    /// A seat is given up: what it has is due at once.
    pub(super) fn release(&self, seat: Seat) {
        let now = Instant::now();
        for message in self.state.lock().waiting.values_mut().filter(|message| message.seat == Some(seat)) {
            message.seat = None;
            message.due = now;
        }
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    fn consumer() -> Consumer {
        Consumer::new(StreamName::Events, "intake".to_owned(), 0)
    }

    #[tokio::test(start_paused = true)]
    async fn unanswered_messages_are_due_again_after_their_wait() {
        let consumer = consumer();
        assert_eq!(consumer.take(1, &[1, 2, 3], 3, WAIT), [1, 1, 1]);
        consumer.done(&[2]);
        assert_eq!(consumer.offer(10, 100).again, Vec::<u64>::new());
        tokio::time::advance(WAIT).await;
        assert_eq!(consumer.offer(10, 100).again, [1, 3]);
        assert_eq!(consumer.take(1, &[1, 3], 3, WAIT), [2, 2]);
    }

    #[tokio::test]
    async fn nobody_is_told_of_nothing() {
        let consumer = consumer();
        let told = consumer.changed.notified();
        consumer.done(&[]);
        assert!(futures_util::FutureExt::now_or_never(told).is_none(), "an idle seat would spin");
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_off_message_is_due_after_its_delay() {
        let consumer = consumer();
        consumer.take(1, &[1], 1, WAIT);
        consumer.put_off(1, Duration::from_secs(2));
        assert!(consumer.offer(10, 100).again.is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(consumer.offer(10, 100).again, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_given_out_than_may_be_unanswered() {
        let consumer = consumer();
        consumer.take(1, &[1, 2, 3], 3, WAIT);
        assert_eq!(consumer.offer(10, 5).room, 2);
        consumer.done(&[1]);
        assert_eq!(consumer.offer(10, 5).room, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_survives_being_written() {
        let consumer = consumer();
        consumer.take(1, &[1, 2, 3], 7, WAIT);
        consumer.done(&[1]);
        consumer.put_off(3, Duration::from_secs(5));
        let now = Timestamp(1_700_000_000_000);
        let restored = Consumer::restore(&consumer.place(now), now.after(Duration::from_secs(1)));
        assert_eq!(restored.offer(10, 100).again, [2], "whoever worked on 2 is gone");
        assert_eq!(restored.offer(10, 100).cursor, 7);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(restored.offer(10, 100).again, [2, 3]);
        assert_eq!(restored.take(1, &[2, 3], 7, WAIT), [2, 2], "attempts are remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_is_given_up_frees_what_it_has_and_nothing_else() {
        let consumer = consumer();
        consumer.take(1, &[1], 1, WAIT);
        consumer.take(2, &[2], 2, WAIT);
        consumer.release(1);
        assert_eq!(consumer.offer(10, 100).again, [1]);
    }
}
