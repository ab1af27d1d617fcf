//! What an operator sees of JetStream, and how a stream that refuses makes room. This file must not know what is in a
//! message.

use async_nats::jetstream::{
    self,
    consumer::Info as ConsumerInfo,
    stream::{Info, RawMessageErrorKind, Stream},
};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use tokio::time::{Duration, Instant};

use super::{JetStreamBus, declare, milliseconds};
use crate::{
    browse::{Browse, ConsumerStanding, Kept, StreamStanding},
    consumers,
    error::Error,
    subjects::{Filter, StreamName},
};

/// Room is made this often at most: publishers that are refused all ask for it.
const ROOM_EVERY: Duration = Duration::from_secs(1);
/// One part in so many of the messages is forgotten at a time.
const ROOM_SHARE: u64 = 10;

#[async_trait]
impl Browse for JetStreamBus {
    async fn read(
        &self,
        stream: StreamName,
        after: u64,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Kept>, Error> {
        let subjects = filter.map_or_else(|| stream.spec().subjects.clone(), |filter| filter.as_str().to_owned());
        let Some(stream) = declare::stream(&self.0.context, stream).await? else { return Ok(Vec::new()) };
        let mut found: Vec<Kept> = Vec::new();
        while found.len() < limit {
            let from = found.last().map_or(after, |last| last.sequence) + 1;
            match stream.raw_message_builder().sequence(from).next_by_subject(subjects.as_str()).send().await {
                Ok(message) => found.push(Kept {
                    subject: message.subject.to_string(),
                    sequence: message.sequence,
                    published_at: milliseconds(message.time),
                    bytes: message.payload,
                }),
                Err(error) if is_no_message(&error.kind()) => break,
                Err(error) => return Err(Error::unavailable("reading a stream", error)),
            }
        }
        Ok(found)
    }

    async fn delete(&self, stream: StreamName, sequence: u64) -> Result<bool, Error> {
        if !self.read(stream, sequence.saturating_sub(1), 1, None).await?.iter().any(|kept| kept.sequence == sequence) {
            return Ok(false);
        }
        let Some(stream) = declare::stream(&self.0.context, stream).await? else { return Ok(false) };
        stream.delete_message(sequence).await.map_err(|error| Error::unavailable("deleting a message", error))
    }

    async fn standing(&self) -> Result<Vec<StreamStanding>, Error> {
        let mut all = Vec::new();
        for name in StreamName::ALL {
            let Some(stream) = declare::stream(&self.0.context, name).await? else { continue };
            let consumers = consumers_of(&stream).await?.iter().map(standing_of).collect();
            all.push(stream_standing(name, stream.cached_info(), consumers));
        }
        Ok(all)
    }
}

impl JetStreamBus {
    /// Forgets some of the oldest messages of a stream that refuses more, as far as every consumer has dealt with
    /// them. What somebody still has to read stays, and publishing goes on failing.
    pub(super) async fn make_room(&self, name: StreamName) -> Result<(), Error> {
        let mut last = self.0.room_made.lock().await;
        if last.is_some_and(|last| last.elapsed() < ROOM_EVERY) {
            return Ok(());
        }
        *last = Some(Instant::now());
        let Some(stream) = declare::stream(&self.0.context, name).await? else { return Ok(()) };
        let state = &stream.cached_info().state;
        let all: Vec<ConsumerStanding> = consumers_of(&stream).await?.iter().map(standing_of).collect();
        let read = consumers::read_by_all(
            all.iter().map(|each| (each.name.as_str(), if each.lag() == 0 { state.last_sequence } else { each.floor })),
        );
        let until = read.unwrap_or(0).min(state.first_sequence + state.messages / ROOM_SHARE);
        if until < state.first_sequence {
            tracing::error!(
                stream = name.as_str(),
                messages = state.messages,
                bytes = state.bytes,
                "stream is full of messages that are not read yet, and refuses more"
            );
            return Ok(());
        }
        tracing::info!(stream = name.as_str(), until, "full stream forgets what every consumer has dealt with");
        let purged = stream.purge().sequence(until + 1).await;
        purged.map(|_| ()).map_err(|error| Error::unavailable("making room in a stream", error))
    }
}

async fn consumers_of(stream: &Stream) -> Result<Vec<ConsumerInfo>, Error> {
    let all: Vec<ConsumerInfo> =
        stream.consumers().try_collect().await.map_err(|error| Error::unavailable("reading consumers", error))?;
    Ok(all)
}

fn standing_of(info: &ConsumerInfo) -> ConsumerStanding {
    ConsumerStanding {
        name: info.name.clone(),
        filter: Some(info.config.filter_subject.clone()).filter(|filter| !filter.is_empty()),
        unseen: info.num_pending,
        unanswered: info.num_ack_pending as u64,
        floor: info.ack_floor.stream_sequence,
    }
}

fn stream_standing(name: StreamName, info: &Info, mut consumers: Vec<ConsumerStanding>) -> StreamStanding {
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    let cluster = info.cluster.as_ref();
    let peers = cluster.map(|cluster| cluster.replicas.as_slice()).unwrap_or_default();
    StreamStanding {
        name,
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
        first: info.state.first_sequence.max(1),
        last: info.state.last_sequence,
        first_at: (info.state.messages > 0).then(|| milliseconds(info.state.first_timestamp)),
        replicas: info.config.num_replicas,
        leader: cluster.and_then(|cluster| cluster.leader.clone()),
        behind: peers.iter().filter(|peer| !peer.current || peer.offline).map(|peer| peer.name.clone()).collect(),
        consumers,
    }
}

fn is_no_message(kind: &RawMessageErrorKind) -> bool {
    match kind {
        RawMessageErrorKind::NoMessageFound => true,
        RawMessageErrorKind::JetStream(said) => said.error_code() == jetstream::ErrorCode::NO_MESSAGE_FOUND,
        RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => false,
    }
}
