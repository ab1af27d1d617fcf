//! Slates: what ranking answers.

use smallvec::SmallVec;

use crate::{ItemKey, ReleaseId, ShelfId, component::ReasonCode, degraded::DegradedStage};

/// Why a card stands where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// The items that support it.
    pub evidence: SmallVec<[ItemKey; 2]>,
}

/// One chosen card.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedCard {
    /// Its row of the candidate table.
    pub row: u32,
    /// The blended score by the shelf's objective, finite.
    pub score: f32,
    /// The probability, in (0, 1], with which the policy put this card at this position, given the
    /// cards before it.
    pub propensity: f32,
    /// How far `propensity` may be from the true one: 0 where it is exact.
    pub propensity_error: f32,
    /// Calibrated `P(action)` in the order of [`crate::component::Action::ALL`].
    pub predictions: [f32; 4],
    /// Whether a random draw chose it.
    pub explored: bool,
    /// Why it is there.
    pub reason: Reason,
}

/// One shelf's cards, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Slate {
    /// Which shelf.
    pub shelf: ShelfId,
    /// What the shelf is worth to this listener: the position-discounted mean of its cards' scores.
    pub score: f32,
    /// The cards, in order.
    pub cards: Vec<RankedCard>,
    /// Candidates that were scored and not chosen.
    pub reserve: u32,
    /// Candidates that could not be scored.
    pub unscored: u32,
}

/// ranking's answer: slates in page order.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedPage {
    /// The slates, in the order in which the page shows them.
    pub slates: Vec<Slate>,
    /// The release that scored, when one is live.
    pub release: Option<ReleaseId>,
    /// What was missing, slow or skipped.
    pub degraded: Vec<DegradedStage>,
}
