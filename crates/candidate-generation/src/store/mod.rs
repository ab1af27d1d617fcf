//! Where the catalogue, the profiles and what has been folded are kept.
//!
//! One trait and two implementations, [`sqlite`] for one process and [`postgres`] for many, which pass one
//! suite (`tests/it/store_suite.rs`). What many processes need to stand beside each other is [`Shared`]. SQL
//! stands in this folder only. A store must never know what a profile means beyond its encoding.

mod blob;
mod plan;
mod rows;
mod shared;
mod spans;

pub mod postgres;
pub mod sqlite;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use service_runtime::config::Secret;
use shared_models::{ErrorCode, ItemId, ItemKey, TenantId, Timestamp, UserKey, item::Item, listener::UserAttributes};
use sqlx::migrate::Migrator;
use xxhash_rust::xxh3::xxh3_128;

use crate::{index::trending::StoredTrend, profiles::Profile};

pub use blob::{FORMAT, decode, encode};
pub use shared::{Exchange, ItemChange, Known, Lease, Shared, Shares};

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `sqlite://` and a path, for one process; `postgres://user@host:port/database`, for many.
    pub url: String,
    /// The password of a PostgreSQL user, where the URL holds none.
    pub password: Secret,
    /// SQLite: connections for reading; writing has one of its own.
    pub readers: u32,
    /// PostgreSQL: the most connections of this process.
    pub connections: u32,
    /// PostgreSQL: the longest that a statement may take.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// PostgreSQL: how often to look for what other processes wrote to the catalogues.
    #[serde(with = "humantime_serde")]
    pub follow: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "sqlite://data/candidates.db".to_owned(),
            password: Secret::default(),
            readers: 4,
            connections: 16,
            statement_timeout: Duration::from_secs(5),
            follow: Duration::from_millis(250),
        }
    }
}

impl Config {
    /// The default settings, with the store at `url`.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database that this build can open.
    #[error("store url {url:?} is not supported; give sqlite:// and a path, or postgres://user@host:port/database")]
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
    /// Another writer changed the same rows after they were read.
    #[error("profiles were changed by another writer")]
    Conflict,
    /// Another process has taken the partition over.
    #[error("partition {partition} has been taken over by another process")]
    Fenced {
        /// Which.
        partition: u16,
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
            Self::Query { source, .. } if postgres::is_refusal(source) => ErrorCode::Internal,
            Self::Open(_) | Self::Query { .. } | Self::Elapsed { .. } | Self::Fenced { .. } => ErrorCode::Unavailable,
            Self::Conflict => ErrorCode::Conflict,
            Self::Migrate(_) | Self::Corrupt { .. } => ErrorCode::Internal,
        }
    }
}

/// What writing one item did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    Created,
    /// It was other than it is now.
    Updated,
    /// It was the same.
    Unchanged,
    /// Another id has its key; nothing was written.
    KeyTaken,
}

/// One user as the store holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredUser {
    /// How often the profile was written; 0 when it never was.
    pub version: i64,
    /// The profile, empty when it was never written.
    pub profile: Profile,
    /// What the tenant told, when it did.
    pub attributes: Option<UserAttributes>,
}

/// The identity of an event in the store: XXH3, 128 bits, of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey(pub [u8; 16]);

impl EventKey {
    /// The key of an event id.
    #[must_use]
    pub fn of(id: &shared_models::EventId) -> Self {
        Self(xxh3_128(id.as_str().as_bytes()).to_be_bytes())
    }
}

/// A message's place in its stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The stream's name.
    pub stream: &'static str,
    /// The partition whose subject carried it.
    pub partition: u16,
    /// Its number in the stream.
    pub sequence: u64,
    /// The id of its envelope.
    pub envelope: String,
}

/// A profile to be written over the version before.
#[derive(Clone, Debug)]
pub struct NextProfile {
    /// Whose.
    pub user: UserKey,
    /// The version it will have: one more than was read.
    pub version: i64,
    /// The profile, by [`encode`].
    pub blob: Vec<u8>,
}

/// The catalogue and the profiles of all tenants.
#[async_trait]
pub trait Store: Send + Sync {
    /// The database, as traces name it.
    fn system(&self) -> &'static str;

    /// The tenants that have items or users.
    ///
    /// # Errors
    /// When the database is away or a value does not read back; so for all of these.
    async fn tenants(&self) -> Result<Vec<TenantId>, Error>;

