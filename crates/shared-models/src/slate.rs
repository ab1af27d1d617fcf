//! Slates: what ranking answers.

use smallvec::SmallVec;

use crate::{ItemKey, ReleaseId, ShelfId, component::ReasonCode, degraded::DegradedStage, plan::RankQuery};

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
    /// What a whole record needs beyond the cards; `None` unless the query asked for it.
    pub detail: Option<RankDetail>,
}

/// What a whole record keeps of ranking beyond the cards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankDetail {
    /// The scores of each shelf's candidates, in plan order.
    pub shelves: Vec<ShelfScores>,
    /// The feature schema's hash.
    pub schema: u64,
    /// The rows whose features follow: those of the cards, in page order.
    pub rows: Vec<u32>,
    /// Their features, column after column: all rows' first feature, all rows' second, and so on.
    pub features: Vec<f32>,
    /// What the scorer says of every row of the table, action after action in the order of
    /// [`crate::component::Action::ALL`]: probabilities to 13 significant bits, NaN where there is none.
    pub predictions: Vec<f32>,
}

/// One shelf's candidates by score, before any rule of the slate: parallel arrays, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct ShelfScores {
    /// Which shelf.
    pub shelf: ShelfId,
    /// Rows of the candidate table; one that could not be scored is not among them.
    pub rows: Vec<u32>,
    /// Their blended scores, finite.
    pub scores: Vec<f32>,
}

/// Which release a page is ranked with again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The one that serves.
    Live,
    /// None: with cold scores.
    Cold,
    /// This one, live or not.
    Release(ReleaseId),
    /// This one but for its scorer, which did not answer in time: its factors and counts, and cold scores.
    Unscored(ReleaseId),
}

/// A page that is to be ranked again and looked at closely.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainQuery {
    /// What was asked, or is asked instead. Rows that stand on no shelf may be among the table's: they are scored, and
    /// nothing else.
    pub page: RankQuery,
    /// With which release.
    pub release: Pinned,
    /// The rows to be looked at closely.
    pub rows: Vec<u32>,
}

/// A page that was ranked again.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The page, with its detail.
    pub page: RankedPage,
    /// What the features are.
    pub features: Vec<FeatureInfo>,
    /// What made the score of the rows that were asked for, in the order of the question.
    pub rows: Vec<RowExplanation>,
}

/// What a feature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureInfo {
    /// Its name.
    pub name: String,
    /// Its unit, after its transformation.
    pub unit: String,
    /// What it says.
    pub doc: String,
}

/// What made the score of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowExplanation {
    /// Which row.
    pub row: u32,
    /// Calibrated `P(action)` in the order of [`crate::component::Action::ALL`]; NaN where it could not be scored.
    pub predictions: [f32; 4],
    /// The features, as the model reads them.
    pub values: Vec<f32>,
    /// How far each feature moves each probability from that of a row of defaults.
    pub contributions: Vec<[f32; 4]>,
}
