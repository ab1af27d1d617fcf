//! Items of the artists the listener plays most, and of those they follow. Evidence: the listener's
//! most played item of the artist.

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use rustc_hash::FxHashSet;
use shared_models::{
    ItemKey,
    component::{SourceName, SourceParams},
};

use super::best_first;
use crate::{catalog::Handle, query::PageQuery};

/// How many artists to start from where the plan does not say.
const ARTISTS: usize = 10;
/// Items looked at of one artist: more than any shelf shows, and a bound for the most prolific.
const ITEMS: usize = 500;
/// Follows looked at for each artist wanted: the catalogue may have nothing of some.
const LOOKED_AT: usize = 4;
/// What a follow is worth where plays say less.
const FOLLOWED_SHARE: f32 = 0.05;

pub(super) struct FavouriteArtistsSource {
    artists: usize,
}

impl FavouriteArtistsSource {
    pub(super) fn new(params: SourceParams) -> Self {
        Self { artists: params.artists.map_or(ARTISTS, usize::from) }
    }

    /// The artists with their share of the listener's plays, largest first: those played most, and those
    /// followed last.
    fn artists(&self, query: &PageQuery) -> Vec<(ItemKey, f32)> {
        let profile = &query.listener.profile;
        let mut artists = profile.artists.strongest(self.artists, query.now());
        for (key, share) in &mut artists {
            if profile.followed.contains(*key) {
                *share = share.max(FOLLOWED_SHARE);
            }
        }
        let played: FxHashSet<ItemKey> = artists.iter().map(|(key, _)| *key).collect();
        let followed = profile
            .followed
            .newest(self.artists * LOOKED_AT)
            .into_iter()
            .filter(|key| !played.contains(key) && !query.catalogue.by_artist(*key).is_empty())
            .take(self.artists)
            .map(|key| (key, FOLLOWED_SHARE.max(profile.artists.share(key, query.now()))));
        artists.extend(followed);
        // Of equal shares the one that stands first stays first.
        artists.sort_by(|a, b| b.1.total_cmp(&a.1));
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
            found.extend(best(query, artist, each).into_iter().enumerate().map(|(place, key)| Found {
                key,
                score: share / (1.0 + place as f32).sqrt(),
                seed: evidence,
            }));
        }
        Ok(best_first(query, found, limit))
    }
}

/// The artist's most played items; after them, among the unheard, the newest. Both orders stand ready.
fn best(query: &PageQuery, artist: ItemKey, count: usize) -> Vec<Handle> {
    let played = query.serving.as_deref().map_or(&[][..], |serving| serving.most_played_of(artist));
    let mut taken: FxHashSet<u32> = FxHashSet::default();
    played
        .iter()
        .chain(query.catalogue.by_artist(artist).iter().take(ITEMS))
        .filter_map(|slot| query.catalogue.row(*slot).map(|row| (row, *slot)))
        .filter(|(row, slot)| row.artist == artist && taken.insert(*slot))
        .map(|(row, slot)| Handle { key: row.key, slot })
        .take(count)
        .collect()
}
