//! The bodies of answers about answers, and a record in them.
//!
//! Must not know how anything is found out.

use std::collections::BTreeMap;

use contracts::RecommendationRecord;
use serde::Serialize;
use shared_models::component::Action;
use utoipa::ToSchema;

use super::{names::Names, then::MissingThen};

/// An item by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Named {
    /// The item; left out when it is no longer in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// Its artist's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artist_name: Option<String>,
    /// What it is known by when its id is not: 16 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// The record of an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Record)]
pub(crate) struct RecordAnswer {
    /// The answer.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) recommendation_id: String,
    /// The listener; null is somebody unknown.
    pub(crate) user_id: Option<String>,
    /// The surface that was asked for.
    pub(crate) surface: String,
    /// The version of the surface that answered.
    pub(crate) surface_version: String,
    /// The experiment variants the listener was in.
    pub(crate) variants: BTreeMap<String, String>,
    /// When and where.
    pub(crate) context: ContextBody,
    /// Items that the request was about.
    pub(crate) seed_items: Vec<Named>,
    /// How many items the request excluded.
    pub(crate) excluded: usize,
    /// The release that gathered candidates.
    pub(crate) candidates_release: Option<String>,
    /// The release that ranked them.
    pub(crate) ranking_release: Option<String>,
    /// How far down the ladder the answer stood.
    #[schema(example = "none")]
    pub(crate) degraded: &'static str,
    /// The stages that gave less than they should, with the cause.
    pub(crate) degraded_stages: BTreeMap<String, String>,
    /// How long the edge took, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// The trace of the request.
    pub(crate) trace_id: Option<String>,
    /// Whether the record holds all candidates, so that it can be replayed bit for bit.
    pub(crate) whole: bool,
    /// How many candidates it holds.
    pub(crate) candidates: usize,
    /// How the sources fared.
    pub(crate) sources: Vec<SourceBody>,
    /// The shelves, in page order.
    pub(crate) shelves: Vec<RecordShelf>,
}

/// When and where a request was made.
#[derive(Serialize, ToSchema)]
#[schema(as = RequestMoment)]
pub(crate) struct ContextBody {
    /// When (RFC 3339).
    pub(crate) made_at: String,
    /// The market; `ZZ` where unknown.
    pub(crate) market: String,
    /// The kind of device; empty when not told.
    pub(crate) device: String,
    /// The listener's local hour.
    pub(crate) local_hour: u8,
    /// The seed of every random draw, as 16 hexadecimal digits.
    pub(crate) seed: String,
}

/// How a source fared.
#[derive(Serialize, ToSchema)]
#[schema(as = SourceReport)]
pub(crate) struct SourceBody {
    /// The source.
    pub(crate) name: &'static str,
    /// How many candidates it gave.
    pub(crate) returned: u32,
    /// How long it took, in milliseconds.
    pub(crate) elapsed_ms: f64,
    /// What went wrong; null when nothing did.
    pub(crate) degraded: Option<&'static str>,
}

/// A shelf of a record.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordShelf {
    /// The shelf.
    pub(crate) id: String,
    /// What the shelf was worth to this listener.
    pub(crate) score: f32,
    /// How many candidates it kept.
    pub(crate) kept: u32,
    /// How many it dropped, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u32>,
    /// Its cards, best first.
    pub(crate) cards: Vec<RecordCard>,
}

/// A card of a record.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordCard {
    /// The item.
    #[serde(flatten)]
    pub(crate) item: Named,
    /// The position, from 0.
    pub(crate) rank: usize,
    /// The blended score.
    pub(crate) score: f32,
    /// The probability with which the policy put it there, given the cards before it.
    pub(crate) propensity: f32,
    /// Whether a random draw chose it.
    pub(crate) explored: bool,
    /// Calibrated probabilities, by action.
    pub(crate) predictions: BTreeMap<&'static str, f32>,
    /// Why it was there.
    pub(crate) reason: &'static str,
}

/// Why a page holds these cards.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageExplanation {
    /// The answer.
    #[schema(value_type = uuid::Uuid)]
    pub(crate) recommendation_id: String,
    /// The answer in a few sentences.
    pub(crate) text: String,
    /// Whether and how the page was ranked again for this explanation.
    pub(crate) ranked_again: RankedAgain,
    /// The shelves, in page order.
    pub(crate) shelves: Vec<ShelfExplanation>,
}

/// How a recorded page was ranked again.
#[derive(Serialize, ToSchema)]
pub(crate) struct RankedAgain {
    /// Whether it was; without it, scores are the recorded ones and no feature is told.
    pub(crate) done: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why_not: Option<String>,
    /// Whether the same page came out, bit for bit; null where the record does not hold all candidates.
    pub(crate) same: Option<bool>,
    /// What was missing when it was answered, and what became of it now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing_then: Vec<MissingThen>,
}

/// Why a shelf holds these cards.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShelfExplanation {
    /// The shelf.
    pub(crate) id: String,
    /// The shelf in a sentence.
    pub(crate) text: String,
    /// What each action was worth on it.
    pub(crate) objective: BTreeMap<&'static str, f32>,
    /// How many candidates it kept.
    pub(crate) kept: u32,
    /// How many it dropped, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u32>,
    /// Its cards, best first.
    pub(crate) cards: Vec<CardExplanation>,
}

