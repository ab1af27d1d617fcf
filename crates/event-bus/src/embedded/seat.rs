//! A seat at a consumer of the embedded log: looks for messages, gives them out, takes the answers.
//!
//! A consumer that keeps up is served from memory and woken by the commit itself; one that is behind reads the
//! disk in pages. This file must not know how messages are written.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{
    Embedded,
    consumer::{Consumer, Seat as Number},
    log,
    tail::{Content, Stored},
};
use crate::{
    bus::{Delivery, Subscription},
    envelope::{DeadLetter, Envelope},
    error::Error,
    subjects::{self, ConsumerSpec},
};

pub(super) struct Seat {
    number: Number,
    spec: ConsumerSpec,
    log: Embedded,
    consumer: Arc<Consumer>,
    /// The newest number of the stream.
    last: watch::Receiver<u64>,
}

/// A message that goes to the dead letters instead of a handler.
struct Lost {
    sequence: u64,
    subject: String,
    attempt: u32,
    reason: String,
    message: Bytes,
}

impl Seat {
    pub(super) fn new(
        number: Number,
        spec: ConsumerSpec,
        log: Embedded,
        consumer: Arc<Consumer>,
        last: watch::Receiver<u64>,
    ) -> Self {
        Self { number, spec, log, consumer, last }
    }

    /// Takes what there is: messages that are due again, then new ones. `None` when there is nothing now, with the
    /// moment when something is due.
    async fn take(&mut self, max: usize) -> Result<(Vec<Delivery>, Option<Instant>), Error> {
        if !self.consumer.admits(self.number) {
            return Err(Error::unavailable("taking messages", "the seat was taken over by another"));
        }
        let last = *self.last.borrow_and_update();
        let offer = self.consumer.offer(max, self.spec.max_unanswered);
        let mut messages = Vec::new();
        let mut gone = Vec::new();
        for sequence in offer.again {
            match self.log.message(self.spec.stream, sequence).await? {
                Some(message) => messages.push(message),
                None => gone.push(sequence),
            }
        }
        let mut reached = offer.cursor;
        if offer.room > 0 && offer.cursor < last {
            let filter = self.spec.filter.as_ref();
            let (new, searched) =
                self.log.messages_after(self.spec.stream, offer.cursor, last, offer.room, filter).await?;
            messages.extend(new);
            reached = searched;
        }
        // From here on nothing waits: what is taken is given out, whenever the caller goes away.
        self.consumer.done(&gone);
        let sequences: Vec<u64> = messages.iter().map(|message| message.sequence).collect();
        let attempts = self.consumer.take(self.number, &sequences, reached, self.spec.ack_wait);
        if !sequences.is_empty() || reached != offer.cursor {
            self.log.save_later(&self.consumer);
        }
        let mut deliveries = Vec::with_capacity(messages.len());
        let mut lost = Vec::new();
        for (message, attempt) in messages.into_iter().zip(attempts) {
            match self.deliver(&message, attempt) {
                Ok(delivery) => deliveries.push(delivery),
                Err(letter) => lost.push(letter),
            }
        }
        for letter in lost {
            self.bury(letter).await?;
        }
        let next_due = if reached < last && offer.room > 0 { Some(Instant::now()) } else { offer.next_due };
        Ok((deliveries, next_due))
    }

    fn deliver(&self, message: &Arc<Stored>, attempt: u32) -> Result<Delivery, Lost> {
        let lost = |message_bytes: Bytes, reason: String| Lost {
            sequence: message.sequence,
            subject: message.subject.to_string(),
            attempt,
            reason,
            message: message_bytes,
        };
        let envelope = match &message.content {
            Content::Read(envelope) => envelope.clone(),
            Content::Unreadable { bytes, problem } => return Err(lost(bytes.clone(), problem.clone())),
        };
        if attempt > self.spec.max_deliver {
            let reason = format!("was delivered {} times without an answer", self.spec.max_deliver);
            return Err(lost(envelope.encode(), reason));
        }
        Ok(Delivery {
            subject: message.subject.clone(),
            stream: self.spec.stream,
            sequence: message.sequence,
            attempt,
            envelope,
            trace: message.trace.clone(),
            published_at: message.published_at,
        })
    }

