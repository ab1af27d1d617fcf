//! Where a candidate stood on a shelf, and by which rule it was passed over.

use shared_models::{
    ItemKey, ShelfId,
    candidates::CandidateTable,
    plan::ShelfRankPlan,
    slate::{ShelfScores, Slate},
};

/// A candidate's place among those of its shelf, by score alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    /// Its place, from 1.
    pub(super) place: usize,
    /// Of how many.
    pub(super) of: usize,
    /// Its score.
    pub(super) score: f32,
}

/// Why a scored candidate is not on a shelf, or not higher.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PassedOver {
    /// It stands on a shelf that chose before.
    Elsewhere(ShelfId),
    /// Its artist has as many cards as the shelf allows.
    ArtistCap(u16),
    /// Its score is lower than that of every card that was not drawn at random.
    Lower(f32),
    /// It is too like the cards before it, or chance took another.
    Unlike,
}

impl PassedOver {
    /// The rule, in one word.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::Elsewhere(_) => "on_another_shelf",
            Self::ArtistCap(_) => "artist_cap",
            Self::Lower(_) => "score",
            Self::Unlike => "diversity_or_draw",
        }
    }
}

/// A row's place on a shelf.
pub(super) fn standing(scores: &[ShelfScores], shelf: &ShelfId, row: u32) -> Option<Standing> {
    let shelf = scores.iter().find(|scores| scores.shelf == *shelf)?;
    let place = shelf.rows.iter().position(|other| *other == row)?;
    Some(Standing { place: place + 1, of: shelf.rows.len(), score: shelf.scores.get(place).copied()? })
}

/// The place that a score would have on a shelf.
pub(super) fn would_stand(scores: &[ShelfScores], shelf: &ShelfId, score: f32) -> Option<(usize, usize)> {
    let shelf = scores.iter().find(|scores| scores.shelf == *shelf)?;
    let before = shelf.scores.iter().filter(|other| **other > score).count();
    Some((before + 1, shelf.rows.len() + 1))
}

/// Why a row that has a score is not among the first `cards` of a shelf.
pub(super) fn passed_over(
    slates: &[Slate],
    plan: &ShelfRankPlan,
    table: &CandidateTable,
    row: u32,
    score: f32,
    cards: usize,
) -> PassedOver {
    let is_here = |slate: &&Slate| slate.shelf == plan.shelf;
    let elsewhere = slates
        .iter()
        .take_while(|slate| slate.shelf != plan.shelf)
        .find(|slate| slate.cards.iter().any(|card| card.row == row));
    if let Some(slate) = elsewhere {
        return PassedOver::Elsewhere(slate.shelf.clone());
    }
    let slate = slates.iter().find(is_here);
    let before = slate.map_or(&[][..], |slate| slate.cards.get(..cards).unwrap_or(&slate.cards));
    let lowest = before.iter().filter(|card| !card.explored).map(|card| card.score).fold(f32::INFINITY, f32::min);
    if score < lowest && lowest.is_finite() {
        return PassedOver::Lower(lowest - score);
    }
    let artist_of = |row: u32| table.artists.get(row as usize).copied().unwrap_or(ItemKey::NONE);
    let artist = artist_of(row);
    let of_artist = before.iter().filter(|card| artist_of(card.row) == artist).count();
    let cap = plan.slate.max_per_artist;
    if cap > 0 && artist.is_some() && of_artist >= usize::from(cap) {
        return PassedOver::ArtistCap(cap);
    }
    PassedOver::Unlike
}

#[cfg(test)]
mod tests {
    use shared_models::{
        component::ReasonCode,
        explore::Explore,
        plan::{Objective, SlatePlan},
        slate::{RankedCard, Reason},
    };
    use smallvec::smallvec;

    use super::*;

    fn shelf(name: &str) -> ShelfId {
        ShelfId::new(name).unwrap()
    }

    fn slate(name: &str, cards: &[(u32, f32)]) -> Slate {
        let card = |(row, score): &(u32, f32)| RankedCard {
            row: *row,
            score: *score,
            propensity: 1.0,
            propensity_error: 0.0,
            predictions: [0.0; 4],
            explored: false,
            reason: Reason { code: ReasonCode::TasteMatch, evidence: smallvec![] },
        };
        Slate { shelf: shelf(name), score: 1.0, cards: cards.iter().map(card).collect(), reserve: 0, unscored: 0 }
    }

    #[test]
    fn each_rule_is_told_by_its_name() {
        let table = CandidateTable {
            items: (1..=6).map(ItemKey).collect(),
            artists: [7, 7, 7, 8, 9, 9].map(ItemKey).into(),
            ..CandidateTable::default()
        };
        let plan = ShelfRankPlan {
            shelf: shelf("b"),
            rows: vec![0, 1, 2, 3, 4, 5],
            sources: vec![],
            objective: Objective::default(),
            slate: SlatePlan {
                size: 2,
                max_per_artist: 2,
                diversity: 0.2,
                explore: Explore::None,
                new_items: None,
                pins: vec![],
            },
            pinned_slot: None,
        };
        let slates = [slate("a", &[(3, 0.9)]), slate("b", &[(0, 0.8), (1, 0.5)])];
        let check = |row, score, expected| {
            assert_eq!(passed_over(&slates, &plan, &table, row, score, 2), expected, "row {row}");
        };
        check(3, 0.9, PassedOver::Elsewhere(shelf("a")));
        check(2, 0.7, PassedOver::ArtistCap(2));
        check(4, 0.25, PassedOver::Lower(0.25));
        check(5, 0.6, PassedOver::Unlike);
        let scores = [ShelfScores { shelf: shelf("b"), rows: vec![3, 0, 2], scores: vec![0.9, 0.8, 0.7] }];
        assert_eq!(standing(&scores, &shelf("b"), 2), Some(Standing { place: 3, of: 3, score: 0.7 }));
        assert_eq!(standing(&scores, &shelf("b"), 5), None);
        assert_eq!(would_stand(&scores, &shelf("b"), 0.85), Some((2, 4)));
    }
}
