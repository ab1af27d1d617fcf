//! The listener's history with each item, sorted by item, bounded: the longest untouched gives way,
//! liked items last.

use shared_models::{ItemKey, Timestamp};

/// The most items a profile keeps a history of.
const BOUND: usize = 400;

/// One item's history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemHistory {
    /// Which item.
    pub key: ItemKey,
    /// Its artist when it was last touched, or [`ItemKey::NONE`].
    pub artist: ItemKey,
    /// Plays.
    pub plays: u32,
    /// Plays that ended early.
    pub skips: u32,
    /// Sum of the events' weights (see [`shared_models::event::EventKind::weight`]).
    pub weight: f32,
    /// Whether the listener said yes, and has not taken it back.
    pub liked: bool,
    /// When it first played; unknown for an item that played twice before this was kept.
    pub first_played: Option<Timestamp>,
    /// When it last played.
    pub last_played: Option<Timestamp>,
    /// When something last spoke for it.
    pub last_positive: Option<Timestamp>,
    /// When anything last happened.
    pub touched: Timestamp,
}

impl ItemHistory {
    /// Notes a play.
    pub fn play(&mut self, when: Timestamp) {
        self.first_played = match self.first_played {
            Some(first) => Some(first.min(when)),
            None => (self.plays == 0).then_some(when),
        };
        self.plays = self.plays.saturating_add(1);
        self.last_played = self.last_played.max(Some(when));
    }

    /// The typical days between its plays; `None` below two plays.
    #[must_use]
    pub fn cycle_days(&self) -> Option<f32> {
        let (first, last) = self.first_played.zip(self.last_played)?;
        (self.plays > 1).then(|| last.days_since(first) / (self.plays - 1) as f32)
    }
}

/// The histories of one listener.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items(Vec<ItemHistory>);

impl Items {
    /// Histories read back from a store.
    #[must_use]
    pub fn restore(mut items: Vec<ItemHistory>) -> Self {
        items.sort_unstable_by_key(|item| item.key);
        items.dedup_by_key(|item| item.key);
        items.truncate(BOUND);
        Self(items)
    }

    /// An item's history.
    #[inline]
    #[must_use]
    pub fn of(&self, key: ItemKey) -> Option<&ItemHistory> {
        self.0.binary_search_by_key(&key, |item| item.key).ok().and_then(|at| self.0.get(at))
    }

    /// Changes an item's history; a new item gets an empty one, if need be in place of another.
    pub fn touch(&mut self, key: ItemKey, when: Timestamp, change: impl FnOnce(&mut ItemHistory)) {
        let at = match self.0.binary_search_by_key(&key, |item| item.key) {
            Ok(at) => at,
            Err(at) => self.make_room(at, ItemHistory { key, touched: when, ..ItemHistory::default() }),
        };
        if let Some(item) = self.0.get_mut(at) {
            item.touched = item.touched.max(when);
            change(item);
        }
    }

    /// Inserts at `at`; gives the place after another item has given way.
    fn make_room(&mut self, at: usize, item: ItemHistory) -> usize {
        let gone = (self.0.len() >= BOUND)
            .then(|| {
                self.0
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, item)| (item.liked, item.touched, item.key))
                    .map(|(index, _)| index)
            })
            .flatten();
        let at = match gone {
            Some(index) => {
                self.0.remove(index);
                if index < at { at - 1 } else { at }
            }
            None => at,
        };
        self.0.insert(at, item);
        at
    }

    /// The items that something speaks for, latest first, ties by item.
    #[must_use]
    pub fn recent(&self, count: usize) -> Vec<(ItemKey, Timestamp)> {
        let positive = self
            .0
            .iter()
            .filter(|item| item.weight > 0.0)
            .filter_map(|item| item.last_positive.map(|at| (item.key, at)));
        latest_first(positive.collect(), count)
    }

    /// The items that were played, latest first, ties by item.
    #[must_use]
    pub fn played(&self, count: usize) -> Vec<(ItemKey, Timestamp)> {
        latest_first(self.0.iter().filter_map(|item| item.last_played.map(|at| (item.key, at))).collect(), count)
    }

    /// The items played most that something speaks for, most played first, ties by the latest play, then by item.
    #[must_use]
    pub fn favourites(&self, count: usize) -> Vec<ItemKey> {
        let played = self.0.iter().filter(|item| item.plays > 0 && item.weight > 0.0).collect();
        first(played, count, |a, b| {
            b.plays.cmp(&a.plays).then(b.last_played.cmp(&a.last_played)).then(a.key.cmp(&b.key))
        })
    }

    /// The items skipped last of which nothing speaks for more than against, last first, ties by item.
    #[must_use]
    pub fn skipped(&self, count: usize) -> Vec<ItemKey> {
        let skipped = self.0.iter().filter(|item| item.skips > 0 && item.weight <= 0.0).collect();
        first(skipped, count, |a, b| b.touched.cmp(&a.touched).then(a.key.cmp(&b.key)))
    }

    /// The listener's most played item of an artist; ties by what is liked, then the latest, then item.
    /// An item that was liked or saved and never played is none.
    #[must_use]
    pub fn most_played_of(&self, artist: ItemKey) -> Option<ItemKey> {
        if !artist.is_some() {
            return None;
        }
        self.0
            .iter()
            .filter(|item| item.artist == artist && item.plays > 0)
            .max_by_key(|item| (item.plays, item.liked, item.last_played, std::cmp::Reverse(item.key)))
            .map(|item| item.key)
    }

    /// Whether the listener played an item.
    #[must_use]
    pub fn is_played(&self, key: ItemKey) -> bool {
        self.of(key).is_some_and(|item| item.plays > 0)
    }

    /// All histories by item.
    #[must_use]
    pub fn as_slice(&self) -> &[ItemHistory] {
        &self.0
    }
}

