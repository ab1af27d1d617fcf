//! Page assembly: slates become shelves of cards that a client can draw.
//!
//! Must not know HTTP, nor how slates came about.

mod answer;
mod assemble;
mod display;
mod reason;

pub(crate) use answer::Answer;
pub use answer::{CardBody, Degraded, EvidenceItem, FlatAnswer, PageAnswer, ReasonBody, ShelfBody, StageBody};
pub(crate) use assemble::{assemble, keys_of, source_order};
pub use display::DisplayCache;
pub(crate) use display::Displayed;
pub(crate) use reason::Reasons;

use std::sync::Arc;

use shared_models::{
    ShelfId,
    component::{ReasonCode, SourceName},
    item::{DisplayItem, Market},
};
use smallvec::SmallVec;

/// A shelf, ready to be written.
#[derive(Clone, Debug)]
pub struct PageShelf {
    /// Which shelf.
    pub id: ShelfId,
    /// What a listener reads above it.
    pub title: Arc<str>,
    /// Its cards, best first.
    pub cards: Vec<Card>,
}

/// A card, ready to be written.
#[derive(Clone, Debug)]
pub struct Card {
    /// What it shows.
    pub item: Arc<DisplayItem>,
    /// The blended score.
    pub score: f32,
    /// The probability with which it was put here.
    pub propensity: f32,
    /// The sources that know it.
    pub sources: SmallVec<[SourceName; 4]>,
    /// Why it is here.
    pub reason: CardReason,
}

/// Why a card is here, with titles.
#[derive(Clone, Debug)]
pub struct CardReason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// The items that support it.
    pub evidence: SmallVec<[Arc<DisplayItem>; 2]>,
    /// Where the listener is, for reasons that say so.
    pub market: Market,
}
