//! What this edge has heard of since a page was made: items that were written or deleted, listeners who changed.
//!
//! A kept page is not asked of anybody again, so what would have changed it must be known here. Must not know pages.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use shared_models::{ItemKey, TenantId, UserId};
use smallvec::SmallVec;

/// How many items' changes are remembered for a tenant, and how many listeners'.
const MOST_REMEMBERED: usize = 50_000;
/// How many of the items that a listener hid are remembered, the last ones.
const MOST_HIDDEN: usize = 64;

/// A place in the order of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// The items that a listener hid lately.
pub(super) type Hidden = SmallVec<[ItemKey; 4]>;

/// The changes, by tenant: no tenant's imports make the edge forget another's.
#[derive(Default)]
pub(super) struct Changes {
    count: AtomicU64,
    tenants: Mutex<HashMap<TenantId, OfTenant>>,
}

#[derive(Default)]
struct OfTenant {
    items: Remembered<ItemKey>,
    listeners: Remembered<UserId>,
    hidden: FxHashMap<UserId, Hidden>,
}

impl Changes {
    /// Now: what changes from here on is later.
    pub(super) fn now(&self) -> Moment {
        Moment(self.count.load(Ordering::Acquire))
    }

    /// Remembers that items were written or deleted.
    pub(super) fn items(&self, tenant: &TenantId, keys: impl IntoIterator<Item = ItemKey>) {
        let mut tenants = self.tenants.lock();
        let at = self.next();
        let of = tenants.entry(tenant.clone()).or_default();
        for key in keys {
            of.items.remember(key, at);
        }
    }

    /// Remembers that a listener's taste or attributes changed, and what they hid.
    pub(super) fn listener(&self, tenant: &TenantId, user: &UserId, hid: Option<ItemKey>) {
        let mut tenants = self.tenants.lock();
        let at = self.next();
        let of = tenants.entry(tenant.clone()).or_default();
        if let Some(forgotten) = of.listeners.remember(user.clone(), at) {
            of.hidden.remove(&forgotten);
        }
        if let Some(item) = hid {
            let hidden = of.hidden.entry(user.clone()).or_default();
            hidden.retain(|known| *known != item);
            if hidden.len() == MOST_HIDDEN {
                hidden.remove(0);
            }
            hidden.push(item);
        }
    }

    /// Whether a page of this listener, made at a moment, may still be what they should see.
    pub(super) fn trusts_page(&self, tenant: &TenantId, user: &UserId, made: Moment) -> bool {
        let tenants = self.tenants.lock();
        tenants.get(tenant).is_none_or(|of| {
            let changed = of.listeners.at.get(user).is_some_and(|at| *at > made);
            !changed && of.listeners.forgotten <= made && of.items.forgotten <= made
        })
    }

    /// Which of these items changed after a moment, and which the listener hid.
    pub(super) fn since(
        &self,
        tenant: &TenantId,
        user: Option<&UserId>,
        keys: impl Iterator<Item = ItemKey>,
        made: Moment,
    ) -> (Vec<ItemKey>, Hidden) {
        let tenants = self.tenants.lock();
        let Some(of) = tenants.get(tenant) else { return Default::default() };
        let changed = keys.filter(|key| of.items.at.get(key).is_some_and(|at| *at > made)).collect();
        (changed, user.and_then(|user| of.hidden.get(user)).cloned().unwrap_or_default())
    }

    /// The next moment. Called under the lock, so that moments are remembered in their order.
    fn next(&self) -> Moment {
        Moment(self.count.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

/// When things last changed; past the bound the oldest are forgotten, and when that was is remembered instead.
struct Remembered<K> {
    at: FxHashMap<K, Moment>,
    order: VecDeque<(Moment, K)>,
    /// The last change that was forgotten.
    forgotten: Moment,
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self { at: FxHashMap::default(), order: VecDeque::new(), forgotten: Moment::default() }
    }
}

impl<K: Clone + Eq + Hash> Remembered<K> {
    /// Remembers a change; what is forgotten for it.
    fn remember(&mut self, key: K, at: Moment) -> Option<K> {
        self.at.insert(key.clone(), at);
        self.order.push_back((at, key));
        if self.order.len() <= MOST_REMEMBERED {
            return None;
        }
        let (at, key) = self.order.pop_front()?;
        // What changed again since stands further back in the order.
        if self.at.get(&key) != Some(&at) {
            return None;
        }
        self.at.remove(&key);
        self.forgotten = at;
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("demo").unwrap()
    }

    fn user(number: usize) -> UserId {
        UserId::new(format!("user-{number}")).unwrap()
    }

    #[test]
    fn only_what_changed_later_counts() {
        let changes = Changes::default();
        changes.items(&tenant(), [ItemKey(1)]);
        let made = changes.now();
        changes.items(&tenant(), [ItemKey(2), ItemKey(3)]);
        let keys = || (1..5).map(ItemKey);
        assert_eq!(changes.since(&tenant(), None, keys(), made).0, [ItemKey(2), ItemKey(3)]);
        assert!(changes.since(&tenant(), None, keys(), changes.now()).0.is_empty());
        assert!(changes.since(&TenantId::new("other").unwrap(), None, keys(), made).0.is_empty());
    }

    #[test]
    fn a_listener_who_changed_is_not_served_from_before() {
        let changes = Changes::default();
        let made = changes.now();
        assert!(changes.trusts_page(&tenant(), &user(1), made));
        changes.listener(&tenant(), &user(1), Some(ItemKey(9)));
        assert!(!changes.trusts_page(&tenant(), &user(1), made));
        assert!(changes.trusts_page(&tenant(), &user(1), changes.now()));
        assert!(changes.trusts_page(&tenant(), &user(2), made));
        for number in 0..MOST_HIDDEN as u64 * 2 {
            changes.listener(&tenant(), &user(1), Some(ItemKey(number)));
        }
        let (_, hidden) = changes.since(&tenant(), Some(&user(1)), std::iter::empty(), made);
        assert_eq!((hidden.len(), hidden.last()), (MOST_HIDDEN, Some(&ItemKey(MOST_HIDDEN as u64 * 2 - 1))));
    }

    #[test]
    fn what_was_forgotten_is_distrusted() {
        let changes = Changes::default();
        let made = changes.now();
        changes.listener(&tenant(), &user(0), Some(ItemKey(1)));
        let later = changes.now();
        for number in 1..=MOST_REMEMBERED {
            changes.listener(&tenant(), &user(number), None);
        }
        assert!(
            !changes.trusts_page(&tenant(), &user(0), made),
            "user 0 is forgotten, and with them when they changed"
        );
        assert!(changes.trusts_page(&tenant(), &user(0), later));
        assert!(changes.since(&tenant(), Some(&user(0)), std::iter::empty(), made).1.is_empty());
        let tenants = changes.tenants.lock();
        let of = tenants.get(&tenant()).unwrap();
        assert!(of.listeners.order.len() <= MOST_REMEMBERED && of.listeners.at.len() <= MOST_REMEMBERED);
    }
}
