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
pub struct Catalogue(FxHashMap<ItemKey, Known>);

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
        Self(items.iter().map(|item| (item.key(), known(item))).collect())
    }

    /// An item.
    #[must_use]
    pub fn get(&self, key: ItemKey) -> Option<&Known> {
        self.0.get(&key)
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
    pub fn of_item(&self, key: ItemKey, now: Timestamp) -> [f32; 3] {
        self.get(key).map_or([-1.0, 0.0, 0.0], |known| {
            facts::item(known.released_at, known.duration_seconds, known.explicit, now)
        })
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
