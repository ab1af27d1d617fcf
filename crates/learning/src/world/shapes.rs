//! The shapes of a set of events: how popularity, activity, repeats, hours and positions are
//! distributed. They describe real sets as well as generated ones, so the two can be compared.

use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemKey, Timestamp, UserId,
    event::{Event, EventKind},
    item::Item,
};

/// One figure with the band in which a music service's lies, where we know one.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What it measures.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// Least and most that is plausible.
    pub band: Option<(f64, f64)>,
}

impl Shape {
    /// Whether the figure lies in its band.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.band.is_none_or(|(least, most)| (least..=most).contains(&self.value))
    }
}

/// All figures, in the order of the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shapes(pub Vec<Shape>);

impl Shapes {
    /// A figure by its name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|shape| shape.name == name).map(|shape| shape.value)
    }

    /// The figures outside their band.
    pub fn implausible(&self) -> impl Iterator<Item = &Shape> {
        self.0.iter().filter(|shape| !shape.is_plausible())
    }
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shape in &self.0 {
            let band = shape.band.map_or_else(String::new, |(least, most)| format!("  {least} to {most}"));
            let mark = if shape.is_plausible() { "" } else { "  <- outside" };
            if shape.value.fract() == 0.0 && shape.value.abs() >= 10.0 {
                writeln!(f, "{:<42} {:>12}{band}{mark}", shape.name, shape.value)?;
            } else {
                writeln!(f, "{:<42} {:>12.3}{band}{mark}", shape.name, shape.value)?;
            }
        }
        Ok(())
    }
}

/// Measures a set of events; `hour_of` gives the local hour of a listener's event.
#[must_use]
pub fn shapes(items: &[Item], events: &[Event]) -> Shapes {
    let artist_of: FxHashMap<ItemKey, ItemKey> = items.iter().map(|item| (item.key(), item.artist_key())).collect();
    let released: FxHashMap<ItemKey, Timestamp> =
        items.iter().filter_map(|item| Some((item.key(), item.released_at?))).collect();
    let mut tally = Tally::default();
    for event in events {
        tally.add(event, &artist_of, &released);
    }
    tally.report(events)
}

#[derive(Default)]
struct Tally<'a> {
    interactions: u64,
    by_user: FxHashMap<&'a UserId, u64>,
    tracks: FxHashMap<ItemKey, u64>,
    artists: FxHashMap<ItemKey, u64>,
    heard: FxHashSet<(&'a UserId, ItemKey)>,
    plays: u64,
    repeats: u64,
    fresh: u64,
    completes: u64,
    skips: u64,
    likes: u64,
    hours: [u64; 24],
    shown: [u64; 10],
    started: [u64; 10],
}

impl<'a> Tally<'a> {
    fn add(
        &mut self,
        event: &'a Event,
        artist_of: &FxHashMap<ItemKey, ItemKey>,
        released: &FxHashMap<ItemKey, Timestamp>,
    ) {
        let key = event.item_key();
        let slot = |counts: &mut [u64; 10]| {
            if let Some(count) = event.position.and_then(|position| counts.get_mut(usize::from(position))) {
                *count += 1;
            }
        };
        if event.kind == EventKind::Impression {
            slot(&mut self.shown);
            return;
        }
        self.interactions += 1;
        *self.by_user.entry(&event.user).or_default() += 1;
        match event.kind {
            EventKind::Play => {
                self.plays += 1;
                *self.tracks.entry(key).or_default() += 1;
                if let Some(artist) = artist_of.get(&key).filter(|artist| artist.is_some()) {
                    *self.artists.entry(*artist).or_default() += 1;
                }
                if !self.heard.insert((&event.user, key)) {
                    self.repeats += 1;
                }
                if released
                    .get(&key)
                    .is_some_and(|at| *at <= event.occurred_at && event.occurred_at.days_since(*at) <= 30.0)
                {
                    self.fresh += 1;
                }
                self.hours[(event.occurred_at.0.div_euclid(3_600_000)).rem_euclid(24) as usize] += 1;
                slot(&mut self.started);
            }
            EventKind::Complete => self.completes += 1,
            EventKind::Skip => self.skips += 1,
            EventKind::Like => self.likes += 1,
            _ => {}
        }
    }