/// Why a card stands where it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardExplanation {
    /// The item.
    #[serde(flatten)]
    pub(crate) item: Named,
    /// The position, from 0.
    pub(crate) rank: usize,
    /// The card in a few sentences.
    pub(crate) text: String,
    /// What the sources said of it.
    pub(crate) sources: Vec<SourceWord>,
    /// From probabilities to the score: score = Σ weight · probability.
    pub(crate) score_path: Vec<ActionBody>,
    /// The blended score.
    pub(crate) score: f32,
    /// Its place among the shelf's candidates by score alone, from 1; null where it is not known.
    pub(crate) place: Option<usize>,
    /// Of how many.
    pub(crate) of: Option<usize>,
    /// The features that moved its score most, against an item of which nothing is known.
    pub(crate) features: Vec<FeatureBody>,
    /// The rules that put it there.
    pub(crate) rules: Vec<String>,
    /// The probability with which the policy put it there, given the cards before it.
    pub(crate) propensity: f32,
    /// Whether a random draw chose it.
    pub(crate) explored: bool,
    /// The evidence of its reason.
    pub(crate) reason: EvidenceBody,
}

/// What a source said of a card.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SourceWord {
    /// The source.
    pub(crate) name: &'static str,
    /// Its place in the source's list, from 0.
    pub(crate) rank: u32,
    /// The source's own score; scales differ between sources.
    pub(crate) score: f32,
    /// The item that led the source to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) because_of: Option<Named>,
}

/// What an action adds to a score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ActionBody {
    /// The action.
    pub(crate) action: &'static str,
    /// How likely it is.
    pub(crate) probability: f32,
    /// What it is worth on the shelf.
    pub(crate) weight: f32,
    /// What it adds: weight · probability.
    pub(crate) adds: f32,
}

/// What a feature adds to a score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FeatureBody {
    /// The feature.
    pub(crate) name: String,
    /// Its value, as the model reads it.
    pub(crate) value: f32,
    /// The unit of the value.
    pub(crate) unit: String,
    /// What it means.
    pub(crate) doc: String,
    /// What it adds to the score, against an item of which nothing is known.
    pub(crate) adds: f32,
}

/// Why a card was shown, with what supports it.
#[derive(Serialize, ToSchema)]
pub(crate) struct EvidenceBody {
    /// The kind of reason.
    pub(crate) code: &'static str,
    /// The items that support it.
    pub(crate) evidence: Vec<Named>,
}

pub(super) fn record(record: &RecommendationRecord, names: &Names) -> RecordAnswer {
    let release = |release: &Option<shared_models::ReleaseId>| release.as_ref().map(ToString::to_string);
    RecordAnswer {
        recommendation_id: record.id.to_string(),
        user_id: record.user.as_ref().map(ToString::to_string),
        surface: record.surface.to_string(),
        surface_version: record.surface_version.clone(),
        variants: record.variants.iter().map(|one| (one.experiment.clone(), one.variant.clone())).collect(),
        context: ContextBody {
            made_at: made_at(record),
            market: record.context.market.as_str().to_owned(),
            device: record.context.device.clone(),
            local_hour: record.context.local_hour,
            seed: format!("{:016x}", record.context.seed.0),
        },
        seed_items: record.seed_items.iter().map(|key| names.name(*key)).collect(),
        excluded: record.exclude.len(),
        candidates_release: release(&record.candidates_release),
        ranking_release: release(&record.ranking_release),
        degraded: record.level.as_str(),
        degraded_stages: record
            .degraded
            .iter()
            .map(|stage| (stage.stage.clone(), stage.cause.as_str().to_owned()))
            .collect(),
        elapsed_ms: record.elapsed.as_secs_f64() * 1_000.0,
        trace_id: record.trace_id.clone(),
        whole: record.table_complete,
        candidates: record.table.len(),
        sources: sources(record),
        shelves: record.slates.iter().map(|slate| shelf(record, slate, names)).collect(),
    }
}

pub(super) fn made_at(record: &RecommendationRecord) -> String {
    jiff::Timestamp::from_millisecond(record.context.now.0).unwrap_or_default().to_string()
}

pub(super) fn sources(record: &RecommendationRecord) -> Vec<SourceBody> {
    let body = |report: &shared_models::degraded::SourceReport| SourceBody {
        name: report.name.as_str(),
        returned: report.returned,
        elapsed_ms: report.elapsed.as_secs_f64() * 1_000.0,
        degraded: report.degraded.map(shared_models::degraded::DegradedCause::as_str),
    };
    record.sources.iter().map(body).collect()
}

/// How many candidates a shelf kept, and dropped by reason.
pub(super) fn fared(
    record: &RecommendationRecord,
    shelf: &shared_models::ShelfId,
) -> (u32, BTreeMap<&'static str, u32>) {
    let summary = record.shelves.iter().find(|summary| summary.shelf == *shelf);
    summary.map_or_else(Default::default, |summary| {
        let dropped = summary.dropped.iter().map(|(reason, count)| (reason.as_str(), *count));
        (summary.kept, dropped.collect())
    })
}

fn shelf(record: &RecommendationRecord, slate: &shared_models::slate::Slate, names: &Names) -> RecordShelf {
    let (kept, dropped) = fared(record, &slate.shelf);
    let card = |(rank, card): (usize, &shared_models::slate::RankedCard)| RecordCard {
        item: names.name(record.table.items.get(card.row as usize).copied().unwrap_or_default()),
        rank,
        score: card.score,
        propensity: card.propensity,
        explored: card.explored,
        predictions: Action::ALL.iter().map(|action| action.as_str()).zip(card.predictions).collect(),
        reason: card.reason.code.as_str(),
    };
    RecordShelf {
        id: slate.shelf.to_string(),
        score: slate.score,
        kept,
        dropped,
        cards: slate.cards.iter().enumerate().map(card).collect(),
    }
}
