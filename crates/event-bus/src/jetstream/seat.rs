//! A seat at a JetStream consumer: pulls messages, gives them out, takes the answers.
//!
//! Answers that must not get lost are confirmed by the server. This file must not know how messages are published,
//! except for dead letters.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{PullConsumer, pull::Batch},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all};
use service_runtime::trace::{self, TraceParent};
use shared_models::Timestamp;
use tokio::sync::watch;

use super::JetStreamBus;
use crate::{
    bus::{Delivery, EventBus as _, Subscription},
    envelope::{DeadLetter, Envelope},
    error::Error,
    subjects::{self, ConsumerSpec, Subject},
};

/// How long a pull stays open at the server: the longest that a lost one goes unnoticed.
const PULL: Duration = Duration::from_secs(5);
/// The same at an exclusive seat: for as long, a holder that is frozen or cut off may still be sent messages.
pub(super) const EXCLUSIVE_PULL: Duration = Duration::from_secs(2);

pub(super) struct Seat {
    pub(super) bus: JetStreamBus,
    pub(super) spec: ConsumerSpec,
    pub(super) consumer: PullConsumer,
    /// The open pull; `None` when the next one is to be made.
    pull: Option<Batch>,
    connections: watch::Receiver<u64>,
    /// Where to answer each message that was given out.
    pub(super) replies: HashMap<u64, async_nats::Subject>,
    /// Whether an exclusive seat is to be taken anew before the next pull.
    pub(super) unsettled: bool,
}

/// What the server says of a message.
struct Facts {
    sequence: u64,
    attempt: u32,
    published_at: Timestamp,
    reply: async_nats::Subject,
}

impl Seat {
    pub(super) fn new(bus: JetStreamBus, spec: ConsumerSpec, consumer: PullConsumer) -> Self {
        let connections = bus.connections();
        let unsettled = spec.exclusive;
        Self { bus, spec, consumer, pull: None, connections, replies: HashMap::new(), unsettled }
    }

    /// Waits for the next message. Nothing is lost when the future is dropped: the pull stays.
    async fn next(&mut self) -> Result<jetstream::Message, Error> {
        loop {
            let Some(pull) = &mut self.pull else {
                self.connections.borrow_and_update();
                self.settle().await?;
                let expires = if self.spec.exclusive { EXCLUSIVE_PULL } else { PULL };
                let pull = self.consumer.batch().max_messages(self.spec.max_batch).expires(expires).messages().await;
                self.pull = Some(pull.map_err(|error| Error::unavailable("pulling messages", error))?);
                continue;
            };
            tokio::select! {
                message = pull.next() => match message {
                    Some(Ok(message)) => return Ok(message),
                    Some(Err(error)) => {
                        self.pull = None;
                        self.unsettled = self.spec.exclusive;
                        // The consumer may be gone with its server's disk.
                        self.consumer = self.bus.redeclare(&self.spec).await?;
                        return Err(Error::unavailable("pulling messages", error));
                    }
                    None => self.pull = None,
                },
                // A new connection does not know the pull of the old one, and what that one brought last may be lost.
                Ok(()) = self.connections.changed() => {
                    self.pull = None;
                    self.unsettled = self.spec.exclusive;
                }
            }
        }
    }

    /// A message that is here already.
    fn next_here(&mut self) -> Option<jetstream::Message> {
        self.pull.as_mut()?.next().now_or_never()??.ok()
    }

    /// The message as a delivery; `None` when it went to the dead letters.
    async fn accept(&mut self, message: jetstream::Message) -> Result<Option<Delivery>, Error> {
        let facts = facts(&message)?;
        let lost = |reason: String, subject: &str, payload: Bytes| DeadLetter {
            stream: self.spec.stream.as_str().to_owned(),
            consumer: self.spec.name.to_string(),
            sequence: facts.sequence,
            subject: subject.to_owned(),
            deliveries: facts.attempt,
            reason,
            message: payload,
        };
        let raw = message.payload.clone();
        let text = message.subject.as_str();
        if !self.spec.sees(text) {
            // Brought up by a takeover that crossed the last answers of the holder before.
            self.confirm(facts.reply, AckKind::Ack).await?;
            return Ok(None);
        }
        let letter = match (Envelope::decode(raw.clone()), Subject::parse(text)) {
            (Ok(_), Some(_)) if facts.attempt > self.spec.max_deliver => {
                lost(format!("was delivered {} times without an answer", self.spec.max_deliver), text, raw)
            }
            (Ok(envelope), Some(subject)) => {
                self.replies.insert(facts.sequence, facts.reply);
                return Ok(Some(Delivery {
                    subject,
                    stream: self.spec.stream,
                    sequence: facts.sequence,
                    attempt: facts.attempt,
                    envelope,
                    trace: trace_of(&message),
                    published_at: facts.published_at,
                }));
            }
            (Err(error), _) => lost(error.to_string(), text, raw),
            (_, None) => lost("has the subject of no stream".to_owned(), text, raw),
        };
        self.bury(letter, facts.reply).await?;
        Ok(None)
    }

