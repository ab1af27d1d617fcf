//! candidate-generation's question and answer, and the candidate plan.

use std::{sync::Arc, time::Duration};

use shared_models::{
    ItemKey, ReleaseId,
    candidates::{CandidateSet, DroppedItem, ShelfCandidates},
    component::{DropReason, FilterParams, SourceParams},
    plan::{CandidatePlan, CandidateQuery, FilterPlan, ShelfCandidatePlan, SourcePlan, SourceUse},
};

use super::{
    Malformed, Result, duration_from_wire, duration_to_wire, each, name, narrow, optional_name,
    page::{
        context_from_wire, context_to_wire, degraded_from_wire, degraded_to_wire, keys_from_wire, keys_to_wire,
        listener_from_wire, listener_to_wire, release_from_wire, reports_from_wire, reports_to_wire, rows_below,
        table_from_wire, table_to_wire,
    },
    required, same_length,
};
use crate::{convert::names::Name, generated::candidates::v1 as wire};

pub(crate) fn query_to_wire(query: CandidateQuery) -> wire::GenerateRequest {
    wire::GenerateRequest {
        tenant: query.tenant.as_str().to_owned(),
        user: query.user.map(|user| user.as_str().to_owned()),
        context: Some(context_to_wire(query.context)),
        seed_items: keys_to_wire(query.seed_items),
        exclude: keys_to_wire(query.exclude),
        plan: Some(plan_to_wire(&query.plan)),
        whole: query.whole,
        release: query.release.map(|release| release.as_str().to_owned()),
    }
}

pub(crate) fn query_from_wire(request: wire::GenerateRequest) -> Result<CandidateQuery> {
    Ok(CandidateQuery {
        tenant: name(&request.tenant, "tenant")?,
        user: optional_name(request.user.as_deref(), "user")?,
        context: context_from_wire(request.context)?,
        seed_items: keys_from_wire(request.seed_items),
        exclude: keys_from_wire(request.exclude),
        plan: plan_from_wire(request.plan, "plan")?,
        whole: request.whole,
        release: release_from_wire(request.release.as_deref(), "release")?,
    })
}

pub(crate) fn set_to_wire(set: CandidateSet) -> wire::GenerateResponse {
    let shelf = |shelf: ShelfCandidates| wire::ShelfCandidates {
        shelf: shelf.shelf.as_str().to_owned(),
        rows: shelf.rows,
        dropped: dropped_to_wire(&shelf.dropped),
        dropped_items: dropped_items_to_wire(&shelf.dropped_items),
    };
    wire::GenerateResponse {
        table: Some(table_to_wire(set.table)),
        shelves: set.shelves.into_iter().map(shelf).collect(),
        listener: Some(listener_to_wire(set.listener)),
        sources: reports_to_wire(&set.sources),
        degraded: degraded_to_wire(set.degraded),
        release: set.release.map(|release: ReleaseId| release.as_str().to_owned()),
    }
}

pub(crate) fn set_from_wire(response: wire::GenerateResponse) -> Result<CandidateSet> {
    let table = table_from_wire(response.table)?;
    let shelves = each(response.shelves, "shelves", |shelf| {
        rows_below(&shelf.rows, &table, "rows")?;
        Ok(ShelfCandidates {
            shelf: name(&shelf.shelf, "shelf")?,
            rows: shelf.rows,
            dropped: dropped_from_wire(shelf.dropped)?,
            dropped_items: dropped_items_from_wire(shelf.dropped_items, table.sources.len())?,
        })
    })?;
    Ok(CandidateSet {
        table,
        shelves,
        listener: listener_from_wire(response.listener)?,
        sources: reports_from_wire(response.sources)?,
        degraded: degraded_from_wire(response.degraded)?,
        release: release_from_wire(response.release.as_deref(), "release")?,
    })
}

pub(crate) fn dropped_to_wire(dropped: &[(DropReason, u32)]) -> Vec<wire::DroppedCount> {
    dropped.iter().map(|(reason, count)| wire::DroppedCount { reason: reason.to_wire(), count: *count }).collect()
}

pub(crate) fn dropped_from_wire(dropped: Vec<wire::DroppedCount>) -> Result<Vec<(DropReason, u32)>> {
    each(dropped, "dropped", |dropped| Ok((Name::from_wire(dropped.reason, "reason")?, dropped.count)))
}

pub(crate) fn dropped_items_to_wire(dropped: &[DroppedItem]) -> Option<wire::DroppedItems> {
    (!dropped.is_empty()).then(|| wire::DroppedItems {
        items: dropped.iter().map(|dropped| dropped.item.0).collect(),
        reasons: dropped.iter().map(|dropped| dropped.reason.to_wire()).collect(),
        sources: dropped.iter().map(|dropped| dropped.source.into()).collect(),
        ranks: dropped.iter().map(|dropped| dropped.rank).collect(),
    })
}

