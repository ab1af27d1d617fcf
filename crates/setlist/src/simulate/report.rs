//! What a simulation says: reward over time, new tracks, and how soon a change of taste shows, for each arm.

use std::collections::BTreeMap;

use learning::evaluate::{Interval, bootstrap};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use shared_models::{ItemKey, Seed};

/// Draws of the bootstrap.
const DRAWS: usize = 1_000;
/// A planted track is found when so many listeners have played it.
const FOUND: usize = 3;
/// Plays after a change that are looked at together.
const WINDOW: u32 = 3;

/// What came of one page.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) listener: u32,
    pub(super) round: u32,
    pub(super) reward: f64,
    pub(super) plays: u32,
    /// Plays of their own accord.
    pub(super) own: u32,
    /// How likely the listener plays a card of it, with their taste as it is.
    pub(super) fit: f32,
    pub(super) shown_new: Vec<ItemKey>,
    pub(super) played_new: Vec<ItemKey>,
}

/// A simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Listeners who took part.
    pub listeners: usize,
    /// Rounds.
    pub rounds: u32,
    /// The round at which some changed their taste.
    pub half_time: u32,
    /// How many did.
    pub changed: usize,
    /// Tracks that came new.
    pub planted: usize,
    /// The seed.
    pub seed: u64,
    /// The arms.
    pub arms: Vec<ArmReport>,
    /// From a play to the page that knows of it, in milliseconds: p50, p95, p99.
    pub freshness_ms: Option<[f64; 3]>,
}

/// How an arm did.
#[derive(Clone, Debug, Serialize)]
pub struct ArmReport {
    /// Its name.
    pub arm: String,
    /// The reward of a page, over listeners.
    pub reward: Summary,
    /// Plays of a page's cards.
    pub plays: f64,
    /// The reward less that of the arm `popular`, listener by listener.
    pub over_popular: Option<Summary>,
    /// That in units of what `popular` brings.
    pub margin: Option<f64>,
    /// The mean reward of a page, round by round.
    pub by_round: Vec<f64>,
    /// Planted tracks that were played by three listeners or more, round by round.
    pub found_by_round: Vec<usize>,
    /// The share of cards that were planted tracks.
    pub shown_new: f64,
    /// Plays of planted tracks.
    pub played_new: usize,
    /// The change of taste.
    pub change: Option<Change>,
    /// Seconds that the rounds took, and requests in them.
    pub seconds: f64,
    /// Requests.
    pub requests: usize,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl From<Interval> for Summary {
    fn from(of: Interval) -> Self {
        Self { mean: of.mean, low: of.low, high: of.high }
    }
}

/// How pages follow a change of taste: by plays since then, of those who changed.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// How well pages fitted before it.
    pub before: f64,
    /// How well the first page after it fitted.
    pub at: f64,
    /// The mean fit by plays since the change.
    pub by_plays: Vec<(u32, f64)>,
    /// Plays until half of what was lost is back; `None` where the rounds were too few, or nothing was lost.
    pub half: Option<u32>,
    /// Plays until four fifths are.
    pub most: Option<u32>,
}

impl Change {
    /// Whether pages got worse by it, by a fifth or more: what fitted nobody in particular loses nothing.
    #[must_use]
    pub fn hurt(&self) -> bool {
        self.at < 0.8 * self.before
    }
}

/// The rewards of each listener, a page on average.
pub(super) fn by_listener(seen: &[Seen]) -> BTreeMap<u32, f64> {
    let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for page in seen {
        let (sum, count) = sums.entry(page.listener).or_default();
        *sum += page.reward;
        *count += 1.0;
    }
    sums.into_iter().map(|(listener, (sum, count))| (listener, sum / count)).collect()
}

/// What is said of an arm. `popular` holds the rewards of each listener under that arm, where it ran.
pub(super) fn arm(
    name: &str,
    seen: &[Seen],
    popular: Option<&BTreeMap<u32, f64>>,
    change: Option<Change>,
    seed: Seed,
    (seconds, requests): (f64, usize),
) -> ArmReport {
    let own = by_listener(seen);
    let interval = |values: Vec<f32>| Summary::from(bootstrap(&values, DRAWS, seed));
    let over = popular.filter(|_| name != "popular").map(|popular| {
        let apart = own.iter().filter_map(|(listener, reward)| Some((reward - popular.get(listener)?) as f32));
        interval(apart.collect())
    });
    let base = popular.map(|popular| popular.values().sum::<f64>() / popular.len().max(1) as f64);
    let rounds = seen.iter().map(|page| page.round + 1).max().unwrap_or(0);
    let of_round = |round: u32| seen.iter().filter(move |page| page.round == round);
    let mut players: FxHashMap<ItemKey, FxHashSet<u32>> = FxHashMap::default();
    let (mut by_round, mut found_by_round) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let rewards: Vec<f64> = of_round(round).map(|page| page.reward).collect();
        by_round.push(rewards.iter().sum::<f64>() / rewards.len().max(1) as f64);
        for page in of_round(round) {
            for item in &page.played_new {
                players.entry(*item).or_default().insert(page.listener);
            }
        }
        found_by_round.push(players.values().filter(|players| players.len() >= FOUND).count());
    }
    let pages = seen.len().max(1) as f64;
    let shown: usize = seen.iter().map(|page| page.shown_new.len()).sum();
    ArmReport {
        arm: name.to_owned(),
        reward: interval(own.values().map(|reward| *reward as f32).collect()),
        plays: seen.iter().map(|page| f64::from(page.plays)).sum::<f64>() / pages,
        margin: over.as_ref().zip(base).filter(|(_, base)| *base > 0.0).map(|(over, base)| over.mean / base),
        over_popular: over,
        by_round,
        found_by_round,
        shown_new: shown as f64 / (pages * super::arms::CARDS as f64),
        played_new: seen.iter().map(|page| page.played_new.len()).sum(),
        change,
        seconds,
        requests,
    }
}

