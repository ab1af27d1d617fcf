//! What an answer falls back to when candidates are missing: the lower rungs of the brown-out ladder.
//!
//! Everything here is in memory: a fallback that has to ask somebody is none. Must not know HTTP.

mod last_good;
mod popular;

use std::{sync::Arc, time::Duration};

use contracts::Catalogue;
use last_good::LastGood;
pub(crate) use last_good::PageKey;
use popular::Popular;
use service_runtime::Runtime;
use shared_models::{ItemKey, ReleaseId, TenantId, degraded::DegradedLevel, item::Market, surface::Fallback};

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
}

impl Fallbacks {
    /// Starts to keep popular items of these tenants, and of every market that is asked for.
    pub(crate) fn start(
        limits: Limits,
        catalogue: Arc<dyn Catalogue>,
        tenants: Vec<TenantId>,
        runtime: &Runtime,
    ) -> Self {
        let popular = Popular::start(catalogue, tenants, limits.popular_items, limits.popular_refresh, runtime);
        Self { last_good: LastGood::new(limits.pages, limits.page_time_to_live), popular }
    }

    /// Says that a market is asked for, so that its popular items are kept.
    pub(crate) fn expect(&self, tenant: &TenantId, market: Market) {
        self.popular.expect(tenant, market);
    }

    /// Keeps a good page of a listener.
    pub(crate) fn keep(&self, key: PageKey, shelves: &Arc<Vec<PageShelf>>, release: Option<&ReleaseId>) {
        self.last_good.keep(key, shelves, release);
    }

    /// The best page that can be had without asking anybody, without the items that must not be there.
    pub(crate) fn fall(
        &self,
        kind: Fallback,
        key: Option<&PageKey>,
        tenant: &TenantId,
        market: Market,
        size: usize,
        unwanted: &[ItemKey],
    ) -> Fallen {
        let empty = Fallen { level: DegradedLevel::Empty, shelves: Vec::new(), release: None };
        if kind == Fallback::Empty {
            return empty;
        }
        if let Some((kept, release)) = key.and_then(|key| self.last_good.page(key)) {
            let shelves = without(&kept, unwanted);
            if !shelves.is_empty() {
                return Fallen { level: DegradedLevel::LastGood, shelves, release };
            }
        }
        let shelves = self.popular.shelf(tenant, market, size, unwanted);
        if shelves.is_empty() { empty } else { Fallen { level: DegradedLevel::Popular, shelves, release: None } }
    }
}

/// The shelves without the cards of some items, and without shelves that this empties.
fn without(shelves: &[PageShelf], unwanted: &[ItemKey]) -> Vec<PageShelf> {
    let wanted = |card: &&Card| !unwanted.contains(&card.item.key);
    let shelves = shelves
        .iter()
        .map(|shelf| PageShelf { cards: shelf.cards.iter().filter(wanted).cloned().collect(), ..shelf.clone() });
    shelves.filter(|shelf| !shelf.cards.is_empty()).collect()
}
