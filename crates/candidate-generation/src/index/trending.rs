//! What everybody plays now: plays that halve with time, and the top of them.
//!
//! All counts are kept at one common landmark in time instead of each at its own, so their order does
//! not change while nobody plays, and the top needs no recount (forward decay: Cormode, Shkapenyuk,
//! Srivastava and Xu, "Forward Decay", ICDE 2009).

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{ItemKey, Timestamp};

/// How many items the top holds.
const TOP: usize = 2_000;
/// Half-lives after which counts move to a new landmark, long before `f64` overflows.
const RESCALE_AFTER: f64 = 200.0;
/// A count below this many plays is forgotten.
const NEGLIGIBLE: f64 = 1e-3;

/// The top as a page reads it.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    /// Items with their plays at the landmark, most first, ties by item.
    top: Vec<(ItemKey, f64)>,
    landmark: Timestamp,
    half_life_days: f64,
    counts: Arc<FxHashMap<ItemKey, f64>>,
}

impl Trends {
    fn factor(&self, now: Timestamp) -> f64 {
        if self.half_life_days > 0.0 { (-days(self.landmark, now) / self.half_life_days).exp2() } else { 0.0 }
    }

    /// The most played items with their decayed plays at `now`, most first.
    pub fn top(&self, now: Timestamp) -> impl Iterator<Item = (ItemKey, f32)> {
        let factor = self.factor(now);
        self.top.iter().map(move |(key, plays)| (*key, (plays * factor) as f32))
    }

    /// Decayed plays of items at `now`; 0 for an item nobody played.
    pub fn plays(&self, now: Timestamp) -> impl Fn(ItemKey) -> f32 {
        let factor = self.factor(now);
        move |key| (self.counts.get(&key).copied().unwrap_or(0.0) * factor) as f32
    }
}

/// A count as a store keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredTrend {
    /// Which item.
    pub key: ItemKey,
    /// Its decayed plays at `at`.
    pub plays: f64,
    /// When they stood so.
    pub at: Timestamp,
}

#[derive(Debug)]
struct Counts {
    at_landmark: Arc<FxHashMap<ItemKey, f64>>,
    landmark: Timestamp,
    /// Items counted since the last flush to a store.
    unsaved: FxHashSet<ItemKey>,
    /// Whether the top is older than the counts.
    stale: bool,
}

/// The counters of one tenant.
#[derive(Debug)]
pub struct Trending {
    half_life_days: f64,
    counts: Mutex<Counts>,
    trends: ArcSwap<Trends>,
}

fn days(from: Timestamp, to: Timestamp) -> f64 {
    to.0.saturating_sub(from.0) as f64 / 86_400_000.0
}

impl Trending {
    /// Counters without plays.
    #[must_use]
    pub fn new(half_life: Duration) -> Self {
        let counts =
            Counts { at_landmark: Arc::default(), landmark: Timestamp(0), unsaved: FxHashSet::default(), stale: false };
        Self {
            half_life_days: half_life.as_secs_f64() / 86_400.0,
            counts: Mutex::new(counts),
            trends: ArcSwap::default(),
        }
    }

    /// Counters as a store kept them.
    #[must_use]
    pub fn restore(half_life: Duration, stored: &[StoredTrend]) -> Self {
        let this = Self::new(half_life);
        this.add(stored.iter().map(|trend| (trend.key, trend.plays, trend.at)));
        this.counts.lock().unsaved.clear();
        this.refresh();
        this
    }

    /// Counts plays at their moments.
    pub fn add(&self, plays: impl IntoIterator<Item = (ItemKey, f64, Timestamp)>) {
        let mut counts = self.counts.lock();
        for (key, amount, at) in plays {
            if counts.at_landmark.is_empty() && counts.landmark == Timestamp(0) {
                counts.landmark = at;
            }
            let age = days(counts.landmark, at) / self.half_life_days;
            if age > RESCALE_AFTER {
                Self::rescale(&mut counts, at, self.half_life_days);
            }
            let age = days(counts.landmark, at) / self.half_life_days;
            *Arc::make_mut(&mut counts.at_landmark).entry(key).or_insert(0.0) += amount * age.exp2();
            counts.unsaved.insert(key);
            counts.stale = true;
        }
    }

