//! What a store offers to several processes that share it: who takes in which partition, and what the others
//! have written since. It must not know how a process keeps what it has read.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use shared_models::{ItemKey, TenantId, Timestamp, UserKey, item::Item};

use super::{Error, StoredUser};
use crate::index::trending::StoredTrend;

/// The right to take in one partition of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which stream.
    pub stream: &'static str,
    /// Which partition of it.
    pub partition: u16,
    /// Rises with each change of hands: a fold under an older one is refused.
    pub token: i64,
}

/// How the partitions of a stream are shared at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// How many processes share them, this one among them.
    pub workers: u16,
    /// Those of this process, in order.
    pub held: Vec<Lease>,
    /// Those that nobody holds, in order.
    pub free: Vec<u16>,
}

/// What a process knows of a user already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The version of the profile.
    pub version: i64,
    /// When the tenant told what is known of the user, if it did.
    pub told_at: Option<Timestamp>,
}

/// One item as a writer left it.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemChange {
    /// The version of the catalogue at which it was written.
    pub version: i64,
    /// Which.
    pub key: ItemKey,
    /// What it is now; `None` when it was deleted.
    pub item: Option<Arc<Item>>,
}

/// What exchanging trends with the other processes gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The counts of all processes together, of those items whose count changed.
    pub counts: Vec<StoredTrend>,
    /// By the database's clock; the next exchange asks for what changed since.
    pub as_of: Timestamp,
}

/// A store that several processes share.
#[async_trait]
pub trait Shared: Send + Sync {
    /// A user, where anything is other than what is known; `None` when it is not.
    ///
    /// # Errors
    /// When the database is away or a value does not read back; so for all of these.
    async fn user_unless(&self, tenant: &TenantId, user: UserKey, known: Known) -> Result<Option<StoredUser>, Error>;

    /// The version of each tenant's catalogue: it rises with each write.
    async fn catalogue_versions(&self) -> Result<Vec<(TenantId, i64)>, Error>;

    /// Up to `limit` changes after one that is known, by version and key. An item stands there once, as it is now.
    async fn catalogue_changes(
        &self,
        tenant: &TenantId,
        after: (i64, ItemKey),
        limit: usize,
    ) -> Result<Vec<ItemChange>, Error>;

    /// Adds plays to the counts that all processes share, forgets items, and gives what changed since a moment.
    async fn exchange_trends(
        &self,
        tenant: &TenantId,
        plays: &[StoredTrend],
        forgotten: &[ItemKey],
        half_life: Duration,
        since: Timestamp,
    ) -> Result<Exchange, Error>;

    /// Says that `holder` is there, keeps its leases for another while, and tells how things stand.
    async fn shares(
        &self,
        stream: &'static str,
        partitions: u16,
        holder: &str,
        for_: Duration,
    ) -> Result<Shares, Error>;

    /// Takes a partition that nobody holds; `None` when somebody was quicker.
    async fn take(
        &self,
        stream: &'static str,
        partition: u16,
        holder: &str,
        for_: Duration,
    ) -> Result<Option<Lease>, Error>;

    /// Gives a partition back, so that another process may take it at once.
    async fn give_back(&self, lease: &Lease, holder: &str) -> Result<(), Error>;

    /// Says that `holder` leaves: its partitions are free at once.
    async fn leave(&self, stream: &'static str, holder: &str) -> Result<(), Error>;
}
