//! The store on PostgreSQL, or a database that speaks its protocol: many processes share it.
//!
//! A commit is on the database's disk before it is answered. Rows go to and fro as arrays, so that one prepared
//! statement serves any number of them. A database that hangs is given up after a while, on this side too.

mod folding;
mod leases;
mod shared;

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_models::{ItemId, ItemKey, TenantId, Timestamp, UserKey, item::Item, listener::UserAttributes};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    Config, Error, Folding, Known, Lease, Shared, Store, StoredUser, Written, migrator, plan, rows, rows::ITEM,
};
use crate::index::trending::StoredTrend;

const SYSTEM: &str = "postgresql";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// Rows written by one statement: enough to make the way to the database worth it.
const ROWS: usize = 4_096;
/// Events forgotten in one statement: few enough that nobody waits for it long.
const FORGOTTEN: i64 = 1_000;
/// How long to wait for a connection: to be made, or to become free.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a database is waited for at the start of the process, and how often it is tried.
const PATIENCE_AT_START: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// A connection that rested for longer than this is tried before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// A connection is replaced after this long, so that processes spread over the addresses of a database.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// What this side waits for an answer beyond what the database allows a statement.
const GRACE: Duration = Duration::from_secs(1);

/// A store in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    /// The longest to wait for an answer.
    patience: Duration,
}

pub(super) fn span(operation: &'static str, collection: &'static str, rows: usize) -> tracing::Span {
    super::spans::span(SYSTEM, operation, collection, rows)
}

/// Whether the database refused what it was given, which it would do again.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    // Data exceptions, violated constraints, statements that do not fit the tables: classes of SQLSTATE.
    code.is_some_and(|code| code.len() == 5 && ["22", "23", "42"].iter().any(|class| code.starts_with(class)))
}

/// The error of a statement: one that lost against another writer is a conflict.
fn refused(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| match source.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        // Serialization failure, deadlock.
        Some("40001" | "40P01") => Error::Conflict,
        _ => Error::Query { operation, source },
    }
}

/// Waits for the database as long as `patience` allows.
async fn answer<T>(
    operation: &'static str,
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(patience, work).await {
        Ok(answer) => answer.map_err(refused(operation)),
        Err(_) => Err(Error::Elapsed { operation }),
    }
}

impl PostgresStore {
    /// Connects, and brings the tables up to date; several processes may do so at once.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let mut options = PgConnectOptions::from_str(&config.url).map_err(Error::Open)?;
        if !config.password.is_empty() {
            options = options.password(config.password.expose());
        }
        // The spans here tell of each statement. sqlx's own lines ask whether they are enabled and then are not written,
        // which leaves `tracing`'s filters in a state that loses the next span of the thread.
        options = options.disable_statement_logging();
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        let limit = config.statement_timeout;
        let options = options.application_name("setlist-candidates").options([
            // What is acknowledged is on disk.
            ("synchronous_commit", "on"),
            ("statement_timeout", milliseconds(limit).as_str()),
            ("lock_timeout", milliseconds(limit).as_str()),
            // A process that hangs half-way through a transaction holds nobody up for longer.
            ("idle_in_transaction_session_timeout", milliseconds(limit * 2).as_str()),
            ("tcp_user_timeout", milliseconds(limit * 2).as_str()),
        ]);
        let pool = connect(config, options).await.map_err(Error::Open)?;
        migrator(&MIGRATIONS).run(&pool).await.map_err(Error::Migrate)?;
        Ok(Self { pool, patience: limit + GRACE })
    }

    /// A setting of the connections, as the database shows it.
    ///
    /// # Errors
    /// When the database is away or knows no such setting.
    pub async fn setting(&self, name: &str) -> Result<String, Error> {
        let show = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&self.pool);
        answer("read a setting", self.patience, show).await
    }

    /// Closes the connections; everything asked afterwards fails.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that writes the tenant's catalogue, and the version it gives it. Others wait.
    async fn write_catalogue(
        &self,
        tenant: &TenantId,
        operation: &'static str,
    ) -> Result<(Transaction<'static, Postgres>, i64), Error> {
        let mut tx = self.pool.begin().await.map_err(refused(operation))?;
        let version = sqlx::query_scalar(
            "INSERT INTO catalogues (tenant, version) VALUES ($1, 1) \
             ON CONFLICT (tenant) DO UPDATE SET version = catalogues.version + 1 RETURNING version",
        )
        .bind(tenant.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(refused(operation))?;
        Ok((tx, version))
    }

    async fn write_items(&self, tenant: &TenantId, items: &[Arc<Item>], now: Timestamp) -> Result<Vec<Written>, Error> {
        let operation = "write items";
        let (mut tx, version) = self.write_catalogue(tenant, operation).await?;
        let keys: Vec<i64> = items.iter().map(|item| item.key().0 as i64).collect();
        let found =
            sqlx::query(AssertSqlSafe(format!("SELECT {ITEM} FROM items WHERE tenant = $1 AND item_key = ANY($2)")))
                .bind(tenant.as_str())
                .bind(&keys)
                .fetch_all(&mut *tx)
                .await
                .map_err(refused(operation))?;
        let mut known = HashMap::with_capacity(found.len());
        for row in &found {
            let item = rows::item(row, 0)?;
            known.insert(item.key(), item);
        }
        let (written, changed) = plan::items(items, known);
        if changed.is_empty() {
            // Nothing was written: the catalogue keeps its version.
            return Ok(written);
        }
        for part in changed.chunks(ROWS) {
            put_items(&mut tx, tenant, part, now, version).await.map_err(refused(operation))?;
        }
        tx.commit().await.map_err(refused(operation))?;
        Ok(written)
    }
}