    async fn bury(&self, lost: Lost) -> Result<(), Error> {
        let letter = DeadLetter {
            stream: self.spec.stream.as_str().to_owned(),
            consumer: self.spec.name.to_string(),
            sequence: lost.sequence,
            subject: lost.subject,
            deliveries: lost.attempt,
            reason: lost.reason,
            message: lost.message,
        };
        let envelope: Envelope = letter.into_envelope(self.log.shared.clock.now());
        let subject = subjects::dead(self.spec.stream, &self.spec.name);
        self.log.publish_linked(&subject, envelope, &[]).await?;
        self.consumer.done(&[lost.sequence]);
        self.log.save(&self.consumer).await
    }
}

#[async_trait]
impl Subscription for Seat {
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        let max = max.clamp(1, self.spec.max_batch);
        let consumer = Arc::clone(&self.consumer);
        let _turn = consumer.turn.lock().await;
        loop {
            let mut changed = pin!(consumer.changed.notified());
            changed.as_mut().enable();
            let (deliveries, next_due) = self.take(max).await?;
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            let due = async {
                match next_due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                still_open = self.last.changed() => still_open.map_err(|_| Error::Closed)?,
                () = changed => {}
                () = due => {}
            }
        }
    }

    async fn ack(&mut self, sequences: &[u64]) -> Result<(), Error> {
        self.consumer.done(sequences);
        self.log.save(&self.consumer).await
    }

    async fn retry(&mut self, sequence: u64, after: Duration) -> Result<(), Error> {
        self.consumer.put_off(sequence, after);
        self.log.save_later(&self.consumer);
        Ok(())
    }

    async fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), Error> {
        self.bury(Lost {
            sequence: delivery.sequence,
            subject: delivery.subject.to_string(),
            attempt: delivery.attempt,
            reason: reason.to_owned(),
            message: delivery.envelope.encode(),
        })
        .await
    }

    async fn extend(&mut self, sequences: &[u64]) -> Result<(), Error> {
        self.consumer.extend(self.number, sequences, self.spec.ack_wait);
        Ok(())
    }

    async fn close(self: Box<Self>) {
        // Dropping the seat gives up what it holds.
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.consumer.release(self.number);
    }
}

impl Embedded {
    /// One message, from memory or from disk.
    async fn message(&self, stream: subjects::StreamName, sequence: u64) -> Result<Option<Arc<Stored>>, Error> {
        if let Some(known) = self.shared.streams.get(&stream)
            && let Some(message) = known.tail.lock().get(sequence)
        {
            return Ok(Some(Arc::clone(message)));
        }
        let found = log::message(&self.shared.readers, stream, sequence).await;
        Ok(found.map_err(|error| Error::unavailable("reading the event log", error))?.map(Arc::new))
    }

    /// Messages after a place, from memory or from disk.
    async fn messages_after(
        &self,
        stream: subjects::StreamName,
        cursor: u64,
        last: u64,
        room: usize,
        filter: Option<&subjects::Filter>,
    ) -> Result<(Vec<Arc<Stored>>, u64), Error> {
        let wanted = |subject: &subjects::Subject| filter.is_none_or(|filter| filter.matches(subject.as_str()));
        let in_memory =
            self.shared.streams.get(&stream).and_then(|known| known.tail.lock().after(cursor, last, room, wanted));
        if let Some(found) = in_memory {
            return Ok(found);
        }
        let (found, reached) = log::messages_after(&self.shared.readers, stream, cursor, last, room, filter)
            .await
            .map_err(|error| Error::unavailable("reading the event log", error))?;
        Ok((found.into_iter().map(Arc::new).collect(), reached))
    }
}