/// How pages of those who changed their taste at `half_time` followed.
pub(super) fn change(seen: &[Seen], half_time: u32, changes: impl Fn(u32) -> bool) -> Option<Change> {
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let mut pages: Vec<&Seen> = seen.iter().filter(|page| changes(page.listener)).collect();
    pages.sort_by_key(|page| (page.listener, page.round));
    let fits = |from: u32, to: u32| -> Vec<f64> {
        let within = pages.iter().filter(|page| (from..to).contains(&page.round));
        within.map(|page| f64::from(page.fit)).collect()
    };
    let before = mean(&fits(half_time.saturating_sub(3), half_time))?;
    let at = mean(&fits(half_time, half_time + 1))?;
    // A page knows of what was played before it.
    let mut by_plays: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let (mut listener, mut plays) = (None, 0);
    for page in pages.iter().filter(|page| page.round >= half_time) {
        if listener != Some(page.listener) {
            (listener, plays) = (Some(page.listener), 0);
        }
        by_plays.entry(plays).or_default().push(f64::from(page.fit));
        plays += page.plays + page.own;
    }
    let last = by_plays.keys().last().copied().unwrap_or(0);
    let around = |plays: u32| {
        let near: Vec<f64> = by_plays.range(plays..plays + WINDOW).flat_map(|(_, fits)| fits.iter().copied()).collect();
        // A handful of pages is no mean.
        if near.len() >= 5 { mean(&near) } else { None }
    };
    let reached = |share: f64| {
        let wanted = at + share * (before - at);
        (1..=last).find(|plays| around(*plays).is_some_and(|fit| fit >= wanted))
    };
    let curve = (0..=last).filter_map(|plays| Some((plays, if plays == 0 { at } else { around(plays)? })));
    let change = Change { before, at, by_plays: curve.collect(), half: None, most: None };
    Some(if change.hurt() { Change { half: reached(0.5), most: reached(0.8), ..change } } else { change })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(listener: u32, round: u32, reward: f64, fit: f32) -> Seen {
        Seen { listener, round, reward, fit, plays: 1, own: 1, ..Seen::default() }
    }

    #[test]
    fn arms_are_compared_listener_by_listener() {
        // Listeners differ by far more than the arms do, and the arms differ for each of them alike.
        let seen = |more: f64| -> Vec<Seen> {
            (0..40).flat_map(|n| (0..4).map(move |round| page(n, round, f64::from(n) + more, 0.5))).collect()
        };
        let popular = by_listener(&seen(0.0));
        let found = arm("ranker", &seen(0.5), Some(&popular), None, Seed(1), (1.0, 320));
        let over = found.over_popular.unwrap();
        assert!((over.mean - 0.5).abs() < 1e-6 && (over.high - over.low) < 1e-6, "{over:?}");
        assert!((found.margin.unwrap() - 0.5 / 19.5).abs() < 1e-6);
        assert_eq!((found.by_round.len(), found.found_by_round.as_slice()), (4, &[0, 0, 0, 0][..]));
        assert!(arm("popular", &seen(0.0), Some(&popular), None, Seed(1), (1.0, 320)).over_popular.is_none());
    }

    #[test]
    fn a_planted_track_is_found_when_three_have_played_it() {
        let seen: Vec<Seen> =
            (0..5).map(|n| Seen { played_new: vec![ItemKey(u64::from(n / 4) + 1)], ..page(n, n, 1.0, 0.5) }).collect();
        assert_eq!(arm("explore", &seen, None, None, Seed(1), (1.0, 10)).found_by_round, [0, 0, 1, 1, 1]);
    }

    #[test]
    fn plays_until_a_change_of_taste_shows_are_counted() {
        // Pages fit with 0.8, with 0.2 at the change, and get 0.1 better each round, which is two plays.
        let seen: Vec<Seen> = (0..10)
            .flat_map(|n| {
                (0..20_u32).map(move |round| {
                    let fit = if round < 10 { 0.8 } else { (0.2 + 0.1 * (round - 10) as f32).min(0.8) };
                    page(n, round, 1.0, fit)
                })
            })
            .collect();
        let change = change(&seen, 10, |listener| listener < 6).unwrap();
        assert!((change.before - 0.8).abs() < 1e-6 && (change.at - 0.2).abs() < 1e-6);
        // 0.5 is reached three rounds later, and seen with the window from 4 plays on.
        assert!(matches!(change.half, Some(4..=6)), "{change:?}");
        assert!(matches!(change.most, Some(8..=10)), "{change:?}");
        assert!(super::change(&seen, 10, |_| false).is_none());
    }
}
