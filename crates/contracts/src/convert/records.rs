//! Recommendation records.

use shared_models::{RecommendationId, Timestamp, plan::CandidatePlan};

use super::{
    Result, candidates, duration_from_wire, duration_to_wire, each,
    events::{uuid_from_wire, uuid_to_wire},
    explain, name, narrow, optional_name, page, ranking, required,
};
use crate::{
    convert::names::Name,
    generated::records::v1 as wire,
    records::{Head, RecommendationRecord, ShelfSummary, Variant},
};

/// The record's message, without its candidate plan. What nobody else holds is moved.
pub(crate) fn record_to_wire(record: RecommendationRecord) -> wire::RecommendationRecord {
    let shelf = |shelf: &ShelfSummary| wire::ShelfSummary {
        shelf: shelf.shelf.as_str().to_owned(),
        kept: shelf.kept,
        dropped: candidates::dropped_to_wire(&shelf.dropped),
        dropped_items: candidates::dropped_items_to_wire(&shelf.dropped_items),
    };
    let variant = |variant: Variant| wire::Variant { experiment: variant.experiment, variant: variant.variant };
    wire::RecommendationRecord {
        id: uuid_to_wire(&record.id.0),
        tenant: record.tenant.as_str().to_owned(),
        user: record.user.as_ref().map(|user| user.as_str().to_owned()),
        surface: record.surface.as_str().to_owned(),
        surface_version: record.surface_version,
        variants: record.variants.into_iter().map(variant).collect(),
        context: Some(page::context_to_wire(record.context)),
        seed_items: page::keys_to_wire(record.seed_items),
        exclude: page::keys_to_wire(record.exclude),
        candidate_plan: None,
        rank_shelves: record.rank_shelves.into_iter().map(ranking::plan_to_wire).collect(),
        order: record.order.to_wire(),
        listener: Some(page::listener_to_wire(record.listener)),
        table: Some(page::table_to_wire(record.table)),
        table_complete: record.table_complete,
        shelves: record.shelves.iter().map(shelf).collect(),
        sources: page::reports_to_wire(&record.sources),
        slates: record.slates.iter().map(ranking::slate_to_wire).collect(),
        candidates_release: record.candidates_release.as_ref().map(|release| release.as_str().to_owned()),
        ranking_release: record.ranking_release.as_ref().map(|release| release.as_str().to_owned()),
        level: record.level.to_wire(),
        degraded: page::degraded_to_wire(record.degraded),
        elapsed: Some(duration_to_wire(record.elapsed)),
        trace_id: record.trace_id,
        detail: record.detail.map(explain::detail_to_wire),
        flat: record.flat,
        limit: record.limit.map(u32::from),
        explore: record.explore,
    }
}

/// A record's message that holds a candidate plan and nothing else.
pub(crate) fn only_plan(plan: &CandidatePlan) -> wire::RecommendationRecord {
    wire::RecommendationRecord { candidate_plan: Some(candidates::plan_to_wire(plan)), ..Default::default() }
}

pub(crate) fn record_from_wire(record: wire::RecommendationRecord) -> Result<RecommendationRecord> {
    let table = page::table_from_wire(record.table)?;
    Ok(RecommendationRecord {
        id: RecommendationId(uuid_from_wire(&record.id, "id")?),
        tenant: name(&record.tenant, "tenant")?,
        user: optional_name(record.user.as_deref(), "user")?,
        surface: name(&record.surface, "surface")?,
        surface_version: record.surface_version,
        variants: each(record.variants, "variants", |variant| {
            Ok(Variant { experiment: variant.experiment, variant: variant.variant })
        })?,
        context: page::context_from_wire(record.context)?,
        seed_items: page::keys_from_wire(record.seed_items),
        exclude: page::keys_from_wire(record.exclude),
        candidate_plan: candidates::plan_from_wire(record.candidate_plan, "candidate_plan")?,
        rank_shelves: each(record.rank_shelves, "rank_shelves", |plan| ranking::plan_from_wire(plan, &table))?,
        order: Name::from_wire(record.order, "order")?,
        listener: page::listener_from_wire(record.listener)?,
        table_complete: record.table_complete,
        shelves: each(record.shelves, "shelves", |shelf| {
            Ok(ShelfSummary {
                shelf: name(&shelf.shelf, "shelf")?,
                kept: shelf.kept,
                dropped: candidates::dropped_from_wire(shelf.dropped)?,
                dropped_items: candidates::dropped_items_from_wire(shelf.dropped_items, table.sources.len())?,
            })
        })?,
        sources: page::reports_from_wire(record.sources)?,
        slates: each(record.slates, "slates", |slate| ranking::slate_from_wire(slate, table.len()))?,
        detail: record
            .detail
            .map(|detail| explain::detail_from_wire(detail, table.len()).map_err(|error| error.inside("detail")))
            .transpose()?,
        table,
        candidates_release: page::release_from_wire(record.candidates_release.as_deref(), "candidates_release")?,
        ranking_release: page::release_from_wire(record.ranking_release.as_deref(), "ranking_release")?,
        level: Name::from_wire(record.level, "level")?,
        degraded: page::degraded_from_wire(record.degraded)?,
        elapsed: duration_from_wire(required(record.elapsed, "elapsed")?, "elapsed")?,
        trace_id: record.trace_id,
        flat: record.flat,
        limit: record.limit.map(|limit| narrow(limit, "limit")).transpose()?,
        explore: record.explore,
    })
}

/// The fields of the record's message that it is filed by; what else is in the bytes is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WireHead {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    tenant: String,
    #[prost(string, optional, tag = "3")]
    user: Option<String>,
    #[prost(string, tag = "4")]
    surface: String,
    #[prost(message, optional, tag = "7")]
    context: Option<WireMoment>,
    #[prost(bool, tag = "15")]
    whole: bool,
}

/// The field of the context's message that says when.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct WireMoment {
    #[prost(int64, tag = "1")]
    now_ms: i64,
}

pub(crate) fn head_from_wire(head: &WireHead) -> Result<Head> {
    Ok(Head {
        id: RecommendationId(uuid_from_wire(&head.id, "id")?),
        tenant: name(&head.tenant, "tenant")?,
        user: optional_name(head.user.as_deref(), "user")?,
        surface: name(&head.surface, "surface")?,
        made_at: Timestamp(required(head.context, "context")?.now_ms),
        whole: head.whole,
    })
}
