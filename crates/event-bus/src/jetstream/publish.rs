//! Publishing to JetStream: sent, acknowledged, and sent again under the same id while there is time.
//!
//! A server that is killed, or a stream that changes its leader, swallows what was on its way. The window of ids makes
//! it free to send it again. This file must not know who publishes.

use std::{error::Error as _, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    context::{PublishAckFuture, PublishError, PublishErrorKind},
};
use bytes::Bytes;
use service_runtime::trace::TraceParent;
use tokio::time::Instant;

use super::{JetStreamBus, headers};
use crate::{
    bus::Ack,
    envelope::Envelope,
    error::Error,
    subjects::{StreamName, Subject},
};

/// How many messages of a bulk publish are on their way at a time.
const WINDOW: usize = 512;
/// How long to wait before a failed message is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// A message on its way.
#[derive(Debug)]
struct Outgoing<'a> {
    subject: &'a Subject,
    id: &'a str,
    bytes: Bytes,
}

impl JetStreamBus {
    pub(super) async fn publish_one(
        &self,
        subject: &Subject,
        id: &str,
        trace: &TraceParent,
        bytes: Bytes,
    ) -> Result<Ack, Error> {
        let acks = self.persist(&[Outgoing { subject, id, bytes }], trace).await?;
        acks.into_iter().next().ok_or(Error::Closed)
    }

    /// Sends in order, with a window of messages that wait for their PubAck.
    pub(super) async fn publish_in_order(
        &self,
        messages: &[(Subject, Envelope)],
        trace: &TraceParent,
    ) -> Result<Vec<Ack>, Error> {
        let mut acks = Vec::with_capacity(messages.len());
        for window in messages.chunks(WINDOW) {
            let outgoing: Vec<Outgoing<'_>> = window
                .iter()
                .map(|(subject, envelope)| Outgoing { subject, id: &envelope.id, bytes: envelope.encode() })
                .collect();
            acks.extend(self.persist(&outgoing, trace).await?);
        }
        Ok(acks)
    }

    /// Tries until the messages are kept, or cannot be, or the time to publish is over. One try gets half of that time.
    async fn persist(&self, window: &[Outgoing<'_>], trace: &TraceParent) -> Result<Vec<Ack>, Error> {
        let patience = self.0.config.publish_timeout;
        let end = Instant::now() + patience;
        let mut made_room = false;
        loop {
            let mut connections = self.connections();
            connections.borrow_and_update();
            let failure = tokio::select! {
                outcome = tokio::time::timeout_at(
                    end.min(Instant::now() + patience / 2),
                    self.attempt(window, trace),
                ) => match outcome {
                    Ok(Ok(acks)) => return Ok(acks),
                    Ok(Err(failure)) => failure,
                    Err(_) => Error::TimedOut { step: "publishing" },
                },
                // What was on its way on the old connection will not be answered on the new one.
                true = async { connections.changed().await.is_ok() } => Error::TimedOut { step: "publishing" },
            };
            match &failure {
                Error::StreamFull { stream } if !made_room => {
                    made_room = true;
                    self.make_room(*stream).await?;
                    continue;
                }
                Error::Unavailable { .. } | Error::TimedOut { .. } => {}
                _ => return Err(failure),
            }
            if Instant::now() + PAUSE >= end {
                return Err(failure);
            }
            self.0.metrics.sent_again.inc();
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, window: &[Outgoing<'_>], trace: &TraceParent) -> Result<Vec<Ack>, Error> {
        self.ready().await?;
        let mut sent = Vec::with_capacity(window.len());
        for message in window {
            sent.push(self.send(message.subject, message.id, trace, message.bytes.clone()).await?);
        }
        let mut acks = Vec::with_capacity(window.len());
        for (message, sent) in window.iter().zip(sent) {
            acks.push(self.acknowledged(message.subject.stream(), sent).await?);
        }
        Ok(acks)
    }

    async fn send(
        &self,
        subject: &Subject,
        id: &str,
        trace: &TraceParent,
        bytes: Bytes,
    ) -> Result<PublishAckFuture, Error> {
        let headers = headers(id, trace)?;
        let sending = self.0.context.publish_with_headers(subject.as_str().to_owned(), headers, bytes);
        sending.await.map_err(|error| self.failed(subject.stream(), error))
    }

    async fn acknowledged(&self, stream: StreamName, sent: PublishAckFuture) -> Result<Ack, Error> {
        let ack = sent.await.map_err(|error| self.failed(stream, error))?;
        if ack.stream != stream.as_str() {
            return Err(Error::Misconfigured {
                problem: format!("stream {} took a message meant for {stream}", ack.stream),
            });
        }
        Ok(Ack { stream, sequence: ack.sequence, duplicate: ack.duplicate })
    }

    fn failed(&self, stream: StreamName, error: PublishError) -> Error {
        match error.kind() {
            PublishErrorKind::TimedOut => Error::TimedOut { step: "publishing" },
            PublishErrorKind::MaxPayloadExceeded => {
                let limit = self.0.client.max_payload();
                Error::TooLarge { bytes: limit + 1, limit }
            }
            PublishErrorKind::StreamNotFound => {
                self.0.declared.store(0, std::sync::atomic::Ordering::Release);
                Error::unavailable("publishing", error)
            }
            PublishErrorKind::Other if is_full(&error) => Error::StreamFull { stream },
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::Other => Error::unavailable("publishing", error),
        }
    }
}

/// Whether the server refused a message because its stream holds as much as it may.
fn is_full(error: &PublishError) -> bool {
    let said = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    said.is_some_and(|said| {
        said.error_code() == ErrorCode::STREAM_STORE_FAILED && said.to_string().contains("maximum bytes exceeded")
    })
}
