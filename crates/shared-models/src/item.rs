//! Items: what a tenant's catalogue holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{ItemId, ItemKey, Timestamp, numbers::Numbers};

/// What an item is. Open set: a tenant may name a kind of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// One recording.
    #[default]
    Track,
    /// A collection of recordings by its maker.
    Album,
    /// Who makes recordings.
    Artist,
    /// A collection of recordings by a curator.
    Playlist,
    /// A series of episodes.
    Show,
    /// One part of a show.
    Episode,
    /// A kind of the tenant's own, in lower case.
    #[serde(untagged)]
    Other(String),
}

impl ItemKind {
    /// The kind as it stands on the wire and in tables.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Track => "track",
            Self::Album => "album",
            Self::Artist => "artist",
            Self::Playlist => "playlist",
            Self::Show => "show",
            Self::Episode => "episode",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for ItemKind {
    fn from(text: &str) -> Self {
        match text {
            "track" => Self::Track,
            "album" => Self::Album,
            "artist" => Self::Artist,
            "playlist" => Self::Playlist,
            "show" => Self::Show,
            "episode" => Self::Episode,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A market: an ISO 3166-1 alpha-2 country code in upper case, such as `SE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Market([u8; 2]);

impl Market {
    /// Where a request names no market.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Reads two ASCII letters of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl Default for Market {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl std::fmt::Display for Market {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Market {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Market {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format_args!("market is {text:?}; give an ISO 3166-1 alpha-2 code such as \"SE\""))
        })
    }
}

/// One item of a tenant's catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The tenant's id.
    pub id: ItemId,
    /// What it is.
    pub kind: ItemKind,
    /// What a listener reads on the card.
    pub title: String,
    /// The artist's item id, when there is one.
    pub artist_id: Option<ItemId>,
    /// The artist's name as a listener reads it.
    pub artist_name: Option<String>,
    /// Genres and tags, most telling first, lower case.
    pub genres: Vec<String>,
    /// When it came out.
    pub released_at: Option<Timestamp>,
    /// How long it plays, in milliseconds.
    pub duration_ms: Option<u32>,
    /// Whether it carries an explicit-content warning.
    pub explicit: bool,
    /// Where it may be played; empty means everywhere.
    pub markets: SmallVec<[Market; 4]>,
    /// What the tenant measured of it, when it did.
    pub numbers: Option<Arc<Numbers>>,
}

impl Item {
    /// The item's key.
    #[must_use]
    pub fn key(&self) -> ItemKey {
        ItemKey::of(&self.id)
    }

    /// The artist's key, or [`ItemKey::NONE`].
    #[must_use]
    pub fn artist_key(&self) -> ItemKey {
        self.artist_id.as_ref().map_or(ItemKey::NONE, ItemKey::of)
    }
}

/// What an answer needs to draw an item: the edge reads it by key for the cards it has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayItem {
    /// The item's key.
    pub key: ItemKey,
    /// The tenant's id.
    pub id: ItemId,
    /// What it is.
    pub kind: ItemKind,
    /// What a listener reads on the card.
    pub title: String,
    /// The artist's name, when there is one.
    pub artist_name: Option<String>,
}