    fn report(self, events: &[Event]) -> Shapes {
        let users = descending(self.by_user.values().copied());
        let tracks = descending(self.tracks.values().copied());
        let artists = descending(self.artists.values().copied());
        let part = |of: u64, all: u64| if all == 0 { 0.0 } else { of as f64 / all as f64 };
        let quantile = |share: f64| {
            users.get(((1.0 - share) * (users.len().saturating_sub(1)) as f64).round() as usize).copied().unwrap_or(0)
                as f64
        };
        let days = match (events.first(), events.last()) {
            (Some(first), Some(last)) => last.occurred_at.since(first.occurred_at).as_secs_f64() / 86_400.0,
            _ => 0.0,
        };
        let rate = |position: usize| part(self.started[position], self.shown[position]);
        let peak = self.hours.iter().copied().max().unwrap_or(0);
        let trough = self.hours.iter().copied().min().unwrap_or(0);
        let impressions = events.len() as u64 - self.interactions;
        let shape = |name, value, band| Shape { name, value, band };
        let mut shapes = vec![
            shape("days", days, None),
            shape("interactions", self.interactions as f64, None),
            shape("impressions", impressions as f64, None),
            shape("listeners with events", users.len() as f64, None),
            shape("tracks played", tracks.len() as f64, None),
            shape("artists played", artists.len() as f64, None),
            shape("interactions of a listener, p50", quantile(0.5), None),
            shape("interactions of a listener, p90", quantile(0.9), None),
            shape("interactions of a listener, p99", quantile(0.99), None),
            shape("Gini of listeners' interactions", gini(&users), Some((0.4, 0.75))),
            shape("slope of artists' plays by rank", slope(&artists), Some((0.8, 1.2))),
            shape("top 1 % of artists' share of plays", top_share(&artists, 0.01), Some((0.35, 0.6))),
            shape("top 10 % of artists' share of plays", top_share(&artists, 0.1), Some((0.6, 0.9))),
            shape("Gini of artists' plays", gini(&artists), Some((0.7, 0.95))),
            shape("slope of tracks' plays by rank", slope(&tracks), Some((0.6, 1.3))),
            shape("Gini of tracks' plays", gini(&tracks), Some((0.6, 0.95))),
            shape("repeat share of plays", part(self.repeats, self.plays), Some((0.4, 0.75))),
            shape("share of plays of tracks under 30 days old", part(self.fresh, self.plays), Some((0.005, 0.15))),
            shape("completes per play", part(self.completes, self.plays), Some((0.4, 0.85))),
            shape("skips per play", part(self.skips, self.plays), Some((0.1, 0.45))),
            shape("likes per play", part(self.likes, self.plays), Some((0.005, 0.08))),
            // In UTC, over markets from America to Asia: one market alone has a far deeper night.
            shape("busiest hour over quietest", part(peak, trough), Some((1.2, 50.0))),
        ];
        if impressions > 0 {
            shapes.push(shape(
                "plays per card shown",
                part(self.started.iter().sum(), self.shown.iter().sum()),
                Some((0.02, 0.3)),
            ));
            shapes.push(shape(
                "plays per card at position 0 over 9",
                if rate(9) > 0.0 { rate(0) / rate(9) } else { 0.0 },
                Some((2.0, 8.0)),
            ));
        }
        Shapes(shapes)
    }
}

fn descending(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts
}

/// The slope, as a positive number, of log count on log rank by least squares, ranks 10 to a fifth of
/// all: the ends of such curves bend, and the middle is what a catalogue's size does not change.
fn slope(descending: &[u64]) -> f64 {
    let last = descending.len() / 5;
    let points: Vec<(f64, f64)> = (10..=last)
        .filter_map(|rank| descending.get(rank - 1).map(|count| ((rank as f64).ln(), (*count as f64).ln())))
        .collect();
    let n = points.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let (mean_x, mean_y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    -covariance / variance
}

/// The Gini coefficient: 0 when all have the same, near 1 when one has all.
fn gini(descending: &[u64]) -> f64 {
    let n = descending.len() as f64;
    let total: f64 = descending.iter().map(|count| *count as f64).sum();
    if total == 0.0 {
        return 0.0;
    }
    let weighted: f64 = descending.iter().enumerate().map(|(index, count)| (n - index as f64) * *count as f64).sum();
    (2.0 * weighted - (n + 1.0) * total) / (n * total)
}

fn top_share(descending: &[u64], share: f64) -> f64 {
    let total: u64 = descending.iter().sum();
    let top = ((descending.len() as f64 * share).round() as usize).max(1);
    if total == 0 { 0.0 } else { descending.iter().take(top).sum::<u64>() as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_and_gini_of_known_curves() {
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 0.01, "{found} is not {expected}");
        let zipf: Vec<u64> = (1..=1000_u64).map(|rank| 10_000_000 / rank).collect();
        check(slope(&zipf), 1.0);
        check(slope(&[5; 100]), 0.0);
        check(gini(&[7; 100]), 0.0);
        check(gini(&[4, 0, 0, 0]), 0.75);
        check(top_share(&[50, 25, 15, 10], 0.25), 0.5);
    }
}
