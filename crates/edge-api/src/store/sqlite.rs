//! The store on SQLite: one file, write-ahead log. A commit is on disk before it is answered.

use std::{str::FromStr, time::Duration};

use async_trait::async_trait;
use shared_models::{RecommendationId, SurfaceId, TenantId, Timestamp};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tracing::Instrument as _;

use super::{Config, Error, Kept, Listed, Store, Wanted, failed, packed, span};

const SYSTEM: &str = "sqlite";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// Records forgotten in one statement: few enough that a writer behind it waits for milliseconds.
const FORGOTTEN: i64 = 256;
/// How long a writer waits for another's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// A store in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: SqlitePool,
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
            // What is acknowledged to the stream survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = |size: u32| SqlitePoolOptions::new().max_connections(size).idle_timeout(None).max_lifetime(None);
        let writer = pool(1).min_connections(1).connect_with(options.clone()).await.map_err(Error::Open)?;
        super::migrator(&MIGRATIONS).run(&writer).await.map_err(Error::Migrate)?;
        let readers = pool(config.connections).connect_with(options.read_only(true)).await.map_err(Error::Open)?;
        Ok(Self { readers, writer })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn put(&self, records: &[Kept]) -> Result<(), Error> {
        let operation = "write records";
        let packed = packed::pack_all(records).await?;
        let write = async {
            let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(operation))?;
            for (record, packed) in records.iter().zip(&packed) {
                sqlx::query(
                    "INSERT OR IGNORE INTO records (tenant, id, made_at, surface, user_key, whole, version, format, payload) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )
                .bind(record.tenant.as_str())
                .bind(&record.id.0.as_bytes()[..])
                .bind(record.made_at.0)
                .bind(record.surface.as_str())
                .bind(record.user.map(|user| user.0 as i64))
                .bind(record.whole)
                .bind(record.version as i32)
                .bind(packed::FORMAT)
                .bind(&packed[..])
                .execute(&mut *tx)
                .await
                .map_err(failed(operation))?;
            }
            tx.commit().await.map_err(failed(operation))
        };
        write.instrument(span(SYSTEM, "INSERT", records.len())).await
    }

    async fn get(&self, tenant: &TenantId, id: RecommendationId) -> Result<Option<Kept>, Error> {
        let found = sqlx::query(
            "SELECT id, made_at, surface, user_key, whole, version, format, payload FROM records WHERE tenant = ?1 AND id = ?2",
        )
        .bind(tenant.as_str())
        .bind(&id.0.as_bytes()[..])
        .fetch_optional(&self.readers)
        .instrument(span(SYSTEM, "SELECT", 1))
        .await
        .map_err(failed("read a record"))?;
        found.map(|row| packed::kept(tenant, &row)).transpose()
    }

    async fn list(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<Listed>, Error> {
        let bounds = wanted.bounds();
        let found = sqlx::query(
            "SELECT id, made_at, surface, whole FROM records \
             WHERE tenant = ?1 AND id >= ?2 AND id < ?3 AND made_at >= ?4 AND made_at < ?5 \
             AND (?6 IS NULL OR user_key = ?6) AND (?7 IS NULL OR surface = ?7) AND (whole OR NOT ?8) \
             ORDER BY id DESC LIMIT ?9",
        )
        .bind(tenant.as_str())
        .bind(&bounds.0[..])
        .bind(&bounds.1[..])
        .bind(wanted.since.0)
        .bind(wanted.until.0)
        .bind(wanted.user.map(|user| user.0 as i64))
        .bind(wanted.surface.as_ref().map(SurfaceId::as_str))
        .bind(wanted.whole)
        .bind(i64::try_from(wanted.limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .instrument(span(SYSTEM, "SELECT", wanted.limit))
        .await
        .map_err(failed("list records"))?;
        found.iter().map(packed::listed).collect()
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        let mut gone = 0;
        loop {
            // Each round takes its turn among the writers.
            let done = sqlx::query(
                "DELETE FROM records WHERE (tenant, id) IN \
                 (SELECT tenant, id FROM records WHERE made_at < ?1 ORDER BY made_at LIMIT ?2)",
            )
            .bind(before.0)
            .bind(FORGOTTEN)
            .execute(&self.writer)
            .await
            .map_err(failed("forget old records"))?;
            gone += done.rows_affected();
            if done.rows_affected() < FORGOTTEN as u64 {
                return Ok(gone);
            }
        }
    }
}
