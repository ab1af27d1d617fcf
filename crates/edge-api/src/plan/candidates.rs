//! A surface's shelves as one candidate plan: every source once, every shelf pointing at its sources.
//!
//! Must not know ranking.

use std::time::Duration;

use shared_models::{
    component::FilterName,
    explore::Explore,
    plan::{CandidatePlan, FilterPlan, ShelfCandidatePlan, SourcePlan, SourceUse},
    surface::{Shelf, Surface},
};

/// Compiles the candidate half of a surface.
pub(super) fn compile(surface: &Surface, source_budget: Duration) -> CandidatePlan {
    let crowd = surface.shelves.iter().any(reads_the_crowd);
    let mut plan = CandidatePlan { crowd, ..CandidatePlan::default() };
    for shelf in &surface.shelves {
        let sources = shelf.sources.iter().map(|source| {
            let known =
                plan.sources.iter().position(|known| known.name == source.name && known.params == source.params);
            let index = known.unwrap_or_else(|| {
                plan.sources.push(SourcePlan {
                    name: source.name,
                    limit: 0,
                    params: source.params,
                    budget: source_budget,
                });
                plan.sources.len() - 1
            });
            if let Some(planned) = plan.sources.get_mut(index) {
                planned.limit = planned.limit.max(source.limit);
            }
            // At most 20 shelves of 10 sources: the index fits.
            SourceUse { source: index as u16, limit: source.limit }
        });
        let sources = sources.collect();
        plan.shelves.push(ShelfCandidatePlan {
            shelf: shelf.id.clone(),
            sources,
            filters: filters(shelf),
            limit: shelf.candidates,
        });
    }
    plan
}

/// Whether a shelf's rules read what everybody was shown and took.
fn reads_the_crowd(shelf: &Shelf) -> bool {
    matches!(shelf.slate.explore.plan(), Explore::Thompson { .. }) || shelf.slate.new_items.is_some()
}

/// The shelf's filters; what the request excludes is dropped first, because that is cheapest.
fn filters(shelf: &Shelf) -> Vec<FilterPlan> {
    let own = shelf.filters.iter().map(|filter| filter.0).filter(|filter| filter.name != FilterName::ExcludedByRequest);
    let excluded = FilterPlan { name: FilterName::ExcludedByRequest, params: FilterName::ExcludedByRequest.defaults() };
    std::iter::once(excluded).chain(own).collect()
}
