//! What the processes that share a PostgreSQL tell each other through it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_models::{ItemKey, TenantId, Timestamp, UserKey};
use sqlx::{Postgres, Transaction};
use tracing::Instrument as _;

use super::{
    super::{Error, Exchange, ItemChange, Known, Lease, Shared, Shares, StoredUser, rows, rows::ITEM},
    PostgresStore, ROWS, answer, leases, milliseconds, span,
};
use crate::index::trending::StoredTrend;

/// A transaction that began before a moment may commit after it: an exchange looks this much further back.
const OVERLAP: Duration = Duration::from_secs(10);

pub(super) async fn forget_trends(
    tx: &mut Transaction<'static, Postgres>,
    tenant: &TenantId,
    forgotten: &[ItemKey],
) -> Result<(), sqlx::Error> {
    if forgotten.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM trends WHERE tenant = $1 AND item_key = ANY($2)")
        .bind(tenant.as_str())
        .bind(forgotten.iter().map(|key| key.0 as i64).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes counts: over those that are there, or, with a half-life, added to them.
pub(super) async fn put_trends(
    tx: &mut Transaction<'static, Postgres>,
    tenant: &TenantId,
    counts: &[StoredTrend],
    half_life: Option<Duration>,
) -> Result<(), sqlx::Error> {
    // Both counts are brought to the later moment. A power below -1000 would be an underflow, which is an error.
    const AFTER: &str = "ON CONFLICT (tenant, item_key) DO UPDATE SET changed_at = excluded.changed_at, \
         at = GREATEST(trends.at, excluded.at), plays = CASE WHEN $5 = 0 THEN excluded.plays ELSE \
         trends.plays * power(2, GREATEST(-1000, (trends.at - GREATEST(trends.at, excluded.at)) / $5)) + \
         excluded.plays * power(2, GREATEST(-1000, (excluded.at - GREATEST(trends.at, excluded.at)) / $5)) END";
    let half_life = half_life.map_or(0.0, |half_life| half_life.as_secs_f64() * 1_000.0);
    let mut ordered: Vec<&StoredTrend> = counts.iter().collect();
    // In the order of the key, so that two writers never wait for each other.
    ordered.sort_unstable_by_key(|trend| trend.key.0 as i64);
    for part in ordered.chunks(ROWS) {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO trends (tenant, item_key, plays, at, changed_at) \
             SELECT $1, r.*, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint \
             FROM UNNEST($2::bigint[], $3::double precision[], $4::bigint[]) AS r {AFTER}"
        )))
        .bind(tenant.as_str())
        .bind(part.iter().map(|trend| trend.key.0 as i64).collect::<Vec<_>>())
        .bind(part.iter().map(|trend| trend.plays).collect::<Vec<_>>())
        .bind(part.iter().map(|trend| trend.at.0).collect::<Vec<_>>())
        .bind(half_life)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

#[async_trait]
impl Shared for PostgresStore {
    async fn user_unless(&self, tenant: &TenantId, user: UserKey, known: Known) -> Result<Option<StoredUser>, Error> {
        let select = sqlx::query(
            "SELECT p.version, p.format::bigint, p.profile, u.user_id, u.market, u.explicit_allowed, u.updated_at \
             FROM (SELECT 1) AS one \
             LEFT JOIN profiles p ON p.tenant = $1 AND p.bucket = $2 AND p.user_key = $3 \
             LEFT JOIN users u ON u.tenant = $1 AND u.bucket = $2 AND u.user_key = $3 \
             WHERE COALESCE(p.version, 0) <> $4 OR u.updated_at IS DISTINCT FROM $5",
        )
        .bind(tenant.as_str())
        .bind(user.bucket())
        .bind(user.0 as i64)
        .bind(known.version)
        .bind(known.told_at.map(|at| at.0))
        .fetch_optional(&self.pool);
        let found = answer("read a profile", self.patience, select).instrument(span("SELECT", "profiles", 1)).await?;
        found.map(|row| rows::user(&row, 0)).transpose()
    }

    async fn catalogue_versions(&self) -> Result<Vec<(TenantId, i64)>, Error> {
        let select = sqlx::query("SELECT tenant, version FROM catalogues ORDER BY tenant").fetch_all(&self.pool);
        let found = answer("read the catalogues' versions", self.patience, select).await?;
        found.iter().map(|row| Ok((rows::tenant(row, 0)?, rows::integer(row, 1)?))).collect()
    }

    async fn catalogue_changes(
        &self,
        tenant: &TenantId,
        after: (i64, ItemKey),
        limit: usize,
    ) -> Result<Vec<ItemChange>, Error> {
        let select = sqlx::query(sqlx::AssertSqlSafe(format!(
            "(SELECT version, item_key, {ITEM} FROM items WHERE tenant = $1 AND (version, item_key) > ($2, $3) \
             ORDER BY version, item_key LIMIT $4) \
             UNION ALL (SELECT version, item_key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL \
             FROM deleted_items WHERE tenant = $1 AND (version, item_key) > ($2, $3) \
             ORDER BY version, item_key LIMIT $4) ORDER BY 1, 2 LIMIT $4"
        )))
        .bind(tenant.as_str())
        .bind(after.0)
        .bind(after.1.0 as i64)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool);
        let found = answer("read changes of a catalogue", self.patience, select).await?;
        found
            .iter()
            .map(|row| {
                let item = match rows::Columns::maybe_text(row, 2)? {
                    Some(_) => Some(Arc::new(rows::item(row, 2)?)),
                    None => None,
                };
                Ok(ItemChange { version: rows::integer(row, 0)?, key: rows::item_key(row, 1)?, item })
            })
            .collect()
    }

    async fn exchange_trends(
        &self,
        tenant: &TenantId,
        plays: &[StoredTrend],
        forgotten: &[ItemKey],
        half_life: Duration,
        since: Timestamp,
    ) -> Result<Exchange, Error> {
        let exchange = async {
            let mut tx = self.pool.begin().await?;
            forget_trends(&mut tx, tenant, forgotten).await?;
            put_trends(&mut tx, tenant, plays, Some(half_life)).await?;
            let as_of: i64 = sqlx::query_scalar("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")
                .fetch_one(&mut *tx)
                .await?;
            let found = sqlx::query("SELECT item_key, plays, at FROM trends WHERE tenant = $1 AND changed_at > $2")
                .bind(tenant.as_str())
                .bind(since.0.saturating_sub(milliseconds(OVERLAP)))
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok((found, as_of))
        };
        let (found, as_of) = answer("exchange trends", self.patience, exchange)
            .instrument(span("INSERT", "trends", plays.len() + forgotten.len()))
            .await?;
        Ok(Exchange { counts: found.iter().map(rows::trend).collect::<Result<_, _>>()?, as_of: Timestamp(as_of) })
    }

    async fn shares(
        &self,
        stream: &'static str,
        partitions: u16,
        holder: &str,
        for_: Duration,
    ) -> Result<Shares, Error> {
        let look = leases::shares(&self.pool, stream, partitions, holder, for_);
        answer("look at the leases", self.patience, look).await
    }

    async fn take(
        &self,
        stream: &'static str,
        partition: u16,
        holder: &str,
        for_: Duration,
    ) -> Result<Option<Lease>, Error> {
        let take = leases::take(&self.pool, stream, partition, holder, for_);
        answer("take a lease", self.patience, take).await
    }

    async fn give_back(&self, lease: &Lease, holder: &str) -> Result<(), Error> {
        answer("give a lease back", self.patience, leases::give_back(&self.pool, lease, holder)).await
    }

    async fn leave(&self, stream: &'static str, holder: &str) -> Result<(), Error> {
        answer("leave", self.patience, leases::leave(&self.pool, stream, holder)).await
    }
}
