//! The sources: one file each, named as in plans, traces and metrics.
//!
//! A source finds candidates and nothing else: it neither filters nor mixes. None of them waits for
//! anything, so none of them can be late by more than its own arithmetic.

mod embedding;
mod exploration;
mod favourite_artists;
mod item_to_item;
mod new_releases;
mod popular_in_market;
mod recently_played;
mod taste;
mod trending;

use std::time::Duration;

use pipeline::{
    Failure, StageResult,
    candidates::{Found, Source},
};
use shared_models::{Timestamp, component::SourceName, degraded::DegradedCause, plan::SourcePlan};

use crate::{catalog::Handle, index::Serving, query::PageQuery};

/// A source with its settings, ready to run.
#[must_use]
pub fn source(plan: &SourcePlan) -> Box<dyn Source<PageQuery, Handle>> {
    let params = plan.params;
    match plan.name {
        SourceName::Embedding => Box::new(embedding::EmbeddingSource),
        SourceName::Exploration => Box::new(exploration::ExplorationSource),
        SourceName::ItemToItem => Box::new(item_to_item::ItemToItemSource::new(params)),
        SourceName::Trending => Box::new(trending::TrendingSource),
        SourceName::NewReleases => Box::new(new_releases::NewReleasesSource::new(params)),
        SourceName::RecentlyPlayed => Box::new(recently_played::RecentlyPlayedSource::new(params)),
        SourceName::PopularInMarket => Box::new(popular_in_market::PopularInMarketSource),
        SourceName::FavouriteArtists => Box::new(favourite_artists::FavouriteArtistsSource::new(params)),
    }
}

/// The release, which the source cannot do without.
fn release_of(query: &PageQuery) -> StageResult<&Serving> {
    query.serving.as_deref().ok_or_else(no_release)
}

/// There is no release, or none with what the source needs.
fn no_release() -> Failure {
    Failure::of(DegradedCause::NoRelease)
}

/// How old the release is: what a source knows that asks nothing else.
fn release_age(query: &PageQuery) -> Option<Duration> {
    let made = query.serving.as_ref()?.release.manifest.created_at;
    (made > Timestamp(0)).then(|| query.now().since(made))
}

/// Candidates of these scores, best first, ties by item; seed items left out.
fn best_first(query: &PageQuery, mut found: Vec<Found<Handle>>, limit: usize) -> Vec<Found<Handle>> {
    found.retain(|found| !query.is_seed(found.key.key));
    let order = |a: &Found<Handle>, b: &Found<Handle>| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key));
    if found.len() > limit && limit > 0 {
        found.select_nth_unstable_by(limit - 1, order);
    }
    found.truncate(limit);
    found.sort_unstable_by(order);
    found
}
