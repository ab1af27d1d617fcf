//! What everybody plays now. No evidence: it is nobody's in particular.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use shared_models::component::SourceName;

use crate::{catalog::Handle, query::PageQuery};

pub(super) struct TrendingSource;

#[async_trait]
impl Source<PageQuery, Handle> for TrendingSource {
    fn name(&self) -> &'static str {
        SourceName::Trending.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        // What left the catalogue makes room for what is in it.
        let top = query
            .trends
            .top(query.now())
            .map(|(key, plays)| Found { key: query.catalogue.handle(key), score: plays.ln_1p(), seed: None })
            .filter(|found| query.row(found.key).is_some() && !query.is_seed(found.key.key))
            .take(limit);
        Ok(top.collect())
    }

    fn data_age(&self, query: &PageQuery) -> Option<Duration> {
        query.trends.as_of().map(|latest| query.now().since(latest))
    }
}
