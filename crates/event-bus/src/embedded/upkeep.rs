//! The statements that take messages out of the embedded log, and those that count what is in it. This file must not
//! know why something is taken out.

use shared_models::Timestamp;
use sqlx::{Connection as _, Row as _, SqliteConnection, SqlitePool};

use super::log::{key, keys, sequence_of};
use crate::subjects::StreamName;

/// How far to forget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Messages published before this are forgotten.
    pub(super) before: Timestamp,
    /// So many bytes more, oldest first.
    pub(super) excess: u64,
    /// But for their bytes none after this.
    pub(super) up_to: u64,
    /// Everybody has read up to here.
    pub(super) read: u64,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten {
    /// The number of the last message.
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) count: u64,
    /// How many of them somebody had not read.
    pub(super) unread: u64,
}

/// Forgets up to 1,000 of the oldest messages.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    stream: StreamName,
    bounds: Bounds,
) -> Result<Option<Forgotten>, sqlx::Error> {
    let range = keys(stream);
    let oldest =
        sqlx::query("SELECT key, published_at, bytes FROM messages WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1000")
            .bind(range.start())
            .bind(range.end())
            .fetch_all(&mut *connection)
            .await?;
    let (mut last, mut bytes, mut count, mut unread) = (None, 0_u64, 0, 0);
    for row in &oldest {
        let key: i64 = row.try_get(0)?;
        let for_room = bytes < bounds.excess && sequence_of(key) <= bounds.up_to;
        if Timestamp(row.try_get(1)?) >= bounds.before && !for_room {
            break;
        }
        last = Some(key);
        bytes += row.try_get::<i64, _>(2)?.cast_unsigned();
        count += 1;
        unread += u64::from(sequence_of(key) > bounds.read);
    }
    let Some(last) = last else { return Ok(None) };
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("DELETE FROM messages WHERE key BETWEEN ? AND ?")
        .bind(range.start())
        .bind(last)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO streams (stream, forgotten) VALUES (?, ?)
         ON CONFLICT (stream) DO UPDATE SET forgotten = excluded.forgotten",
    )
    .bind(i64::from(stream.number()))
    .bind(sequence_of(last).cast_signed())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Forgotten { last: sequence_of(last), bytes, count, unread }))
}

/// Deletes a message, and remembers that its number was given; how many bytes it took, or `None` when it was not there.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    stream: StreamName,
    sequence: u64,
    last: u64,
) -> Result<Option<u64>, sqlx::Error> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let bytes: Option<i64> = sqlx::query_scalar("DELETE FROM messages WHERE key = ? RETURNING bytes")
        .bind(key(stream, sequence))
        .fetch_optional(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO numbers (stream, last) VALUES (?, ?)
         ON CONFLICT (stream) DO UPDATE SET last = max(last, excluded.last)",
    )
    .bind(i64::from(stream.number()))
    .bind(last.cast_signed())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(bytes.map(i64::cast_unsigned))
}

/// What a stream holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) first: Option<u64>,
    pub(super) first_at: Option<Timestamp>,
}

pub(super) async fn contents(pool: &SqlitePool, stream: StreamName) -> Result<Contents, sqlx::Error> {
    let range = keys(stream);
    let (messages, bytes, first, first_at): (i64, Option<i64>, Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT count(*), sum(bytes), min(key), min(published_at) FROM messages WHERE key BETWEEN ? AND ?",
    )
    .bind(range.start())
    .bind(range.end())
    .fetch_one(pool)
    .await?;
    Ok(Contents {
        messages: messages.cast_unsigned(),
        bytes: bytes.map_or(0, i64::cast_unsigned),
        first: first.map(sequence_of),
        first_at: first_at.map(Timestamp),
    })
}
