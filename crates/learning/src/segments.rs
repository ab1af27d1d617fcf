//! What is popular in a segment of the listeners: a market at a quarter of the day, a market, everywhere; of late more
//! than long ago.
//!
//! It must not know events, catalogues or releases' files: plays with their moments and markets go in, shares come out.
//!
//! # The model
//! A play of age a weighs `2^(-a / half-life)`. With c such plays of an item in a segment and C of all items, the item's
//! share is drawn to that of the next wider segment by μ pretended plays,
//!
//! `p(i | s) = (c_i + μ p(i | wider)) / (C + μ)`,
//!
//! from the quarter to the market and from the market to everybody, whose shares are `c_i / C`. (Smoothing with Dirichlet
//! priors: Zhai and Lafferty, "A Study of Smoothing Methods for Language Models Applied to Information Retrieval", ACM
//! TOIS 22, 2004; one prior within the other as MacKay and Peto, "A Hierarchical Dirichlet Language Model", Natural
//! Language Engineering 1, 1995.) A market of a hundred plays shows what everybody plays with a touch of its own; one of a
//! million plays is itself.

use std::{collections::BTreeMap, time::Duration};

use releases::{
    Popularity, Segments,
    rates::{QUARTERS, quarter_of},
    segments::{Segment, Top},
};
use rustc_hash::FxHashMap;
use shared_models::{Timestamp, item::Market};

/// Segments with fewer plays than this have no list: it would be that of the wider one.
const FEWEST: f64 = 1.0;

/// How plays become shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// After this long a play counts half; nothing is never.
    pub half_life: Duration,
    /// The pretended plays that draw a market to everybody.
    pub market_prior: f64,
    /// The pretended plays that draw a quarter of the day to its market.
    pub quarter_prior: f64,
    /// Whether each play counts; else a listener's last of each item.
    pub repeats: bool,
    /// The most items of a list.
    pub top: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_life: Duration::from_secs(7 * 86_400),
            market_prior: 30_000.0,
            quarter_prior: 100_000.0,
            repeats: true,
            top: 1_000,
        }
    }
}

/// A play of a listener's.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// The item's row.
    pub item: u32,
    /// When.
    pub at: Timestamp,
    /// Where; unknown counts for everybody alone.
    pub market: Market,
    /// How much it counts before it ages.
    pub weight: f32,
}

/// One listener's plays as they count.
#[must_use]
pub fn counted(mut of_listener: Vec<Played>, settings: &Settings) -> Vec<Played> {
    if !settings.repeats {
        of_listener.sort_by_key(|play| (play.item, std::cmp::Reverse(play.at)));
        of_listener.dedup_by_key(|play| play.item);
        of_listener.iter_mut().for_each(|play| play.weight = 1.0);
    }
    of_listener
}

/// Decayed plays by item, and their sum.
#[derive(Clone, Debug, Default)]
struct Plays {
    of: FxHashMap<u32, f64>,
    total: f64,
}

impl Plays {
    fn add(&mut self, item: u32, weight: f64) {
        *self.of.entry(item).or_default() += weight;
        self.total += weight;
    }

    /// An item's share, drawn to that of a wider segment.
    fn share(&self, item: u32, wider: f64, prior: f64) -> f64 {
        let plays = self.of.get(&item).copied().unwrap_or(0.0);
        let whole = self.total + prior;
        if whole > 0.0 { (plays + prior * wider) / whole } else { wider }
    }
}

/// A market's plays: all, and by quarter of the day.
#[derive(Clone, Debug, Default)]
struct OfMarket {
    all: Plays,
    quarters: [Plays; QUARTERS],
}

/// What was played, aged.
#[derive(Clone, Debug)]
pub struct Counts {
    everywhere: Vec<f64>,
    total: f64,
    markets: BTreeMap<Market, OfMarket>,
    market_prior: f64,
    quarter_prior: f64,
}

