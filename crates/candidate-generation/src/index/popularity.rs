//! The popularity of a release as sources and hydrators ask for it: best first, and by row.

use releases::Popularity;
use rustc_hash::FxHashMap;
use shared_models::item::Market;

/// How many rows the list for everywhere holds.
const TOP: usize = 4_000;

/// Orders and look-ups over a release's popularity.
#[derive(Clone, Debug, Default)]
pub struct PopularityIndex {
    /// The most played rows everywhere with their popularity, best first, ties by row.
    top: Vec<(u32, f32)>,
    markets: FxHashMap<Market, FxHashMap<u32, f32>>,
}

impl PopularityIndex {
    /// Indexes a release's popularity.
    #[must_use]
    pub fn build(popularity: &Popularity) -> Self {
        let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let mut top: Vec<(u32, f32)> = popularity
            .global
            .iter()
            .enumerate()
            .filter(|(_, value)| **value > 0.0)
            .map(|(row, value)| (row as u32, *value))
            .collect();
        if top.len() > TOP {
            top.select_nth_unstable_by(TOP - 1, order);
            top.truncate(TOP);
        }
        top.sort_unstable_by(order);
        let markets =
            popularity.markets.iter().map(|(market, list)| (*market, list.iter().copied().collect())).collect();
        Self { top, markets }
    }

    /// The most played rows everywhere, best first.
    #[must_use]
    pub fn top(&self) -> &[(u32, f32)] {
        &self.top
    }

    /// The popularity of rows within one market; `None` when the release has no list of it.
    #[must_use]
    pub fn market(&self, market: Market) -> Option<&FxHashMap<u32, f32>> {
        self.markets.get(&market)
    }
}
