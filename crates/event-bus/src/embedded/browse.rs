//! What an operator sees of the embedded log. This file must not know what is in a message.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{EmbeddedBus, consumer::Consumer, log, tail::Content, upkeep, writer::Command};
use crate::{
    browse::{Browse, ConsumerStanding, Kept, StreamStanding},
    error::Error,
    subjects::{Filter, StreamName},
};

fn unavailable(error: sqlx::Error) -> Error {
    Error::unavailable("reading the event log", error)
}

#[async_trait]
impl Browse for EmbeddedBus {
    async fn read(
        &self,
        stream: StreamName,
        after: u64,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<Vec<Kept>, Error> {
        let readers = &self.0.shared.readers;
        let (mut found, mut from) = (Vec::new(), after);
        let Some(last) = self.0.shared.streams.get(&stream).map(|known| *known.last.borrow()) else {
            return Ok(found);
        };
        while found.len() < limit && from < last {
            let room = limit - found.len();
            let (page, reached) =
                log::messages_after(readers, stream, from, last, room, filter).await.map_err(unavailable)?;
            from = reached;
            found.extend(page.into_iter().map(|message| Kept {
                subject: message.subject.to_string(),
                sequence: message.sequence,
                published_at: message.published_at,
                bytes: match message.content {
                    Content::Read(envelope) => envelope.encode(),
                    Content::Unreadable { bytes, .. } => bytes,
                },
            }));
        }
        Ok(found)
    }

    async fn delete(&self, stream: StreamName, sequence: u64) -> Result<bool, Error> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Delete { stream, sequence, reply };
        self.0.commands.send(command).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    async fn standing(&self) -> Result<Vec<StreamStanding>, Error> {
        let mut all = Vec::with_capacity(StreamName::ALL.len());
        for name in StreamName::ALL {
            let Some(last) = self.0.shared.streams.get(&name).map(|known| *known.last.borrow()) else { continue };
            let contents = upkeep::contents(&self.0.shared.readers, name).await.map_err(unavailable)?;
            let consumers: Vec<_> = {
                let known = self.0.shared.consumers.lock();
                known.values().filter(|consumer| consumer.stream == name).cloned().collect()
            };
            let mut standings = Vec::with_capacity(consumers.len());
            for consumer in consumers {
                standings.push(self.standing_of(&consumer, last).await?);
            }
            standings.sort_by(|a, b| a.name.cmp(&b.name));
            all.push(StreamStanding {
                name,
                messages: contents.messages,
                bytes: contents.bytes,
                max_bytes: name.spec().max_bytes(self.0.shared.max_bytes),
                first: contents.first.unwrap_or(last + 1),
                last,
                first_at: contents.first_at,
                replicas: 1,
                leader: None,
                behind: Vec::new(),
                consumers: standings,
            });
        }
        Ok(all)
    }
}

impl EmbeddedBus {
    async fn standing_of(&self, consumer: &Consumer, last: u64) -> Result<ConsumerStanding, Error> {
        let (cursor, filter, waiting, oldest) = consumer.standing();
        let unseen = self.0.unseen(consumer.stream, cursor, last, filter.as_ref()).await?;
        Ok(ConsumerStanding {
            name: consumer.name.clone(),
            filter: filter.map(|filter| filter.as_str().to_owned()),
            unseen,
            unanswered: waiting as u64,
            floor: oldest.map_or(cursor, |oldest| oldest - 1),
        })
    }
}
