//! The counts behind the trends: those that changed lately, over a base that changes seldom. It must not
//! know a lock or a page.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{ItemKey, Timestamp};

use super::{NEGLIGIBLE, RESCALE_AFTER, StoredTrend};

/// How many items the top holds.
const TOP: usize = 2_000;
/// The most items that are counted; the least played give way.
const MOST: usize = 1_000_000;
/// Changed counts after which there is a new base, if they are a quarter of it.
const CHANGED: usize = 4_096;

pub(super) type Counts = FxHashMap<ItemKey, f64>;

/// Counts with the most played among them, most first, ties by item.
#[derive(Clone, Debug, Default)]
pub(super) struct Base {
    pub(super) counts: Counts,
    pub(super) top: Vec<(ItemKey, f64)>,
}

/// Every count: those of `changed` stand before those of the base.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) base: Arc<Base>,
    pub(super) changed: Arc<Counts>,
}

impl Totals {
    pub(super) fn of(&self, key: ItemKey) -> Option<f64> {
        self.changed.get(&key).or_else(|| self.base.counts.get(&key)).copied()
    }

    /// The most played. An item that did not change is among them only if it is in the base's top.
    pub(super) fn top(&self) -> Vec<(ItemKey, f64)> {
        let unchanged = self.base.top.iter().filter(|(key, _)| !self.changed.contains_key(key)).copied();
        most_played(unchanged.chain(self.changed.iter().map(|(key, plays)| (*key, *plays))).collect(), TOP)
    }
}

fn most_played(mut counts: Vec<(ItemKey, f64)>, most: usize) -> Vec<(ItemKey, f64)> {
    let order = |a: &(ItemKey, f64), b: &(ItemKey, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if counts.len() > most {
        counts.select_nth_unstable_by(most - 1, order);
        counts.truncate(most);
    }
    counts.sort_unstable_by(order);
    counts
}

/// What was counted since the last refresh, at a landmark of its own.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    pub(super) counts: Counts,
    pub(super) landmark: Timestamp,
    pub(super) latest: Timestamp,
    pub(super) forgotten: FxHashSet<ItemKey>,
}

/// What was counted before the last refresh.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) totals: Totals,
    pub(super) landmark: Timestamp,
    /// The latest moment that was counted.
    pub(super) latest: Timestamp,
    /// Whether the published trends are older than this.
    pub(super) stale: bool,
    /// Plays counted at the landmark, by item, and items forgotten, since the last flush to a store.
    pub(super) unsaved: Counts,
    pub(super) gone: FxHashSet<ItemKey>,
}

impl Settled {
    /// Takes in what was counted since.
    pub(super) fn absorb(&mut self, fresh: Fresh, half_life_days: f64) {
        if fresh.counts.is_empty() && fresh.forgotten.is_empty() {
            return;
        }
        self.stale = true;
        self.latest = self.latest.max(fresh.latest);
        let mut age = days(self.landmark, fresh.landmark) / half_life_days;
        if !fresh.counts.is_empty() && (age > RESCALE_AFTER || self.landmark == Timestamp(0)) {
            self.rebuild((-age).exp2(), fresh.landmark, &FxHashSet::default(), half_life_days);
            age = 0.0;
        }
        let factor = age.exp2();
        let forgotten = fresh.forgotten;
        let changed = Arc::make_mut(&mut self.totals.changed);
        for key in &forgotten {
            changed.remove(key);
            self.unsaved.remove(key);
        }
        for (key, plays) in fresh.counts {
            // Counted again after it was forgotten, it begins at nothing.
            let before = if forgotten.contains(&key) {
                None
            } else {
                changed.get(&key).or_else(|| self.totals.base.counts.get(&key))
            };
            let total = before.copied().unwrap_or(0.0) + plays * factor;
            changed.insert(key, total);
            *self.unsaved.entry(key).or_insert(0.0) += plays * factor;
        }
        if !forgotten.is_empty() || changed.len() > CHANGED.max(self.totals.base.counts.len() / 4) {
            let landmark = self.landmark;
            self.rebuild(1.0, landmark, &forgotten, half_life_days);
        }
    }

    /// Takes in what all processes together counted of some items, as it is stored; what was counted here and is not
    /// stored yet comes on top.
    pub(super) fn replace(&mut self, stored: &[StoredTrend], half_life_days: f64) {
        let Some(latest) = stored.iter().map(|trend| trend.at).max() else { return };
        self.stale = true;
        self.latest = self.latest.max(latest);
        let age = days(self.landmark, latest) / half_life_days;
        if age > RESCALE_AFTER || self.landmark == Timestamp(0) {
            self.rebuild((-age).exp2(), latest, &FxHashSet::default(), half_life_days);
        }
        let changed = Arc::make_mut(&mut self.totals.changed);
        for trend in stored {
            let plays = trend.plays * (days(self.landmark, trend.at) / half_life_days).exp2();
            changed.insert(trend.key, plays + self.unsaved.get(&trend.key).copied().unwrap_or(0.0));
        }
        if changed.len() > CHANGED.max(self.totals.base.counts.len() / 4) {
            let landmark = self.landmark;
            self.rebuild(1.0, landmark, &FxHashSet::default(), half_life_days);
        }
    }

    /// Makes a new base, its counts multiplied by `factor`, without what is negligible by now and what
    /// is `forgotten`, except where it was counted since.
    fn rebuild(&mut self, factor: f64, landmark: Timestamp, forgotten: &FxHashSet<ItemKey>, half_life_days: f64) {
        self.landmark = landmark;
        let floor = NEGLIGIBLE * (days(landmark, self.latest) / half_life_days).exp2();
        let Totals { base, changed } = std::mem::take(&mut self.totals);
        let mut counts = Counts::with_capacity_and_hasher(base.counts.len() + changed.len(), rustc_hash::FxBuildHasher);
        counts.extend(base.counts.iter().filter(|(key, _)| !forgotten.contains(key)));
        counts.extend(changed.iter());
        let gone = &mut self.gone;
        let unsaved = &mut self.unsaved;
        unsaved.values_mut().for_each(|plays| *plays *= factor);
        let mut forget = |key: ItemKey| {
            unsaved.remove(&key);
            gone.insert(key);
        };
        forgotten.iter().filter(|key| !changed.contains_key(key)).for_each(|key| forget(*key));
        counts.retain(|key, plays| {
            *plays *= factor;
            let kept = *plays > floor;
            if !kept {
                forget(*key);
            }
            kept
        });
        if counts.len() > MOST {
            let mut all: Vec<(ItemKey, f64)> = counts.drain().collect();
            all.select_nth_unstable_by(MOST - 1, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            all.drain(MOST..).for_each(|(key, _)| forget(key));
            counts.extend(all);
        }
        let top = most_played(counts.iter().map(|(key, plays)| (*key, *plays)).collect(), TOP);
        self.totals = Totals { base: Arc::new(Base { counts, top }), changed: Arc::default() };
    }
}

pub(super) fn days(from: Timestamp, to: Timestamp) -> f64 {
    to.0.saturating_sub(from.0) as f64 / 86_400_000.0
}
