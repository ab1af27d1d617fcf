//! What everybody plays now: plays that halve with time, and the top of them.
//!
//! All counts are kept at one common landmark in time instead of each at its own, so their order does
//! not change while nobody plays, and the top needs no recount (forward decay: Cormode, Shkapenyuk,
//! Srivastava and Xu, "Forward Decay", ICDE 2009).
//!
//! Counting and refreshing share nothing but a small map of what was counted since the last refresh:
//! intake never waits while a top is made. Pages read a large base and the few counts that changed since
//! it was made, so that a refresh copies the few. This file must not know a catalogue: whoever counts
//! names only items that are in it.

mod counts;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use shared_models::{ItemKey, Timestamp};

use counts::{Fresh, Settled, Totals, days};

/// Half-lives after which counts move to a new landmark, long before `f64` overflows.
const RESCALE_AFTER: f64 = 200.0;
/// A count below this many plays is forgotten.
const NEGLIGIBLE: f64 = 1e-3;

/// The trends as a page reads them.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    /// Items with their plays at the landmark, most first, ties by item.
    top: Vec<(ItemKey, f64)>,
    landmark: Timestamp,
    latest: Timestamp,
    half_life_days: f64,
    totals: Totals,
}

impl Trends {
    fn factor(&self, now: Timestamp) -> f64 {
        if self.half_life_days > 0.0 { (-days(self.landmark, now) / self.half_life_days).exp2() } else { 0.0 }
    }

    /// The latest moment that was counted; `None` where nothing was.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        (self.latest > Timestamp(0)).then_some(self.latest)
    }

    /// The most played items with their decayed plays at `now`, most first.
    pub fn top(&self, now: Timestamp) -> impl Iterator<Item = (ItemKey, f32)> {
        let factor = self.factor(now);
        self.top.iter().map(move |(key, plays)| (*key, (plays * factor) as f32))
    }

    /// Decayed plays of items at `now`; 0 for an item nobody played.
    pub fn plays(&self, now: Timestamp) -> impl Fn(ItemKey) -> f32 {
        let factor = self.factor(now);
        move |key| (self.totals.of(key).unwrap_or(0.0) * factor) as f32
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

/// What a store does not know yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsaved {
    /// Counts that are new or other than before, by item.
    pub counted: Vec<StoredTrend>,
    /// What was added to each of them, for a store that adds what several processes counted.
    pub added: Vec<StoredTrend>,
    /// Items that are no longer counted.
    pub forgotten: Vec<ItemKey>,
}

impl Unsaved {
    /// Whether there is nothing to save.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty() && self.forgotten.is_empty()
    }
}

/// The counters of one tenant.
#[derive(Debug)]
pub struct Trending {
    half_life_days: f64,
    fresh: Mutex<Fresh>,
    settled: Mutex<Settled>,
    trends: ArcSwap<Trends>,
}

impl Trending {
    /// Counters without plays.
    #[must_use]
    pub fn new(half_life: Duration) -> Self {
        Self {
            half_life_days: half_life.as_secs_f64() / 86_400.0,
            fresh: Mutex::default(),
            settled: Mutex::default(),
            trends: ArcSwap::default(),
        }
    }

    /// Takes in counts as a store kept them.
    pub fn load(&self, stored: &[StoredTrend]) {
        self.add(stored.iter().map(|trend| (trend.key, trend.plays, trend.at)));
        self.refresh();
        self.settled.lock().unsaved.clear();
    }

    /// Counts plays at their moments.
    pub fn add(&self, plays: impl IntoIterator<Item = (ItemKey, f64, Timestamp)>) {
        let mut fresh = self.fresh.lock();
        for (key, amount, at) in plays {
            if fresh.counts.is_empty() {
                fresh.landmark = at;
            }
            let mut age = days(fresh.landmark, at) / self.half_life_days;
            if age > RESCALE_AFTER {
                let factor = (-age).exp2();
                fresh.counts.retain(|_, plays| {
                    *plays *= factor;
                    *plays > NEGLIGIBLE
                });
                fresh.landmark = at;
                age = 0.0;
            }
            *fresh.counts.entry(key).or_insert(0.0) += amount * age.exp2();
            fresh.latest = fresh.latest.max(at);
        }
    }

