//! The one task that writes the embedded log.
//!
//! Whatever waits when a commit ends goes into the next one, so that one sync to disk serves many publishers. The
//! busier the log, the larger the commits. This file must not know subscriptions.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use service_runtime::trace::TraceParent;
use shared_models::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::Instrument as _;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Shared,
    consumer::Consumer,
    log::{self, Row},
    tail::{Content, Stored},
};
use crate::{
    bus::Ack,
    envelope::Envelope,
    error::Error,
    spans,
    subjects::{StreamName, Subject},
};

/// A commit holds no more than this, so that it ends soon.
const MOST_MESSAGES: usize = 4096;
const MOST_BYTES: usize = 8 << 20;
/// How long a place that nobody waits for may stay unwritten.
const PLACE_DELAY: Duration = Duration::from_millis(5);
const RETENTION_EVERY: Duration = Duration::from_secs(30);
/// How often room is made in a stream that is nearly full.
const ROOM_EVERY: Duration = Duration::from_millis(250);

/// A message to be written.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) subject: Subject,
    pub(super) envelope: Envelope,
    pub(super) bytes: Bytes,
    pub(super) trace: TraceParent,
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Write messages, all or none.
    Publish { messages: Vec<Message>, reply: oneshot::Sender<Result<Vec<Ack>, Error>> },
    /// Delete a message; answers whether it was there.
    Delete { stream: StreamName, sequence: u64, reply: oneshot::Sender<Result<bool, Error>> },
    /// Write a consumer's place; without a reply it may wait for company.
    Save { consumer: Arc<Consumer>, reply: Option<oneshot::Sender<Result<(), Error>>> },
}

/// What the writer knows of a stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) last: u64,
    pub(super) bytes: u64,
    ids: HashMap<u128, u64>,
    /// The ids in the order in which they leave the window.
    leaving: VecDeque<(Timestamp, u128)>,
}

impl Stream {
    fn new(found: log::Found) -> Self {
        let mut stream = Self { last: found.last, bytes: found.bytes, ..Self::default() };
        for (hash, at, sequence) in found.recent {
            stream.remember(hash, at, sequence);
        }
        stream
    }

    fn remember(&mut self, hash: u128, at: Timestamp, sequence: u64) {
        self.ids.insert(hash, sequence);
        self.leaving.push_back((at, hash));
    }

    fn forget_ids(&mut self, before: Timestamp) {
        while let Some((_, hash)) = self.leaving.pop_front_if(|(at, _)| *at < before) {
            self.ids.remove(&hash);
        }
    }
}

/// Whoever waits for the word that its messages are kept.
type Told = oneshot::Sender<Result<Vec<Ack>, Error>>;

/// A message to be deleted, and who waits for it.
type Deletion = (StreamName, u64, oneshot::Sender<Result<bool, Error>>);

/// The replies that wait for a commit.
#[derive(Default)]
struct Group {
    rows: Vec<Row>,
    stored: Vec<(StreamName, Arc<Stored>)>,
    publishers: Vec<TraceParent>,
    acks: Vec<(Vec<Ack>, Told)>,
    saves: Vec<oneshot::Sender<Result<(), Error>>>,
    bytes: usize,
}

pub(super) struct Writer {
    path: PathBuf,
    pub(super) shared: Arc<Shared>,
    /// `None` after a failure: it is opened anew before the next commit.
    pub(super) connection: Option<SqliteConnection>,
    pub(super) streams: HashMap<StreamName, Stream>,
    dirty: HashMap<(StreamName, String), Arc<Consumer>>,
    newest: Timestamp,
    deletions: Vec<Deletion>,
    /// Released when the writer ends, after the connection.
    _lock: std::fs::File,
}

impl Writer {
    pub(super) async fn open(
        path: PathBuf,
        shared: Arc<Shared>,
        connection: SqliteConnection,
        lock: std::fs::File,
    ) -> Result<Self, sqlx::Error> {
        let mut writer = Self {
            path,
            shared,
            connection: Some(connection),
            streams: HashMap::new(),
            dirty: HashMap::new(),
            newest: Timestamp(0),
            deletions: Vec::new(),
            _lock: lock,
        };
        writer.survey().await?;
        writer.retain().await?;
        Ok(writer)
    }

