//! Items of the artists the listener plays most, and of those they follow. Evidence: the listener's
//! most played item of the artist.

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use shared_models::{
    ItemKey, Timestamp,
    component::{SourceName, SourceParams},
};

use super::best_first;
use crate::{catalog::Handle, query::PageQuery};

/// How many artists to start from where the plan does not say.
const ARTISTS: usize = 10;
/// Items looked at of one artist: more than any shelf shows, and a bound for the most prolific.
const ITEMS: usize = 500;
/// What a follow is worth where plays say less.
const FOLLOWED_SHARE: f32 = 0.05;

pub(super) struct FavouriteArtistsSource {
    artists: usize,
}

impl FavouriteArtistsSource {
    pub(super) fn new(params: SourceParams) -> Self {
        Self { artists: params.artists.map_or(ARTISTS, usize::from) }
    }

    /// The artists with their share of the listener's plays, largest first.
    fn artists(&self, query: &PageQuery) -> Vec<(ItemKey, f32)> {
        let profile = &query.listener.profile;
        let mut artists = profile.artists.strongest(self.artists, query.now());
        for (key, _) in profile.followed.as_slice() {
            match artists.iter_mut().find(|(artist, _)| artist == key) {
                Some((_, share)) => *share = share.max(FOLLOWED_SHARE),
                None if !query.catalogue.by_artist(*key).is_empty() => {
                    artists.push((*key, FOLLOWED_SHARE.max(profile.artists.share(*key, query.now()))));
                }
                None => {}
            }
        }
        artists.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        artists.truncate(self.artists);
        artists
    }
}

#[async_trait]
impl Source<PageQuery, Handle> for FavouriteArtistsSource {
    fn name(&self) -> &'static str {
        SourceName::FavouriteArtists.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let artists = self.artists(query);
        // Every artist may fill twice its even part, so that a narrow one leaves room for the others.
        let each = (limit * 2).div_ceil(artists.len().max(1)).max(1);
        let mut found = Vec::new();
        for (artist, share) in artists {
            let evidence = query.listener.profile.items.most_played_of(artist).map(|key| query.catalogue.handle(key));
            let slots = query.catalogue.by_artist(artist);
            let mut items: Vec<(f32, Timestamp, Handle)> = slots
                .iter()
                .take(ITEMS)
                .filter_map(|slot| {
                    let item = query.catalogue.handle_of(*slot)?;
                    let released = query.row(item)?.released_at.unwrap_or_default();
                    Some((popularity(query, item), released, item))
                })
                .collect();
            // The artist's best first; among the unheard, the newest.
            items.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
            found.extend(items.into_iter().take(each).enumerate().map(|(place, (_, _, key))| Found {
                key,
                score: share / (1.0 + place as f32).sqrt(),
                seed: evidence,
            }));
        }
        Ok(best_first(query, found, limit))
    }
}

fn popularity(query: &PageQuery, item: Handle) -> f32 {
    let of = || {
        let serving = query.serving.as_deref()?;
        Some(serving.release.popularity.as_ref()?.of(serving.row(item)?))
    };
    of().unwrap_or(0.0)
}