/// Connects. A database that is not there yet is waited for: both may have been started at once.
async fn connect(config: &Config, options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    let pool = || {
        PgPoolOptions::new()
            .max_connections(config.connections.max(2))
            .min_connections(1)
            .acquire_timeout(CONNECT)
            .max_lifetime(LIFE)
            // Only what rested is tried: a page would wait for one more answer.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move { Ok(about.idle_for < RESTED || connection.ping().await.is_ok()) })
            })
    };
    let end = Instant::now() + PATIENCE_AT_START;
    loop {
        match pool().connect_with(options.clone()).await {
            Err(error) if is_away(&error) && Instant::now() < end => {
                tracing::warn!(%error, "the database is not there yet; tried again");
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            connected => return connected,
        }
    }
}

/// Whether the database may come yet; one that refuses this user or lacks the database will not.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // It is starting up or shutting down.
        other => {
            other.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "57P03")
        }
    }
}

/// Duration in milliseconds, as tables keep it.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn put_items(
    tx: &mut Transaction<'static, Postgres>,
    tenant: &TenantId,
    items: &[Arc<Item>],
    now: Timestamp,
    version: i64,
) -> Result<(), sqlx::Error> {
    let keys: Vec<i64> = items.iter().map(|item| item.key().0 as i64).collect();
    let texts = |of: fn(&Item) -> String| items.iter().map(|item| of(item)).collect::<Vec<String>>();
    let maybe = |of: fn(&Item) -> Option<String>| items.iter().map(|item| of(item)).collect::<Vec<Option<String>>>();
    sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO items (tenant, item_key, {ITEM}, updated_at, version) \
         SELECT $1, r.*, $2, $3 FROM UNNEST($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::boolean[], $14::text[], $15::text[], \
         $16::bytea[]) AS r \
         ON CONFLICT (tenant, item_key) DO UPDATE SET kind = excluded.kind, title = excluded.title, \
         artist_id = excluded.artist_id, artist_name = excluded.artist_name, genres = excluded.genres, \
         released_at = excluded.released_at, duration_ms = excluded.duration_ms, explicit = excluded.explicit, \
         markets = excluded.markets, features = excluded.features, embedding = excluded.embedding, \
         updated_at = excluded.updated_at, version = excluded.version",
    )))
    .bind(tenant.as_str())
    .bind(now.0)
    .bind(version)
    .bind(&keys)
    .bind(texts(|item| item.id.as_str().to_owned()))
    .bind(texts(|item| item.kind.as_str().to_owned()))
    .bind(texts(|item| item.title.clone()))
    .bind(maybe(|item| item.artist_id.as_ref().map(|id| id.as_str().to_owned())))
    .bind(maybe(|item| item.artist_name.clone()))
    .bind(texts(rows::genres_text))
    .bind(items.iter().map(|item| item.released_at.map(|at| at.0)).collect::<Vec<Option<i64>>>())
    .bind(items.iter().map(|item| item.duration_ms.map(i64::from)).collect::<Vec<Option<i64>>>())
    .bind(items.iter().map(|item| item.explicit).collect::<Vec<bool>>())
    .bind(texts(rows::markets_text))
    .bind(maybe(rows::features_text))
    .bind(items.iter().map(|item| rows::embedding_bytes(item)).collect::<Vec<Option<Vec<u8>>>>())
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM deleted_items WHERE tenant = $1 AND item_key = ANY($2)")
        .bind(tenant.as_str())
        .bind(&keys)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[async_trait]
