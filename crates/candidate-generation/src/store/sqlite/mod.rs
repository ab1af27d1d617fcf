//! The store on SQLite: one file, write-ahead log, every commit on disk before it is answered.
//!
//! One connection writes, others read. Many rows go in one statement, in a few fixed sizes, so that a
//! handful of prepared statements serves every batch.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_models::{ItemId, ItemKey, TenantId, Timestamp, UserKey, item::Item, listener::UserAttributes};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    query::Query,
    sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tracing::Instrument as _;

use super::{Config, Error, Folding, Lease, Store, StoredUser, Written, migrator, plan, rows, spans::failed};
use crate::index::trending::StoredTrend;

mod folding;
mod statements;

const SYSTEM: &str = "sqlite";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// Items in one statement: each binds thirteen values.
const ITEMS: usize = 256;
/// Events forgotten in one statement: few enough that a fold behind it waits for milliseconds.
const FORGOTTEN: i64 = 1_000;
/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// A store in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: SqlitePool,
}

pub(super) fn span(operation: &'static str, collection: &'static str, rows: usize) -> tracing::Span {
    super::spans::span(SYSTEM, operation, collection, rows)
}

impl SqliteStore {
    /// Opens the file, makes it when it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let options = SqliteConnectOptions::from_str(&config.url).map_err(Error::Open)?;
        if let Some(folder) = options.get_filename().parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::Open(sqlx::Error::Io(source)))?;
        }
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What is acknowledged survives a power cut: NORMAL would lose the last commits.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .pragma("cache_size", "-65536")
            .pragma("mmap_size", "268435456");
        let pool =
            |size: u32| SqlitePoolOptions::new().max_connections(size.max(1)).idle_timeout(None).max_lifetime(None);
        let writer = pool(1).min_connections(1).connect_with(options.clone()).await.map_err(Error::Open)?;
        migrator(&MIGRATIONS).run(&writer).await.map_err(Error::Migrate)?;
        let readers = pool(config.readers).connect_with(options.read_only(true)).await.map_err(Error::Open)?;
        Ok(Self { readers, writer })
    }

    /// Closes the file; everything asked afterwards fails. Dropped without this, it closes later.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Binds one row of `statements::put_items`.
fn bind_item<'q>(query: Query<'q, Sqlite, SqliteArguments>, item: &'q Item) -> Query<'q, Sqlite, SqliteArguments> {
    query
        .bind(item.key().0 as i64)
        .bind(item.id.as_str())
        .bind(item.kind.as_str())
        .bind(item.title.as_str())
        .bind(item.artist_id.as_ref().map(ItemId::as_str))
        .bind(item.artist_name.as_deref())
        .bind(rows::genres_text(item))
        .bind(item.released_at.map(|at| at.0))
        .bind(item.duration_ms.map(i64::from))
        .bind(item.explicit)
        .bind(rows::markets_text(item))
        .bind(rows::features_text(item))
        .bind(rows::embedding_bytes(item))
}

