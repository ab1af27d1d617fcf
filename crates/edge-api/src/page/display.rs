//! What items look like, read by key and kept for a short while.
//!
//! Must not know pages. An item that this edge writes or deletes is forgotten at once; other edges'
//! writes show after the time to live.

use std::{collections::HashMap, sync::Arc, time::Duration};

use contracts::{Catalogue, Deadline, Failure};
use moka::sync::Cache;
use parking_lot::RwLock;
use rustc_hash::{FxBuildHasher, FxHashMap};
use service_runtime::deadline;
use shared_models::{ItemKey, TenantId, item::DisplayItem};

use crate::metrics::Metrics;

type TenantCache = Cache<ItemKey, Arc<DisplayItem>, FxBuildHasher>;

/// Items by key, for the answer in hand.
pub(crate) type Displayed = FxHashMap<ItemKey, Arc<DisplayItem>>;

/// What items look like, by tenant and key.
pub struct DisplayCache {
    catalogue: Arc<dyn Catalogue>,
    /// A cache per tenant, so that a lookup hashes one number and no tenant fills another's.
    tenants: RwLock<HashMap<TenantId, TenantCache>>,
    capacity: u64,
    time_to_live: Duration,
    metrics: Metrics,
}

impl DisplayCache {
    /// An empty cache before a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<dyn Catalogue>, capacity: u64, time_to_live: Duration, metrics: Metrics) -> Self {
        Self { catalogue, tenants: RwLock::default(), capacity, time_to_live, metrics }
    }

    /// What these items look like; unknown ones are left out. The failure is that of the read, when one
    /// was needed and failed: the items that were known are there all the same.
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        keys: &[ItemKey],
        until: Deadline,
    ) -> (Displayed, Option<Failure>) {
        let cache = self.of(tenant);
        let mut found = Displayed::with_capacity_and_hasher(keys.len(), FxBuildHasher);
        let mut missing = Vec::new();
        for key in keys {
            match cache.get(key) {
                Some(item) => {
                    found.insert(*key, item);
                }
                None => missing.push(*key),
            }
        }
        self.metrics.display_lookups((keys.len() - missing.len()) as u64, missing.len() as u64);
        if missing.is_empty() {
            return (found, None);
        }
        let read = deadline::run(until, self.catalogue.display(tenant, &missing, until)).await;
        match read.map_err(|_| Failure::deadline_exceeded()).and_then(|result| result) {
            Ok(items) => {
                for item in items {
                    let item = Arc::new(item);
                    cache.insert(item.key, Arc::clone(&item));
                    found.insert(item.key, item);
                }
                (found, None)
            }
            Err(failure) => (found, Some(failure)),
        }
    }

    /// Forgets an item that was written or deleted.
    pub(crate) fn forget(&self, tenant: &TenantId, key: ItemKey) {
        self.of(tenant).invalidate(&key);
    }

    fn of(&self, tenant: &TenantId) -> TenantCache {
        if let Some(cache) = self.tenants.read().get(tenant) {
            return cache.clone();
        }
        let new = || {
            Cache::builder()
                .max_capacity(self.capacity)
                .time_to_live(self.time_to_live)
                .build_with_hasher(FxBuildHasher)
        };
        self.tenants.write().entry(tenant.clone()).or_insert_with(new).clone()
    }
}
