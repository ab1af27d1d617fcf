//! The leases of partitions as rows. Their moments are of the database's clock, so that the clocks of the processes
//! do not matter; their tokens make a fold of a former holder fail, however late it comes (a fencing token:
//! Kleppmann, "Designing Data-Intensive Applications", chapter 8).

use std::time::Duration;

use sqlx::{PgPool, Postgres, Row as _, Transaction};

use super::{
    super::{Lease, Shares},
    milliseconds,
};

/// Keeps a lease from changing hands until the transaction ends; whether it is still the one that is given.
pub(super) async fn hold(tx: &mut Transaction<'static, Postgres>, lease: &Lease) -> Result<bool, sqlx::Error> {
    let held = sqlx::query("SELECT FROM intake_leases WHERE stream = $1 AND partition = $2 AND token = $3 FOR SHARE")
        .bind(lease.stream)
        .bind(i32::from(lease.partition))
        .bind(lease.token)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(held.is_some())
}

pub(super) async fn shares(
    pool: &PgPool,
    stream: &'static str,
    partitions: u16,
    holder: &str,
    for_: Duration,
) -> Result<Shares, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let now: i64 =
        sqlx::query_scalar("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint").fetch_one(&mut *tx).await?;
    let until = now.saturating_add(milliseconds(for_));
    sqlx::query(
        "INSERT INTO intake_workers (stream, holder, until) VALUES ($1, $2, $3) \
         ON CONFLICT (stream, holder) DO UPDATE SET until = excluded.until",
    )
    .bind(stream)
    .bind(holder)
    .bind(until)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM intake_workers WHERE stream = $1 AND until < $2")
        .bind(stream)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    let workers: i64 = sqlx::query_scalar("SELECT count(*) FROM intake_workers WHERE stream = $1")
        .bind(stream)
        .fetch_one(&mut *tx)
        .await?;
    // Also one that has lapsed is still ours when nobody took it: its token has not changed.
    let held =
        sqlx::query("UPDATE intake_leases SET until = $3 WHERE stream = $1 AND holder = $2 RETURNING partition, token")
            .bind(stream)
            .bind(holder)
            .bind(until)
            .fetch_all(&mut *tx)
            .await?;
    let taken = sqlx::query("SELECT partition FROM intake_leases WHERE stream = $1 AND holder <> '' AND until >= $2")
        .bind(stream)
        .bind(now)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    let partition = |row: &sqlx::postgres::PgRow| Ok::<_, sqlx::Error>(row.try_get::<i32, _>(0)? as u16);
    let mut held = held
        .iter()
        .map(|row| Ok(Lease { stream, partition: partition(row)?, token: row.try_get(1)? }))
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    held.sort_unstable_by_key(|lease| lease.partition);
    let taken = taken.iter().map(partition).collect::<Result<Vec<_>, _>>()?;
    let free = (0..partitions).filter(|partition| !taken.contains(partition)).collect();
    Ok(Shares { workers: u16::try_from(workers).unwrap_or(u16::MAX), held, free })
}

pub(super) async fn take(
    pool: &PgPool,
    stream: &'static str,
    partition: u16,
    holder: &str,
    for_: Duration,
) -> Result<Option<Lease>, sqlx::Error> {
    let token: Option<i64> = sqlx::query_scalar(
        "INSERT INTO intake_leases AS l (stream, partition, token, holder, until) \
         VALUES ($1, $2, 1, $3, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint + $4) \
         ON CONFLICT (stream, partition) DO UPDATE SET token = l.token + 1, holder = excluded.holder, \
         until = excluded.until \
         WHERE l.holder = '' OR l.until < (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint RETURNING token",
    )
    .bind(stream)
    .bind(i32::from(partition))
    .bind(holder)
    .bind(milliseconds(for_))
    .fetch_optional(pool)
    .await?;
    Ok(token.map(|token| Lease { stream, partition, token }))
}

pub(super) async fn give_back(pool: &PgPool, lease: &Lease, holder: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE intake_leases SET holder = '', until = 0 \
         WHERE stream = $1 AND partition = $2 AND token = $3 AND holder = $4",
    )
    .bind(lease.stream)
    .bind(i32::from(lease.partition))
    .bind(lease.token)
    .bind(holder)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn leave(pool: &PgPool, stream: &'static str, holder: &str) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("UPDATE intake_leases SET holder = '', until = 0 WHERE stream = $1 AND holder = $2")
        .bind(stream)
        .bind(holder)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM intake_workers WHERE stream = $1 AND holder = $2")
        .bind(stream)
        .bind(holder)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
