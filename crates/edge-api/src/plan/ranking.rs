//! One shelf's rules of ranking, and how they meet the candidates that came back.
//!
//! Must not know sources' meaning or how candidates are scored.

use std::sync::Arc;

use shared_models::{
    ItemKey, ShelfId,
    candidates::CandidateSet,
    explore::Explore,
    plan::{Objective, Pin, ShelfCandidatePlan, ShelfRankPlan, SlatePlan},
    surface::Shelf,
};

use super::{Ask, Shape};

/// A shelf's half of the plan that ranking reads.
#[derive(Clone, Debug)]
pub(super) struct ShelfRules {
    pub(super) id: ShelfId,
    pub(super) title: Arc<str>,
    sources: Vec<u16>,
    objective: Objective,
    slate: SlatePlan,
    slot: Option<u16>,
}

impl ShelfRules {
    /// Compiles the ranking half of a shelf.
    pub(super) fn of(shelf: &Shelf, plan: &ShelfCandidatePlan) -> Self {
        let pins =
            shelf.slate.pins.iter().map(|pin| Pin { item: ItemKey::of(&pin.item), position: pin.position }).collect();
        Self {
            id: shelf.id.clone(),
            title: Arc::from(shelf.title.as_str()),
            sources: plan.sources.iter().map(|used| used.source).collect(),
            objective: shelf.objective,
            slate: SlatePlan {
                size: shelf.slate.size,
                max_per_artist: shelf.slate.max_per_artist,
                diversity: shelf.slate.diversity,
                explore: shelf.slate.explore.plan(),
                new_items: shelf.slate.new_items,
                pins,
            },
            slot: shelf.slot,
        }
    }

    /// The most cards that the answer may have.
    pub(super) fn size(&self, ask: &Ask) -> u16 {
        match (ask.limit, ask.shape) {
            (None, _) => self.slate.size,
            // A flat answer is as long as the client asks; a shelf is never longer than its team wants.
            (Some(limit), Shape::Flat) => limit,
            (Some(limit), Shape::Page) => limit.min(self.slate.size),
        }
    }

    /// The shelf's plan for these candidates; `None` when they leave it empty.
    pub(super) fn plan(&self, ask: &Ask, set: &CandidateSet) -> Option<ShelfRankPlan> {
        let candidates = set.shelves.iter().find(|shelf| shelf.shelf == self.id)?;
        if candidates.rows.is_empty() {
            return None;
        }
        let known = set.table.sources.len();
        let mut slate = self.slate.clone();
        slate.size = self.size(ask);
        if ask.limit.is_some() {
            slate.pins.retain(|pin| pin.position < slate.size);
        }
        if !ask.explore {
            slate.explore = Explore::None;
            slate.new_items = None;
        }
        Some(ShelfRankPlan {
            shelf: self.id.clone(),
            rows: candidates.rows.clone(),
            sources: self.sources.iter().copied().filter(|source| usize::from(*source) < known).collect(),
            objective: self.objective,
            slate,
            pinned_slot: self.slot,
        })
    }
}
