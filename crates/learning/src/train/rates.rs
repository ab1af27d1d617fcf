//! What everybody does with each item, counted from events: the numbers of `rates.bin`.
//!
//! Rates are drawn to a mean by as many pretended events as [`PRIOR`] says (a beta prior: Efron and Morris, "Data
//! Analysis Using Stein's Estimator and Its Generalizations", 1975): an item's to that of all items, a market's and a
//! quarter's to the item's. It must not know listeners.

use std::collections::BTreeMap;

use candidate_generation::profiles::counted_at;
use releases::rates::{Four, ItemRates, MarketRates, QUARTERS, Rates, quarter_of};
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp,
    event::{Event, EventKind},
    item::Market,
};

use crate::factors::Interactions;

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
    fn add(&mut self, kind: &EventKind, is_click: bool) {
        let count = match kind {
            EventKind::Impression => &mut self.impressions,
            EventKind::Play => {
                self.clicks += u32::from(is_click);
                &mut self.plays
            }
            EventKind::Complete => &mut self.completes,
            EventKind::Skip => &mut self.skips,
            EventKind::Like | EventKind::Save | EventKind::PlaylistAdd => &mut self.likes,
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

/// The rates of a release's items (ascending) by the events before a moment, or by all. `listeners` says who listens
/// to what: its columns are the items. Each market tells of at most `top` items, those that most happens to.
pub(super) fn of(
    items: &[ItemKey],
    events: &[Event],
    listeners: &Interactions,
    until: Option<Timestamp>,
    top: usize,
) -> Rates {
    let rows: FxHashMap<ItemKey, u32> = items.iter().enumerate().map(|(row, key)| (*key, row as u32)).collect();
    let before = |event: &&Event| until.is_none_or(|until| counted_at(event) < until);
    let last = events.iter().filter(before).map(counted_at).max().unwrap_or_default();
    let is_told = events.iter().any(|event| event.kind == EventKind::Play && event.recommendation.is_some());
    let mut counted = vec![Item::default(); items.len()];
    let mut markets: BTreeMap<Market, FxHashMap<u32, Counts>> = BTreeMap::new();
    for event in events.iter().filter(before) {
        let Some(row) = rows.get(&event.item_key()) else { continue };
        let at = counted_at(event);
        let is_click = !is_told || event.recommendation.is_some();
        let item = &mut counted[*row as usize];
        item.first = Some(item.first.map_or(at, |first| first.min(at)));
        item.quarters[quarter_of(at)].add(&event.kind, is_click);
        if event.kind == EventKind::Play {
            let age = last.0.saturating_sub(at.0) / DAY;
            item.plays_short += u32::from(age < SHORT);
            item.plays_long += u32::from(age < LONG);
        }
        if let Some(market) = event.market.filter(|market| *market != Market::UNKNOWN) {
            markets.entry(market).or_default().entry(*row).or_default().add(&event.kind, is_click);
        }
    }
    let totals: Vec<Counts> = counted
        .iter()
        .map(|item| item.quarters.iter().fold(Counts::default(), |sum, counts| sum.plus(counts)))
        .collect();
    let mean = mean(&totals);
    let mut of_items = vec![0_u32; items.len()];
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
    use shared_models::{EventId, ItemId, UserId};
    use uuid::Uuid;

    use super::*;

    const NOW: i64 = 1_700_006_400_000;

    fn event(kind: EventKind, item: &str, at: i64, market: &str, answer: bool) -> Event {
        Event {
            id: EventId::new("e").unwrap(),
            user: UserId::new("u").unwrap(),
            kind,
            item: ItemId::new(item).unwrap(),
            occurred_at: Timestamp(at),
            received_at: Timestamp(at),
            ms_played: None,
            recommendation: answer.then(|| Uuid::from_u128(1)),
            shelf: None,
            position: None,
            session: None,
            device: None,
            market: Market::parse(market),
        }
    }

    fn key(item: &str) -> ItemKey {
        ItemKey::of(&ItemId::new(item).unwrap())
    }

    #[test]
    fn rates_are_counts_drawn_to_the_mean() {
        let mut items = vec![key("a"), key("b"), key("c")];
        items.sort_unstable();
        let row = |item: &str| items.iter().position(|known| *known == key(item)).unwrap() as u32;
        let mut events = Vec::new();
        for n in 0..40 {
            events.push(event(EventKind::Impression, "a", NOW + n, "SE", true));
            events.push(event(EventKind::Impression, "b", NOW + n, "US", true));
        }
        for n in 0..20 {
            events.push(event(EventKind::Play, "a", NOW + n, "SE", true));
            // Of their own accord: a play, but nothing that an impression brought.
            events.push(event(EventKind::Play, "b", NOW + n, "US", false));
        }
        for _ in 0..10 {
            events.push(event(EventKind::Skip, "b", NOW + 18 * 3_600_000, "US", false));
        }
        let entries = [(0, row("a"), 1.0), (1, row("a"), 1.0), (1, row("b"), 1.0)];
        let listeners = Interactions::from_entries(2, 3, &entries).unwrap();
        let rates = of(&items, &events, &listeners, None, 10);
        let (a, b, c) = (rates.of(row("a")).unwrap(), rates.of(row("b")).unwrap(), rates.of(row("c")).unwrap());
        assert_eq!((rates.mean.play, rates.mean.skip), (0.25, 0.25));
        // (20 + 20 · 0.25) / (40 + 20) and (0 + 20 · 0.25) / (40 + 20).
        assert!((a.all.play - 25.0 / 60.0).abs() < 1e-6 && (b.all.play - 5.0 / 60.0).abs() < 1e-6);
        assert!((b.all.skip - 15.0 / 40.0).abs() < 1e-6);
        assert_eq!((c.all.play, c.listeners, c.first_seen_days), (0.25, 0.0, 0.0));
        assert_eq!((a.listeners, b.listeners, a.impressions), (2.0, 1.0, 40.0));
        // The quarter in which the skips fell has more of them than the item, the first as many plays and no skip.
        assert!(b.quarter_skip[3] > b.quarter_skip[0] && b.quarter_skip[0] < b.all.skip);
        let se = rates.market(Market::parse("SE").unwrap()).unwrap();
        assert!(se.of(row("a")).unwrap().play > a.all.play);
        assert!(se.of(row("b")).is_none());
        assert!((a.first_seen_days - (NOW as f64 / DAY as f64) as f32).abs() < 1e-2);
    }

    #[test]
    fn what_comes_after_the_moment_is_not_counted() {
        let items = [key("a")];
        let events: Vec<Event> = (0..60).map(|day| event(EventKind::Play, "a", NOW + day * DAY, "SE", false)).collect();
        let none = Interactions::from_entries(0, 1, &[]).unwrap();
        let at = |days: i64| of(&items, &events, &none, Some(Timestamp(NOW + days * DAY)), 10).of(0).unwrap();
        assert_eq!(at(0), ItemRates::default());
        // Even plays have no momentum; those of a week alone have some.
        assert!(at(60).momentum.abs() < 0.02, "{}", at(60).momentum);
        assert!(at(7).momentum > 1.0);
        assert_eq!(
            of(&items, &events[..3], &none, None, 10),
            of(&items, &events, &none, Some(Timestamp(NOW + 3 * DAY)), 10)
        );
    }
}