    /// Moves the landmark, and forgets what has become negligible.
    fn rescale(counts: &mut Counts, to: Timestamp, half_life_days: f64) {
        let factor = (-days(counts.landmark, to) / half_life_days).exp2();
        let map = Arc::make_mut(&mut counts.at_landmark);
        map.retain(|_, plays| {
            *plays *= factor;
            *plays > NEGLIGIBLE
        });
        counts.landmark = to;
    }

    /// Makes the top anew when something was counted since; whether it was.
    pub fn refresh(&self) -> bool {
        let (counts, landmark) = {
            let mut counts = self.counts.lock();
            if !std::mem::take(&mut counts.stale) {
                return false;
            }
            (Arc::clone(&counts.at_landmark), counts.landmark)
        };
        let order = |a: &(ItemKey, f64), b: &(ItemKey, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let mut top: Vec<(ItemKey, f64)> = counts.iter().map(|(key, plays)| (*key, *plays)).collect();
        if top.len() > TOP {
            top.select_nth_unstable_by(TOP - 1, order);
            top.truncate(TOP);
        }
        top.sort_unstable_by(order);
        self.trends.store(Arc::new(Trends { top, landmark, half_life_days: self.half_life_days, counts }));
        true
    }

    /// The top as of the last refresh.
    #[must_use]
    pub fn trends(&self) -> Arc<Trends> {
        self.trends.load_full()
    }

    /// What was counted since the last call, for a store to keep.
    #[must_use]
    pub fn take_unsaved(&self) -> Vec<StoredTrend> {
        let mut counts = self.counts.lock();
        let keys = std::mem::take(&mut counts.unsaved);
        let mut stored: Vec<StoredTrend> = keys
            .into_iter()
            .filter_map(|key| {
                counts.at_landmark.get(&key).map(|plays| StoredTrend { key, plays: *plays, at: counts.landmark })
            })
            .filter(|trend| trend.plays.is_finite())
            .collect();
        stored.sort_unstable_by_key(|trend| trend.key);
        stored
    }

    /// Marks counts as unsaved again, after a store could not keep them.
    pub fn put_back(&self, trends: &[StoredTrend]) {
        self.counts.lock().unsaved.extend(trends.iter().map(|trend| trend.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn plays(trends: &Trends, now: i64) -> Vec<(u64, f32)> {
        trends.top(Timestamp(now)).map(|(key, plays)| (key.0, plays)).collect()
    }

    #[test]
    fn new_plays_overtake_old_ones() {
        let trending = Trending::new(Duration::from_secs(86_400));
        let start = 20_000 * DAY;
        trending.add((0..3).map(|_| (ItemKey(1), 1.0, Timestamp(start))));
        trending.add([(ItemKey(2), 1.0, Timestamp(start + 2 * DAY))]);
        assert!(trending.refresh() && !trending.refresh());
        assert_eq!(plays(&trending.trends(), start + 2 * DAY), [(2, 1.0), (1, 0.75)]);
        assert_eq!(trending.trends().plays(Timestamp(start + 3 * DAY))(ItemKey(2)), 0.5);
    }

    #[test]
    fn years_of_plays_neither_overflow_nor_pile_up() {
        let trending = Trending::new(Duration::from_secs(3_600));
        for day in 0..4_000 {
            trending.add([(ItemKey(day as u64 + 1), 1.0, Timestamp(day * DAY))]);
        }
        trending.refresh();
        let top = plays(&trending.trends(), 3_999 * DAY);
        assert_eq!(top[0], (4_000, 1.0));
        assert!(top.len() < 30, "{}", top.len());
    }

    #[test]
    fn a_restart_forgets_nothing_that_was_saved() {
        let trending = Trending::new(Duration::from_secs(86_400));
        trending.add([(ItemKey(1), 2.0, Timestamp(5 * DAY)), (ItemKey(2), 1.0, Timestamp(7 * DAY))]);
        trending.refresh();
        let stored = trending.take_unsaved();
        assert_eq!(stored.len(), 2);
        assert!(trending.take_unsaved().is_empty());
        let restored = Trending::restore(Duration::from_secs(86_400), &stored);
        assert_eq!(plays(&restored.trends(), 7 * DAY), plays(&trending.trends(), 7 * DAY));
        assert!(restored.take_unsaved().is_empty());
    }
}
