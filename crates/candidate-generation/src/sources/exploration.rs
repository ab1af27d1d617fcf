//! Items that few have met, near the listener's taste: those that came since the release was made, those it has no
//! factors of because nobody played them, and the half that was played least. What was shown lately counts less the oftener
//! it was: an item gets its chance, and then its plays speak for it. Evidence: as of `embedding`.
//!
//! How often an item was shown is what this process took in since it started: where several share the events, it is
//! their part of the truth, and a restart gives every item another chance.

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

/// After so many times that it was shown an item counts half.
const HALF_AT: f32 = 20.0;
/// After so many it has had its chance.
const ENOUGH: f32 = 200.0;
/// Items looked at for each one wanted: those that were shown often give way.
const LOOKED_AT: usize = 3;

pub(super) struct ExplorationSource;

#[async_trait]
impl Source<PageQuery, Handle> for ExplorationSource {
    fn name(&self) -> &'static str {
        SourceName::Exploration.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let serving = release_of(query)?;
        let (Some(factors), Some(index)) = (&serving.release.factors, &serving.embedding) else {
            return Err(no_release());
        };
        let Some(vector) = taste::vector(query, serving, factors) else {
            return Ok(Vec::new());
        };
        let evidence = taste::evidence(query, serving, factors);
        let added = serving.added();
        let added = added.as_deref();
        let filter = Filter { rows: Some(serving.rare()), added: Wanted::All };
        let shown = query.crowd.shown.plays(query.now());
        let found = index
            .search_among(factors, added, filter, &vector, limit * LOOKED_AT)
            .into_iter()
            .filter_map(|(row, product)| {
                let key = serving.found(added, row, &query.catalogue)?;
                let shown = shown(key.key);
                if product <= 0.0 || shown >= ENOUGH {
                    return None;
                }
                let values = added.and_then(|added| added.vector(row)).unwrap_or_else(|| factors.row(row));
                let score = product * HALF_AT / (HALF_AT + shown);
                Some(Found { key, score, seed: taste::nearest(key, values, &evidence) })
            })
            .collect();
        Ok(best_first(query, found, limit))
    }

    fn data_age(&self, query: &PageQuery) -> Option<Duration> {
        release_age(query)
    }
}