    /// Writes items in one transaction; what each write did, in order. An id given twice is written
    /// once, as it stands last.
    async fn put_items(&self, tenant: &TenantId, items: &[Arc<Item>], now: Timestamp) -> Result<Vec<Written>, Error>;

    /// Deletes an item; whether it was there.
    async fn delete_item(&self, tenant: &TenantId, id: &ItemId) -> Result<bool, Error>;

    /// Up to `limit` items after an id, in the order of ids by bytes.
    async fn items_after(&self, tenant: &TenantId, after: Option<&ItemId>, limit: usize) -> Result<Vec<Item>, Error>;

    /// Writes what the tenant tells of a user.
    async fn put_user(&self, tenant: &TenantId, attributes: &UserAttributes) -> Result<(), Error>;

    /// A user; one nobody has heard of is the default.
    async fn user(&self, tenant: &TenantId, user: UserKey) -> Result<StoredUser, Error>;

    /// Up to `limit` users after one, in the order of their buckets and keys: those the tenant told of and those with a
    /// profile. A profile that does not read back is that user's affair and nobody else's.
    async fn users_after(
        &self,
        tenant: &TenantId,
        after: Option<UserKey>,
        limit: usize,
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error>;

    /// Begins to fold events in. Nothing is kept until [`Folding::commit`]; nothing at all when the lease, where
    /// one is given, is no longer this process's.
    ///
    /// # Errors
    /// [`Error::Fenced`] then.
    async fn begin(&self, lease: Option<&Lease>) -> Result<Box<dyn Folding>, Error>;

    /// Keeps counts of the trending index over those it has, and forgets those of other items.
    async fn save_trends(&self, tenant: &TenantId, counted: &[StoredTrend], forgotten: &[ItemKey])
    -> Result<(), Error>;

    /// The counts of the trending index.
    async fn trends(&self, tenant: &TenantId) -> Result<Vec<StoredTrend>, Error>;

    /// Forgets folded events and positions from before a moment, few at a time so that writers get in
    /// between; how many.
    async fn prune(&self, before: Timestamp) -> Result<u64, Error>;

    /// What the store offers to several processes that share it; `None` when it is for one.
    fn shared(&self) -> Option<&dyn Shared> {
        None
    }
}

/// One transaction of intake. Dropped without a commit, it leaves nothing.
#[async_trait]
pub trait Folding: Send {
    /// Claims stream positions; for each, whether it was not yet folded.
    ///
    /// # Errors
    /// When the database is away; so for all of these.
    async fn claim_positions(
        &mut self,
        tenant: &TenantId,
        positions: &[Position],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error>;

    /// Claims events, each given once; for each, whether it was not yet folded.
    async fn claim_events(
        &mut self,
        tenant: &TenantId,
        events: &[(UserKey, EventKey)],
        now: Timestamp,
    ) -> Result<Vec<bool>, Error>;

    /// The users' profiles with their attributes, those that exist, in no order. One that does not read
    /// back ([`Error::Corrupt`]) is that user's affair and nobody else's.
    async fn users(
        &mut self,
        tenant: &TenantId,
        users: &[UserKey],
    ) -> Result<Vec<(UserKey, Result<StoredUser, Error>)>, Error>;

    /// Writes profiles.
    ///
    /// # Errors
    /// [`Error::Conflict`] when one of them is no longer at the version before.
    async fn save(&mut self, tenant: &TenantId, profiles: &[NextProfile], now: Timestamp) -> Result<(), Error>;

    /// Makes it all durable at once.
    async fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// Opens the store that `config` names and brings its tables up to date.
///
/// # Errors
/// When it cannot be opened or migrated.
pub async fn open(config: &Config) -> Result<Arc<dyn Store>, Error> {
    if config.url.starts_with("sqlite:") {
        return Ok(Arc::new(sqlite::SqliteStore::open(config).await?));
    }
    if config.url.starts_with("postgres:") || config.url.starts_with("postgresql:") {
        return Ok(Arc::new(postgres::PostgresStore::open(config).await?));
    }
    Err(Error::Url { url: config.url.clone() })
}

/// The migrations of a database: each in a transaction of its own, so that one that was cut off begins anew. Tables
/// of a later release are left as they are: migrations only add, and an older release runs on them.
fn migrator(migrations: &Migrator) -> Migrator {
    let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator
}