impl Store for PostgresStore {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let operation = "list tenants";
        let select = sqlx::query(
            "SELECT tenant FROM catalogues UNION SELECT DISTINCT tenant FROM profiles \
             UNION SELECT DISTINCT tenant FROM users ORDER BY 1",
        )
        .fetch_all(&self.pool);
        let found = answer(operation, self.patience, select).await?;
        found.iter().map(|row| rows::tenant(row, 0)).collect()
    }

    async fn put_items(&self, tenant: &TenantId, items: &[Arc<Item>], now: Timestamp) -> Result<Vec<Written>, Error> {
        // The database bounds each statement; how many there are, the caller.
        self.write_items(tenant, items, now).instrument(span("INSERT", "items", items.len())).await
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId) -> Result<bool, Error> {
        let operation = "delete an item";
        let delete = async {
            let (mut tx, version) = self.write_catalogue(tenant, operation).await?;
            let key: Option<i64> =
                sqlx::query_scalar("DELETE FROM items WHERE tenant = $1 AND item_id = $2 RETURNING item_key")
                    .bind(tenant.as_str())
                    .bind(id.as_str())
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(refused(operation))?;
            let Some(key) = key else { return Ok(false) };
            sqlx::query(
                "INSERT INTO deleted_items (tenant, item_key, version, deleted_at) \
                 VALUES ($1, $2, $3, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint) \
                 ON CONFLICT (tenant, item_key) DO UPDATE SET version = excluded.version, \
                 deleted_at = excluded.deleted_at",
            )
            .bind(tenant.as_str())
            .bind(key)
            .bind(version)
            .execute(&mut *tx)
            .await
            .map_err(refused(operation))?;
            tx.commit().await.map_err(refused(operation))?;
            Ok(true)
        };
        delete.instrument(span("DELETE", "items", 1)).await
    }

    async fn items_after(&self, tenant: &TenantId, after: Option<&ItemId>, limit: usize) -> Result<Vec<Item>, Error> {
        let select = sqlx::query(AssertSqlSafe(format!(
            "SELECT {ITEM} FROM items WHERE tenant = $1 AND item_id > $2 ORDER BY item_id LIMIT $3"
        )))
        .bind(tenant.as_str())
        .bind(after.map_or("", ItemId::as_str))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool);
        let found = answer("read items", self.patience, select).instrument(span("SELECT", "items", limit)).await?;
        found.iter().map(|row| rows::item(row, 0)).collect()
    }

    async fn put_user(&self, tenant: &TenantId, attributes: &UserAttributes) -> Result<(), Error> {
        let user = UserKey::of(&attributes.id);
        let insert = sqlx::query(
            "INSERT INTO users (tenant, bucket, user_key, user_id, market, explicit_allowed, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, bucket, user_key) DO UPDATE SET \
             user_id = excluded.user_id, market = excluded.market, explicit_allowed = excluded.explicit_allowed, \
             updated_at = excluded.updated_at",
        )
        .bind(tenant.as_str())
        .bind(user.bucket())
        .bind(user.0 as i64)
        .bind(attributes.id.as_str())
        .bind(attributes.market.map(|market| market.as_str().to_owned()))
        .bind(attributes.explicit_allowed)
        .bind(attributes.updated_at.0)
        .execute(&self.pool);
        answer("write a user", self.patience, insert).instrument(span("INSERT", "users", 1)).await?;
        Ok(())
    }

    async fn user(&self, tenant: &TenantId, user: UserKey) -> Result<StoredUser, Error> {
        let nothing = Known { version: -1, told_at: None };
        Ok(self.user_unless(tenant, user, nothing).await?.unwrap_or_default())
    }

    async fn users_after(
        &self,
        tenant: &TenantId,
        after: Option<UserKey>,
        limit: usize,
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error> {
        // Each arm walks its own primary key.
        let select = sqlx::query(
            "WITH wanted (bucket, user_key) AS (\
             (SELECT bucket, user_key FROM profiles WHERE tenant = $1 AND (bucket, user_key) > ($2, $3) \
             ORDER BY bucket, user_key LIMIT $4) UNION \
             (SELECT bucket, user_key FROM users WHERE tenant = $1 AND (bucket, user_key) > ($2, $3) \
             ORDER BY bucket, user_key LIMIT $4) ORDER BY 1, 2 LIMIT $4) \
             SELECT w.user_key, COALESCE(p.version, 0), p.format::bigint, p.profile, u.user_id, u.market, \
             u.explicit_allowed, u.updated_at FROM wanted w \
             LEFT JOIN profiles p ON p.tenant = $1 AND p.bucket = w.bucket AND p.user_key = w.user_key \
             LEFT JOIN users u ON u.tenant = $1 AND u.bucket = w.bucket AND u.user_key = w.user_key \
             ORDER BY w.bucket, w.user_key",
        )
        .bind(tenant.as_str())
        .bind(after.map_or(-1, UserKey::bucket))
        .bind(after.map_or(0, |user| user.0 as i64))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool);
        let found = answer("read users", self.patience, select).instrument(span("SELECT", "profiles", limit)).await?;
        found.iter().map(|row| Ok((UserKey(rows::integer(row, 0)? as u64), rows::user(row, 1)))).collect()
    }

    async fn begin(&self, lease: Option<&Lease>) -> Result<Box<dyn Folding>, Error> {
        let operation = "begin to fold";
        let begin = async {
            let mut tx = answer(operation, self.patience, self.pool.begin()).await?;
            if let Some(lease) = lease {
                answer(operation, self.patience, leases::hold(&mut tx, lease))
                    .await?
                    .then_some(())
                    .ok_or(Error::Fenced { partition: lease.partition })?;
            }
            Ok(tx)
        };
        let tx = begin.instrument(span("BEGIN", "", 0)).await?;
        Ok(Box::new(folding::PostgresFolding { tx, patience: self.patience }))
    }

    async fn save_trends(
        &self,
        tenant: &TenantId,
        counted: &[StoredTrend],
        forgotten: &[ItemKey],
    ) -> Result<(), Error> {
        let operation = "write trends";
        let save = async {
            let mut tx = self.pool.begin().await?;
            shared::forget_trends(&mut tx, tenant, forgotten).await?;
            shared::put_trends(&mut tx, tenant, counted, None).await?;
            tx.commit().await
        };
        answer(operation, self.patience, save)
            .instrument(span("INSERT", "trends", counted.len() + forgotten.len()))
            .await
    }

    async fn trends(&self, tenant: &TenantId) -> Result<Vec<StoredTrend>, Error> {
        let select = sqlx::query("SELECT item_key, plays, at FROM trends WHERE tenant = $1 ORDER BY at, item_key")
            .bind(tenant.as_str())
            .fetch_all(&self.pool);
        answer("read trends", self.patience, select).await?.iter().map(rows::trend).collect()
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        const STATEMENTS: [&str; 3] = [
            "DELETE FROM folded_events WHERE (tenant, bucket, event_key) IN (SELECT tenant, bucket, event_key \
             FROM folded_events WHERE folded_at < $1 ORDER BY folded_at LIMIT $2)",
            "DELETE FROM folded_positions WHERE (tenant, stream, partition, sequence) IN (SELECT tenant, stream, \
             partition, sequence FROM folded_positions WHERE folded_at < $1 ORDER BY folded_at LIMIT $2)",
            "DELETE FROM deleted_items WHERE (tenant, item_key) IN (SELECT tenant, item_key FROM deleted_items \
             WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2)",
        ];
        let mut gone = 0;
        for statement in STATEMENTS {
            loop {
                let delete = sqlx::query(statement).bind(before.0).bind(FORGOTTEN).execute(&self.pool);
                let done = answer("forget old events", self.patience, delete).await?.rows_affected();
                gone += done;
                if done < FORGOTTEN as u64 {
                    break;
                }
            }
        }
        Ok(gone)
    }

    fn shared(&self) -> Option<&dyn Shared> {
        Some(self)
    }
}
