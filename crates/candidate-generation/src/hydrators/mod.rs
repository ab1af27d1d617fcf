//! The hydrators: what ranking learns of each candidate, as columns. The arithmetic is in [`facts`],
//! pure and public, so that training recomputes with it what serving told.

pub mod facts;

use async_trait::async_trait;
use pipeline::{Patch, StageResult, candidates::Hydrator};
use shared_models::component::Fact;

use crate::{catalog::Handle, query::PageQuery};

/// One column for each fact, in the order of [`Fact::ALL`]; one row for each candidate.
pub type Facts = Vec<Vec<f32>>;

/// Columns without anything in them.
#[must_use]
pub fn no_facts() -> Facts {
    vec![Vec::new(); Fact::ALL.len()]
}

/// Fills columns row by row: `row` gives the facts of one candidate in the order of `columns`.
fn columns<const N: usize>(columns: [Fact; N], items: &[Handle], row: impl Fn(Handle) -> [f32; N]) -> Patch<Facts> {
    let mut values: [Vec<f32>; N] = std::array::from_fn(|_| Vec::with_capacity(items.len()));
    for item in items {
        for (column, value) in values.iter_mut().zip(row(*item)) {
            column.push(value);
        }
    }
    Box::new(move |facts| {
        for (fact, column) in columns.into_iter().zip(values) {
            if let Some(place) = facts.get_mut(fact as usize) {
                *place = column;
            }
        }
    })
}

/// What the catalogue knows.
pub struct ItemHydrator;

#[async_trait]
impl Hydrator<PageQuery, Handle, Facts> for ItemHydrator {
    fn name(&self) -> &'static str {
        "item"
    }

    async fn hydrate(&self, query: &PageQuery, items: &[Handle]) -> StageResult<Patch<Facts>> {
        let now = query.now();
        Ok(columns(facts::ITEM, items, |item| {
            query.row(item).map_or(facts::UNKNOWN_ITEM, |row| {
                let newest = query.catalogue.newest_of(row.artist, now);
                facts::item(row.released_at, row.duration_seconds, row.explicit, newest, now)
            })
        }))
    }
}

/// What everybody plays: by the release, and now.
pub struct PopularityHydrator;

#[async_trait]
impl Hydrator<PageQuery, Handle, Facts> for PopularityHydrator {
    fn name(&self) -> &'static str {
        "popularity"
    }

    async fn hydrate(&self, query: &PageQuery, items: &[Handle]) -> StageResult<Patch<Facts>> {
        let plays = query.trends.plays(query.now());
        let serving = query.serving.as_deref();
        let global = serving.and_then(|serving| serving.release.popularity.as_ref());
        let market =
            serving.and_then(|serving| serving.popularity.as_ref()).and_then(|index| index.market(query.market()));
        Ok(columns([Fact::Popularity, Fact::MarketPopularity, Fact::Trend], items, |item| {
            let row = serving.and_then(|serving| serving.row(item));
            let everywhere = row.and_then(|row| global.map(|global| global.of(row))).unwrap_or(0.0);
            let here = row.and_then(|row| market.and_then(|market| market.get(&row).copied())).unwrap_or(0.0);
            [everywhere, here, plays(item.key).ln_1p()]
        }))
    }
}

/// What the listener did with the item, its artist and its genres.
pub struct ListenerHydrator;

#[async_trait]
impl Hydrator<PageQuery, Handle, Facts> for ListenerHydrator {
    fn name(&self) -> &'static str {
        "listener"
    }

    async fn hydrate(&self, query: &PageQuery, items: &[Handle]) -> StageResult<Patch<Facts>> {
        let (profile, now) = (&query.listener.profile, query.now());
        Ok(columns(facts::LISTENER, items, |item| {
            let row = query.row(item);
            let artist = row.map(|row| row.artist).unwrap_or_default();
            facts::listener(profile, item.key, artist, row.map_or(&[], |row| &row.genres), now)
        }))
    }
}

/// What everybody was shown and took of late, where the plan asks for it.
pub struct CrowdHydrator;

#[async_trait]
impl Hydrator<PageQuery, Handle, Facts> for CrowdHydrator {
    fn name(&self) -> &'static str {
        "crowd"
    }

    async fn hydrate(&self, query: &PageQuery, items: &[Handle]) -> StageResult<Patch<Facts>> {
        if !query.asked.plan.crowd {
            return Ok(Box::new(|_: &mut Facts| ()));
        }
        let (crowd, now) = (&query.crowd, query.now());
        let (shown, taken, hourly) = (crowd.shown.plays(now), crowd.taken.plays(now), crowd.hourly.plays(now));
        Ok(columns([Fact::CrowdShown, Fact::CrowdTaken, Fact::CrowdShownHourly], items, |item| {
            [shown(item.key), taken(item.key), hourly(item.key)].map(facts::short)
        }))
    }
}
