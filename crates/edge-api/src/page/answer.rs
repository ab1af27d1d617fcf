//! The bodies of answers: what a client reads, written straight from what the edge holds.
//!
//! Must not know how an answer was made.

use serde::{Serialize, Serializer, ser::SerializeSeq};
use shared_models::{
    RecommendationId, ReleaseId, SurfaceId,
    degraded::{DegradedLevel, DegradedStage},
};
use utoipa::ToSchema;

use super::{Card, PageShelf, Reasons};

/// What an answer could not give.
#[derive(Serialize, ToSchema)]
pub struct Degraded<'a> {
    /// How far down the ladder the answer stands: `none`, `partial`, `source_order`, `last_good`,
    /// `popular` or `empty`.
    #[schema(value_type = String, example = "none")]
    pub level: DegradedLevel,
    /// The stages that gave less than they should.
    #[schema(value_type = Vec<StageBody>)]
    pub stages: &'a [DegradedStage],
}

/// A stage that gave less than it should.
#[derive(ToSchema)]
pub struct StageBody {
    /// The stage.
    #[schema(example = "source.trending")]
    pub stage: String,
    /// Why: `timeout`, `failed`, `unavailable`, `no_release` or `skipped`.
    #[schema(example = "timeout")]
    pub cause: String,
}

/// What every answer carries beside its cards.
pub(crate) struct Answer<'a> {
    pub(crate) recommendation_id: RecommendationId,
    pub(crate) surface: &'a SurfaceId,
    pub(crate) surface_version: &'a str,
    pub(crate) release: Option<&'a ReleaseId>,
    pub(crate) degraded: Degraded<'a>,
    pub(crate) trace_id: &'a str,
    pub(crate) shelves: &'a [PageShelf],
    pub(crate) next_cursor: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// The answer as shelves.
    pub(crate) fn into_page(self) -> PageAnswer<'a> {
        PageAnswer {
            recommendation_id: self.recommendation_id,
            surface: self.surface,
            surface_version: self.surface_version,
            release: self.release,
            variants: &[],
            shelves: Shelves(self.shelves),
            next_cursor: self.next_cursor,
            degraded: self.degraded,
            trace_id: self.trace_id,
        }
    }

    /// The answer as one list of cards.
    pub(crate) fn into_flat(self) -> FlatAnswer<'a> {
        FlatAnswer {
            recommendation_id: self.recommendation_id,
            surface: self.surface,
            surface_version: self.surface_version,
            release: self.release,
            variants: &[],
            cards: Cards(self.shelves.first().map_or(&[], |shelf| &shelf.cards)),
            next_cursor: self.next_cursor,
            degraded: self.degraded,
            trace_id: self.trace_id,
        }
    }
}

/// A page: shelves of cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Page)]
pub struct PageAnswer<'a> {
    /// The identity of this answer: send it back with the events of its cards.
    #[schema(value_type = uuid::Uuid)]
    pub recommendation_id: RecommendationId,
    /// The surface that was asked for.
    #[schema(value_type = String, example = "home")]
    pub surface: &'a SurfaceId,
    /// The version of the surface that answered.
    #[schema(example = "5f1d2c3b4a59")]
    pub surface_version: &'a str,
    /// The release of models that answered; null while none is live.
    #[schema(value_type = Option<String>)]
    pub release: Option<&'a ReleaseId>,
    /// The experiment variants the listener is in.
    #[schema(value_type = Vec<String>)]
    pub variants: &'a [&'a str],
    /// The shelves, in page order; empty ones are left out.
    #[schema(value_type = Vec<ShelfBody>)]
    pub shelves: Shelves<'a>,
    /// Where the next page starts: send it back as `cursor`. No page shows what one before it showed, and all are made
    /// with the plan, the releases and the seed of the first. Null at the end: nothing is left, or more than 480 items
    /// were shown. Good for an hour, unless the operator says otherwise.
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<&'a str>,
    /// What the answer could not give.
    #[schema(value_type = Degraded)]
    pub degraded: Degraded<'a>,
    /// The trace of the request.
    pub trace_id: &'a str,
}

