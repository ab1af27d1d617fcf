//! The tables of the embedded log, and every statement on them.
//!
//! One row per message, keyed by stream and number, so that a stream is a range of one tree and a commit appends to
//! its end. This file must not know consumers' rules or tasks.

use std::{ops::RangeInclusive, path::Path, sync::LazyLock, time::Duration};

use bytes::Bytes;
use shared_models::Timestamp;
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::tail::{Content, Stored};
use crate::{
    envelope::Envelope,
    spans,
    subjects::{Filter, StreamName, Subject},
};

/// The version of the tables.
const SCHEMA: i64 = 1;

const TABLES: &str = "
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    published_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    id_hash BLOB NOT NULL,
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,
    envelope BLOB NOT NULL
);
CREATE TABLE streams (
    stream INTEGER PRIMARY KEY,
    forgotten INTEGER NOT NULL
);
CREATE TABLE consumers (
    stream INTEGER NOT NULL,
    name TEXT NOT NULL,
    filter TEXT,
    cursor INTEGER NOT NULL,
    waiting BLOB NOT NULL,
    PRIMARY KEY (stream, name)
) WITHOUT ROWID;
";

/// How many rows one statement inserts: the largest that fits, then the next. Few sizes, so that all stay prepared.
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [64, 8, 1].map(|rows| {
        let values = vec!["(?,?,?,?,?,?,?)"; rows].join(",");
        let sql = format!(
            "INSERT INTO messages (key, published_at, bytes, id_hash, subject, headers, envelope) VALUES {values}"
        );
        (rows, sql)
    })
});

/// The newest numbers that were given, where their messages are deleted: added to the tables later, and nothing that
/// an earlier version would miss.
const NUMBERS: &str = "CREATE TABLE IF NOT EXISTS numbers (stream INTEGER PRIMARY KEY, last INTEGER NOT NULL)";

const SEQUENCE_BITS: u32 = 48;

pub(super) fn key(stream: StreamName, sequence: u64) -> i64 {
    let key = (u64::from(stream.number()) << SEQUENCE_BITS) | (sequence & ((1 << SEQUENCE_BITS) - 1));
    // Stream numbers are small: the top bit is never set.
    key.cast_signed()
}

pub(super) fn sequence_of(key: i64) -> u64 {
    key.cast_unsigned() & ((1 << SEQUENCE_BITS) - 1)
}

pub(super) fn keys(stream: StreamName) -> RangeInclusive<i64> {
    key(stream, 0)..=key(stream, u64::MAX)
}

/// A message about to be written.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) stream: StreamName,
    pub(super) sequence: u64,
    pub(super) published_at: Timestamp,
    pub(super) id_hash: u128,
    pub(super) subject: Subject,
    pub(super) headers: String,
    pub(super) envelope: Bytes,
}

impl Row {
    /// What the row takes on disk, nearly.
    pub(super) fn bytes(&self) -> u64 {
        (self.envelope.len() + self.headers.len() + self.subject.as_str().len() + 64) as u64
    }
}

/// A consumer's place, as it is written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) stream: StreamName,
    pub(super) name: String,
    pub(super) filter: Option<String>,
    pub(super) cursor: u64,
    /// Packed by `consumer.rs`.
    pub(super) waiting: Vec<u8>,
}

/// What the log knows of a stream when it is opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) last: u64,
    pub(super) forgotten: u64,
    pub(super) bytes: u64,
    /// The newest ids with their time and number, oldest first.
    pub(super) recent: Vec<(u128, Timestamp, u64)>,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL may lose the last commits on power loss; an acknowledged message must not be lost.
        .synchronous(SqliteSynchronous::Full)
        // Readers do not block the writer; this is for somebody with a database tool.
        .busy_timeout(Duration::from_secs(1))
        .pragma("wal_autocheckpoint", "4000")
        .pragma("cache_size", "-16384")
        .disable_statement_logging()
}

