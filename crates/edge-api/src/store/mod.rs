//! Where recommendation records are kept for questions about answers.
//!
//! One trait and two implementations, [`sqlite`] for one edge and [`postgres`] for many, which pass one suite
//! (`tests/it/store_suite.rs`). SQL stands in this folder only. No page waits for a store: what is kept comes from the
//! stream, and only questions read it. It must never know what a record says.

mod packed;

pub mod postgres;
pub mod sqlite;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use service_runtime::config::{Problem, Secret, Validate};
use shared_models::{ErrorCode, RecommendationId, SurfaceId, TenantId, Timestamp, UserKey};

/// Where the store is, and how long it keeps records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `sqlite://` and a path, for one edge; `postgres://user@host:port/database`, for many; empty keeps nothing.
    pub url: String,
    /// The password of a PostgreSQL user, where the URL holds none.
    pub password: Secret,
    /// The most connections of this process.
    pub connections: u32,
    /// The longest that a statement may take.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// How long records are kept.
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, key: &str, given: String, expected: &'static str| {
            if !holds {
                problems.push(Problem::new(key, given, expected));
            }
        };
        let shown = |span: Duration| humantime::format_duration(span).to_string();
        check(self.url.is_empty() || is_known(&self.url), "url", format!("{:?}", self.url), URLS);
        check((1..=1_000).contains(&self.connections), "connections", self.connections.to_string(), "1 to 1000");
        let timeout = self.statement_timeout;
        let is_sound = (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&timeout);
        check(is_sound, "statement_timeout", shown(timeout), "100ms to 1m");
        let is_sound = (Duration::from_secs(60)..=Duration::from_secs(3_650 * 86_400)).contains(&self.keep);
        check(is_sound, "keep", shown(self.keep), "1m to 3650days");
        problems
    }
}

const URLS: &str = "sqlite:// and a path, postgres://user@host:port/database, or nothing";

fn is_known(url: &str) -> bool {
    ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme))
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database that this build can open.
    #[error("store url {url:?} is not supported; give {URLS}")]
    Url {
        /// What was given.
        url: String,
    },
    /// The database could not be opened.
    #[error("store cannot be opened")]
    Open(#[source] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("store cannot be migrated")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("store cannot {operation}")]
    Query {
        /// What was being done, as a verb with its object.
        operation: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The database did not answer in time.
    #[error("store cannot {operation}: no answer in time")]
    Elapsed {
        /// What was being done.
        operation: &'static str,
    },
    /// A stored value does not read back.
    #[error("stored {what} does not read back")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Url { .. } => ErrorCode::InvalidArgument,
            Self::Open(_) | Self::Query { .. } | Self::Elapsed { .. } => ErrorCode::Unavailable,
            Self::Migrate(_) | Self::Corrupt { .. } => ErrorCode::Internal,
        }
    }
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub tenant: TenantId,
    /// Which answer.
    pub id: RecommendationId,
    /// When it was given.
    pub made_at: Timestamp,
    /// Of which surface.
    pub surface: SurfaceId,
    /// To whom; `None` is somebody unknown.
    pub user: Option<UserKey>,
    /// Whether it holds all candidates.
    pub whole: bool,
    /// The version of the payload.
    pub version: u32,
    /// What it says.
    pub payload: Bytes,
}

/// A record in a list, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which answer.
    pub id: RecommendationId,
    /// When it was given.
    pub made_at: Timestamp,
    /// Of which surface.
    pub surface: SurfaceId,
    /// Whether it holds all candidates.
    pub whole: bool,
}

/// Which records a list holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From this moment on.
    pub since: Timestamp,
    /// Before this moment.
    pub until: Timestamp,
    /// Those of one listener only.
    pub user: Option<UserKey>,
    /// Those of one surface only.
    pub surface: Option<SurfaceId>,
    /// Those that hold all candidates only.
    pub whole: bool,
    /// Those before this one.
    pub before: Option<RecommendationId>,
    /// The most, newest first.
    pub limit: usize,
}

impl Wanted {
    /// The ids between which the list lies: from the first on, below the second.
    fn bounds(&self) -> ([u8; 16], [u8; 16]) {
        ([0; 16], self.before.map_or([u8::MAX; 16], |before| *before.0.as_bytes()))
    }
}

/// Keeps records.
#[async_trait]
pub trait Store: Send + Sync {
    /// The database's name in traces.
    fn system(&self) -> &'static str;

    /// Keeps records; one that is kept already stays as it is.
    ///
    /// # Errors
    /// When the database is away; so for all of these.
    async fn put(&self, records: &[Kept]) -> Result<(), Error>;

    /// A record; `None` when it was never kept, or not any more.
    async fn get(&self, tenant: &TenantId, id: RecommendationId) -> Result<Option<Kept>, Error>;

    /// Records of a tenant, newest first.
    async fn list(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<Listed>, Error>;

    /// Forgets what was answered before a moment, few at a time so that writers get in between; how many.
    async fn prune(&self, before: Timestamp) -> Result<u64, Error>;
}

/// Opens the store that `config` names; `None` where it names none.
///
/// A file is opened and brought up to date at once. A database server is first asked when it is first needed: an edge
/// serves pages without it.
///
/// # Errors
/// When a file cannot be opened or migrated, or the URL is none.
pub async fn open(config: &Config) -> Result<Option<Arc<dyn Store>>, Error> {
    match config.url.as_str() {
        "" => Ok(None),
        url if url.starts_with("sqlite:") => Ok(Some(Arc::new(sqlite::SqliteStore::open(config).await?))),
        url if is_known(url) => Ok(Some(Arc::new(postgres::PostgresStore::new(config)?))),
        url => Err(Error::Url { url: url.to_owned() }),
    }
}

/// The CLIENT span of a database operation, under the names of OpenTelemetry's database conventions.
fn span(system: &'static str, operation: &'static str, rows: usize) -> tracing::Span {
    tracing::info_span!(
        "db",
        otel.name = format!("{operation} records"),
        otel.kind = "client",
        db.system.name = system,
        db.operation.name = operation,
        db.collection.name = "records",
        db.operation.batch.size = (rows > 1).then_some(rows),
    )
}

fn failed(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Query { operation, source }
}

/// The migrations of a database. Tables of a later release are left as they are: migrations only add, and an older
/// release runs on them.
fn migrator(migrations: &sqlx::migrate::Migrator) -> sqlx::migrate::Migrator {
    let mut migrator = sqlx::migrate::Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator
}