/// One flat slate of cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Recommendations)]
pub struct FlatAnswer<'a> {
    /// The identity of this answer: send it back with the events of its cards.
    #[schema(value_type = uuid::Uuid)]
    pub recommendation_id: RecommendationId,
    /// The surface that was asked for.
    #[schema(value_type = String, example = "item-similar")]
    pub surface: &'a SurfaceId,
    /// The version of the surface that answered.
    pub surface_version: &'a str,
    /// The release of models that answered; null while none is live.
    #[schema(value_type = Option<String>)]
    pub release: Option<&'a ReleaseId>,
    /// The experiment variants the listener is in.
    #[schema(value_type = Vec<String>)]
    pub variants: &'a [&'a str],
    /// The cards, best first.
    #[schema(value_type = Vec<CardBody>)]
    pub cards: Cards<'a>,
    /// Where the next cards start: send it back as `cursor`; null at the end, as for pages.
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<&'a str>,
    /// What the answer could not give.
    #[schema(value_type = Degraded)]
    pub degraded: Degraded<'a>,
    /// The trace of the request.
    pub trace_id: &'a str,
}

/// A titled row of cards.
#[derive(Serialize, ToSchema)]
#[schema(as = Shelf)]
pub struct ShelfBody<'a> {
    /// The shelf's name on its surface.
    #[schema(example = "made-for-you")]
    pub id: &'a str,
    /// What a listener reads above it.
    #[schema(example = "Made for you")]
    pub title: &'a str,
    /// The cards, best first.
    #[schema(value_type = Vec<CardBody>)]
    pub cards: Cards<'a>,
}

/// One item at one position.
#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
pub struct CardBody<'a> {
    /// The item.
    #[schema(example = "track-1")]
    pub item_id: &'a str,
    /// What the item is: `track`, `album`, `artist`, `playlist`, `show`, `episode` or the tenant's own.
    #[serde(rename = "type")]
    #[schema(example = "track")]
    pub kind: &'a str,
    /// What a listener reads on it.
    pub title: &'a str,
    /// The artist's name; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist_name: Option<&'a str>,
    /// The position on the shelf, from 0: send it back as `position`.
    pub rank: u32,
    /// The blended score by the shelf's objective; comparable within one answer.
    pub score: f32,
    /// The probability, in (0, 1], with which the policy put this card at this position.
    pub propensity: f32,
    /// The sources that proposed it.
    #[schema(value_type = Vec<String>)]
    pub sources: &'a [shared_models::component::SourceName],
    /// Why it is here.
    pub reason: ReasonBody<'a>,
}

/// Why a card is here.
#[derive(Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonBody<'a> {
    /// The kind of reason.
    #[schema(example = "because_you_played")]
    pub code: &'a str,
    /// The reason in English.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, example = "Because you played Tango")]
    pub(crate) text: Reasons<'a>,
    /// The items that support it.
    #[schema(value_type = Vec<EvidenceItem>)]
    pub evidence: EvidenceList<'a>,
}

/// An item that supports a reason.
#[derive(Serialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceItem<'a> {
    /// The item.
    pub item_id: &'a str,
    /// Its title.
    pub title: &'a str,
}

fn as_text<S: Serializer>(text: &Reasons<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

/// Shelves, written one by one.
pub struct Shelves<'a>(pub(crate) &'a [PageShelf]);

impl Serialize for Shelves<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|shelf| ShelfBody {
            id: shelf.id.as_str(),
            title: &shelf.title,
            cards: Cards(&shelf.cards),
        }))
    }
}

/// Cards, written one by one.
pub struct Cards<'a>(pub(crate) &'a [Card]);

impl Serialize for Cards<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (rank, card) in (0..).zip(self.0) {
            list.serialize_element(&CardBody {
                item_id: card.item.id.as_str(),
                kind: card.item.kind.as_str(),
                title: &card.item.title,
                artist_name: card.item.artist_name.as_deref(),
                rank,
                score: card.score,
                propensity: card.propensity,
                sources: &card.sources,
                reason: ReasonBody {
                    code: card.reason.code.as_str(),
                    text: Reasons(card),
                    evidence: EvidenceList(card),
                },
            })?;
        }
        list.end()
    }
}

/// A card's evidence, written one by one.
pub struct EvidenceList<'a>(&'a Card);

impl Serialize for EvidenceList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.0.reason.evidence.iter().map(|item| EvidenceItem { item_id: item.id.as_str(), title: &item.title }),
        )
    }
}
