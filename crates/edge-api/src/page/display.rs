//! What items look like, read by key and kept for a short while.
//!
//! Must not know pages. An item that this edge writes or deletes is forgotten at once; other edges'
//! writes show after the time to live.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use contracts::{Catalogue, Deadline, Failure};
use parking_lot::RwLock;
use rustc_hash::{FxBuildHasher, FxHashMap};
use service_runtime::deadline;
use shared_models::{ItemKey, TenantId, item::DisplayItem};
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Items by key, for the answer in hand.
pub(crate) type Displayed = FxHashMap<ItemKey, Arc<DisplayItem>>;

/// One tenant's items. A page reads more than a hundred of them under one lock and with one look at the clock.
///
/// What is full becomes old, and what was old is gone: items live for a short while only, so nothing more is remembered
/// of how often they are wanted.
#[derive(Default)]
struct Shown {
    young: FxHashMap<ItemKey, (Arc<DisplayItem>, Instant)>,
    old: FxHashMap<ItemKey, (Arc<DisplayItem>, Instant)>,
    /// Rises with every item that is forgotten: what was read before may be what was written over.
    forgotten: u64,
}

impl Shown {
    fn get(&self, key: ItemKey, now: Instant) -> Option<&Arc<DisplayItem>> {
        let kept = self.young.get(&key).or_else(|| self.old.get(&key));
        kept.filter(|(_, until)| *until > now).map(|(item, _)| item)
    }

    fn insert(&mut self, item: Arc<DisplayItem>, until: Instant, capacity: usize) {
        if self.young.len() >= capacity.div_ceil(2) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(item.key, (item, until));
    }

    fn forget(&mut self, key: ItemKey) {
        self.young.remove(&key);
        self.old.remove(&key);
        self.forgotten += 1;
    }
}

/// What items look like, by tenant and key.
pub struct DisplayCache {
    catalogue: Arc<dyn Catalogue>,
    /// A cache per tenant, so that a lookup hashes one number and no tenant fills another's.
    tenants: RwLock<HashMap<TenantId, Arc<RwLock<Shown>>>>,
    capacity: usize,
    time_to_live: Duration,
    metrics: Metrics,
}

impl DisplayCache {
    /// An empty cache before a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<dyn Catalogue>, capacity: usize, time_to_live: Duration, metrics: Metrics) -> Self {
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
        let forgotten = {
            let now = Instant::now();
            let shown = cache.read();
            for key in keys {
                match shown.get(*key, now) {
                    Some(item) => {
                        found.insert(*key, Arc::clone(item));
                    }
                    None => missing.push(*key),
                }
            }
            shown.forgotten
        };
        self.metrics.display_lookups((keys.len() - missing.len()) as u64, missing.len() as u64);
        if missing.is_empty() {
            return (found, None);
        }
        let read = deadline::run(until, self.catalogue.display(tenant, &missing, until)).await;
        match read.map_err(|_| Failure::deadline_exceeded()).and_then(|result| result) {
            Ok(items) => {
                let fresh_until = Instant::now() + self.time_to_live;
                let mut shown = cache.write();
                // An item that was written meanwhile may have been read as it was before.
                let keep = shown.forgotten == forgotten;
                for item in items {
                    let item = Arc::new(item);
                    if keep {
                        shown.insert(Arc::clone(&item), fresh_until, self.capacity);
                    }
                    found.insert(item.key, item);
                }
                (found, None)
            }
            Err(failure) => (found, Some(failure)),
        }
    }

    /// Forgets an item that was written or deleted.
    pub(crate) fn forget(&self, tenant: &TenantId, key: ItemKey) {
        self.of(tenant).write().forget(key);
    }

    fn of(&self, tenant: &TenantId) -> Arc<RwLock<Shown>> {
        if let Some(cache) = self.tenants.read().get(tenant) {
            return Arc::clone(cache);
        }
        Arc::clone(self.tenants.write().entry(tenant.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use shared_models::{ItemId, item::ItemKind};

    use super::*;

    fn item(number: usize) -> Arc<DisplayItem> {
        let id = ItemId::new(format!("track-{number}")).unwrap();
        let key = ItemKey::of(&id);
        Arc::new(DisplayItem { key, id, kind: ItemKind::Track, title: format!("Song {number}"), artist_name: None })
    }

    #[test]
    fn items_are_shown_until_they_are_too_old_or_too_many() {
        let mut shown = Shown::default();
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        shown.insert(item(0), until, 10);
        assert!(shown.get(item(0).key, now).is_some());
        assert!(shown.get(item(0).key, until).is_none(), "too old");
        for number in 1..1_000 {
            shown.insert(item(number), until, 10);
            assert!(shown.young.len() + shown.old.len() <= 10);
            assert!(shown.get(item(number).key, now).is_some());
        }
        assert!(shown.get(item(0).key, now).is_none(), "too many came after it");
        shown.forget(item(999).key);
        assert!(shown.get(item(999).key, now).is_none());
    }
}
