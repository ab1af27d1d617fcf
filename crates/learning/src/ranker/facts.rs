//! What serving knows of items, in the form the replay needs: artists, genres and the item's own
//! facts, and the release's popularity. The arithmetic is candidate-generation's.

use candidate_generation::{
    hydrators::facts,
    profiles::{GenreKey, ItemFactsForFold},
};
use releases::Release;
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp,
    item::{Item, Market},
};
use smallvec::SmallVec;

/// One item as the replay knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its artist, or none.
    pub artist: ItemKey,
    /// Its genres.
    pub genres: SmallVec<[GenreKey; 4]>,
    released_at: Option<Timestamp>,
    duration_seconds: f32,
    explicit: bool,
}

/// A catalogue by key.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    items: FxHashMap<ItemKey, Known>,
    /// When the items of each artist came out, newest first.
    released: FxHashMap<ItemKey, Vec<Timestamp>>,
}

impl Catalogue {
    /// The catalogue of some items.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let known = |item: &Item| Known {
            artist: item.artist_key(),
            genres: item.genres.iter().map(|genre| GenreKey::of(genre)).collect(),
            released_at: item.released_at,
            duration_seconds: item.duration_ms.map_or(0.0, |ms| ms as f32 / 1_000.0),
            explicit: item.explicit,
        };
        let items: FxHashMap<ItemKey, Known> = items.iter().map(|item| (item.key(), known(item))).collect();
        let mut released: FxHashMap<ItemKey, Vec<Timestamp>> = FxHashMap::default();
        for known in items.values().filter(|known| known.artist.is_some()) {
            if let Some(at) = known.released_at {
                released.entry(known.artist).or_default().push(at);
            }
        }
        released.values_mut().for_each(|dates| dates.sort_unstable_by(|a, b| b.cmp(a)));
        Self { items, released }
    }

    /// An item.
    #[must_use]
    pub fn get(&self, key: ItemKey) -> Option<&Known> {
        self.items.get(&key)
    }

    /// What the fold needs; an item that the catalogue does not hold has none.
    #[must_use]
    pub fn for_fold(&self, key: ItemKey) -> ItemFactsForFold<'_> {
        self.get(key).map_or_else(ItemFactsForFold::default, |known| ItemFactsForFold {
            artist: known.artist,
            genres: &known.genres,
        })
    }

    /// The item's own facts at a moment.
    #[must_use]
    pub fn of_item(&self, key: ItemKey, now: Timestamp) -> [f32; 4] {
        self.get(key).map_or(facts::UNKNOWN_ITEM, |known| {
            let newest = self.newest_of(known.artist, now);
            facts::item(known.released_at, known.duration_seconds, known.explicit, newest, now)
        })
    }

    /// When the newest of an artist's items came out that is out at `now`.
    fn newest_of(&self, artist: ItemKey, now: Timestamp) -> Option<Timestamp> {
        let dates = self.released.get(&artist)?;
        dates.get(dates.partition_point(|at| *at > now)).copied()
    }
}

/// The release's popularity by item, everywhere and in markets.
pub struct Popularities<'a> {
    release: &'a Release,
    markets: FxHashMap<Market, FxHashMap<u32, f32>>,
}

impl<'a> Popularities<'a> {
    /// The popularity of a release.
    #[must_use]
    pub fn of(release: &'a Release) -> Self {
        let markets = release
            .popularity
            .iter()
            .flat_map(|popularity| &popularity.markets)
            .map(|(market, list)| (*market, list.iter().copied().collect()))
            .collect();
        Self { release, markets }
    }

    /// Everywhere.
    #[must_use]
    pub fn everywhere(&self, key: ItemKey) -> f32 {
        self.release
            .index_of(key)
            .zip(self.release.popularity.as_ref())
            .map_or(0.0, |(row, popularity)| popularity.of(row))
    }

    /// In a market; 0 past its top list, as in serving.
    #[must_use]
    pub fn in_market(&self, key: ItemKey, market: Market) -> f32 {
        self.release.index_of(key).and_then(|row| self.markets.get(&market)?.get(&row).copied()).unwrap_or(0.0)
    }
}
