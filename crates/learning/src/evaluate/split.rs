//! Holding out: what a recommender may see, and what it is measured on.

use shared_models::{Timestamp, item::Market};

use crate::factors::{self, Interactions};

/// One weighted pair with its moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// The user's row.
    pub user: u32,
    /// The item's column.
    pub item: u32,
    /// How strongly.
    pub weight: f32,
    /// When.
    pub at: Timestamp,
    /// Where, if it is known.
    pub market: Market,
}

/// A matrix to learn from and one to be measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What may be seen.
    pub seen: Interactions,
    /// What is to be found.
    pub held_out: Interactions,
}

/// Holds out what happened at `at` or later: the only split that a live system can fail by. What a
/// user had chosen before is not held out again, because lists leave seen items out.
///
/// # Errors
/// When an entry lies outside `users × items`, or its weight is no positive number.
pub fn by_time(users: usize, items: usize, entries: &[Timed], at: Timestamp) -> Result<Split, factors::Error> {
    let part = |of: &dyn Fn(&Timed) -> bool| -> Vec<_> {
        entries.iter().filter(|entry| of(entry)).map(|entry| (entry.user, entry.item, entry.weight)).collect()
    };
    let seen = Interactions::from_entries(users, items, &part(&|entry| entry.at < at))?;
    let is_new = |entry: &Timed| seen.row(entry.user as usize).0.binary_search(&entry.item).is_err();
    let held_out = Interactions::from_entries(users, items, &part(&|entry| entry.at >= at && is_new(entry)))?;
    Ok(Split { seen, held_out })
}

/// The moment that leaves `share` of the entries at or after it; `None` of nothing.
#[must_use]
pub fn moment_for_share(entries: &[Timed], share: f64) -> Option<Timestamp> {
    let mut moments: Vec<Timestamp> = entries.iter().map(|entry| entry.at).collect();
    moments.sort_unstable();
    let before = ((1.0 - share.clamp(0.0, 1.0)) * moments.len() as f64) as usize;
    moments.get(before.min(moments.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(user: u32, item: u32, at: i64) -> Timed {
        Timed { user, item, weight: 1.0, at: Timestamp(at), market: Market::UNKNOWN }
    }

    #[test]
    fn what_comes_later_is_held_out_unless_it_was_seen() {
        let entries = [timed(0, 0, 1), timed(0, 1, 5), timed(0, 0, 6), timed(1, 2, 4), timed(1, 3, 9)];
        let split = by_time(2, 4, &entries, Timestamp(5)).unwrap();
        assert_eq!(split.seen.entries().collect::<Vec<_>>(), [(0, 0, 1.0), (1, 2, 1.0)]);
        assert_eq!(split.held_out.entries().collect::<Vec<_>>(), [(0, 1, 1.0), (1, 3, 1.0)]);
    }

    #[test]
    fn a_share_of_the_entries_lies_after_the_moment() {
        let entries: Vec<Timed> = (0..100).map(|n| timed(0, 0, n)).collect();
        assert_eq!(moment_for_share(&entries, 0.2), Some(Timestamp(80)));
        assert_eq!(moment_for_share(&entries, 0.0), Some(Timestamp(99)));
        assert_eq!(moment_for_share(&[], 0.2), None);
    }
}
