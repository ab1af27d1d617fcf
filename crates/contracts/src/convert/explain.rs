//! What ranking tells beyond the cards: the detail of whole records, and explanations.

use shared_models::{
    component::Action,
    slate::{ExplainQuery, Explanation, FeatureInfo, Pinned, RankDetail, RowExplanation, ShelfScores},
};

use super::{Malformed, Result, each, name, page::release_from_wire, ranking, required, same_length};
use crate::{convert::names::Name, generated::ranking::v1 as wire};

const ACTIONS: usize = Action::ALL.len();

pub(crate) fn detail_to_wire(detail: RankDetail) -> wire::RankDetail {
    let scores = |shelf: ShelfScores| wire::ShelfScores {
        shelf: shelf.shelf.as_str().to_owned(),
        rows: shelf.rows,
        scores: shelf.scores,
    };
    wire::RankDetail {
        shelves: detail.shelves.into_iter().map(scores).collect(),
        schema: detail.schema,
        rows: detail.rows,
        features: detail.features,
        predictions: detail.predictions,
    }
}

/// The detail of a page of a table of `rows` rows.
pub(crate) fn detail_from_wire(mut detail: wire::RankDetail, rows: usize) -> Result<RankDetail> {
    below(&detail.rows, rows, "rows")?;
    let is_matrix = match detail.rows.len() {
        0 => detail.features.is_empty(),
        shown => detail.features.len().is_multiple_of(shown),
    };
    if !is_matrix {
        let given = format_args!("{} values are no matrix of {} rows", detail.features.len(), detail.rows.len());
        return Err(Malformed::new("features", given));
    }
    let predicted = detail.predictions.len();
    if predicted > 0 && (rows == 0 || !predicted.is_multiple_of(rows)) {
        let given = format_args!("{predicted} values are no matrix of {rows} rows");
        return Err(Malformed::new("predictions", given));
    }
    // A sender that knows more actions says them after these; of one that knows fewer nothing is taken.
    detail.predictions.truncate(ACTIONS * rows);
    if detail.predictions.len() < ACTIONS * rows {
        detail.predictions.clear();
    }
    Ok(RankDetail {
        shelves: each(detail.shelves, "shelves", |shelf| {
            below(&shelf.rows, rows, "rows")?;
            same_length(shelf.scores.len(), shelf.rows.len(), "scores")?;
            Ok(ShelfScores { shelf: name(&shelf.shelf, "shelf")?, rows: shelf.rows, scores: shelf.scores })
        })?,
        schema: detail.schema,
        rows: detail.rows,
        features: detail.features,
        predictions: detail.predictions,
    })
}

fn below(given: &[u32], rows: usize, field: &str) -> Result<()> {
    match given.iter().find(|row| **row as usize >= rows) {
        None => Ok(()),
        Some(row) => Err(Malformed::new(field, format_args!("{row} is no row of a table of {rows}"))),
    }
}

pub(crate) fn query_to_wire(query: ExplainQuery) -> wire::ExplainRequest {
    let (release, cold) = match query.release {
        Pinned::Live => (None, false),
        Pinned::Cold => (None, true),
        Pinned::Release(id) => (Some(id.as_str().to_owned()), false),
        Pinned::Unscored(id) => (Some(id.as_str().to_owned()), true),
    };
    wire::ExplainRequest { page: Some(ranking::query_to_wire(query.page)), release, cold, rows: query.rows }
}

pub(crate) fn query_from_wire(request: wire::ExplainRequest) -> Result<ExplainQuery> {
    let page = ranking::query_from_wire(required(request.page, "page")?).map_err(|error| error.inside("page"))?;
    below(&request.rows, page.table.len(), "rows")?;
    let release = match (release_from_wire(request.release.as_deref(), "release")?, request.cold) {
        (None, false) => Pinned::Live,
        (None, true) => Pinned::Cold,
        (Some(id), false) => Pinned::Release(id),
        (Some(id), true) => Pinned::Unscored(id),
    };
    Ok(ExplainQuery { page, release, rows: request.rows })
}

pub(crate) fn explanation_to_wire(explanation: Explanation) -> wire::ExplainResponse {
    let row = |row: RowExplanation| wire::RowExplanation {
        row: row.row,
        predictions: row.predictions.to_vec(),
        values: row.values,
        contributions: row.contributions.into_iter().flatten().collect(),
    };
    let feature = |feature: FeatureInfo| wire::FeatureInfo { name: feature.name, unit: feature.unit, doc: feature.doc };
    wire::ExplainResponse {
        page: Some(ranking::page_to_wire(explanation.page)),
        features: explanation.features.into_iter().map(feature).collect(),
        actions: Action::ALL.iter().map(|action| action.to_wire()).collect(),
        rows: explanation.rows.into_iter().map(row).collect(),
    }
}

/// The explanation of a page of a table of `rows` rows.
pub(crate) fn explanation_from_wire(response: wire::ExplainResponse, rows: usize) -> Result<Explanation> {
    // As in slates: an action that this reader does not know is skipped, one that the sender does not know reads as 0.
    let places: Vec<Option<usize>> = response
        .actions
        .iter()
        .map(|action| Action::from_wire(*action, "actions").ok().map(|action| action as usize))
        .collect();
    let four = |values: &[f32]| {
        let mut four = [0.0; ACTIONS];
        for (place, value) in places.iter().zip(values) {
            if let Some(slot) = place.and_then(|place| four.get_mut(place)) {
                *slot = *value;
            }
        }
        four
    };
    let page = ranking::page_from_wire(required(response.page, "page")?, rows).map_err(|error| error.inside("page"))?;
    let known = response.features.len();
    Ok(Explanation {
        page,
        rows: each(response.rows, "rows", |row| {
            below(&[row.row], rows, "row")?;
            same_length(row.predictions.len(), places.len(), "predictions")?;
            same_length(row.values.len(), known, "values")?;
            same_length(row.contributions.len(), known * places.len(), "contributions")?;
            Ok(RowExplanation {
                row: row.row,
                predictions: four(&row.predictions),
                contributions: row.contributions.chunks_exact(places.len().max(1)).map(four).collect(),
                values: row.values,
            })
        })?,
        features: response
            .features
            .into_iter()
            .map(|feature| FeatureInfo { name: feature.name, unit: feature.unit, doc: feature.doc })
            .collect(),
    })
}
