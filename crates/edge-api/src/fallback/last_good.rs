//! Each listener's last good page, for a while.
//!
//! Must not know why a page is needed again.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use rustc_hash::FxBuildHasher;
use shared_models::{ReleaseId, SurfaceId, TenantId, UserId};

use crate::{page::PageShelf, plan::Shape};

/// Whose page of which surface. Items that the request is about are part of it: another item, another page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) tenant: TenantId,
    pub(crate) surface: SurfaceId,
    pub(crate) user: UserId,
    pub(crate) shape: Shape,
}

type Kept = (Arc<Vec<PageShelf>>, Option<ReleaseId>);

/// The pages that are kept.
pub(super) struct LastGood(Cache<PageKey, Kept, FxBuildHasher>);

impl LastGood {
    pub(super) fn new(pages: u64, time_to_live: Duration) -> Self {
        Self(Cache::builder().max_capacity(pages).time_to_live(time_to_live).build_with_hasher(FxBuildHasher))
    }

    pub(super) fn keep(&self, key: PageKey, shelves: &Arc<Vec<PageShelf>>, release: Option<&ReleaseId>) {
        self.0.insert(key, (Arc::clone(shelves), release.cloned()));
    }

    pub(super) fn page(&self, key: &PageKey) -> Option<Kept> {
        self.0.get(key)
    }
}
