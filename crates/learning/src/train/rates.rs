//! What everybody does with each item, counted from events: the numbers of `rates.bin`.
//!
//! Rates are drawn to a mean by as many pretended events as [`PRIOR`] says (a beta prior: Efron and Morris, "Data
//! Analysis Using Stein's Estimator and Its Generalizations", 1975): an item's to that of all items, a market's and a
//! quarter's to the item's. It must not know listeners.

use std::collections::BTreeMap;

use releases::rates::{Four, ItemRates, MarketRates, QUARTERS, Rates, quarter_of};
use rustc_hash::FxHashMap;
use shared_models::{Timestamp, item::Market};

use super::table::{Table, Touch};
use crate::{events::Kind, factors::Interactions};

/// Pretended impressions or plays at the mean.
const PRIOR: f64 = 20.0;
/// Below so many impressions and plays a market says nothing of its own about an item.
const FEWEST_IN_MARKET: u32 = 5;
const DAY: i64 = 86_400_000;
/// The spans of the momentum, in days.
const SHORT: i64 = 7;
const LONG: i64 = 28;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    impressions: u32,
    /// Plays that followed an impression; where no event of the data says so, all plays.
    clicks: u32,
    plays: u32,
    completes: u32,
    skips: u32,
    likes: u32,
}

impl Counts {
    fn add(&mut self, kind: Kind, is_click: bool) {
        let count = match kind {
            Kind::IMPRESSION => &mut self.impressions,
            Kind::PLAY => {
                self.clicks += u32::from(is_click);
                &mut self.plays
            }
            Kind::COMPLETE => &mut self.completes,
            Kind::SKIP => &mut self.skips,
            Kind::LIKE | Kind::SAVE | Kind::PLAYLIST_ADD => &mut self.likes,
            _ => return,
        };
        *count += 1;
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            impressions: self.impressions.saturating_add(other.impressions),
            clicks: self.clicks.saturating_add(other.clicks),
            plays: self.plays.saturating_add(other.plays),
            completes: self.completes.saturating_add(other.completes),
            skips: self.skips.saturating_add(other.skips),
            likes: self.likes.saturating_add(other.likes),
        }
    }

    /// The rates, drawn to `mean` by `prior` pretended events.
    fn rates(&self, mean: Four, prior: f64) -> Four {
        let rate = |part: u32, of: u32, mean: f32| {
            let whole = f64::from(of) + prior;
            // More may follow than was counted: clients lose impressions.
            if whole > 0.0 { ((f64::from(part) + prior * f64::from(mean)) / whole).min(1.0) as f32 } else { 0.0 }
        };
        Four {
            play: rate(self.clicks, self.impressions, mean.play),
            complete: rate(self.completes, self.plays, mean.complete),
            skip: rate(self.skips, self.plays, mean.skip),
            like: rate(self.likes, self.plays, mean.like),
        }
    }
}

/// What is counted of one item.
#[derive(Clone, Debug, Default)]
struct Item {
    quarters: [Counts; QUARTERS],
    plays_short: u32,
    plays_long: u32,
    first: Option<Timestamp>,
}

/// The rates of a table's items by what happened before a moment, or by all. `listeners` says who listens to what: its
/// columns are the items. Each market tells of at most `top` items, those that most happens to.
pub(super) fn of(table: &Table, listeners: &Interactions, until: Option<Timestamp>, top: usize) -> Rates {
    of_touches(table.items.len(), table.happenings(), listeners, until, top)
}

fn of_touches<'a>(
    items: usize,
    touches: impl Iterator<Item = &'a Touch> + Clone,
    listeners: &Interactions,
    until: Option<Timestamp>,
    top: usize,
) -> Rates {
    let is_told = touches.clone().any(|touch| touch.kind == Kind::PLAY && touch.answered);
    let touches = touches.filter(|touch| until.is_none_or(|until| touch.at < until));
    let last = touches.clone().map(|touch| touch.at).max().unwrap_or_default();
    let mut counted = vec![Item::default(); items];
    let mut markets: BTreeMap<Market, FxHashMap<u32, Counts>> = BTreeMap::new();
    for touch in touches {
        let (row, at) = (touch.item, touch.at);
        let Some(item) = counted.get_mut(row as usize) else { continue };
        let is_click = !is_told || touch.answered;
        item.first = Some(item.first.map_or(at, |first| first.min(at)));
        item.quarters[quarter_of(at)].add(touch.kind, is_click);
        if touch.kind == Kind::PLAY {
            let age = last.0.saturating_sub(at.0) / DAY;
            item.plays_short += u32::from(age < SHORT);
            item.plays_long += u32::from(age < LONG);
        }
        if touch.market != Market::UNKNOWN {
            markets.entry(touch.market).or_default().entry(row).or_default().add(touch.kind, is_click);
        }
    }
    let totals: Vec<Counts> = counted
        .iter()
        .map(|item| item.quarters.iter().fold(Counts::default(), |sum, counts| sum.plus(counts)))
        .collect();
    let mean = mean(&totals);
    let mut of_items = vec![0_u32; items];
    for (_, item, _) in listeners.entries() {
        of_items[item as usize] += 1;
    }
    let all: Vec<Four> = totals.iter().map(|counts| counts.rates(mean, PRIOR)).collect();
    let rates: Vec<ItemRates> = counted
        .iter()
        .zip(&totals)
        .zip(all.iter().zip(&of_items))
        .map(|((item, total), (all, listeners))| {
            let quarters = item.quarters.map(|counts| counts.rates(*all, PRIOR));
            ItemRates {
                all: *all,
                quarter_play: quarters.map(|rates| rates.play),
                quarter_skip: quarters.map(|rates| rates.skip),
                momentum: momentum(item),
                listeners: *listeners as f32,
                impressions: total.impressions as f32,
                first_seen_days: item.first.map_or(0.0, |at| (at.0.max(0) as f64 / DAY as f64) as f32),
            }
        })
        .collect();
    let markets = markets.into_iter().map(|(market, counts)| (market, in_market(counts, &all, top))).collect();
    Rates::new(&rates, mean, markets)
}