/// Opens the one connection that writes, and makes the tables when they are not there.
pub(super) async fn open_writer(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options(path).connect().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    if version == 0 {
        let mut tx = connection.begin().await?;
        sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
        sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut *tx).await?;
        tx.commit().await?;
    } else if version != SCHEMA {
        return Err(sqlx::Error::Configuration(
            format!("the event log has tables of version {version}; this program knows {SCHEMA}").into(),
        ));
    }
    sqlx::raw_sql(NUMBERS).execute(&mut connection).await?;
    Ok(connection)
}

/// Opens the connections that read.
pub(super) async fn open_readers(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(3)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(path).read_only(true).create_if_missing(false))
        .await
}

/// What a stream holds, and the ids it took since `since`.
pub(super) async fn survey(
    connection: &mut SqliteConnection,
    stream: StreamName,
    since: Timestamp,
) -> Result<Found, sqlx::Error> {
    let range = keys(stream);
    let forgotten: Option<i64> = sqlx::query_scalar("SELECT forgotten FROM streams WHERE stream = ?")
        .bind(i64::from(stream.number()))
        .fetch_optional(&mut *connection)
        .await?;
    let (newest, bytes): (Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT max(key), sum(bytes) FROM messages WHERE key BETWEEN ? AND ?")
            .bind(range.start())
            .bind(range.end())
            .fetch_one(&mut *connection)
            .await?;
    let deleted: Option<i64> = sqlx::query_scalar("SELECT last FROM numbers WHERE stream = ?")
        .bind(i64::from(stream.number()))
        .fetch_optional(&mut *connection)
        .await?;
    let forgotten = forgotten.map_or(0, i64::cast_unsigned);
    let mut found = Found {
        last: newest.map_or(0, sequence_of).max(forgotten).max(deleted.map_or(0, i64::cast_unsigned)),
        forgotten,
        bytes: bytes.map_or(0, i64::cast_unsigned),
        recent: Vec::new(),
    };
    // From the newest back, page by page, as far as the window reaches: times rise with numbers.
    let mut before = *range.end();
    loop {
        let page = sqlx::query(
            "SELECT key, published_at, id_hash FROM messages WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1000",
        )
        .bind(range.start())
        .bind(before)
        .fetch_all(&mut *connection)
        .await?;
        for row in &page {
            let (key, at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if Timestamp(at) < since {
                found.recent.reverse();
                return Ok(found);
            }
            let hash: Vec<u8> = row.try_get(2)?;
            if let Ok(hash) = <[u8; 16]>::try_from(hash) {
                found.recent.push((u128::from_be_bytes(hash), Timestamp(at), sequence_of(key)));
            }
            before = key - 1;
        }
        if page.len() < 1000 {
            found.recent.reverse();
            return Ok(found);
        }
    }
}

/// All consumers' places.
pub(super) async fn places(connection: &mut SqliteConnection) -> Result<Vec<Place>, sqlx::Error> {
    let rows = sqlx::query("SELECT stream, name, filter, cursor, waiting FROM consumers").fetch_all(connection).await?;
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let number: i64 = row.try_get(0)?;
        let Some(stream) = StreamName::ALL.into_iter().find(|stream| i64::from(stream.number()) == number) else {
            continue;
        };
        places.push(Place {
            stream,
            name: row.try_get(1)?,
            filter: row.try_get(2)?,
            cursor: row.try_get::<i64, _>(3)?.cast_unsigned(),
            waiting: row.try_get(4)?,
        });
    }
    Ok(places)
}

/// Writes messages and places in one transaction, and returns when it is on disk.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    rows: &[Row],
    places: &[Place],
) -> Result<(), sqlx::Error> {
    // A single statement is a transaction by itself, and saves two hops to the database's thread.
    if rows.len() == 1 && places.is_empty() || rows.is_empty() && places.len() == 1 {
        insert(connection, rows).await?;
        return save(connection, places).await;
    }
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    insert(&mut tx, rows).await?;
    save(&mut tx, places).await?;
    tx.commit().await
}

