//! How much a listener plays each artist or genre, with old plays counting less.
//!
//! It must not know what the keys stand for.

use shared_models::Timestamp;

/// After this many days a play counts half. The same as for the listener's vector.
pub const HALF_LIFE: f32 = releases::factors::HALF_LIFE.as_secs() as f32 / 86_400.0;

/// `2^(-days / half-life)`.
fn decay(days: f32) -> f32 {
    (-days / HALF_LIFE).exp2()
}

/// A number that halves every [`HALF_LIFE`] days.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Affinity {
    /// The number as it stood at `at`.
    pub weight: f32,
    /// When it last changed.
    pub at: Timestamp,
}

impl Affinity {
    /// The number at `now`. It does not grow when `now` lies before the last change.
    #[must_use]
    pub fn at(self, now: Timestamp) -> f32 {
        self.weight * decay(now.days_since(self.at))
    }

    /// Adds what happened at `when`, in whatever order things are told.
    pub fn add(&mut self, amount: f32, when: Timestamp) {
        if when >= self.at {
            self.weight = self.at(when) + amount;
            self.at = when;
        } else {
            self.weight += amount * decay(self.at.days_since(when));
        }
    }
}

/// One key's affinity and undecayed count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<K> {
    /// Of what.
    pub key: K,
    /// Decayed plays.
    pub affinity: Affinity,
    /// Plays.
    pub plays: u32,
    /// Plays among them that ended early, and other skips, since the first play.
    pub skips: u32,
    /// Times it was shown since the first play.
    pub shown: u32,
}

/// Affinities by key, sorted by key, at most `BOUND` of them: the weakest gives way.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinities<K, const BOUND: usize> {
    entries: Vec<Entry<K>>,
    total: Affinity,
}

impl<K, const BOUND: usize> Default for Affinities<K, BOUND> {
    fn default() -> Self {
        Self { entries: Vec::new(), total: Affinity::default() }
    }
}

impl<K: Copy + Ord, const BOUND: usize> Affinities<K, BOUND> {
    /// Affinities read back from a store; entries past the bound are left out.
    #[must_use]
    pub fn restore(mut entries: Vec<Entry<K>>, total: Affinity) -> Self {
        entries.sort_unstable_by_key(|entry| entry.key);
        entries.dedup_by_key(|entry| entry.key);
        entries.truncate(BOUND);
        Self { entries, total }
    }

    /// Adds `amount` for a key, counted as a play.
    pub fn add(&mut self, key: K, amount: f32, when: Timestamp) {
        match self.entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.affinity.add(amount, when);
                    entry.plays = entry.plays.saturating_add(1);
                }
            }
            Err(at) => {
                let affinity = Affinity { weight: amount, at: when };
                self.entries.insert(at, Entry { key, affinity, plays: 1, skips: 0, shown: 0 });
                if self.entries.len() > BOUND {
                    self.evict(key, when);
                }
            }
        }
    }

    /// Counts a skip. A key that was never played has no entry, and gets none by this.
    pub fn skip(&mut self, key: K) {
        if let Some(entry) = self.entry(key) {
            entry.skips = entry.skips.saturating_add(1);
        }
    }

    /// Counts that it was shown, by the same rule.
    pub fn show(&mut self, key: K) {
        if let Some(entry) = self.entry(key) {
            entry.shown = entry.shown.saturating_add(1);
        }
    }

    fn entry(&mut self, key: K) -> Option<&mut Entry<K>> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get_mut(at)
    }

    /// Adds to what shares are measured against.
    pub fn add_total(&mut self, amount: f32, when: Timestamp) {
        self.total.add(amount, when);
    }

    /// The weakest entry but the newest one goes; else no new key could ever grow.
    fn evict(&mut self, newest: K, now: Timestamp) {
        let weakest = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.key != newest)
            .min_by(|(_, a), (_, b)| a.affinity.at(now).total_cmp(&b.affinity.at(now)))
            .map(|(index, _)| index);
        if let Some(index) = weakest {
            self.entries.remove(index);
        }
    }

    /// A key's entry.
    #[must_use]
    pub fn of(&self, key: K) -> Option<&Entry<K>> {
        self.entries.binary_search_by_key(&key, |entry| entry.key).ok().and_then(|at| self.entries.get(at))
    }

    /// A key's share of all decayed plays, 0..=1.
    #[must_use]
    pub fn share(&self, key: K, now: Timestamp) -> f32 {
        self.of(key).map_or(0.0, |entry| self.share_of(entry, now))
    }

    fn share_of(&self, entry: &Entry<K>, now: Timestamp) -> f32 {
        // Both decay alike, so the later of their two moments serves as well as a distant `now`, and
        // keeps a listener who was away for years from dividing zero by zero.
        let when = now.min(self.total.at.max(entry.affinity.at));
        let total = self.total.at(when);
        if total > 0.0 { (entry.affinity.at(when) / total).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The strongest keys with their shares, strongest first, ties by key.
    #[must_use]
    pub fn strongest(&self, count: usize, now: Timestamp) -> Vec<(K, f32)> {
        let mut shares: Vec<(K, f32)> =
            self.entries.iter().map(|entry| (entry.key, self.share_of(entry, now))).collect();
        shares.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        shares.truncate(count);
        shares
    }

    /// All entries by key.
    #[must_use]
    pub fn entries(&self) -> &[Entry<K>] {
        &self.entries
    }

    /// What shares are measured against.
    #[must_use]
    pub fn total(&self) -> Affinity {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_play_counts_half_after_the_half_life() {
        let mut affinity = Affinity::default();
        affinity.add(1.0, Timestamp(100 * DAY));
        assert!((affinity.at(Timestamp(130 * DAY)) - 0.5).abs() < 1e-6);
        affinity.add(1.0, Timestamp(130 * DAY));
        assert!((affinity.weight - 1.5).abs() < 1e-6);
    }

    #[test]
    fn the_order_of_telling_does_not_matter() {
        let (mut forward, mut backward) = (Affinity::default(), Affinity::default());
        for day in [100, 110, 140] {
            forward.add(1.0, Timestamp(day * DAY));
        }
        for day in [140, 110, 100] {
            backward.add(1.0, Timestamp(day * DAY));
        }
        assert!((forward.weight - backward.weight).abs() < 1e-5);
        assert_eq!(forward.at, backward.at);
    }

    #[test]
    fn the_weakest_gives_way_and_a_newcomer_stays() {
        let mut artists: Affinities<u32, 2> = Affinities::default();
        for (key, amount) in [(1, 5.0), (2, 1.0), (3, 0.5)] {
            artists.add(key, amount, Timestamp(DAY));
            artists.add_total(amount, Timestamp(DAY));
        }
        assert!(artists.of(2).is_none());
        assert_eq!(artists.strongest(9, Timestamp(DAY)).iter().map(|s| s.0).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn shares_survive_years_of_silence() {
        let mut artists: Affinities<u32, 2> = Affinities::default();
        artists.add(1, 1.0, Timestamp(DAY));
        artists.add_total(1.0, Timestamp(DAY));
        assert_eq!(artists.share(1, Timestamp(20_000 * DAY)), 1.0);
    }
}
