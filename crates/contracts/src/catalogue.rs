//! What the catalogue promises: a tenant's items, written and read.

use async_trait::async_trait;
use shared_models::{
    ItemId, ItemKey, TenantId,
    item::{DisplayItem, Item, Market},
};

use crate::{Deadline, Failure};

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Put {
    /// The item is new.
    Created,
    /// The item was there and has changed.
    Updated,
    /// The item was there, equal in every field.
    Unchanged,
}

/// Keeps a tenant's items.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Writes items; one result for each, in order. A refused item does not stop the others.
    ///
    /// # Errors
    /// Of the whole call: `resource_exhausted` for too many items, `unavailable`,
    /// `deadline_exceeded`, `internal`. Of one item: `invalid_argument`, `conflict` (another id has
    /// the same key).
    async fn put_items(
        &self,
        tenant: &TenantId,
        items: Vec<Item>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Put, Failure>>, Failure>;

    /// One item.
    ///
    /// # Errors
    /// `not_found`, `unavailable`, `deadline_exceeded`, `internal`.
    async fn item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<Item, Failure>;

    /// Deletes one item; whether it was there.
    ///
    /// # Errors
    /// `unavailable`, `deadline_exceeded`, `internal`.
    async fn delete_item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<bool, Failure>;

    /// What an answer needs to draw these items, in the order of `keys`; unknown keys are left out.
    ///
    /// # Errors
    /// `unavailable`, `deadline_exceeded`, `internal`.
    async fn display(
        &self,
        tenant: &TenantId,
        keys: &[ItemKey],
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure>;

    /// Up to `limit` items after `after` in the order of their ids.
    ///
    /// # Errors
    /// `invalid_argument`, `unavailable`, `deadline_exceeded`, `internal`.
    async fn list_items(
        &self,
        tenant: &TenantId,
        after: Option<ItemId>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Item>, Failure>;

    /// The most played items of a market, best first: what the edge keeps for the day when
    /// everything else is away.
    ///
    /// # Errors
    /// `unavailable`, `deadline_exceeded`, `internal`.
    async fn popular(
        &self,
        tenant: &TenantId,
        market: Market,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure>;
}