    async fn bury(&mut self, letter: DeadLetter, reply: async_nats::Subject) -> Result<(), Error> {
        let sequence = letter.sequence;
        let subject = subjects::dead(self.spec.stream, &self.spec.name);
        self.bus.publish(&subject, letter.into_envelope(self.bus.now())).await?;
        self.confirm(reply, AckKind::Term).await?;
        self.replies.remove(&sequence);
        Ok(())
    }

    /// Sends an answer, and waits until the server has it.
    pub(super) async fn confirm(&self, reply: async_nats::Subject, answer: AckKind) -> Result<(), Error> {
        self.bus
            .client()
            .request(reply, answer.into())
            .await
            .map(|_| ())
            .map_err(|error| Error::unavailable("acknowledging", error))
    }

    /// Sends an answer that may get lost: the message is then delivered again by itself.
    pub(super) async fn tell(&self, reply: async_nats::Subject, answer: AckKind) -> Result<(), Error> {
        self.bus
            .client()
            .publish(reply, answer.into())
            .await
            .map_err(|error| Error::unavailable("putting a message off", error))
    }
}

#[async_trait]
impl Subscription for Seat {
    async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, Error> {
        let max = max.clamp(1, self.spec.max_batch);
        let mut batch = Vec::new();
        while batch.is_empty() {
            let first = self.next().await?;
            // From the first message on, nothing waits for the server unless a message is unreadable, so that a
            // dropped future leaves messages to their `ack_wait` at worst.
            batch.extend(self.accept(first).await?);
            while batch.len() < max
                && let Some(message) = self.next_here()
            {
                batch.extend(self.accept(message).await?);
            }
        }
        batch.sort_by_key(|delivery| delivery.sequence);
        Ok(batch)
    }

    async fn ack(&mut self, sequences: &[u64]) -> Result<(), Error> {
        let replies: Vec<_> = sequences.iter().filter_map(|sequence| self.replies.get(sequence).cloned()).collect();
        let confirmed = join_all(replies.into_iter().map(|reply| self.confirm(reply, AckKind::Ack))).await;
        for sequence in sequences {
            self.replies.remove(sequence);
        }
        confirmed.into_iter().collect()
    }

    async fn retry(&mut self, sequence: u64, after: Duration) -> Result<(), Error> {
        match self.replies.remove(&sequence) {
            Some(reply) => self.tell(reply, AckKind::Nak(Some(after))).await,
            None => Ok(()),
        }
    }

    async fn reject(&mut self, delivery: &Delivery, reason: &str) -> Result<(), Error> {
        let Some(reply) = self.replies.get(&delivery.sequence).cloned() else { return Ok(()) };
        let letter = DeadLetter {
            stream: self.spec.stream.as_str().to_owned(),
            consumer: self.spec.name.to_string(),
            sequence: delivery.sequence,
            subject: delivery.subject.to_string(),
            deliveries: delivery.attempt,
            reason: reason.to_owned(),
            message: delivery.envelope.encode(),
        };
        self.bury(letter, reply).await
    }

    async fn extend(&mut self, sequences: &[u64]) -> Result<(), Error> {
        for sequence in sequences {
            if let Some(reply) = self.replies.get(sequence).cloned() {
                self.tell(reply, AckKind::Progress).await?;
            }
        }
        Ok(())
    }

    async fn close(mut self: Box<Self>) {
        // What cannot be given back now is delivered again after its `ack_wait`.
        while let Some(message) = self.next_here() {
            if let Some(reply) = message.reply.clone() {
                let _lost = self.tell(reply, AckKind::Nak(None)).await;
            }
        }
        for reply in self.replies.values() {
            let _lost = self.tell(reply.clone(), AckKind::Nak(None)).await;
        }
        let _lost = self.bus.client().flush().await;
    }
}

fn facts(message: &jetstream::Message) -> Result<Facts, Error> {
    let strange = |problem: String| Error::Undecodable { problem };
    let info = message.info().map_err(|error| strange(error.to_string()))?;
    let reply = message.reply.clone().ok_or_else(|| strange("a message has no address for answers".to_owned()))?;
    Ok(Facts {
        sequence: info.stream_sequence,
        attempt: u32::try_from(info.delivered).unwrap_or(u32::MAX),
        published_at: super::milliseconds(info.published),
        reply,
    })
}

fn trace_of(message: &jetstream::Message) -> TraceParent {
    let Some(headers) = &message.headers else { return TraceParent::default() };
    trace::extract(&|wanted| {
        // Header names keep the case their writer chose.
        headers
            .iter()
            .find(|(name, _)| AsRef::<str>::as_ref(*name).eq_ignore_ascii_case(wanted))
            .and_then(|(_, values)| values.first())
            .map(|value| value.as_str().to_owned())
    })
}
