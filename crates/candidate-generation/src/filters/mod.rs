//! The filters: each judges one candidate, with a reason. Pure: what they need is in the query.

use std::time::Duration;

use pipeline::candidates::{Filter, Verdict};
use shared_models::{
    component::{DropReason, FilterName},
    plan::FilterPlan,
};

use crate::{catalog::Handle, query::PageQuery};

/// Keeps what the rule does not drop.
fn drop_if(drops: bool, reason: DropReason) -> Verdict {
    if drops { Verdict::Drop(reason) } else { Verdict::Keep }
}

/// A filter with its settings, ready to judge.
#[must_use]
pub fn filter(plan: &FilterPlan) -> Box<dyn Filter<PageQuery, Handle>> {
    let defaults = plan.name.defaults();
    let within = plan.params.within.or(defaults.within).unwrap_or(Duration::ZERO);
    let max = usize::from(plan.params.max.or(defaults.max).unwrap_or(u16::MAX));
    match plan.name {
        FilterName::AvailableInMarket => Box::new(AvailableInMarketFilter),
        FilterName::NotHidden => Box::new(NotHiddenFilter),
        FilterName::NotRecentlyPlayed => Box::new(NotRecentlyPlayedFilter { within }),
        FilterName::ImpressionCap => Box::new(ImpressionCapFilter { within, max }),
        FilterName::ExplicitContent => Box::new(ExplicitContentFilter),
        FilterName::ExcludedByRequest => Box::new(ExcludedByRequestFilter),
    }
}

/// Drops what the catalogue no longer holds. Stands before every shelf's own filters: nobody can draw
/// such an item.
pub struct InCatalogueFilter;

impl Filter<PageQuery, Handle> for InCatalogueFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        drop_if(query.row(item).is_none(), DropReason::NotInCatalogue)
    }
}

struct AvailableInMarketFilter;

impl Filter<PageQuery, Handle> for AvailableInMarketFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        drop_if(
            query.row(item).is_some_and(|row| !row.is_available_in(query.market())),
            DropReason::NotAvailableInMarket,
        )
    }
}

struct NotHiddenFilter;

impl Filter<PageQuery, Handle> for NotHiddenFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        let hidden = &query.listener.profile.hidden;
        if hidden.contains(item.key) {
            return Verdict::Drop(DropReason::ItemHidden);
        }
        drop_if(query.row(item).is_some_and(|row| hidden.contains(row.artist)), DropReason::ArtistHidden)
    }
}

struct NotRecentlyPlayedFilter {
    within: Duration,
}

impl Filter<PageQuery, Handle> for NotRecentlyPlayedFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        let last_played = query.listener.profile.items.of(item.key).and_then(|item| item.last_played);
        drop_if(last_played.is_some_and(|at| at > query.now().before(self.within)), DropReason::RecentlyPlayed)
    }
}

struct ImpressionCapFilter {
    within: Duration,
    max: usize,
}

impl Filter<PageQuery, Handle> for ImpressionCapFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        let shown = query.listener.profile.impressions.count(item.key, self.within, query.now());
        drop_if(shown >= self.max, DropReason::ShownTooOften)
    }
}

struct ExplicitContentFilter;

impl Filter<PageQuery, Handle> for ExplicitContentFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        drop_if(!query.explicit_allowed() && query.row(item).is_some_and(|row| row.explicit), DropReason::Explicit)
    }
}

struct ExcludedByRequestFilter;

impl Filter<PageQuery, Handle> for ExcludedByRequestFilter {
    fn judge(&self, query: &PageQuery, item: Handle) -> Verdict {
        drop_if(query.is_excluded(item.key), DropReason::ExcludedByRequest)
    }
}
