//! When each item was shown to the listener, for caps on repetition.
//!
//! Sorted by item, then time. Bounded twice: by item, because no cap counts further, and in all; the
//! oldest gives way.

use std::time::Duration;

use shared_models::{ItemKey, Timestamp};

/// The most impressions a profile keeps.
const BOUND: usize = 1_000;

/// The most impressions of one item a profile keeps: an impression cap above this never drops.
const BOUND_PER_ITEM: usize = 16;

/// The impressions of one listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impressions(Vec<(ItemKey, Timestamp)>);

impl Impressions {
    /// Impressions read back from a store.
    #[must_use]
    pub fn restore(mut shown: Vec<(ItemKey, Timestamp)>) -> Self {
        shown.sort_unstable();
        shown.truncate(BOUND);
        Self(shown)
    }

    /// Notes that an item was shown.
    pub fn add(&mut self, key: ItemKey, when: Timestamp) {
        let at = self.0.partition_point(|shown| *shown <= (key, when));
        self.0.insert(at, (key, when));
        let range = self.range(key);
        if range.len() > BOUND_PER_ITEM {
            self.0.remove(range.start);
        } else if self.0.len() > BOUND {
            let oldest = self.0.iter().enumerate().min_by_key(|(_, shown)| (shown.1, shown.0)).map(|(index, _)| index);
            if let Some(index) = oldest {
                self.0.remove(index);
            }
        }
    }

    fn range(&self, key: ItemKey) -> std::ops::Range<usize> {
        let start = self.0.partition_point(|shown| shown.0 < key);
        let count = self.0.get(start..).unwrap_or(&[]).iter().take_while(|shown| shown.0 == key).count();
        start..start + count
    }

    /// When an item was shown, oldest first.
    #[must_use]
    pub fn of(&self, key: ItemKey) -> &[(ItemKey, Timestamp)] {
        if self.0.is_empty() { &[] } else { self.0.get(self.range(key)).unwrap_or(&[]) }
    }

    /// How often an item was shown within the span before `now`.
    #[must_use]
    pub fn count(&self, key: ItemKey, within: Duration, now: Timestamp) -> usize {
        let from = now.before(within);
        self.of(key).iter().rev().take_while(|shown| shown.1 > from).count()
    }

    /// When an item was last shown.
    #[must_use]
    pub fn last(&self, key: ItemKey) -> Option<Timestamp> {
        self.of(key).last().map(|shown| shown.1)
    }

    /// All impressions by item, then time.
    #[must_use]
    pub fn as_slice(&self) -> &[(ItemKey, Timestamp)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_its_own_items_only() {
        let mut shown = Impressions::default();
        for (key, at) in [(1, 10), (2, 11), (1, 20), (1, 30)] {
            shown.add(ItemKey(key), Timestamp(at));
        }
        assert_eq!(shown.count(ItemKey(1), Duration::from_millis(15), Timestamp(30)), 2);
        assert_eq!(shown.count(ItemKey(3), Duration::from_secs(1), Timestamp(30)), 0);
        assert_eq!(shown.last(ItemKey(1)), Some(Timestamp(30)));
    }

    #[test]
    fn both_bounds_hold_and_the_oldest_gives_way() {
        let mut shown = Impressions::default();
        for at in 0..40 {
            shown.add(ItemKey(7), Timestamp(at));
        }
        assert_eq!(shown.of(ItemKey(7)).len(), BOUND_PER_ITEM);
        assert_eq!(shown.of(ItemKey(7))[0].1, Timestamp(24));
        for key in 0..2_000 {
            shown.add(ItemKey(1_000 + key), Timestamp(100 + key as i64));
        }
        assert_eq!(shown.as_slice().len(), BOUND);
        assert!(shown.of(ItemKey(7)).is_empty());
    }
}
