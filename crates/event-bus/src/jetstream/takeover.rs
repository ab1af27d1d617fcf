//! Taking an exclusive seat from whoever held it before.
//!
//! What the last holder left unanswered would come again only after `ack_wait`, and behind newer messages. So the
//! new holder puts it off in the other's name, oldest first and without delay: the server then delivers it before
//! anything new, in that order, and goes on counting its deliveries. The consumer itself stays, because its counts
//! are what keeps a message that kills every holder from doing so for ever.
//!
//! This file must not know who may sit: that is decided by a lease outside, which has to run for longer than
//! [`EXCLUSIVE_PULL`] so that a frozen holder's last request is over when the next one sits down.

use std::time::Duration;

use async_nats::jetstream::{AckKind, consumer::Info};
use tokio::time::Instant;

use super::seat::{EXCLUSIVE_PULL, Seat};
use crate::error::Error;

/// How often to look whether the last holder's requests are over.
const LOOK: Duration = Duration::from_millis(100);

impl Seat {
    /// Takes the seat, when it is exclusive and not taken yet on this connection.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        if !self.unsettled {
            return Ok(());
        }
        let found = self.without_rivals().await?;
        let (first, last) = (found.ack_floor.stream_sequence + 1, found.delivered.stream_sequence);
        if found.num_ack_pending > 0 && first <= last {
            self.put_off(&found, first, last).await?;
            tracing::info!(
                stream = self.spec.stream.as_str(),
                consumer = self.spec.name.as_ref(),
                messages = found.num_ack_pending,
                "seat is taken over with what its last holder left unanswered"
            );
        }
        self.unsettled = false;
        Ok(())
    }

    /// The consumer's standing once nobody else waits for its messages. Requests of a connection that is gone are
    /// gone with it; those of a frozen holder end by themselves.
    async fn without_rivals(&self) -> Result<Info, Error> {
        let end = Instant::now() + EXCLUSIVE_PULL + LOOK;
        loop {
            let found = self.consumer.get_info().await.map_err(|error| Error::unavailable("taking a seat", error))?;
            if found.num_waiting == 0 || Instant::now() > end {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Puts off whatever is unanswered between two numbers, but not what this seat itself gave out. The server
    /// passes over numbers that are answered or belong to others.
    async fn put_off(&self, found: &Info, first: u64, last: u64) -> Result<(), Error> {
        let mut left = (first..=last).filter(|sequence| !self.replies.contains_key(sequence)).peekable();
        while let Some(sequence) = left.next() {
            let reply = answer_subject(found, sequence);
            if left.peek().is_some() {
                self.tell(reply, AckKind::Nak(None)).await?;
            } else {
                // Answers of one connection are taken in their order: with the last one all have been.
                self.confirm(reply, AckKind::Nak(None)).await?;
            }
        }
        Ok(())
    }
}

/// Where a delivered message is answered (NATS ADR-15): deliveries, stream number, consumer number, time, pending.
/// The server reads the stream's number, and holds the consumer's against what it has delivered.
fn answer_subject(found: &Info, sequence: u64) -> async_nats::Subject {
    let (stream, consumer) = (&found.stream_name, &found.name);
    format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.{}.0.0", found.delivered.consumer_sequence).into()
}
