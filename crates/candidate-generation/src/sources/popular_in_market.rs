//! The most played items of the request's segment, by the release: of the market at this quarter of the day, of the market
//! where that is all the release knows, else of everybody; what was played lately counts more. No evidence: whether an
//! item is popular in the market is the fact `market_popularity`, and 0 for those of everywhere.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use releases::rates::quarter_of;
use shared_models::component::SourceName;

use super::{no_release, release_age, release_of};
use crate::{catalog::Handle, query::PageQuery};

pub(super) struct PopularInMarketSource;

#[async_trait]
impl Source<PageQuery, Handle> for PopularInMarketSource {
    fn name(&self) -> &'static str {
        SourceName::PopularInMarket.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let serving = release_of(query)?;
        if serving.release.popularity.is_none() && serving.release.segments.is_none() {
            return Err(no_release());
        }
        let found = serving
            .most_played_in(query.market(), Some(quarter_of(query.now())))
            .iter()
            .filter_map(|(row, score)| {
                Some(Found { key: serving.handle(*row, &query.catalogue)?, score: *score, seed: None })
            })
            .filter(|found| !query.is_seed(found.key.key))
            .take(limit)
            .collect();
        Ok(found)
    }

    fn data_age(&self, query: &PageQuery) -> Option<Duration> {
        release_age(query)
    }
}
