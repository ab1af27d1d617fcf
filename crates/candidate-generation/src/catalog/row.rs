//! What a page needs to know of one item, in one place of memory.

use std::sync::Arc;

use shared_models::{
    ItemKey, Timestamp,
    item::{DisplayItem, Item, Market},
};
use smallvec::SmallVec;

use crate::profiles::GenreKey;

/// The slot of an item that the catalogue does not hold.
pub const NOWHERE: u32 = u32::MAX;

/// An item as a page handles it: its key, and its slot in the page's snapshot. Ordered and hashed by
/// key; one key has one slot for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The item's key.
    pub key: ItemKey,
    /// Its slot, or [`NOWHERE`].
    pub slot: u32,
}

impl std::hash::Hash for Handle {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// One item. Candidates are met in no order of slots and ask for most of these at once, so they stand
/// together rather than each in a column of its own.
#[derive(Clone, Debug)]
pub struct Row {
    /// The item's key.
    pub key: ItemKey,
    /// Its artist, or [`ItemKey::NONE`].
    pub artist: ItemKey,
    /// When it came out.
    pub released_at: Option<Timestamp>,
    /// How long it plays; 0 when unknown.
    pub duration_seconds: f32,
    /// Whether it carries an explicit-content warning.
    pub explicit: bool,
    /// Whether the catalogue still holds it.
    pub live: bool,
    /// Its genres.
    pub genres: SmallVec<[GenreKey; 4]>,
    /// Where it may be played, sorted; empty means everywhere.
    pub markets: SmallVec<[Market; 4]>,
    /// Everything else.
    pub item: Arc<Item>,
}

impl Row {
    /// A live row of an item.
    #[must_use]
    pub fn of(item: Arc<Item>) -> Self {
        let mut markets = item.markets.clone();
        markets.sort_unstable();
        Self {
            key: item.key(),
            artist: item.artist_key(),
            released_at: item.released_at,
            duration_seconds: item.duration_ms.map_or(0.0, |ms| ms as f32 / 1_000.0),
            explicit: item.explicit,
            live: true,
            genres: item.genres.iter().map(|genre| GenreKey::of(genre)).collect(),
            markets,
            item,
        }
    }

    /// Whether the item may be played in a market.
    #[inline]
    #[must_use]
    pub fn is_available_in(&self, market: Market) -> bool {
        self.markets.is_empty() || self.markets.binary_search(&market).is_ok()
    }

    /// What an answer needs to draw the item.
    #[must_use]
    pub fn display(&self) -> DisplayItem {
        DisplayItem {
            key: self.key,
            id: self.item.id.clone(),
            kind: self.item.kind.clone(),
            title: self.item.title.clone(),
            artist_name: self.item.artist_name.clone(),
        }
    }
}
