//! Recommendation records: the decision behind one answer, complete enough to explain it, to learn from
//! it and to run it again: `setlist.records.v1.RecommendationRecord`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use shared_models::{
    ItemKey, RecommendationId, ReleaseId, ShelfId, SurfaceId, TenantId, Timestamp, UserId,
    candidates::{CandidateTable, DroppedItem},
    component::DropReason,
    degraded::{DegradedLevel, DegradedStage, SourceReport},
    listener::ListenerContext,
    plan::{CandidatePlan, CandidateQuery, RankQuery, RequestContext, ShelfOrder, ShelfRankPlan},
    slate::{RankDetail, Slate},
};

pub use crate::payload::Error;
use crate::{convert::records as convert, payload};

/// What an envelope around a record says it holds.
pub const KIND: &str = "setlist.records.v1.RecommendationRecord";

/// The version that is written; every version from 1 is read.
pub const VERSION: u32 = 1;

/// How the candidates of one shelf fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfSummary {
    /// Which shelf.
    pub shelf: ShelfId,
    /// How many it kept.
    pub kept: u32,
    /// How many were dropped, by reason.
    pub dropped: Vec<(DropReason, u32)>,
    /// Which those were; empty unless the record is whole.
    pub dropped_items: Vec<DroppedItem>,
}

/// An experiment's variant that an answer was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The experiment.
    pub experiment: String,
    /// The variant.
    pub variant: String,
}

/// One answer's decision. It holds the plans and not the name of a surface version alone: replay must
/// not depend on a configuration that may have gone.
#[derive(Clone, Debug, PartialEq)]
pub struct RecommendationRecord {
    /// The answer.
    pub id: RecommendationId,
    /// Whose listener.
    pub tenant: TenantId,
    /// The listener; `None` is somebody unknown.
    pub user: Option<UserId>,
    /// The surface that was asked for.
    pub surface: SurfaceId,
    /// The version of the surface the plans were compiled from.
    pub surface_version: String,
    /// The variants the plans were compiled with.
    pub variants: Vec<Variant>,
    /// When and where, with the seed of every random draw.
    pub context: RequestContext,
    /// The items the request was about.
    pub seed_items: Vec<ItemKey>,
    /// Items the request excluded.
    pub exclude: Vec<ItemKey>,
    /// What candidate-generation was asked.
    pub candidate_plan: Arc<CandidatePlan>,
    /// What ranking was asked; without rows unless `table_complete`.
    pub rank_shelves: Vec<ShelfRankPlan>,
    /// How shelves were to be ordered.
    pub order: ShelfOrder,
    /// Who listened, as ranking saw them.
    pub listener: Arc<ListenerContext>,
    /// Candidates with the facts and evidence that ranking saw: all, or only those that were shown.
    pub table: Arc<CandidateTable>,
    /// Whether `table` holds all candidates, so that ranking can be replayed bit for bit.
    pub table_complete: bool,
    /// How the candidates of each shelf fared.
    pub shelves: Vec<ShelfSummary>,
    /// How each source fared.
    pub sources: Vec<SourceReport>,
    /// The answer; its cards are rows of `table`.
    pub slates: Vec<Slate>,
    /// The release that candidate-generation served from.
    pub candidates_release: Option<ReleaseId>,
    /// The release that ranking scored with.
    pub ranking_release: Option<ReleaseId>,
    /// How far down the brown-out ladder the answer stood.
    pub level: DegradedLevel,
    /// What was missing, slow or skipped.
    pub degraded: Vec<DegradedStage>,
    /// How long the edge took.
    pub elapsed: Duration,
    /// The trace of the request, when it was traced.
    pub trace_id: Option<String>,
    /// What ranking said beyond the cards; `None` unless the record is whole.
    pub detail: Option<RankDetail>,
    /// Whether the answer was one flat slate.
    pub flat: bool,
    /// The most cards that the request allowed on a shelf.
    pub limit: Option<u16>,
    /// Whether the request let positions be drawn at random.
    pub explore: bool,
}

impl RecommendationRecord {
    /// The question that was put to candidate-generation.
    #[must_use]
    pub fn candidate_query(&self) -> CandidateQuery {
        CandidateQuery {
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            context: self.context.clone(),
            seed_items: self.seed_items.clone(),
            exclude: self.exclude.clone(),
            plan: Arc::clone(&self.candidate_plan),
            whole: true,
            release: None,
        }
    }