    /// Writes until nobody is left who could ask for it.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), std::convert::Infallible> {
        let mut retention = tokio::time::interval(RETENTION_EVERY);
        let mut write_places_at: Option<Instant> = None;
        let mut retained = Instant::now();
        loop {
            let places_due = async {
                match write_places_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else { break };
                    // After a failure nobody knows what is on disk: it is read before numbers are given.
                    if self.connection.is_none()
                        && let Err(error) = self.reopen().await
                    {
                        self.connection = None;
                        tracing::error!(%error, "event log cannot be opened again");
                    }
                    if retained.elapsed() > ROOM_EVERY && self.is_tight() {
                        retained = Instant::now();
                        self.retain_or_tell().await;
                    }
                    let group = self.gather(command, &mut commands);
                    for (stream, sequence, reply) in std::mem::take(&mut self.deletions) {
                        let outcome = self.delete(stream, sequence).await;
                        // Whoever has gone does not want the answer.
                        let _gone = reply.send(outcome);
                    }
                    if !group.acks.is_empty() || !group.saves.is_empty() {
                        self.commit(group).await;
                    }
                }
                () = places_due => self.commit(Group::default()).await,
                _ = retention.tick() => self.retain_or_tell().await,
            }
            write_places_at = match (self.dirty.is_empty(), write_places_at) {
                (true, _) => None,
                (false, Some(at)) if at > Instant::now() => Some(at),
                (false, _) => Some(Instant::now() + PLACE_DELAY),
            };
        }
        self.commit(Group::default()).await;
        if let Some(connection) = self.connection.take() {
            // Closing merges the write-ahead log; the next start does it when this fails.
            let _closed = connection.close().await;
        }
        Ok(())
    }

    /// Takes everything that waits, as far as one commit holds it.
    fn gather(&mut self, first: Command, commands: &mut mpsc::Receiver<Command>) -> Group {
        let mut group = Group::default();
        let now = self.shared.clock.now().max(self.newest);
        let mut last: HashMap<StreamName, u64> = HashMap::new();
        let mut ids: HashMap<(StreamName, u128), u64> = HashMap::new();
        for (name, stream) in &mut self.streams {
            stream.forget_ids(now.before(name.spec().dedup_window));
        }
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Publish { messages, reply } => {
                    if let Some(stream) = self.has_no_room_for(&messages, &group) {
                        // Whoever has gone does not want the answer.
                        let _gone = reply.send(Err(Error::StreamFull { stream }));
                        next = commands.try_recv().ok();
                        continue;
                    }
                    let mut acks = Vec::with_capacity(messages.len());
                    for message in messages {
                        acks.push(self.number(message, now, &mut last, &mut ids, &mut group));
                    }
                    group.acks.push((acks, reply));
                }
                Command::Delete { stream, sequence, reply } => self.deletions.push((stream, sequence, reply)),
                Command::Save { consumer, reply } => {
                    group.saves.extend(reply);
                    self.dirty.insert((consumer.stream, consumer.name.clone()), consumer);
                }
            }
            let full = group.rows.len() >= MOST_MESSAGES || group.bytes >= MOST_BYTES;
            next = if full { None } else { commands.try_recv().ok() };
        }
        group
    }

    fn has_no_room_for(&self, messages: &[Message], group: &Group) -> Option<StreamName> {
        self.refuses(messages, |name| group.rows.iter().filter(|row| row.stream == name).map(Row::bytes).sum())
    }

    /// Whether a message of the same id is kept already.
    pub(super) fn knows(&self, message: &Message) -> bool {
        let stream = self.streams.get(&message.subject.stream());
        stream.is_some_and(|stream| stream.ids.contains_key(&xxh3_128(message.envelope.id.as_bytes())))
    }

    /// Gives a message its number, or finds the number of the one with the same id.
    fn number(
        &self,
        message: Message,
        now: Timestamp,
        last: &mut HashMap<StreamName, u64>,
        ids: &mut HashMap<(StreamName, u128), u64>,
        group: &mut Group,
    ) -> Ack {
        let name = message.subject.stream();
        let stream = self.streams.get(&name);
        let id_hash = xxh3_128(message.envelope.id.as_bytes());
        let known = ids.get(&(name, id_hash)).or_else(|| stream?.ids.get(&id_hash)).copied();
        if let Some(sequence) = known {
            return Ack { stream: name, sequence, duplicate: true };
        }
        let last = last.entry(name).or_insert_with(|| stream.map_or(0, |stream| stream.last));
        *last += 1;
        let sequence = *last;
        ids.insert((name, id_hash), sequence);
        group.bytes += message.bytes.len();
        group.rows.push(Row {
            stream: name,
            sequence,
            published_at: now,
            id_hash,
            subject: message.subject.clone(),
            headers: spans::to_lines(&message.trace),
            envelope: message.bytes,
        });
        if group.publishers.last() != Some(&message.trace) {
            group.publishers.push(message.trace.clone());
        }
        let stored = Stored {
            sequence,
            subject: message.subject,
            trace: message.trace,
            published_at: now,
            content: Content::Read(message.envelope),
        };
        group.stored.push((name, Arc::new(stored)));
        Ack { stream: name, sequence, duplicate: false }
    }

    /// Writes a group, and answers everybody who waits for it.
    async fn commit(&mut self, group: Group) {
        let outcome = self.write(&group).await;
        match outcome {
            Ok(()) => {
                if !group.rows.is_empty() {
                    self.shared.metrics.commit_messages.observe(group.rows.len() as f64);
                }
                self.publish(&group);
                for (acks, reply) in group.acks {
                    // Whoever has gone does not want the answer.
                    let _gone = reply.send(Ok(acks));
                }
                for reply in group.saves {
                    let _gone = reply.send(Ok(()));
                }
            }
            Err(error) => {
                self.connection = None;
                for (_, reply) in group.acks {
                    let _gone = reply.send(Err(error.clone()));
                }
                for reply in group.saves {
                    let _gone = reply.send(Err(error.clone()));
                }
            }
        }
    }

    async fn write(&mut self, group: &Group) -> Result<(), Error> {
        let Some(connection) = self.connection.as_mut() else {
            return Err(Error::unavailable("writing the event log", "it could not be opened again after a failure"));
        };
        if group.rows.is_empty() && self.dirty.is_empty() {
            return Ok(());
        }
        let now = self.shared.clock.now();
        let places: Vec<_> = self.dirty.values().map(|consumer| consumer.place(now)).collect();
        let write = log::write(connection, &group.rows, &places);
        let written = if group.rows.is_empty() {
            write.await
        } else {
            let publishers: Vec<&TraceParent> = group.publishers.iter().filter(|trace| !trace.is_none()).collect();
            let span = spans::commit(group.rows.len(), &publishers);
            let written = write.instrument(span.clone()).await;
            if written.is_err() {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", "unavailable");
            }
            written
        };
        written.map_err(|error| Error::unavailable("writing the event log", error))?;
        self.dirty.clear();
        Ok(())
    }

    /// Makes written messages known: to the window of ids, to memory, to whoever waits.
    fn publish(&mut self, group: &Group) {
        for row in &group.rows {
            let stream = self.streams.entry(row.stream).or_default();
            stream.last = row.sequence;
            stream.bytes += row.bytes();
            stream.remember(row.id_hash, row.published_at, row.sequence);
            self.newest = row.published_at;
        }
        for name in StreamName::ALL {
            let Some(known) = self.shared.streams.get(&name) else { continue };
            let mut last = None;
            let mut tail = known.tail.lock();
            for (_, message) in group.stored.iter().filter(|(stream, _)| *stream == name) {
                tail.push(Arc::clone(message));
                last = Some(message.sequence);
            }
            drop(tail);
            if let Some(last) = last {
                known.last.send_replace(last);
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), sqlx::Error> {
        self.connection = Some(log::open_writer(&self.path).await?);
        self.survey().await
    }

    /// Reads what the streams hold.
    async fn survey(&mut self) -> Result<(), sqlx::Error> {
        let now = self.shared.clock.now();
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        for name in StreamName::ALL {
            let found = log::survey(connection, name, now.before(name.spec().dedup_window)).await?;
            self.newest = found.recent.last().map_or(self.newest, |(_, at, _)| self.newest.max(*at));
            if let Some(known) = self.shared.streams.get(&name) {
                let mut tail = known.tail.lock();
                if known.last.send_replace(found.last) != found.last {
                    tail.clear();
                }
                drop(tail);
                known.forgotten.store(found.forgotten, std::sync::atomic::Ordering::Relaxed);
            }
            self.streams.insert(name, Stream::new(found));
        }
        Ok(())
    }
}
