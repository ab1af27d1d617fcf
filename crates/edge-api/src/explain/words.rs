//! Explanations in sentences. English only: programs read the data beside them.

use std::collections::BTreeMap;

use contracts::RecommendationRecord;
use shared_models::{
    ShelfId,
    component::{DropReason, ReasonCode},
    degraded::DegradedLevel,
    slate::{RankedCard, Slate},
};

use super::{
    answer::{FeatureBody, SourceWord, made_at},
    names::Names,
    standing::Standing,
};

/// How many features a sentence names.
const NAMED: usize = 3;

pub(super) fn page(record: &RecommendationRecord) -> String {
    let cards: usize = record.slates.iter().map(|slate| slate.cards.len()).sum();
    let who = record.user.as_ref().map_or_else(|| "somebody unknown".to_owned(), |user| format!("listener {user}"));
    let mut text = format!(
        "At {} {who} asked for {} (version {}) and got {cards} cards on {} shelves",
        made_at(record),
        record.surface,
        record.surface_version,
        record.slates.len()
    );
    match record.level {
        DegradedLevel::None | DegradedLevel::Partial => {
            text += &format!(
                ", chosen from {} candidates",
                if record.table_complete { record.table.len().to_string() } else { "more".to_owned() }
            );
        }
        DegradedLevel::SourceOrder => text += ", in the order of their sources: ranking was missing",
        DegradedLevel::LastGood => text += ": the last good page again, because candidates were missing",
        DegradedLevel::Popular => text += ": what is popular in the market, because candidates were missing",
        DegradedLevel::Empty => text += ": nothing, because candidates were missing",
    }
    match record.ranking_release.as_ref().or(record.candidates_release.as_ref()) {
        Some(release) => text += &format!(", with release {release}."),
        None => text += ", without any release.",
    }
    if !record.degraded.is_empty() {
        let stages = record.degraded.iter().map(|stage| format!("{} ({})", stage.stage, stage.cause.as_str()));
        text += &format!(" Missing or slow: {}.", stages.collect::<Vec<_>>().join(", "));
    }
    if !record.table_complete {
        text += " The record holds what was shown, not all candidates.";
    }
    text
}

pub(super) fn shelf(slate: &Slate, kept: u32, dropped: &BTreeMap<&'static str, u32>) -> String {
    let mut text = format!("{} of {kept} candidates", slate.cards.len());
    let gone: u32 = dropped.values().sum();
    if gone > 0 {
        let reasons = dropped.iter().map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")));
        text += &format!("; {gone} were dropped before ({})", reasons.collect::<Vec<_>>().join(", "));
    }
    if slate.unscored > 0 {
        text += &format!("; {} could not be scored", slate.unscored);
    }
    text + "."
}

/// What the sentences about a card speak of.
pub(super) struct OfCard<'a> {
    pub(super) slate: &'a Slate,
    pub(super) rank: usize,
    pub(super) card: &'a RankedCard,
    pub(super) standing: Option<Standing>,
    pub(super) sources: &'a [SourceWord],
    pub(super) features: &'a [FeatureBody],
}

pub(super) fn card(names: &Names, of: &OfCard<'_>) -> String {
    let OfCard { slate, rank, card, standing, sources, features } = of;
    let mut text = format!("Card {} of {} on {}", rank + 1, slate.cards.len(), slate.shelf);
    text += &match standing {
        Some(standing) => format!(": number {} of {} by score, {:.4}.", standing.place, standing.of, card.score),
        None => format!(": score {:.4}.", card.score),
    };
    if !sources.is_empty() {
        text += &format!(" Proposed by {}.", sources.iter().map(proposed).collect::<Vec<_>>().join(", "));
    }
    text += &moved(features);
    let evidence: Vec<String> = card.reason.evidence.iter().map(|key| names.title(*key)).collect();
    text += &format!(" {}.", reason(card.reason.code, &evidence));
    text
}

fn proposed(word: &SourceWord) -> String {
    let because = word.because_of.as_ref().and_then(|item| item.title.as_ref());
    let because = because.map_or_else(String::new, |title| format!(" because of “{title}”"));
    format!("{} (number {}{because})", word.name, word.rank + 1)
}

/// What speaks for and against an item.
pub(super) fn moved(features: &[FeatureBody]) -> String {
    let named = |positive: bool| {
        let of = features.iter().filter(move |feature| (feature.adds > 0.0) == positive).take(NAMED);
        of.map(|feature| format!("{} ({:+.4})", feature.name, feature.adds)).collect::<Vec<_>>()
    };
    let (forth, against) = (named(true), named(false));
    let mut text = String::new();
    if !forth.is_empty() {
        text += &format!(" For it: {}.", forth.join(", "));
    }
    if !against.is_empty() {
        text += &format!(" Against it: {}.", against.join(", "));
    }
    text
}

fn reason(code: ReasonCode, evidence: &[String]) -> String {
    let items = evidence.join(", ");
    let text = match code {
        ReasonCode::TasteMatch if evidence.is_empty() => "Its reason claims nothing of any item",
        ReasonCode::TasteMatch => "It is near what they play",
        ReasonCode::BecauseYouPlayed => "It goes with what they played",
        ReasonCode::FavouriteArtist => "They play its artist often",
        ReasonCode::PlayedBefore => "They played it before",
        ReasonCode::Trending => "It is trending",
        ReasonCode::NewRelease => "It is new",
        ReasonCode::PopularInMarket => "It is popular where they are",
        ReasonCode::SimilarTo => "It is similar to what the request is about",
        ReasonCode::Pinned => "The surface pins it",
    };
    if items.is_empty() { text.to_owned() } else { format!("{text}: {items}") }
}

/// Candidates with a better score that a card went before.
pub(super) fn passed(rule: &str, shelf: Option<&ShelfId>, count: usize) -> String {
    let (is, has) = if count == 1 { ("is", "has") } else { ("are", "have") };
    match (rule, shelf) {
        (_, Some(shelf)) => format!("{count} with a better score {is} on {shelf}, which chose before"),
        ("artist_cap", _) => {
            format!("{count} with a better score {is} by an artist who {has} as many cards as the shelf allows")
        }
        _ => format!("{count} with a better score {is} too like the cards before it, or chance passed over"),
    }
}

/// Why a candidate was dropped, for people.
pub(super) fn dropped(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotAvailableInMarket => "it may not be played in the request's market",
        DropReason::ItemHidden => "the listener has hidden it",
        DropReason::ArtistHidden => "the listener has hidden its artist",
        DropReason::RecentlyPlayed => "the listener played it lately",
        DropReason::ShownTooOften => "it was shown to the listener too often",
        DropReason::Explicit => "it is explicit, and the listener does not want that",
        DropReason::ExcludedByRequest => "the request excludes it",
        DropReason::OverLimit => "the shelf had as many candidates as it takes",
        DropReason::NotInCatalogue => "it was no longer in the catalogue",
    }
}
