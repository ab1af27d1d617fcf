//! The store on PostgreSQL, or a database that speaks its protocol: many edges share it. Its tables lie in a schema of
//! their own, so that the database may be that of another service too.

use std::{str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_models::{RecommendationId, SurfaceId, TenantId, Timestamp};
use sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use super::{Config, Error, Kept, Listed, Store, Wanted, failed, packed, span};

const SYSTEM: &str = "postgresql";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations/postgres");

/// The schema of the tables.
const SCHEMA: &str = "setlist_edge";
/// Records forgotten in one statement: few enough that nobody waits for it long.
const FORGOTTEN: i64 = 1_000;
/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection is replaced after this long, so that processes spread over the addresses of a database.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// What this side waits for an answer beyond what the database allows a statement.
const GRACE: Duration = Duration::from_secs(1);

/// A store in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    /// Filled once the tables are up to date.
    migrated: Arc<OnceCell<()>>,
    /// The longest to wait for an answer.
    patience: Duration,
}

impl PostgresStore {
    /// A store that connects, and brings its tables up to date, when it is first needed.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let mut options = PgConnectOptions::from_str(&config.url).map_err(Error::Open)?;
        if !config.password.is_empty() {
            options = options.password(config.password.expose());
        }
        let limit = config.statement_timeout;
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        let options = options.disable_statement_logging().application_name("setlist-edge").options([
            ("search_path", SCHEMA),
            ("statement_timeout", milliseconds(limit).as_str()),
            ("lock_timeout", milliseconds(limit).as_str()),
            ("tcp_user_timeout", milliseconds(limit * 2).as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.connections)
            .acquire_timeout(CONNECT)
            .max_lifetime(LIFE)
            .connect_lazy_with(options);
        Ok(Self { pool, migrated: Arc::default(), patience: limit + GRACE })
    }

    /// The connections, once the tables are up to date. Several processes may do so at once.
    async fn ready(&self) -> Result<&PgPool, Error> {
        let migrate = || async {
            sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")))
                .execute(&self.pool)
                .await
                .map_err(failed("make its schema"))?;
            super::migrator(&MIGRATIONS).run(&self.pool).await.map_err(Error::Migrate)
        };
        self.migrated.get_or_try_init(migrate).await?;
        Ok(&self.pool)
    }

    /// Waits for the database as long as `patience` allows.
    async fn answer<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.patience, work).await.unwrap_or(Err(Error::Elapsed { operation }))
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn system(&self) -> &'static str {
        SYSTEM
    }

    async fn put(&self, records: &[Kept]) -> Result<(), Error> {
        let operation = "write records";
        let of = |value: fn(&Kept) -> i64| records.iter().map(value).collect::<Vec<i64>>();
        let packed = packed::pack_all(records).await?;
        let write = async {
            let query = sqlx::query(
                "INSERT INTO records (tenant, id, made_at, surface, user_key, whole, version, format, payload) \
                 SELECT tenant, id, made_at, surface, user_key, whole, version, $8, payload FROM UNNEST \
                 ($1::text[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::bool[], $7::int[], $9::bytea[]) \
                 AS given (tenant, id, made_at, surface, user_key, whole, version, payload) ON CONFLICT DO NOTHING",
            )
            .bind(records.iter().map(|record| record.tenant.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| &record.id.0.as_bytes()[..]).collect::<Vec<_>>())
            .bind(of(|record| record.made_at.0))
            .bind(records.iter().map(|record| record.surface.as_str()).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.user.map(|user| user.0 as i64)).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.whole).collect::<Vec<_>>())
            .bind(records.iter().map(|record| record.version as i32).collect::<Vec<_>>())
            .bind(packed::FORMAT)
            .bind(&packed);
            query.execute(self.ready().await?).await.map_err(failed(operation))
        };
        self.answer(operation, write.instrument(span(SYSTEM, "INSERT", records.len()))).await.map(|_| ())
    }

    async fn get(&self, tenant: &TenantId, id: RecommendationId) -> Result<Option<Kept>, Error> {
        let operation = "read a record";
        let read = async {
            let query = sqlx::query(
                "SELECT id, made_at, surface, user_key, whole, version, format, payload FROM records WHERE tenant = $1 AND id = $2",
            )
            .bind(tenant.as_str())
            .bind(&id.0.as_bytes()[..]);
            query.fetch_optional(self.ready().await?).await.map_err(failed(operation))
        };
        let found = self.answer(operation, read.instrument(span(SYSTEM, "SELECT", 1))).await?;
        found.map(|row| packed::kept(tenant, &row)).transpose()
    }

    async fn list(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<Listed>, Error> {
        let operation = "list records";
        let bounds = wanted.bounds();
        let read = async {
            let query = sqlx::query(
                "SELECT id, made_at, surface, whole FROM records \
                 WHERE tenant = $1 AND id >= $2 AND id < $3 AND made_at >= $4 AND made_at < $5 \
                 AND ($6::bigint IS NULL OR user_key = $6) AND ($7::text IS NULL OR surface = $7) AND (whole OR NOT $8) \
                 ORDER BY id DESC LIMIT $9",
            )
            .bind(tenant.as_str())
            .bind(&bounds.0[..])
            .bind(&bounds.1[..])
            .bind(wanted.since.0)
            .bind(wanted.until.0)
            .bind(wanted.user.map(|user| user.0 as i64))
            .bind(wanted.surface.as_ref().map(SurfaceId::as_str))
            .bind(wanted.whole)
            .bind(i64::try_from(wanted.limit).unwrap_or(i64::MAX));
            query.fetch_all(self.ready().await?).await.map_err(failed(operation))
        };
        let found = self.answer(operation, read.instrument(span(SYSTEM, "SELECT", wanted.limit))).await?;
        found.iter().map(packed::listed).collect()
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        let operation = "forget old records";
        let mut gone = 0;
        loop {
            let delete = async {
                let query = sqlx::query(
                    "DELETE FROM records WHERE (tenant, id) IN \
                     (SELECT tenant, id FROM records WHERE made_at < $1 ORDER BY made_at LIMIT $2)",
                )
                .bind(before.0)
                .bind(FORGOTTEN);
                query.execute(self.ready().await?).await.map_err(failed(operation))
            };
            let done = self.answer(operation, delete).await?;
            gone += done.rows_affected();
            if done.rows_affected() < FORGOTTEN as u64 {
                return Ok(gone);
            }
        }
    }
}
