//! Reasons in words, with the titles of their evidence.
//!
//! Must not know where reasons come from. English only: other languages read `code` and `evidence`.

use std::fmt;

use shared_models::{component::ReasonCode, item::Market};

use super::Card;

/// A card's reason as a sentence, written without an allocation.
pub(crate) struct Reasons<'a>(pub(crate) &'a Card);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Card { item, reason, .. } = self.0;
        let first = reason.evidence.first().map(|item| item.title.as_str());
        match (reason.code, first) {
            (ReasonCode::TasteMatch, Some(title)) => write!(f, "Close to {title}, which you play"),
            (ReasonCode::TasteMatch, None) => f.write_str("Picked for you"),
            (ReasonCode::BecauseYouPlayed, Some(title)) => write!(f, "Because you played {title}"),
            (ReasonCode::BecauseYouPlayed, None) => f.write_str("Because of what you played"),
            (ReasonCode::FavouriteArtist, _) => match &item.artist_name {
                Some(artist) => write!(f, "By {artist}, whom you play often"),
                None => f.write_str("By an artist you play often"),
            },
            (ReasonCode::PlayedBefore, _) => f.write_str("You played this before"),
            (ReasonCode::Trending, _) => f.write_str("Trending now"),
            (ReasonCode::NewRelease, Some(title)) => write!(f, "New, by the artist of {title}"),
            (ReasonCode::NewRelease, None) => f.write_str("New release"),
            (ReasonCode::PopularInMarket, _) if reason.market == Market::UNKNOWN => f.write_str("Popular now"),
            (ReasonCode::PopularInMarket, _) => write!(f, "Popular in {}", reason.market),
            (ReasonCode::SimilarTo, Some(title)) => write!(f, "Similar to {title}"),
            (ReasonCode::SimilarTo, None) => f.write_str("Similar"),
            (ReasonCode::Pinned, _) => f.write_str("Featured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared_models::{
        ItemId, ItemKey,
        item::{DisplayItem, ItemKind},
    };
    use smallvec::smallvec;

    use super::*;
    use crate::page::CardReason;

    fn item(title: &str) -> Arc<DisplayItem> {
        let id = ItemId::new(title).unwrap();
        Arc::new(DisplayItem {
            key: ItemKey::of(&id),
            id,
            kind: ItemKind::Track,
            title: title.to_owned(),
            artist_name: Some("Ada".to_owned()),
        })
    }

    #[test]
    fn reasons_name_their_evidence() {
        let check = |code, evidence: Option<&str>, expected: &str| {
            let evidence = evidence.map(item).into_iter().collect();
            let reason = CardReason { code, evidence, market: Market::parse("SE").unwrap() };
            let card = Card { item: item("Song"), score: 1.0, propensity: 1.0, sources: smallvec![], reason };
            assert_eq!(Reasons(&card).to_string(), expected);
        };
        check(ReasonCode::BecauseYouPlayed, Some("Other"), "Because you played Other");
        check(ReasonCode::BecauseYouPlayed, None, "Because of what you played");
        check(ReasonCode::FavouriteArtist, None, "By Ada, whom you play often");
        check(ReasonCode::PopularInMarket, None, "Popular in SE");
        check(ReasonCode::SimilarTo, Some("Other"), "Similar to Other");
    }
}
