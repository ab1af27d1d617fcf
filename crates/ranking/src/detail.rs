//! What a whole record keeps of a ranked page beyond its cards. It must never know why somebody asks.

use pipeline::ranking::Scored;
use shared_models::{
    plan::RankQuery,
    slate::{RankDetail, ShelfScores, Slate},
};

use crate::{
    features::{Matrix, schema_hash},
    scorers::{ACTIONS, Predictions},
};

/// The detail of a page: `scored` holds each shelf's rows, best first, and `predictions` are those of all rows.
#[must_use]
pub fn of(
    query: &RankQuery,
    matrix: &Matrix,
    scored: &[Vec<Scored>],
    predictions: &[Predictions],
    slates: &[Slate],
) -> RankDetail {
    let shelf = |(plan, scored): (&shared_models::plan::ShelfRankPlan, &Vec<Scored>)| ShelfScores {
        shelf: plan.shelf.clone(),
        rows: scored.iter().map(|scored| scored.row).collect(),
        scores: scored.iter().map(|scored| scored.score.value()).collect(),
    };
    let rows: Vec<u32> = slates.iter().flat_map(|slate| &slate.cards).map(|card| card.row).collect();
    let of_cards = |column: &[f32]| -> Vec<f32> {
        rows.iter().map(|row| column.get(*row as usize).copied().unwrap_or_default()).collect()
    };
    RankDetail {
        shelves: query.shelves.iter().zip(scored).map(shelf).collect(),
        schema: schema_hash(),
        features: matrix.columns().flat_map(of_cards).collect(),
        rows,
        predictions: (0..ACTIONS).flat_map(|action| predictions.iter().map(move |row| short(row[action]))).collect(),
    }
}

/// A probability to 13 significant bits, so that many of them take little room where they are kept: off by a part in 8,192
/// at most. What is none stays none.
fn short(probability: f32) -> f32 {
    const CUT: u32 = f32::MANTISSA_DIGITS - 13;
    if !probability.is_finite() {
        return f32::NAN;
    }
    f32::from_bits(probability.to_bits().saturating_add(1 << (CUT - 1)) & !((1 << CUT) - 1))
}

/// The same in the numbers of a table of `rows` rows from which `kept` rows were taken.
pub fn renumber(detail: &mut RankDetail, kept: &[u32], rows: usize) {
    let mut predictions = vec![f32::NAN; if detail.predictions.is_empty() { 0 } else { ACTIONS * rows }];
    for (action, of_kept) in detail.predictions.chunks(kept.len().max(1)).enumerate() {
        for (row, probability) in kept.iter().zip(of_kept) {
            if let Some(place) = predictions.get_mut(action * rows + *row as usize) {
                *place = *probability;
            }
        }
    }
    detail.predictions = predictions;
    let lists = detail.shelves.iter_mut().map(|shelf| &mut shelf.rows).chain(std::iter::once(&mut detail.rows));
    for row in lists.flatten() {
        *row = kept.get(*row as usize).copied().unwrap_or(*row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_stand_at_their_rows_of_the_whole_table() {
        let mut detail =
            RankDetail { predictions: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], ..RankDetail::default() };
        renumber(&mut detail, &[0, 2], 3);
        let of = |action: usize| &detail.predictions[action * 3..(action + 1) * 3];
        assert_eq!((of(0)[0], of(0)[2], of(3)[0], of(3)[2]), (1.0, 2.0, 7.0, 8.0));
        assert!((0..ACTIONS).all(|action| of(action)[1].is_nan()));
        let mut none = RankDetail::default();
        renumber(&mut none, &[0, 2], 3);
        assert!(none.predictions.is_empty());
    }

    #[test]
    fn probabilities_are_kept_to_13_bits() {
        for exact in [0.0, 1.0, 0.5, 0.0625] {
            assert_eq!(short(exact), exact);
        }
        for probability in [0.9_f32, 0.123_456_7, 1e-5] {
            assert!((short(probability) - probability).abs() <= probability / 8_192.0, "{probability}");
        }
        assert!(short(f32::NAN).is_nan() && short(f32::INFINITY).is_nan());
    }
}