#[async_trait]
impl Store for SqliteStore {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let found = sqlx::query("SELECT DISTINCT tenant FROM items UNION SELECT DISTINCT tenant FROM profiles UNION SELECT DISTINCT tenant FROM users ORDER BY 1")
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list tenants"))?;
        found.iter().map(|row| rows::tenant(row, 0)).collect()
    }

    async fn put_items(&self, tenant: &TenantId, items: &[Arc<Item>], now: Timestamp) -> Result<Vec<Written>, Error> {
        let write = async {
            let operation = "write items";
            let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(operation))?;
            let mut known: HashMap<ItemKey, Item> = HashMap::new();
            for part in statements::parts(items) {
                let mut query = sqlx::query(AssertSqlSafe(statements::items_by_key(part.len()))).bind(tenant.as_str());
                for item in part {
                    query = query.bind(item.key().0 as i64);
                }
                for row in query.fetch_all(&mut *tx).await.map_err(failed(operation))? {
                    let item = rows::item(&row, 0)?;
                    known.insert(item.key(), item);
                }
            }
            let (written, changed) = plan::items(items, known);
            for part in statements::parts_of_at_most(&changed, ITEMS) {
                let mut query =
                    sqlx::query(AssertSqlSafe(statements::put_items(part.len()))).bind(tenant.as_str()).bind(now.0);
                for item in part {
                    query = bind_item(query, item);
                }
                query.execute(&mut *tx).await.map_err(failed(operation))?;
            }
            tx.commit().await.map_err(failed(operation))?;
            Ok(written)
        };
        write.instrument(span("INSERT", "items", items.len())).await
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId) -> Result<bool, Error> {
        let delete =
            sqlx::query("DELETE FROM items WHERE tenant = ?1 AND item_id = ?2").bind(tenant.as_str()).bind(id.as_str());
        let done = delete
            .execute(&self.writer)
            .instrument(span("DELETE", "items", 1))
            .await
            .map_err(failed("delete an item"))?;
        Ok(done.rows_affected() > 0)
    }

    async fn items_after(&self, tenant: &TenantId, after: Option<&ItemId>, limit: usize) -> Result<Vec<Item>, Error> {
        let select = sqlx::query(AssertSqlSafe(statements::items_after()))
            .bind(tenant.as_str())
            .bind(after.map_or("", ItemId::as_str))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let found = select
            .fetch_all(&self.readers)
            .instrument(span("SELECT", "items", limit))
            .await
            .map_err(failed("read items"))?;
        found.iter().map(|row| rows::item(row, 0)).collect()
    }

    async fn put_user(&self, tenant: &TenantId, attributes: &UserAttributes) -> Result<(), Error> {
        let user = UserKey::of(&attributes.id);
        sqlx::query(statements::PUT_USER)
            .bind(tenant.as_str())
            .bind(user.bucket())
            .bind(user.0 as i64)
            .bind(attributes.id.as_str())
            .bind(attributes.market.map(|market| market.as_str().to_owned()))
            .bind(attributes.explicit_allowed)
            .bind(attributes.updated_at.0)
            .execute(&self.writer)
            .instrument(span("INSERT", "users", 1))
            .await
            .map_err(failed("write a user"))?;
        Ok(())
    }

    async fn user(&self, tenant: &TenantId, user: UserKey) -> Result<StoredUser, Error> {
        let select = async {
            let profile = sqlx::query(
                "SELECT version, format, profile FROM profiles WHERE tenant = ?1 AND bucket = ?2 AND user_key = ?3",
            )
            .bind(tenant.as_str())
            .bind(user.bucket())
            .bind(user.0 as i64)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("read a profile"))?;
            let attributes = sqlx::query("SELECT user_id, market, explicit_allowed, updated_at FROM users WHERE tenant = ?1 AND bucket = ?2 AND user_key = ?3")
                .bind(tenant.as_str())
                .bind(user.bucket())
                .bind(user.0 as i64)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed("read a user"))?;
            let mut found = StoredUser::default();
            if let Some(row) = profile {
                found.version = rows::integer(&row, 0)?;
                found.profile = rows::profile(&row, 1)?.unwrap_or_default();
            }
            found.attributes = attributes.map(|row| rows::attributes(&row, 0)).transpose()?;
            Ok(found)
        };
        select.instrument(span("SELECT", "profiles", 1)).await
    }

    async fn users_after(
        &self,
        tenant: &TenantId,
        after: Option<UserKey>,
        limit: usize,
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        let select = sqlx::query(statements::USERS_AFTER)
            .bind(tenant.as_str())
            .bind(after.map_or(-1, UserKey::bucket))
            .bind(after.map_or(0, |user| user.0 as i64))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let found = select
            .fetch_all(&self.readers)
            .instrument(span("SELECT", "profiles", limit))
            .await
            .map_err(failed("read users"))?;
        found.iter().map(|row| Ok((UserKey(rows::integer(row, 0)? as u64), rows::user(row, 1)))).collect()
    }

    async fn begin(&self, _: Option<&Lease>) -> Result<Box<dyn Folding>, Error> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin to fold"))?;
        Ok(Box::new(folding::SqliteFolding { tx }))
    }

    async fn save_trends(
        &self,
        tenant: &TenantId,
        counted: &[StoredTrend],
        forgotten: &[ItemKey],
    ) -> Result<(), Error> {
        let operation = "write trends";
        let save = async {
            let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(operation))?;
            for part in statements::parts(forgotten) {
                let sql = statements::forget_trends(part.len());
                let query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.as_str());
                let query = part.iter().fold(query, |query, key| query.bind(key.0 as i64));
                query.execute(&mut *tx).await.map_err(failed(operation))?;
            }
            for part in statements::parts(counted) {
                let sql = statements::put_trends(part.len());
                let mut query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.as_str());
                for trend in part {
                    query = query.bind(trend.key.0 as i64).bind(trend.plays).bind(trend.at.0);
                }
                query.execute(&mut *tx).await.map_err(failed(operation))?;
            }
            tx.commit().await.map_err(failed(operation))
        };
        save.instrument(span("INSERT", "trends", counted.len() + forgotten.len())).await
    }

    async fn trends(&self, tenant: &TenantId) -> Result<Vec<StoredTrend>, Error> {
        let found = sqlx::query("SELECT item_key, plays, at FROM trends WHERE tenant = ?1 ORDER BY at, item_key")
            .bind(tenant.as_str())
            .fetch_all(&self.readers)
            .await
            .map_err(failed("read trends"))?;
        found.iter().map(rows::trend).collect()
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        let mut gone = 0;
        for statement in [statements::FORGET_EVENTS, statements::FORGET_POSITIONS] {
            loop {
                // Each round takes its turn among the writers.
                let done = sqlx::query(statement)
                    .bind(before.0)
                    .bind(FORGOTTEN)
                    .execute(&self.writer)
                    .await
                    .map_err(failed("forget old events"))?;
                gone += done.rows_affected();
                if done.rows_affected() < FORGOTTEN as u64 {
                    break;
                }
            }
        }
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;

    #[tokio::test]
    async fn what_is_forgotten_by_age_is_found_by_age() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("candidates.db").display());
        let store = SqliteStore::open(&Config { readers: 1, ..Config::at(url) }).await.unwrap();
        for (statement, index) in [
            (statements::FORGET_EVENTS, "folded_events_by_age"),
            (statements::FORGET_POSITIONS, "folded_positions_by_age"),
        ] {
            let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"))).bind(1).bind(2);
            let steps: Vec<String> =
                explain.fetch_all(&store.writer).await.unwrap().iter().map(|row| row.get::<String, _>(3)).collect();
            assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN folded")), "{steps:?}");
        }
    }
}
