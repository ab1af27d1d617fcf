//! What the listener played, latest first. Evidence: the item itself.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use shared_models::component::{SourceName, SourceParams};

use crate::{catalog::Handle, query::PageQuery};

pub(super) struct RecentlyPlayedSource {
    within: Duration,
}

impl RecentlyPlayedSource {
    pub(super) fn new(params: SourceParams) -> Self {
        Self { within: params.within.unwrap_or(Duration::MAX) }
    }
}

#[async_trait]
impl Source<PageQuery, Handle> for RecentlyPlayedSource {
    fn name(&self) -> &'static str {
        SourceName::RecentlyPlayed.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let now = query.now();
        let from = now.before(self.within);
        let played = query.listener.profile.items.played(limit + query.asked.seed_items.len());
        let found = played
            .into_iter()
            .filter(|(key, at)| *at >= from && !query.is_seed(*key))
            .take(limit)
            .map(|(key, at)| {
                let item = query.catalogue.handle(key);
                Found { key: item, score: 1.0 / (1.0 + now.days_since(at)), seed: Some(item) }
            })
            .collect();
        Ok(found)
    }
}
