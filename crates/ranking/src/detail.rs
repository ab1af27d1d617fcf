//! What a whole record keeps of a ranked page beyond its cards. It must never know why somebody asks.

use pipeline::ranking::Scored;
use shared_models::{
    plan::RankQuery,
    slate::{RankDetail, ShelfScores, Slate},
};

use crate::features::{Matrix, schema_hash};

/// The detail of a page: `scored` holds each shelf's rows, best first.
#[must_use]
pub fn of(query: &RankQuery, matrix: &Matrix, scored: &[Vec<Scored>], slates: &[Slate]) -> RankDetail {
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
    }
}

/// The same in the numbers of the table from which `kept` rows were taken.
pub fn renumber(detail: &mut RankDetail, kept: &[u32]) {
    let lists = detail.shelves.iter_mut().map(|shelf| &mut shelf.rows).chain(std::iter::once(&mut detail.rows));
    for row in lists.flatten() {
        *row = kept.get(*row as usize).copied().unwrap_or(*row);
    }
}
