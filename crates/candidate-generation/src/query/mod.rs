//! A page's question with everything its stages read: one state of the catalogue, of the release, of
//! the listener and of the trends, so that no stage contradicts another.
//!
//! It must not know where these come from.

use std::sync::Arc;

use shared_models::{ItemKey, Timestamp, item::Market, plan::CandidateQuery};

use crate::{
    catalog::{Handle, Row, Snapshot},
    index::{Serving, Trends},
    profiles::{UserVector, memory::ServingProfile},
};

/// What everybody was shown and took of late, by what this process took in since it started.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// How often items were shown, halved every 7 days.
    pub shown: Arc<Trends>,
    /// How often that was followed by a play, halved alike.
    pub taken: Arc<Trends>,
    /// How often items are shown an hour.
    pub hourly: Arc<Trends>,
}

/// What the stages of one page read.
#[derive(Debug)]
pub struct PageQuery {
    /// What was asked.
    pub asked: CandidateQuery,
    /// The catalogue.
    pub catalogue: Arc<Snapshot>,
    /// The release that serves, when one is live.
    pub serving: Option<Arc<Serving>>,
    /// The listener; empty for somebody unknown.
    pub listener: Arc<ServingProfile>,
    /// The listener's vector, when a release is live.
    pub vector: Option<Arc<UserVector>>,
    /// What everybody plays now.
    pub trends: Arc<Trends>,
    /// What everybody was shown and took of late.
    pub crowd: Crowd,
    /// The seed items, sorted: they are never candidates.
    seeds: Vec<ItemKey>,
    /// The items the request excludes, sorted.
    excluded: Vec<ItemKey>,
}

impl PageQuery {
    /// A page's question.
    #[must_use]
    pub fn new(
        asked: CandidateQuery,
        catalogue: Arc<Snapshot>,
        serving: Option<Arc<Serving>>,
        listener: Arc<ServingProfile>,
        trends: Arc<Trends>,
    ) -> Self {
        let sorted = |keys: &[ItemKey]| {
            let mut keys = keys.to_vec();
            keys.sort_unstable();
            keys
        };
        let (seeds, excluded) = (sorted(&asked.seed_items), sorted(&asked.exclude));
        let vector = serving.as_ref().map(|serving| listener.vector(&serving.release));
        Self { asked, catalogue, serving, listener, vector, trends, crowd: Crowd::default(), seeds, excluded }
    }

    /// The same with what everybody was shown and took of late.
    #[must_use]
    pub fn with_crowd(self, crowd: Crowd) -> Self {
        Self { crowd, ..self }
    }

    /// The time of the request.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.asked.context.now
    }

    /// Where the listener is: by the request, else at home by what the tenant told.
    #[must_use]
    pub fn market(&self) -> Market {
        let asked = self.asked.context.market;
        let home = || self.listener.attributes.as_ref().and_then(|attributes| attributes.market);
        if asked == Market::UNKNOWN { home().unwrap_or(asked) } else { asked }
    }

    /// Whether explicit items may be shown; so unless the tenant told otherwise.
    #[must_use]
    pub fn explicit_allowed(&self) -> bool {
        self.listener.attributes.as_ref().is_none_or(|attributes| attributes.explicit_allowed)
    }

    /// Whether the request is about this item.
    #[inline]
    #[must_use]
    pub fn is_seed(&self, key: ItemKey) -> bool {
        !self.seeds.is_empty() && self.seeds.binary_search(&key).is_ok()
    }

    /// Whether the request excludes this item.
    #[inline]
    #[must_use]
    pub fn is_excluded(&self, key: ItemKey) -> bool {
        !self.excluded.is_empty() && self.excluded.binary_search(&key).is_ok()
    }

    /// The live item of a candidate.
    #[inline]
    #[must_use]
    pub fn row(&self, item: Handle) -> Option<&Row> {
        self.catalogue.row(item.slot)
    }
}
