//! The newest items, the listener's artists and genres first. Evidence: the listener's most played item
//! of the artist, where the artist is theirs.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use shared_models::component::{SourceName, SourceParams};

use super::best_first;
use crate::{
    catalog::{Handle, Row},
    query::PageQuery,
};

/// How far back to look where the plan does not say.
const WITHIN: Duration = Duration::from_secs(60 * 86_400);
/// New items looked at for each one wanted, so that the listener's own are found among others' news.
const LOOKED_AT: usize = 8;
/// A share of the listener's plays that lifts an item over a newer one by a whole window.
const SHARE: f32 = 0.02;

pub(super) struct NewReleasesSource {
    within: Duration,
}

impl NewReleasesSource {
    pub(super) fn new(params: SourceParams) -> Self {
        Self { within: params.within.unwrap_or(WITHIN) }
    }
}

#[async_trait]
impl Source<PageQuery, Handle> for NewReleasesSource {
    fn name(&self) -> &'static str {
        SourceName::NewReleases.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let (now, from) = (query.now(), query.now().before(self.within));
        let profile = &query.listener.profile;
        let window_days = (self.within.as_secs_f32() / 86_400.0).max(1.0);
        let mut found: Vec<Found<Handle>> = Vec::new();
        for (at, slot) in
            query.catalogue.newest().until(now).take(limit.saturating_mul(LOOKED_AT)).take_while(|(at, _)| *at >= from)
        {
            let Some(row) = query.catalogue.row(slot) else {
                continue;
            };
            let freshness = 1.0 - (now.days_since(at) / window_days).min(1.0);
            let artist = if profile.followed.contains(row.artist) { SHARE } else { 0.0 }
                + profile.artists.share(row.artist, now);
            let score = freshness + (artist / SHARE).min(3.0) + genre_share(query, row);
            found.push(Found { key: Handle { key: row.key, slot }, score, seed: None });
        }
        let mut best = best_first(query, found, limit);
        for found in &mut best {
            let artist = query.row(found.key).map(|row| row.artist);
            found.seed =
                artist.and_then(|artist| profile.items.most_played_of(artist)).map(|key| query.catalogue.handle(key));
        }
        Ok(best)
    }
}

fn genre_share(query: &PageQuery, row: &Row) -> f32 {
    row.genres.iter().map(|genre| query.listener.profile.genres.share(*genre, query.now())).sum()
}
