//! Events: what happened, as the client told it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EventId, ItemId, ItemKey, Timestamp, UserId, item::Market};

/// What happened. Open set: a tenant's own kinds are kept and weigh nothing until configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A card was seen.
    Impression,
    /// Playback happened, for `ms_played` milliseconds.
    Play,
    /// Playback reached the end.
    Complete,
    /// The listener moved on early.
    Skip,
    /// The listener said yes.
    Like,
    /// The listener took a yes back.
    Unlike,
    /// Kept in the library.
    Save,
    /// An artist or a show is followed.
    Follow,
    /// Never show again.
    Hide,
    /// Put on a playlist.
    PlaylistAdd,
    /// Sent to somebody.
    Share,
    /// A kind of the tenant's own.
    #[serde(untagged)]
    Other(String),
}

impl EventKind {
    /// The kinds with a meaning of their own.
    pub const KNOWN: [Self; 11] = [
        Self::Impression,
        Self::Play,
        Self::Complete,
        Self::Skip,
        Self::Like,
        Self::Unlike,
        Self::Save,
        Self::Follow,
        Self::Hide,
        Self::PlaylistAdd,
        Self::Share,
    ];

    /// The kind as it stands on the wire and in tables.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Impression => "impression",
            Self::Play => "play",
            Self::Complete => "complete",
            Self::Skip => "skip",
            Self::Like => "like",
            Self::Unlike => "unlike",
            Self::Save => "save",
            Self::Follow => "follow",
            Self::Hide => "hide",
            Self::PlaylistAdd => "playlist_add",
            Self::Share => "share",
            Self::Other(name) => name,
        }
    }

    /// How strongly the event speaks for the item, by default: the confidence it adds in the sense
    /// of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008).
    /// 0 for an impression; negative where it speaks against the item.
    #[must_use]
    pub fn weight(&self) -> f32 {
        match self {
            Self::Play => 1.0,
            Self::Complete => 1.0,
            Self::Like => 3.0,
            Self::Save | Self::PlaylistAdd => 3.0,
            Self::Follow => 4.0,
            Self::Share => 2.0,
            Self::Skip => -1.0,
            Self::Unlike => -3.0,
            Self::Hide => -8.0,
            Self::Impression | Self::Other(_) => 0.0,
        }
    }
}

impl From<&str> for EventKind {
    fn from(text: &str) -> Self {
        Self::KNOWN.into_iter().find(|kind| kind.as_str() == text).unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

/// One event of one user on one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The client's identity of it, or one the edge made: sent twice, it counts once.
    pub id: EventId,
    /// Who.
    pub user: UserId,
    /// What.
    pub kind: EventKind,
    /// On what.
    pub item: ItemId,
    /// When it happened, by the client's clock.
    pub occurred_at: Timestamp,
    /// When the edge took it, by the edge's clock.
    pub received_at: Timestamp,
    /// For how long it played, in milliseconds; plays only.
    pub ms_played: Option<u32>,
    /// The answer that showed the card, when one did.
    pub recommendation: Option<Uuid>,
    /// The shelf the card stood on.
    pub shelf: Option<String>,
    /// The card's position on the shelf, from 0.
    pub position: Option<u16>,
    /// The listener's session.
    pub session: Option<String>,
    /// The kind of device, such as `phone`.
    pub device: Option<String>,
    /// Where the listener is.
    pub market: Option<Market>,
}

impl Event {
    /// The item's key.
    #[must_use]
    pub fn item_key(&self) -> ItemKey {
        ItemKey::of(&self.item)
    }
}
