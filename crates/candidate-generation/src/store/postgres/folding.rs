//! One transaction of intake on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use rustc_hash::FxHashSet;
use shared_models::{TenantId, Timestamp, UserKey};
use sqlx::{Postgres, Transaction};
use tracing::Instrument as _;

use super::{
    super::{Error, EventKey, FORMAT, Folding, NextProfile, Position, StoredUser, rows},
    answer, span,
};

pub(super) struct PostgresFolding {
    pub(super) tx: Transaction<'static, Postgres>,
    pub(super) patience: Duration,
}

#[async_trait]
impl Folding for PostgresFolding {
    async fn claim_positions(
        &mut self,
        tenant: &TenantId,
        positions: &[Position],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let claim = sqlx::query(
            "INSERT INTO folded_positions (tenant, stream, partition, sequence, envelope, folded_at) \
             SELECT $1, r.*, $2 FROM UNNEST($3::text[], $4::integer[], $5::bigint[], $6::text[]) AS r \
             ON CONFLICT (tenant, stream, partition, sequence) DO UPDATE SET envelope = excluded.envelope, \
             folded_at = excluded.folded_at WHERE folded_positions.envelope <> excluded.envelope \
             RETURNING stream, partition::bigint, sequence",
        )
        .bind(tenant.as_str())
        .bind(now.0)
        .bind(positions.iter().map(|position| position.stream).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| i32::from(position.partition)).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| position.sequence as i64).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| position.envelope.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx);
        let claimed = answer("claim stream positions", self.patience, claim)
            .instrument(span("INSERT", "folded_positions", positions.len()))
            .await?;
        let mut fresh: FxHashSet<(&str, i64, i64)> = FxHashSet::default();
        for row in &claimed {
            fresh.insert((rows::text(row, 0)?, rows::integer(row, 1)?, rows::integer(row, 2)?));
        }
        let is_fresh = |position: &Position| {
            fresh.contains(&(position.stream, i64::from(position.partition), position.sequence as i64))
        };
        Ok(positions.iter().map(is_fresh).collect())
    }

    async fn claim_events(
        &mut self,
        tenant: &TenantId,
        events: &[(UserKey, EventKey)],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let claim = sqlx::query(
            "INSERT INTO folded_events (tenant, bucket, event_key, folded_at) \
             SELECT $1, r.*, $2 FROM UNNEST($3::smallint[], $4::bytea[]) AS r \
             ON CONFLICT (tenant, bucket, event_key) DO NOTHING RETURNING event_key",
        )
        .bind(tenant.as_str())
        .bind(now.0)
        .bind(events.iter().map(|(user, _)| user.bucket()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.0.as_slice()).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx);
        let claimed = answer("claim events", self.patience, claim)
            .instrument(span("INSERT", "folded_events", events.len()))
            .await?;
        if claimed.len() == events.len() {
            return Ok(vec![true; events.len()]);
        }
        let claimed = claimed
            .iter()
            .map(|row| rows::Columns::maybe_bytes(row, 0))
            .collect::<Result<FxHashSet<Option<&[u8]>>, Error>>()?;
        Ok(events.iter().map(|(_, event)| claimed.contains(&Some(event.0.as_slice()))).collect())
    }

    async fn users(
        &mut self,
        tenant: &TenantId,
        users: &[UserKey],
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let select = sqlx::query(
            "SELECT w.user_key, COALESCE(p.version, 0), p.format::bigint, p.profile, u.user_id, u.market, \
             u.explicit_allowed, u.updated_at FROM UNNEST($2::smallint[], $3::bigint[]) AS w (bucket, user_key) \
             LEFT JOIN profiles p ON p.tenant = $1 AND p.bucket = w.bucket AND p.user_key = w.user_key \
             LEFT JOIN users u ON u.tenant = $1 AND u.bucket = w.bucket AND u.user_key = w.user_key \
             WHERE p.tenant IS NOT NULL OR u.tenant IS NOT NULL",
        )
        .bind(tenant.as_str())
        .bind(users.iter().map(|user| user.bucket()).collect::<Vec<_>>())
        .bind(users.iter().map(|user| user.0 as i64).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx);
        let found =
            answer("read profiles", self.patience, select).instrument(span("SELECT", "profiles", users.len())).await?;
        found.iter().map(|row| Ok((UserKey(rows::integer(row, 0)? as u64), rows::user(row, 1)))).collect()
    }

    async fn save(&mut self, tenant: &TenantId, profiles: &[NextProfile], now: Timestamp) -> Result<(), Error> {
        if profiles.is_empty() {
            return Ok(());
        }
        // In the order of the key, so that two writers never wait for each other.
        let mut ordered: Vec<&NextProfile> = profiles.iter().collect();
        ordered.sort_unstable_by_key(|next| (next.user.bucket(), next.user.0 as i64));
        let save = sqlx::query(
            "INSERT INTO profiles (tenant, bucket, user_key, version, profile, format, updated_at) \
             SELECT $1, r.*, $2, $3 FROM UNNEST($4::smallint[], $5::bigint[], $6::bigint[], $7::bytea[]) AS r \
             ON CONFLICT (tenant, bucket, user_key) DO UPDATE SET version = excluded.version, \
             format = excluded.format, profile = excluded.profile, updated_at = excluded.updated_at \
             WHERE profiles.version = excluded.version - 1",
        )
        .bind(tenant.as_str())
        .bind(FORMAT)
        .bind(now.0)
        .bind(ordered.iter().map(|next| next.user.bucket()).collect::<Vec<_>>())
        .bind(ordered.iter().map(|next| next.user.0 as i64).collect::<Vec<_>>())
        .bind(ordered.iter().map(|next| next.version).collect::<Vec<_>>())
        .bind(ordered.iter().map(|next| next.blob.as_slice()).collect::<Vec<_>>())
        .execute(&mut *self.tx);
        let done = answer("write profiles", self.patience, save)
            .instrument(span("INSERT", "profiles", profiles.len()))
            .await?;
        if done.rows_affected() == profiles.len() as u64 { Ok(()) } else { Err(Error::Conflict) }
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        answer("commit", self.patience, self.tx.commit()).instrument(span("COMMIT", "", 0)).await
    }
}
