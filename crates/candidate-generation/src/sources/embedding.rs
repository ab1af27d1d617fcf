//! Nearest items to the listener's vector, those that came since the release was made among them. Evidence: the nearest of
//! the items the page is about, or of those the listener played lately (`taste`).

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use shared_models::component::SourceName;

use super::{best_first, no_release, release_age, release_of, taste};
use crate::{
    catalog::Handle,
    index::{Filter, Wanted},
    query::PageQuery,
};

pub(super) struct EmbeddingSource;

#[async_trait]
impl Source<PageQuery, Handle> for EmbeddingSource {
    fn name(&self) -> &'static str {
        SourceName::Embedding.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let serving = release_of(query)?;
        let (Some(factors), Some(index)) = (&serving.release.factors, &serving.embedding) else {
            return Err(no_release());
        };
        // Somebody unknown has no taste yet: nothing is missing, there is just nothing near.
        let Some(vector) = taste::vector(query, serving, factors) else {
            return Ok(Vec::new());
        };
        let evidence = taste::evidence(query, serving, factors);
        let added = serving.added();
        let added = added.as_deref();
        let filter = Filter { rows: None, added: Wanted::New };
        let found = index
            .search_among(factors, added, filter, &vector, limit + query.asked.seed_items.len())
            .into_iter()
            .filter_map(|(row, score)| {
                let key = serving.found(added, row, &query.catalogue)?;
                let values = added.and_then(|added| added.vector(row)).unwrap_or_else(|| factors.row(row));
                Some(Found { key, score, seed: taste::nearest(key, values, &evidence) })
            })
            .collect();
        Ok(best_first(query, found, limit))
    }

    fn data_age(&self, query: &PageQuery) -> Option<Duration> {
        release_age(query)
    }
}