impl Counts {
    /// Counts plays of items by their ages at `now`.
    #[must_use]
    pub fn of(items: usize, plays: impl Iterator<Item = Played>, now: Timestamp, settings: &Settings) -> Self {
        let Settings { half_life, market_prior, quarter_prior, .. } = settings;
        let half_life = half_life.as_secs_f64() / 86_400.0;
        let (mut everywhere, mut total) = (vec![0.0; items], 0.0);
        let mut markets: BTreeMap<Market, OfMarket> = BTreeMap::new();
        for Played { item, at, market, weight } in plays {
            let age = f64::from(now.days_since(at)).max(0.0);
            let weight = f64::from(weight) * if half_life > 0.0 { (-age / half_life).exp2() } else { 1.0 };
            let Some(plays) = everywhere.get_mut(item as usize) else { continue };
            *plays += weight;
            total += weight;
            if market != Market::UNKNOWN {
                let of_market = markets.entry(market).or_default();
                of_market.all.add(item, weight);
                of_market.quarters[quarter_of(at)].add(item, weight);
            }
        }
        Self { everywhere, total, markets, market_prior: *market_prior, quarter_prior: *quarter_prior }
    }

    /// An item's share of a segment's plays.
    #[must_use]
    pub fn share(&self, segment: Segment, item: u32) -> f64 {
        let everybody =
            || self.everywhere.get(item as usize).map_or(0.0, |plays| plays / self.total.max(f64::MIN_POSITIVE));
        let in_market = |of: &OfMarket| of.all.share(item, everybody(), self.market_prior);
        match segment {
            Segment::All => everybody(),
            Segment::Market(market) => self.markets.get(&market).map_or_else(everybody, in_market),
            Segment::Quarter(market, quarter) => self.markets.get(&market).map_or_else(everybody, |of| {
                let wider = in_market(of);
                let plays = of.quarters.get(usize::from(quarter));
                plays.map_or(wider, |plays| plays.share(item, wider, self.quarter_prior))
            }),
        }
    }

