//! What an answer falls back to when candidates are missing: the lower rungs of the brown-out ladder.
//!
//! Everything here is in memory: a fallback that has to ask somebody is none. What is popular is on disk too, for a
//! start without services. Last good pages are not: what a listener hides while this edge is down, or tells another one,
//! this edge never hears of, and a page from disk would show it again. Must not know HTTP.

mod changes;
mod last_good;
mod popular;
mod snapshot;

use std::{collections::HashSet, sync::Arc, time::Duration};

use changes::Changes;
pub(crate) use changes::Moment;
use contracts::Catalogue;
use last_good::LastGood;
pub(crate) use last_good::{GoodPage, PageKey};
use popular::Popular;
use service_runtime::Runtime;
use shared_models::{
    ItemKey, ReleaseId, ShelfId, TenantId, UserId, degraded::DegradedLevel, item::Market, surface::Fallback,
};
pub(crate) use snapshot::Snapshot;

use crate::page::{Card, PageShelf};

/// How much the edge keeps for the day when everything else is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many listeners' last good pages are kept.
    pub(crate) pages: u64,
    /// How long a last good page is good.
    pub(crate) page_time_to_live: Duration,
    /// How many popular items are kept for a market.
    pub(crate) popular_items: usize,
    /// How often popular items are read anew.
    pub(crate) popular_refresh: Duration,
}

/// What is asked for when candidates are missing.
pub(crate) struct Wanted<'a> {
    pub(crate) kind: Fallback,
    pub(crate) tenant: &'a TenantId,
    pub(crate) user: Option<&'a UserId>,
    pub(crate) market: Market,
    /// The listener's own page; none where it would be another one, or nobody knows who asks.
    pub(crate) key: Option<&'a PageKey>,
    /// Items that the answer must not hold.
    pub(crate) unwanted: Vec<ItemKey>,
    /// The most cards of the shelf of popular items.
    pub(crate) size: usize,
    /// The most cards of each other shelf.
    pub(crate) most: &'a dyn Fn(&ShelfId) -> usize,
}

/// A page from a lower rung.
pub(crate) struct Fallen {
    pub(crate) level: DegradedLevel,
    pub(crate) shelves: Vec<PageShelf>,
    pub(crate) release: Option<ReleaseId>,
}

/// The edge's own memory of good answers.
pub(crate) struct Fallbacks {
    last_good: LastGood,
    popular: Arc<Popular>,
    changes: Arc<Changes>,
}

impl Fallbacks {
    /// Starts to keep popular items of these tenants, and of every market that is asked for; first those of the
    /// snapshot.
    pub(crate) fn start(
        limits: Limits,
        snapshot: Option<Snapshot>,
        catalogue: Arc<dyn Catalogue>,
        tenants: &HashSet<TenantId>,
        runtime: &Runtime,
    ) -> Self {
        let changes = Arc::new(Changes::default());
        let popular = Popular::start(&limits, snapshot, catalogue, tenants, &changes, runtime);
        Self { last_good: LastGood::new(limits.pages, limits.page_time_to_live), popular, changes }
    }

    /// Says that a market is asked for, so that its popular items are kept.
    pub(crate) fn expect(&self, tenant: &TenantId, market: Market) {
        self.popular.expect(tenant, market);
    }

    /// The moment to note before a page is gathered.
    pub(crate) fn now(&self) -> Moment {
        self.changes.now()
    }

    /// Keeps a good page of a listener. A full page stays as long as it is fresh; a partial one, or one that was asked
    /// to be short, is only better than none.
    pub(crate) fn keep(&self, key: PageKey, page: GoodPage) {
        let (tenant, user) = (key.tenant.clone(), key.user.clone());
        self.last_good.keep(key, page, |kept| self.changes.trusts_page(&tenant, &user, kept.made));
    }

    /// Items were written or deleted: what was kept before shows them no more.
    pub(crate) fn items_changed(&self, tenant: &TenantId, keys: &[ItemKey]) {
        self.changes.items(tenant, keys.iter().copied());
        self.popular.items_changed(tenant, keys);
    }

    /// A listener's taste or attributes changed: what was kept for them before is forgotten, and what they hid is shown
    /// by no fallback.
    pub(crate) fn listener_changed(&self, tenant: &TenantId, user: &UserId, hid: Option<ItemKey>) {
        self.changes.listener(tenant, user, hid);
    }

    /// The best page that can be had without asking anybody, without the items that must not be there.
    pub(crate) fn fall(&self, wanted: &Wanted<'_>) -> Fallen {
        let empty = Fallen { level: DegradedLevel::Empty, shelves: Vec::new(), release: None };
        if wanted.kind == Fallback::Empty {
            return empty;
        }
        let kept = wanted.key.and_then(|key| {
            let page = self.last_good.page(key)?;
            self.changes.trusts_page(&key.tenant, &key.user, page.made).then_some(page)
        });
        if let Some(page) = kept {
            let shelves = self.still_good(&page.shelves, page.made, wanted, wanted.most);
            if !shelves.is_empty() {
                return Fallen { level: DegradedLevel::LastGood, shelves, release: page.release };
            }
        }
        let (shelves, read) = self.popular.shelf(wanted.tenant, wanted.market);
        let shelves = self.still_good(&shelves, read, wanted, &|_| wanted.size);
        if shelves.is_empty() { empty } else { Fallen { level: DegradedLevel::Popular, shelves, release: None } }
    }

    /// The shelves without the cards that must not be there or have changed since, and as short as they are asked for.
    fn still_good(
        &self,
        shelves: &[PageShelf],
        made: Moment,
        wanted: &Wanted<'_>,
        most: &dyn Fn(&ShelfId) -> usize,
    ) -> Vec<PageShelf> {
        let cards = || shelves.iter().flat_map(|shelf| &shelf.cards);
        let keys =
            cards().flat_map(|card| std::iter::once(&card.item).chain(&card.reason.evidence).map(|item| item.key));
        let (changed, hidden) = self.changes.since(wanted.tenant, wanted.user, keys, made);
        let fits = |card: &&Card| {
            let key = &card.item.key;
            !wanted.unwanted.contains(key) && !changed.contains(key) && !hidden.contains(key)
        };
        let shown = |card: &Card| {
            let mut card = card.clone();
            card.reason.evidence.retain(|item| !changed.contains(&item.key));
            card
        };
        let shelves = shelves.iter().map(|shelf| PageShelf {
            cards: shelf.cards.iter().filter(fits).take(most(&shelf.id)).map(shown).collect(),
            id: shelf.id.clone(),
            title: Arc::clone(&shelf.title),
        });
        shelves.filter(|shelf| !shelf.cards.is_empty()).collect()
    }
}