/// The rates of all items together.
fn mean(totals: &[Counts]) -> Four {
    let sum = |part: fn(&Counts) -> u32| totals.iter().map(|counts| f64::from(part(counts))).sum::<f64>();
    let rate = |part: f64, whole: f64| if whole > 0.0 { (part / whole).min(1.0) as f32 } else { 0.0 };
    let plays = sum(|counts| counts.plays);
    Four {
        play: rate(sum(|counts| counts.clicks), sum(|counts| counts.impressions)),
        complete: rate(sum(|counts| counts.completes), plays),
        skip: rate(sum(|counts| counts.skips), plays),
        like: rate(sum(|counts| counts.likes), plays),
    }
}

/// One play a span is pretended, so that an item without plays neither rises nor falls.
fn momentum(item: &Item) -> f32 {
    let a_day = |plays: u32, days: i64| (f64::from(plays) + 1.0 / (LONG / days) as f64) / days as f64;
    (a_day(item.plays_short, SHORT) / a_day(item.plays_long, LONG)).ln() as f32
}

fn in_market(counts: FxHashMap<u32, Counts>, all: &[Four], top: usize) -> MarketRates {
    let weight = |counts: &Counts| counts.impressions.saturating_add(counts.plays);
    let mut known: Vec<(u32, Counts)> =
        counts.into_iter().filter(|(_, counts)| weight(counts) >= FEWEST_IN_MARKET).collect();
    known.sort_unstable_by(|a, b| weight(&b.1).cmp(&weight(&a.1)).then(a.0.cmp(&b.0)));
    known.truncate(top);
    MarketRates::new(known.into_iter().map(|(row, counts)| (row, counts.rates(all[row as usize], PRIOR))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_006_400_000;
    const A: u32 = 0;
    const B: u32 = 1;
    const C: u32 = 2;

    fn touch(kind: Kind, item: u32, at: i64, market: &str, answered: bool) -> Touch {
        Touch { at: Timestamp(at), item, market: Market::parse(market).unwrap_or_default(), kind, answered }
    }

    #[test]
    fn rates_are_counts_drawn_to_the_mean() {
        let mut touches = Vec::new();
        for n in 0..40 {
            touches.push(touch(Kind::IMPRESSION, A, NOW + n, "SE", true));
            touches.push(touch(Kind::IMPRESSION, B, NOW + n, "US", true));
        }
        for n in 0..20 {
            touches.push(touch(Kind::PLAY, A, NOW + n, "SE", true));
            // Of their own accord: a play, but nothing that an impression brought.
            touches.push(touch(Kind::PLAY, B, NOW + n, "US", false));
        }
        for _ in 0..10 {
            touches.push(touch(Kind::SKIP, B, NOW + 18 * 3_600_000, "US", false));
        }
        let listeners = Interactions::from_entries(2, 3, &[(0, A, 1.0), (1, A, 1.0), (1, B, 1.0)]).unwrap();
        let rates = of_touches(3, touches.iter(), &listeners, None, 10);
        let (a, b, c) = (rates.of(A).unwrap(), rates.of(B).unwrap(), rates.of(C).unwrap());
        assert_eq!((rates.mean.play, rates.mean.skip), (0.25, 0.25));
        // (20 + 20 · 0.25) / (40 + 20) and (0 + 20 · 0.25) / (40 + 20).
        assert!((a.all.play - 25.0 / 60.0).abs() < 1e-6 && (b.all.play - 5.0 / 60.0).abs() < 1e-6);
        assert!((b.all.skip - 15.0 / 40.0).abs() < 1e-6);
        assert_eq!((c.all.play, c.listeners, c.first_seen_days), (0.25, 0.0, 0.0));
        assert_eq!((a.listeners, b.listeners, a.impressions), (2.0, 1.0, 40.0));
        // The quarter in which the skips fell has more of them than the item, the first as many plays and no skip.
        assert!(b.quarter_skip[3] > b.quarter_skip[0] && b.quarter_skip[0] < b.all.skip);
        let se = rates.market(Market::parse("SE").unwrap()).unwrap();
        assert!(se.of(A).unwrap().play > a.all.play);
        assert!(se.of(B).is_none());
        assert!((a.first_seen_days - (NOW as f64 / DAY as f64) as f32).abs() < 1e-2);
    }

    #[test]
    fn what_comes_after_the_moment_is_not_counted() {
        let touches: Vec<Touch> = (0..60).map(|day| touch(Kind::PLAY, A, NOW + day * DAY, "SE", false)).collect();
        let none = Interactions::from_entries(0, 1, &[]).unwrap();
        let until = |days: i64| Some(Timestamp(NOW + days * DAY));
        let at = |days: i64| of_touches(1, touches.iter(), &none, until(days), 10).of(A).unwrap();
        assert_eq!(at(0), ItemRates::default());
        // Even plays have no momentum; those of a week alone have some.
        assert!(at(60).momentum.abs() < 0.02, "{}", at(60).momentum);
        assert!(at(7).momentum > 1.0);
        assert_eq!(
            of_touches(1, touches[..3].iter(), &none, None, 10),
            of_touches(1, touches.iter(), &none, until(3), 10)
        );
    }
}