    /// Forgets what was counted of items: they are no longer there to be played.
    pub fn forget(&self, keys: impl IntoIterator<Item = ItemKey>) {
        let mut fresh = self.fresh.lock();
        for key in keys {
            fresh.counts.remove(&key);
            fresh.forgotten.insert(key);
        }
    }

    fn settle(&self, settled: &mut Settled) {
        let fresh = std::mem::take(&mut *self.fresh.lock());
        settled.absorb(fresh, self.half_life_days);
    }

    /// Makes the top anew when something was counted since; whether it was.
    pub fn refresh(&self) -> bool {
        let mut settled = self.settled.lock();
        self.settle(&mut settled);
        if !std::mem::take(&mut settled.stale) {
            return false;
        }
        let (totals, landmark, latest) = (settled.totals.clone(), settled.landmark, settled.latest);
        let trends = Trends { top: totals.top(), landmark, latest, half_life_days: self.half_life_days, totals };
        self.trends.store(Arc::new(trends));
        true
    }

    /// Takes in what all processes together counted of some items. What was counted here and not given to
    /// [`Trending::take_unsaved`] yet comes on top.
    pub fn replace(&self, stored: &[StoredTrend]) {
        let mut settled = self.settled.lock();
        self.settle(&mut settled);
        settled.replace(stored, self.half_life_days);
    }

    /// The top as of the last refresh.
    #[must_use]
    pub fn trends(&self) -> Arc<Trends> {
        self.trends.load_full()
    }

    /// What changed since the last call, for a store to keep.
    #[must_use]
    pub fn take_unsaved(&self) -> Unsaved {
        let mut settled = self.settled.lock();
        self.settle(&mut settled);
        let at = settled.landmark;
        let unsaved = std::mem::take(&mut settled.unsaved);
        let mut added: Vec<StoredTrend> = unsaved
            .into_iter()
            .map(|(key, plays)| StoredTrend { key, plays, at })
            .filter(|trend| trend.plays.is_finite())
            .collect();
        added.sort_unstable_by_key(|trend| trend.key);
        let counted = added
            .iter()
            .filter_map(|trend| Some(StoredTrend { plays: settled.totals.of(trend.key)?, ..*trend }))
            .filter(|trend| trend.plays.is_finite())
            .collect();
        let gone = std::mem::take(&mut settled.gone);
        let mut forgotten: Vec<ItemKey> = gone.into_iter().filter(|key| settled.totals.of(*key).is_none()).collect();
        forgotten.sort_unstable();
        Unsaved { counted, added, forgotten }
    }

    /// Marks changes as unsaved again, after a store could not keep them.
    pub fn put_back(&self, unsaved: &Unsaved) {
        let mut settled = self.settled.lock();
        let landmark = settled.landmark;
        for trend in &unsaved.added {
            let plays = trend.plays * (days(landmark, trend.at) / self.half_life_days).exp2();
            *settled.unsaved.entry(trend.key).or_insert(0.0) += plays;
        }
        settled.gone.extend(&unsaved.forgotten);
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
        assert_eq!(stored.counted.len(), 2);
        assert!(trending.take_unsaved().is_empty());
        let restored = Trending::new(Duration::from_secs(86_400));
        restored.load(&stored.counted);
        assert_eq!(plays(&restored.trends(), 7 * DAY), plays(&trending.trends(), 7 * DAY));
        assert!(restored.take_unsaved().is_empty());
    }

    #[test]
    fn a_page_that_holds_the_trends_costs_a_refresh_no_copy_of_them() {
        let trending = Trending::new(Duration::from_secs(86_400));
        trending.add((0..50_000).map(|n| (ItemKey(n), 1.0 + n as f64, Timestamp(5 * DAY))));
        trending.refresh();
        let page = trending.trends();
        trending.add([(ItemKey(7), 90_000.0, Timestamp(5 * DAY))]);
        assert!(trending.refresh());
        let next = trending.trends();
        assert!(Arc::ptr_eq(&page.totals.base, &next.totals.base));
        assert_eq!(next.totals.changed.len(), 1);
        assert_eq!(plays(&next, 5 * DAY)[..2], [(7, 90_008.0), (49_999, 50_000.0)]);
        assert_eq!(
            (page.plays(Timestamp(5 * DAY))(ItemKey(7)), next.plays(Timestamp(5 * DAY))(ItemKey(7))),
            (8.0, 90_008.0)
        );
    }