async fn insert(connection: &mut SqliteConnection, mut rows: &[Row]) -> Result<(), sqlx::Error> {
    for (size, sql) in INSERTS.iter() {
        while let Some((now, later)) = rows.split_at_checked(*size) {
            let mut statement = sqlx::query(sql.as_str());
            for row in now {
                statement = statement
                    .bind(key(row.stream, row.sequence))
                    .bind(row.published_at.0)
                    .bind(row.bytes().cast_signed())
                    .bind(row.id_hash.to_be_bytes().to_vec())
                    .bind(row.subject.as_str())
                    .bind(row.headers.as_str())
                    .bind(row.envelope.as_ref());
            }
            statement.execute(&mut *connection).await?;
            rows = later;
        }
    }
    Ok(())
}

async fn save(connection: &mut SqliteConnection, places: &[Place]) -> Result<(), sqlx::Error> {
    for place in places {
        sqlx::query(
            "INSERT INTO consumers (stream, name, filter, cursor, waiting) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (stream, name) DO UPDATE
             SET filter = excluded.filter, cursor = excluded.cursor, waiting = excluded.waiting",
        )
        .bind(i64::from(place.stream.number()))
        .bind(place.name.as_str())
        .bind(place.filter.as_deref())
        .bind(place.cursor.cast_signed())
        .bind(place.waiting.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// One message.
pub(super) async fn message(
    pool: &SqlitePool,
    stream: StreamName,
    sequence: u64,
) -> Result<Option<Stored>, sqlx::Error> {
    let row = sqlx::query("SELECT key, published_at, subject, headers, envelope FROM messages WHERE key = ?")
        .bind(key(stream, sequence))
        .fetch_optional(pool)
        .await?;
    row.map(|row| stored(&row)).transpose()
}

/// Up to `room` messages after `cursor` and up to `last` that `filter` lets through, and how far the search came.
pub(super) async fn messages_after(
    pool: &SqlitePool,
    stream: StreamName,
    cursor: u64,
    last: u64,
    room: usize,
    filter: Option<&Filter>,
) -> Result<(Vec<Stored>, u64), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT key, published_at, subject, headers, envelope FROM messages
         WHERE key > ? AND key <= ? AND subject GLOB ? ORDER BY key LIMIT ?",
    )
    .bind(key(stream, cursor))
    .bind(key(stream, last))
    .bind(glob(filter))
    .bind(room as i64)
    .fetch_all(pool)
    .await?;
    let full = rows.len() == room;
    let mut found = Vec::with_capacity(rows.len());
    let mut reached = cursor;
    for row in &rows {
        let message = stored(row)?;
        reached = message.sequence;
        if filter.is_none_or(|filter| filter.matches(message.subject.as_str())) {
            found.push(message);
        }
    }
    Ok((found, if full { reached } else { last }))
}

/// How many messages after `cursor` a filter lets through.
pub(super) async fn count_after(
    pool: &SqlitePool,
    stream: StreamName,
    cursor: u64,
    filter: &Filter,
) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE key > ? AND key <= ? AND subject GLOB ?")
        .bind(key(stream, cursor))
        .bind(keys(stream).end())
        .bind(glob(Some(filter)))
        .fetch_one(pool)
        .await?;
    Ok(count.cast_unsigned())
}

/// The filter as SQLite matches it. Its `*` runs over dots too, so it lets through at least what the filter does;
/// no subject of ours has more tokens than its pattern, so what it lets through besides is nothing.
fn glob(filter: Option<&Filter>) -> String {
    filter.map_or_else(|| "*".to_owned(), |filter| filter.as_str().replace('>', "*"))
}

fn stored(row: &SqliteRow) -> Result<Stored, sqlx::Error> {
    let bytes = Bytes::from(row.try_get::<Vec<u8>, _>(4)?);
    let text: &str = row.try_get(2)?;
    let subject = Subject::parse(text)
        .ok_or_else(|| sqlx::Error::Decode(format!("{text} is the subject of no stream").into()))?;
    Ok(Stored {
        sequence: sequence_of(row.try_get(0)?),
        subject,
        trace: spans::from_lines(row.try_get(3)?),
        published_at: Timestamp(row.try_get(1)?),
        content: match Envelope::decode(bytes.clone()) {
            Ok(envelope) => Content::Read(envelope),
            Err(error) => Content::Unreadable { bytes, problem: error.to_string() },
        },
    })
}