/// The dropped candidates of a table with `known` sources.
pub(crate) fn dropped_items_from_wire(dropped: Option<wire::DroppedItems>, known: usize) -> Result<Vec<DroppedItem>> {
    let Some(dropped) = dropped else { return Ok(Vec::new()) };
    let count = dropped.items.len();
    same_length(dropped.reasons.len(), count, "dropped_items.reasons")?;
    same_length(dropped.sources.len(), count, "dropped_items.sources")?;
    same_length(dropped.ranks.len(), count, "dropped_items.ranks")?;
    let columns = dropped.items.into_iter().zip(dropped.reasons).zip(dropped.sources).zip(dropped.ranks);
    columns
        .map(|(((item, reason), source), rank)| {
            let source = u16::try_from(source).ok().filter(|source| usize::from(*source) < known).ok_or_else(|| {
                Malformed::new("dropped_items.sources", format_args!("{source} is none of the table's {known} sources"))
            })?;
            let reason = Name::from_wire(reason, "dropped_items.reasons")?;
            Ok(DroppedItem { item: ItemKey(item), reason, source, rank })
        })
        .collect()
}

pub(crate) fn plan_to_wire(plan: &CandidatePlan) -> wire::CandidatePlan {
    let source = |source: &SourcePlan| wire::SourcePlan {
        name: source.name.to_wire(),
        limit: source.limit,
        params: Some(wire::SourceParams {
            seeds: source.params.seeds.map(u32::from),
            artists: source.params.artists.map(u32::from),
            within: source.params.within.map(duration_to_wire),
        }),
        budget: Some(duration_to_wire(source.budget)),
    };
    let filter = |filter: &FilterPlan| wire::FilterPlan {
        name: filter.name.to_wire(),
        params: Some(wire::FilterParams {
            within: filter.params.within.map(duration_to_wire),
            max: filter.params.max.map(u32::from),
        }),
    };
    let shelf = |shelf: &ShelfCandidatePlan| wire::ShelfCandidatePlan {
        shelf: shelf.shelf.as_str().to_owned(),
        sources: shelf
            .sources
            .iter()
            .map(|used| wire::SourceUse { source: used.source.into(), limit: used.limit })
            .collect(),
        filters: shelf.filters.iter().map(filter).collect(),
        limit: shelf.limit,
    };
    wire::CandidatePlan {
        sources: plan.sources.iter().map(source).collect(),
        shelves: plan.shelves.iter().map(shelf).collect(),
        crowd: plan.crowd,
    }
}

pub(crate) fn plan_from_wire(plan: Option<wire::CandidatePlan>, field: &str) -> Result<Arc<CandidatePlan>> {
    open_plan(required(plan, field)?).map(Arc::new).map_err(|error| error.inside(field))
}

fn open_plan(plan: wire::CandidatePlan) -> Result<CandidatePlan> {
    let sources = each(plan.sources, "sources", |source| {
        let params = source.params.unwrap_or_default();
        Ok(SourcePlan {
            name: Name::from_wire(source.name, "name")?,
            limit: source.limit,
            params: SourceParams {
                seeds: params.seeds.map(|seeds| narrow(seeds, "params.seeds")).transpose()?,
                artists: params.artists.map(|artists| narrow(artists, "params.artists")).transpose()?,
                within: optional_duration(params.within, "params.within")?,
            },
            budget: duration_from_wire(required(source.budget, "budget")?, "budget")?,
        })
    })?;
    let shelves = each(plan.shelves, "shelves", |shelf| open_shelf(shelf, sources.len()))?;
    Ok(CandidatePlan { sources, shelves, crowd: plan.crowd })
}

fn open_shelf(shelf: wire::ShelfCandidatePlan, sources: usize) -> Result<ShelfCandidatePlan> {
    Ok(ShelfCandidatePlan {
        shelf: name(&shelf.shelf, "shelf")?,
        sources: each(shelf.sources, "sources", |used| {
            if used.source as usize >= sources {
                return Err(Malformed::new(
                    "source",
                    format_args!("{} is none of the plan's {sources} sources", used.source),
                ));
            }
            Ok(SourceUse { source: narrow(used.source, "source")?, limit: used.limit })
        })?,
        filters: each(shelf.filters, "filters", |filter| {
            let params = filter.params.unwrap_or_default();
            Ok(FilterPlan {
                name: Name::from_wire(filter.name, "name")?,
                params: FilterParams {
                    within: optional_duration(params.within, "params.within")?,
                    max: params.max.map(|max| narrow(max, "params.max")).transpose()?,
                },
            })
        })?,
        limit: shelf.limit,
    })
}

fn optional_duration(span: Option<prost_types::Duration>, field: &str) -> Result<Option<Duration>> {
    span.map(|span| duration_from_wire(span, field)).transpose()
}