    /// The most played items of each segment that has plays, `top` of each; no list at all where nothing was played.
    #[must_use]
    pub fn lists(&self, top: usize) -> Segments {
        // An item that a segment has not played is there what it is in the wider one, whose list holds the best of those.
        let list = |segment: Segment, plays: Option<&Plays>, wider: &[(u32, f32)]| -> Top {
            let mut items: Vec<u32> = match plays {
                Some(plays) => plays.of.keys().copied().chain(wider.iter().map(|(item, _)| *item)).collect(),
                None => {
                    (0..self.everywhere.len() as u32).filter(|item| self.everywhere[*item as usize] > 0.0).collect()
                }
            };
            items.sort_unstable();
            items.dedup();
            let mut list: Top =
                items.into_iter().map(|item| (item, Popularity::of_share(self.share(segment, item)))).collect();
            let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
            if list.len() > top && top > 0 {
                list.select_nth_unstable_by(top - 1, order);
            }
            list.truncate(top);
            list.sort_unstable_by(order);
            list
        };
        let everybody = list(Segment::All, None, &[]);
        if everybody.is_empty() {
            return Segments::default();
        }
        let mut lists = Vec::new();
        for (market, of) in self.markets.iter().filter(|(_, of)| of.all.total >= FEWEST) {
            let whole = list(Segment::Market(*market), Some(&of.all), &everybody);
            for (quarter, plays) in (0..).zip(&of.quarters).filter(|(_, plays)| plays.total >= FEWEST) {
                let segment = Segment::Quarter(*market, quarter);
                lists.push((segment, list(segment, Some(plays), &whole)));
            }
            lists.push((Segment::Market(*market), whole));
        }
        lists.push((Segment::All, everybody));
        Segments::new(lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const NOW: Timestamp = Timestamp(100 * DAY);

    fn market(code: &str) -> Market {
        Market::parse(code).unwrap()
    }

    fn played(item: u32, days_ago: i64, hour: i64, code: &str) -> Played {
        // The last midnight is part of today.
        let at = Timestamp(NOW.0 - days_ago * DAY + hour * 3_600_000);
        Played { item, at, market: market(code), weight: 1.0 }
    }

    fn counts(plays: &[Played], settings: &Settings) -> Counts {
        Counts::of(4, plays.iter().copied(), NOW, settings)
    }

    #[test]
    fn what_was_played_lately_counts_more() {
        let plays = [played(0, 20, 0, "ZZ"), played(0, 20, 0, "ZZ"), played(0, 20, 0, "ZZ"), played(1, 0, 0, "ZZ")];
        let of = |days: u64| {
            let settings = Settings { half_life: Duration::from_secs(days * 86_400), ..Settings::default() };
            counts(&plays, &settings).lists(10).of(Segment::All).unwrap().iter().map(|it| it.0).collect::<Vec<_>>()
        };
        assert_eq!((of(0), of(100), of(10)), (vec![0, 1], vec![0, 1], vec![1, 0]));
    }

    #[test]
    fn a_segment_is_drawn_to_the_wider_one_as_far_as_it_has_few_plays() {
        let mut plays: Vec<Played> = (0..8).map(|_| played(0, 0, 1, "NO")).collect();
        plays.extend([played(1, 0, 1, "SE"), played(2, 0, 7, "SE")]);
        let settings =
            Settings { half_life: Duration::ZERO, market_prior: 10.0, quarter_prior: 1.5, ..Settings::default() };
        let counts = counts(&plays, &settings);
        let se = Segment::Market(market("SE"));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(counts.share(Segment::All, 0), 0.8);
        close(counts.share(se, 0), (10.0 * 0.8) / 12.0);
        close(counts.share(se, 1), (1.0 + 10.0 * 0.1) / 12.0);
        let at_night = Segment::Quarter(market("SE"), 0);
        close(counts.share(at_night, 1), (1.0 + 1.5 * (2.0 / 12.0)) / 2.5);
        let sum = |segment: Segment| (0..4).map(|item| counts.share(segment, item)).sum::<f64>();
        [Segment::All, se, at_night].into_iter().for_each(|segment| close(sum(segment), 1.0));
        close(counts.share(Segment::Quarter(market("DE"), 2), 0), 0.8);

        let lists = counts.lists(2);
        let rows = |segment: Segment| lists.of(segment).map(|list| list.iter().map(|it| it.0).collect::<Vec<_>>());
        assert_eq!(rows(Segment::All), Some(vec![0, 1]));
        assert_eq!(rows(se), Some(vec![0, 1]), "what nobody played there stands by what it is elsewhere");
        assert_eq!(rows(at_night), Some(vec![1, 0]));
        assert_eq!(rows(Segment::Quarter(market("SE"), 2)), None, "nobody played then");
        assert!(lists.nearest(market("DE"), Some(0)).len() == 2);
    }

    #[test]
    fn who_plays_an_item_again_and_again_counts_once() {
        let plays = vec![played(2, 9, 0, "SE"), played(1, 8, 0, "SE"), played(2, 3, 0, "NO"), played(2, 5, 0, "SE")];
        let of = |repeats| {
            let plays = counted(plays.clone(), &Settings { repeats, ..Settings::default() });
            plays.iter().map(|play| (play.item, play.market.to_string(), play.at.0)).collect::<Vec<_>>()
        };
        assert_eq!(of(true).len(), 4);
        let at = |days: i64| NOW.0 - days * DAY;
        assert_eq!(of(false), [(1, "SE".to_owned(), at(8)), (2, "NO".to_owned(), at(3))], "the last of each");
    }

    #[test]
    fn nothing_played_is_no_list() {
        assert!(counts(&[], &Settings::default()).lists(10).is_empty());
        assert_eq!(counts(&[], &Settings::default()).share(Segment::All, 0), 0.0);
    }
}
