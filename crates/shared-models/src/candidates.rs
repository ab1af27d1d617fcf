//! The candidates of one page: one columnar table, and each shelf's rows of it.

use std::sync::Arc;

use crate::{
    ItemKey, ReleaseId, ShelfId,
    component::{DropReason, Fact, SourceName},
    degraded::{DegradedStage, SourceReport},
    listener::ListenerContext,
};

/// The least cosine between the factors of two items at which one may be called close to the other.
pub const NEAR: f32 = 0.5;

/// One source's word for one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Index into [`CandidateTable::sources`].
    pub source: u16,
    /// The candidate's place in that source's list, from 0.
    pub rank: u32,
    /// The source's own score, finite; scales differ between sources.
    pub score: f32,
    /// The item that led the source to it, or [`ItemKey::NONE`]: one that the request is about, or one
    /// that the listener played. What they only liked, saved or shared is never named.
    pub seed: ItemKey,
}

/// Distinct items as rows, facts as columns. Column lengths always equal `items.len()`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CandidateTable {
    /// The items, each once.
    pub items: Vec<ItemKey>,
    /// Their artists, [`ItemKey::NONE`] where there is none.
    pub artists: Vec<ItemKey>,
    /// The sources that `evidence` points to, in plan order.
    pub sources: Vec<SourceName>,
    /// `evidence_ends[row]` is the end of that row's evidence; it starts where the row before ends.
    pub evidence_ends: Vec<u32>,
    /// The evidence of all rows, each row's in plan order of its sources.
    pub evidence: Vec<Evidence>,
    /// One column for each fact in the order of [`Fact::ALL`]; an empty column reads as zeros.
    pub facts: Vec<Vec<f32>>,
}

impl CandidateTable {
    /// How many candidates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What the sources say of a row; empty past the end.
    #[must_use]
    pub fn evidence_of(&self, row: usize) -> &[Evidence] {
        let start = if row == 0 { 0 } else { self.evidence_ends.get(row - 1).copied().unwrap_or(0) as usize };
        let end = self.evidence_ends.get(row).copied().unwrap_or(0) as usize;
        self.evidence.get(start..end).unwrap_or(&[])
    }

    /// A fact's column; `None` where nobody filled it in (read it as zeros).
    #[must_use]
    pub fn fact(&self, fact: Fact) -> Option<&[f32]> {
        self.facts.get(fact as usize).map(Vec::as_slice).filter(|column| !column.is_empty())
    }

    /// The first inconsistency of lengths or indices, in words; `None` when the table is sound.
    #[must_use]
    pub fn inconsistency(&self) -> Option<String> {
        let rows = self.items.len();
        if self.artists.len() != rows {
            return Some(format!("artists has {} rows, items has {rows}", self.artists.len()));
        }
        if self.evidence_ends.len() != rows {
            return Some(format!("evidence_ends has {} rows, items has {rows}", self.evidence_ends.len()));
        }
        if !self.evidence_ends.is_sorted()
            || self.evidence_ends.last().copied().unwrap_or(0) as usize != self.evidence.len()
        {
            return Some("evidence_ends does not partition the evidence".to_owned());
        }
        if let Some(evidence) =
            self.evidence.iter().find(|e| usize::from(e.source) >= self.sources.len() || !e.score.is_finite())
        {
            return Some(format!(
                "evidence of source {} with score {} is out of range",
                evidence.source, evidence.score
            ));
        }
        self.facts
            .iter()
            .enumerate()
            .find(|(_, column)| !column.is_empty() && column.len() != rows)
            .map(|(index, column)| format!("fact column {index} has {} rows, items has {rows}", column.len()))
    }
}

/// One shelf's share of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct ShelfCandidates {
    /// Which shelf.
    pub shelf: ShelfId,
    /// The rows it keeps, in source order (best rank first, ties by item key).
    pub rows: Vec<u32>,
    /// How many were dropped, by reason; reasons with none are left out.
    pub dropped: Vec<(DropReason, u32)>,
    /// Which those were; empty unless the query asked for it.
    pub dropped_items: Vec<DroppedItem>,
}

/// A candidate that a shelf dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedItem {
    /// Which.
    pub item: ItemKey,
    /// Why: each reason is one filter's, but for the limit's.
    pub reason: DropReason,
    /// The source that ranked it best: an index of [`CandidateTable::sources`].
    pub source: u16,
    /// Its place in that source's list, from 0.
    pub rank: u32,
}

/// candidate-generation's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateSet {
    /// All candidates of the page.
    pub table: Arc<CandidateTable>,
    /// Each shelf's share, in plan order.
    pub shelves: Vec<ShelfCandidates>,
    /// Who listens.
    pub listener: Arc<ListenerContext>,
    /// How each source fared, in plan order.
    pub sources: Vec<SourceReport>,
    /// What was missing, slow or skipped.
    pub degraded: Vec<DegradedStage>,
    /// The release that served, when one is live.
    pub release: Option<ReleaseId>,
}
