//! One transaction of intake on SQLite.

use async_trait::async_trait;
use rustc_hash::FxHashSet;
use shared_models::{TenantId, Timestamp, UserKey};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};
use tracing::Instrument as _;

use super::{
    super::{Error, EventKey, FORMAT, Folding, NextProfile, Position, StoredUser, rows},
    failed, span, statements,
};

/// Profiles in one statement: each may carry kilobytes.
const PROFILES: usize = 64;

pub(super) struct SqliteFolding {
    pub(super) tx: Transaction<'static, Sqlite>,
}

#[async_trait]
impl Folding for SqliteFolding {
    async fn claim_positions(
        &mut self,
        tenant: &TenantId,
        positions: &[Position],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        let mut fresh: FxHashSet<(String, i64, i64)> = FxHashSet::default();
        for part in statements::parts(positions) {
            let mut query =
                sqlx::query(AssertSqlSafe(statements::claim_positions(part.len()))).bind(tenant.as_str()).bind(now.0);
            for position in part {
                query = query
                    .bind(position.stream)
                    .bind(i64::from(position.partition))
                    .bind(position.sequence as i64)
                    .bind(position.envelope.as_str());
            }
            let claim = query.fetch_all(&mut *self.tx).instrument(span("INSERT", "folded_positions", part.len()));
            for row in claim.await.map_err(failed("claim stream positions"))? {
                fresh.insert((rows::text(&row, 0)?.to_owned(), rows::integer(&row, 1)?, rows::integer(&row, 2)?));
            }
        }
        let is_fresh = |position: &Position| {
            fresh.contains(&(position.stream.to_owned(), i64::from(position.partition), position.sequence as i64))
        };
        Ok(positions.iter().map(is_fresh).collect())
    }

    async fn claim_events(
        &mut self,
        tenant: &TenantId,
        events: &[(UserKey, EventKey)],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        let claim = async {
            let mut fresh: Vec<bool> = Vec::with_capacity(events.len());
            for part in statements::parts(events) {
                let mut query =
                    sqlx::query(AssertSqlSafe(statements::claim_events(part.len()))).bind(tenant.as_str()).bind(now.0);
                for (user, event) in part {
                    query = query.bind(user.bucket()).bind(event.0.as_slice());
                }
                let claimed = query.fetch_all(&mut *self.tx).await.map_err(failed("claim events"))?;
                if claimed.len() == part.len() {
                    fresh.resize(fresh.len() + part.len(), true);
                    continue;
                }
                let claimed: Result<FxHashSet<&[u8]>, Error> =
                    claimed.iter().map(|row| row.try_get(0).map_err(rows::unreadable)).collect();
                let claimed = claimed?;
                fresh.extend(part.iter().map(|(_, event)| claimed.contains(event.0.as_slice())));
            }
            Ok(fresh)
        };
        claim.instrument(span("INSERT", "folded_events", events.len())).await
    }

    async fn users(
        &mut self,
        tenant: &TenantId,
        users: &[UserKey],
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        let select = async {
            let mut found = Vec::with_capacity(users.len());
            for part in statements::parts(users) {
                let mut query = sqlx::query(AssertSqlSafe(statements::users(part.len()))).bind(tenant.as_str());
                for user in part {
                    query = query.bind(user.bucket()).bind(user.0 as i64);
                }
                for row in query.fetch_all(&mut *self.tx).await.map_err(failed("read profiles"))? {
                    found.push((UserKey(rows::integer(&row, 0)? as u64), rows::user(&row, 1)));
                }
            }
            Ok(found)
        };
        select.instrument(span("SELECT", "profiles", users.len())).await
    }

    async fn save(&mut self, tenant: &TenantId, profiles: &[NextProfile], now: Timestamp) -> Result<(), Error> {
        let save = async {
            for part in statements::parts_of_at_most(profiles, PROFILES) {
                let mut query = sqlx::query(AssertSqlSafe(statements::save(part.len())))
                    .bind(tenant.as_str())
                    .bind(now.0)
                    .bind(FORMAT);
                for next in part {
                    query = query
                        .bind(next.user.bucket())
                        .bind(next.user.0 as i64)
                        .bind(next.version)
                        .bind(next.blob.as_slice());
                }
                let done = query.execute(&mut *self.tx).await.map_err(failed("write profiles"))?;
                if done.rows_affected() != part.len() as u64 {
                    return Err(Error::Conflict);
                }
            }
            Ok(())
        };
        save.instrument(span("INSERT", "profiles", profiles.len())).await
    }

    async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.tx.commit().instrument(span("COMMIT", "", 0)).await.map_err(failed("commit"))
    }
}