    #[test]
    fn counting_in_parts_is_counting_at_once() {
        let counted = |parts: usize| {
            let trending = Trending::new(Duration::from_secs(86_400));
            let told: Vec<_> = (0..30_000_u64)
                .map(|n| (ItemKey(n.wrapping_mul(2_654_435_761) % 9_000), 1.0, Timestamp(n as i64 * DAY / 700)))
                .collect();
            for part in told.chunks(told.len() / parts) {
                trending.add(part.iter().copied());
                trending.refresh();
            }
            plays(&trending.trends(), 43 * DAY)
        };
        let (once, parts) = (counted(1), counted(60));
        assert_eq!(once.len(), parts.len());
        assert!(once.iter().zip(&parts).all(|(a, b)| (a.1 - b.1).abs() < 1e-4), "{once:?} and {parts:?}");
    }

    #[test]
    fn processes_that_exchange_counts_agree_on_their_sum() {
        let half_life = Duration::from_secs(86_400);
        let (here, there) = (Trending::new(half_life), Trending::new(half_life));
        here.add([(ItemKey(1), 4.0, Timestamp(5 * DAY)), (ItemKey(2), 1.0, Timestamp(5 * DAY))]);
        there.add([(ItemKey(1), 1.0, Timestamp(6 * DAY))]);
        let (mine, theirs) = (here.take_unsaved().added, there.take_unsaved().added);
        assert_eq!((mine.len(), theirs.len()), (2, 1));
        // What a store makes of both, at day 6; a play comes in before it is read.
        let stored = [
            StoredTrend { key: ItemKey(1), plays: 3.0, at: Timestamp(6 * DAY) },
            StoredTrend { key: ItemKey(2), plays: 1.0, at: Timestamp(5 * DAY) },
        ];
        here.add([(ItemKey(2), 1.0, Timestamp(6 * DAY))]);
        for trending in [&here, &there] {
            trending.replace(&stored);
            assert!(trending.refresh());
        }
        assert_eq!(plays(&there.trends(), 6 * DAY), [(1, 3.0), (2, 0.5)]);
        assert_eq!(plays(&here.trends(), 6 * DAY), [(1, 3.0), (2, 1.5)]);
        let unsaved = here.take_unsaved();
        assert_eq!(unsaved.added.len(), 1, "what came from the store is not added again");
        here.put_back(&unsaved);
        assert_eq!(here.take_unsaved().added, unsaved.added);
    }

    #[test]
    fn what_faded_and_what_was_forgotten_leaves_memory_and_store() {
        let trending = Trending::new(Duration::from_secs(86_400));
        trending.add((0..10_000).map(|n| (ItemKey(n), 1.0, Timestamp(DAY))));
        assert_eq!(trending.take_unsaved().counted.len(), 10_000);
        trending.add((20_000..30_000).map(|n| (ItemKey(n), 1.0, Timestamp(40 * DAY))));
        trending.forget([ItemKey(20_001)]);
        trending.refresh();
        let trends = trending.trends();
        assert_eq!(trends.totals.base.counts.len() + trends.totals.changed.len(), 9_999);
        assert_eq!(trends.plays(Timestamp(40 * DAY))(ItemKey(20_001)), 0.0);
        let unsaved = trending.take_unsaved();
        assert_eq!((unsaved.counted.len(), unsaved.forgotten.len()), (9_999, 10_001));
        trending.put_back(&unsaved);
        assert_eq!(trending.take_unsaved(), unsaved);
        trending.add([(ItemKey(20_001), 1.0, Timestamp(40 * DAY))]);
        trending.refresh();
        assert_eq!(trending.trends().plays(Timestamp(40 * DAY))(ItemKey(20_001)), 1.0);
    }
}