    /// The question that was put to ranking; `None` when the record does not hold all candidates.
    #[must_use]
    pub fn rank_query(&self) -> Option<RankQuery> {
        self.table_complete.then(|| RankQuery {
            tenant: self.tenant.clone(),
            context: self.context.clone(),
            seed_items: self.seed_items.clone(),
            listener: Arc::clone(&self.listener),
            table: Arc::clone(&self.table),
            shelves: self.rank_shelves.clone(),
            order: self.order,
            whole: true,
            release: None,
        })
    }

    /// The same record with only the candidates that were shown: a tenth of the size, still complete
    /// for learning and explaining, no longer for replay.
    #[must_use]
    pub fn shown_only(mut self) -> Self {
        let mut rows: Vec<u32> = self.slates.iter().flat_map(|slate| slate.cards.iter().map(|card| card.row)).collect();
        rows.sort_unstable();
        rows.dedup();
        for card in self.slates.iter_mut().flat_map(|slate| &mut slate.cards) {
            card.row = rows.binary_search(&card.row).map_or(u32::MAX, |row| row as u32);
        }
        for shelf in &mut self.rank_shelves {
            shelf.rows = Vec::new();
        }
        self.table = Arc::new(rows_of(&self.table, &rows));
        self.table_complete = false;
        self.detail = None;
        for shelf in &mut self.shelves {
            shelf.dropped_items = Vec::new();
        }
        self
    }
}

/// The table of these rows.
fn rows_of(table: &CandidateTable, rows: &[u32]) -> CandidateTable {
    let keys =
        |column: &[ItemKey]| rows.iter().map(|row| column.get(*row as usize).copied().unwrap_or_default()).collect();
    let facts = |column: &Vec<f32>| {
        if column.is_empty() {
            Vec::new()
        } else {
            rows.iter().map(|row| column.get(*row as usize).copied().unwrap_or_default()).collect()
        }
    };
    let mut evidence = Vec::new();
    let mut evidence_ends = Vec::with_capacity(rows.len());
    for row in rows {
        evidence.extend_from_slice(table.evidence_of(*row as usize));
        evidence_ends.push(evidence.len() as u32);
    }
    CandidateTable {
        items: keys(&table.items),
        artists: keys(&table.artists),
        sources: table.sources.clone(),
        evidence_ends,
        evidence,
        facts: table.facts.iter().map(facts).collect(),
    }
}

/// A candidate plan as it stands in a record: encoded once for all the records that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPlan(Bytes);

impl EncodedPlan {
    /// Encodes a plan.
    #[must_use]
    pub fn of(plan: &CandidatePlan) -> Self {
        Self(convert::only_plan(plan).encode_to_vec().into())
    }
}

/// A record.
#[must_use]
pub fn encode(record: &RecommendationRecord) -> Bytes {
    encode_with(record.clone(), &EncodedPlan::of(&record.candidate_plan))
}

/// A record, given the encoding of its own candidate plan. Protobuf lets fields stand in any order, so the plan's bytes
/// follow the rest.
#[must_use]
pub fn encode_with(record: RecommendationRecord, plan: &EncodedPlan) -> Bytes {
    // Most records fit; a vector grows where one does not, so encoding into it cannot fail.
    let mut bytes = Vec::with_capacity(4_096 + 96 * record.table.len() + plan.0.len());
    let _fits = convert::record_to_wire(record).encode(&mut bytes);
    bytes.extend_from_slice(&plan.0);
    bytes.into()
}

/// What a record is filed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The answer.
    pub id: RecommendationId,
    /// Whose listener.
    pub tenant: TenantId,
    /// The listener; `None` is somebody unknown.
    pub user: Option<UserId>,
    /// The surface that was asked for.
    pub surface: SurfaceId,
    /// When.
    pub made_at: Timestamp,
    /// Whether it holds all candidates.
    pub whole: bool,
}

/// The head of a payload: the rest is skipped, not read.
///
/// # Errors
/// As [`decode`], as far as the head goes.
pub fn head(kind: &str, version: u32, payload: &[u8]) -> Result<Head, Error> {
    let head = payload::decode(kind, version, payload, KIND, VERSION)?;
    convert::head_from_wire(&head).map_err(|source| Error::Malformed { kind: KIND, source })
}

/// The record of a payload.
///
/// # Errors
/// When the payload is of another kind or of a newer version, or breaks its contract.
pub fn decode(kind: &str, version: u32, payload: &[u8]) -> Result<RecommendationRecord, Error> {
    let record = payload::decode(kind, version, payload, KIND, VERSION)?;
    convert::record_from_wire(record).map_err(|source| Error::Malformed { kind: KIND, source })
}
