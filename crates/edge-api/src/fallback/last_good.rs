//! Each listener's last good page, for a while.
//!
//! Must not know why a page is needed again, nor what has changed since it was made.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use rustc_hash::FxBuildHasher;
use shared_models::{ReleaseId, SurfaceId, TenantId, UserId, degraded::DegradedLevel, item::Market};

use super::Moment;
use crate::{page::PageShelf, plan::Shape};

/// Whose page of which surface, and where they were: what may be shown in one market is not for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) tenant: TenantId,
    pub(crate) surface: SurfaceId,
    pub(crate) user: UserId,
    pub(crate) shape: Shape,
    pub(crate) market: Market,
}

/// A page that was good.
#[derive(Clone)]
pub(crate) struct GoodPage {
    pub(crate) shelves: Arc<Vec<PageShelf>>,
    pub(crate) release: Option<ReleaseId>,
    /// `None` or `Partial`: lower rungs are not good.
    pub(crate) level: DegradedLevel,
    /// The most cards on a shelf that it was asked for.
    pub(crate) limit: Option<u16>,
    /// The moment before anything of it was gathered.
    pub(crate) made: Moment,
}

impl GoodPage {
    /// Whether another page of the same listener is the better one to have, whatever their age.
    fn is_worth_less_than(&self, other: &Self) -> bool {
        let most = |page: &Self| page.limit.unwrap_or(u16::MAX);
        self.level > other.level || most(self) < most(other)
    }
}

/// The pages that are kept.
pub(super) struct LastGood(Cache<PageKey, GoodPage, FxBuildHasher>);

impl LastGood {
    pub(super) fn new(pages: u64, time_to_live: Duration) -> Self {
        Self(Cache::builder().max_capacity(pages).time_to_live(time_to_live).build_with_hasher(FxBuildHasher))
    }

    /// Keeps a page, unless a better one is there that `trusted` still stands for.
    pub(super) fn keep(&self, key: PageKey, page: GoodPage, trusted: impl FnOnce(&GoodPage) -> bool) {
        let better = self.0.get(&key).filter(|kept| page.is_worth_less_than(kept));
        if !better.is_some_and(|kept| trusted(&kept)) {
            self.0.insert(key, page);
        }
    }

    pub(super) fn page(&self, key: &PageKey) -> Option<GoodPage> {
        self.0.get(key)
    }
}
