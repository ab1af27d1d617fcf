//! What lists are like beside being right: how new to people their items are, and whom of the catalogue they show.
//!
//! * Novelty is the mean self-information of a list's items, `-log₂(n_i / users)`, with n_i the users who have item i
//!   (Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010). An item nobody
//!   has counts as if one had it.
//! * Popularity is the mean n_i of a list's items (the average recommendation popularity of Yin et al., "Challenging
//!   the Long Tail Recommendation", VLDB 2012).
//! * Gini is that of how often each item of the catalogue is shown: 0 where all are shown alike, near 1 where a few
//!   are shown to everybody.

use super::rank::Lists;
use crate::factors::Interactions;

/// How many users have each item.
#[must_use]
pub fn holders(given: &Interactions) -> Vec<u32> {
    let mut holders = vec![0_u32; given.columns()];
    for (_, item, _) in given.entries() {
        holders[item as usize] += 1;
    }
    holders
}

/// Each list's mean self-information, of its first k.
#[must_use]
pub fn novelty(lists: &Lists, holders: &[u32], users: usize, k: usize) -> Vec<f32> {
    let information = |item: &u32| {
        let holders = holders.get(*item as usize).copied().unwrap_or(0).max(1);
        (users.max(1) as f64 / f64::from(holders)).log2()
    };
    lists.lists.iter().map(|list| mean_over(list, k, information)).collect()
}

/// How many users have an item of each list's first k, on average.
#[must_use]
pub fn popularity(lists: &Lists, holders: &[u32], k: usize) -> Vec<f32> {
    let of = |item: &u32| f64::from(holders.get(*item as usize).copied().unwrap_or(0));
    lists.lists.iter().map(|list| mean_over(list, k, of)).collect()
}

fn mean_over(list: &[u32], k: usize, of: impl Fn(&u32) -> f64) -> f32 {
    let list = &list[..k.min(list.len())];
    if list.is_empty() { 0.0 } else { (list.iter().map(of).sum::<f64>() / list.len() as f64) as f32 }
}

/// How often each item stands among the first k.
#[must_use]
pub fn exposure(lists: &Lists, items: usize, k: usize) -> Vec<u64> {
    let mut shown = vec![0_u64; items];
    for item in lists.lists.iter().flat_map(|list| list.iter().take(k)) {
        if let Some(shown) = shown.get_mut(*item as usize) {
            *shown += 1;
        }
    }
    shown
}

/// The Gini coefficient: 0 when all have the same, near 1 when one has all; 0 of nothing.
#[must_use]
pub fn gini(counts: &[u64]) -> f64 {
    let mut ascending = counts.to_vec();
    ascending.sort_unstable();
    let n = ascending.len() as f64;
    let total: f64 = ascending.iter().map(|count| *count as f64).sum();
    if total == 0.0 {
        return 0.0;
    }
    let weighted: f64 = ascending.iter().enumerate().map(|(at, count)| (at as f64 + 1.0) * *count as f64).sum();
    (2.0 * weighted - (n + 1.0) * total) / (n * total)
}

/// The share of all exposure that goes to the most popular items, at about `points` ranks that lie evenly on a logarithmic
/// scale, from the most popular item alone to all of them: (share of the catalogue, share of the exposure).
#[must_use]
pub fn exposure_curve(shown: &[u64], holders: &[u32], points: usize) -> Vec<(f64, f64)> {
    let mut ranked: Vec<usize> = (0..shown.len()).collect();
    ranked.sort_by_key(|item| std::cmp::Reverse(holders.get(*item).copied().unwrap_or(0)));
    let items = ranked.len();
    let total = shown.iter().sum::<u64>().max(1) as f64;
    let mut ranks: Vec<usize> =
        (0..=points).map(|n| (items as f64).powf(n as f64 / points.max(1) as f64).round() as usize).collect();
    ranks.dedup();
    let (mut curve, mut sum, mut next) = (Vec::with_capacity(ranks.len()), 0_u64, ranks.into_iter().peekable());
    for (at, item) in ranked.iter().enumerate() {
        sum += shown[*item];
        if next.next_if_eq(&(at + 1)).is_some() {
            curve.push(((at + 1) as f64 / items as f64, sum as f64 / total));
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        Lists { users: vec![0, 1], lists: vec![vec![0, 2], vec![0, 1]] }
    }

    #[test]
    fn novelty_and_popularity_are_those_of_the_lists_items() {
        // Of four users, all four have item 0, one has item 1, nobody has item 2.
        let given =
            Interactions::from_entries(4, 3, &[(0, 0, 1.0), (1, 0, 2.0), (2, 0, 1.0), (3, 0, 1.0), (3, 1, 1.0)])
                .unwrap();
        let holders = holders(&given);
        assert_eq!(holders, [4, 1, 0]);
        assert_eq!(novelty(&lists(), &holders, 4, 2), [1.0, 1.0]);
        assert_eq!(novelty(&lists(), &holders, 4, 1), [0.0, 0.0]);
        assert_eq!(popularity(&lists(), &holders, 2), [2.0, 2.5]);
    }

    #[test]
    fn gini_is_none_where_all_are_shown_alike_and_most_where_one_is() {
        assert!(gini(&[3, 3, 3]).abs() < 1e-12);
        assert!((gini(&[0, 0, 0, 8]) - 0.75).abs() < 1e-12);
        // Half of the sum of all differences over n times the total: of 1, 3 and 2 it is (2 + 1 + 1) / (3 · 6).
        assert!((gini(&[1, 3, 2]) - 4.0 / 18.0).abs() < 1e-12);
        assert_eq!((gini(&[]), gini(&[0, 0])), (0.0, 0.0));
    }

    #[test]
    fn the_curve_runs_from_the_most_popular_to_all() {
        let shown = exposure(&lists(), 4, 2);
        assert_eq!(shown, [2, 1, 1, 0]);
        assert_eq!(exposure_curve(&shown, &[4, 1, 0, 9], 4), [(0.25, 0.0), (0.5, 0.5), (0.75, 0.75), (1.0, 1.0)]);
        assert_eq!(exposure_curve(&shown, &[4, 1, 0, 9], 1), [(0.25, 0.0), (1.0, 1.0)]);
        assert!(exposure_curve(&[], &[], 4).is_empty());
    }
}