/// The first of some items by an order, without putting the others in order.
fn first(
    mut items: Vec<&ItemHistory>,
    count: usize,
    order: impl Fn(&ItemHistory, &ItemHistory) -> std::cmp::Ordering,
) -> Vec<ItemKey> {
    if count > 0 && items.len() > count {
        items.select_nth_unstable_by(count - 1, |a, b| order(a, b));
    }
    items.truncate(count);
    items.sort_unstable_by(|a, b| order(a, b));
    items.into_iter().map(|item| item.key).collect()
}

fn latest_first(mut items: Vec<(ItemKey, Timestamp)>, count: usize) -> Vec<(ItemKey, Timestamp)> {
    items.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    items.truncate(count);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_untouched_gives_way_but_liked_items_last() {
        let mut items = Items::default();
        for n in 0..=BOUND as u64 {
            items.touch(ItemKey(n + 1), Timestamp(n as i64), |item| item.liked = n == 0);
        }
        assert_eq!(items.as_slice().len(), BOUND);
        assert!(items.of(ItemKey(1)).is_some());
        assert!(items.of(ItemKey(2)).is_none());
    }

    #[test]
    fn favourites_are_played_most_and_skipped_items_have_nothing_for_them() {
        let mut items = Items::default();
        for (key, plays, skips, weight) in
            [(1, 2, 0, 2.0), (2, 9, 1, 8.0), (3, 9, 9, 0.0), (4, 0, 0, 3.0), (5, 1, 2, -1.0)]
        {
            items.touch(ItemKey(key), Timestamp(key as i64), |item| {
                (item.plays, item.skips, item.weight) = (plays, skips, weight);
            });
        }
        assert_eq!(items.favourites(9), [ItemKey(2), ItemKey(1)]);
        assert_eq!(items.favourites(1), [ItemKey(2)]);
        assert_eq!(items.skipped(9), [ItemKey(5), ItemKey(3)]);
        assert!(items.skipped(0).is_empty());
    }

    #[test]
    fn the_cycle_is_the_mean_gap_in_whatever_order_plays_are_told() {
        let day = |days: i64| Timestamp(days * 86_400_000);
        for days in [[10, 13, 22], [22, 10, 13]] {
            let mut item = ItemHistory::default();
            days.into_iter().for_each(|at| item.play(day(at)));
            assert_eq!(
                (item.cycle_days(), item.first_played, item.last_played),
                (Some(6.0), Some(day(10)), Some(day(22)))
            );
        }
        let mut once = ItemHistory::default();
        once.play(day(1));
        assert_eq!(once.cycle_days(), None);
        let mut from_before = ItemHistory { plays: 3, last_played: Some(day(5)), ..ItemHistory::default() };
        from_before.play(day(9));
        assert_eq!((from_before.plays, from_before.cycle_days()), (4, None));
    }

    #[test]
    fn the_most_played_item_of_an_artist_is_the_evidence() {
        let mut items = Items::default();
        for (key, artist, plays) in [(1, 9, 2), (2, 9, 5), (3, 8, 50)] {
            items.touch(ItemKey(key), Timestamp(1), |item| {
                item.artist = ItemKey(artist);
                item.plays = plays;
            });
        }
        assert_eq!(items.most_played_of(ItemKey(9)), Some(ItemKey(2)));
        assert_eq!(items.most_played_of(ItemKey::NONE), None);
        items.touch(ItemKey(4), Timestamp(1), |item| {
            item.artist = ItemKey(7);
            item.liked = true;
        });
        assert_eq!(items.most_played_of(ItemKey(7)), None, "liked is not played");
    }
}
