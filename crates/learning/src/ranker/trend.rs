//! The fact `trend` as it stood at any moment: each item's plays, halving with time, by the formula
//! of candidate-generation's trending index. It must not know listeners.

use std::time::Duration;

use rayon::slice::ParallelSliceMut;
use rustc_hash::FxHashMap;
use shared_models::{ItemKey, Timestamp};

/// Items' plays over time.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    half_life_days: f64,
    /// Where each item's plays stand in the other two.
    places: FxHashMap<ItemKey, (usize, usize)>,
    /// The moments of play, item by item, in order.
    moments: Vec<Timestamp>,
    /// The decayed count just after each.
    counts: Vec<f64>,
}

impl Trends {
    /// Counts plays, each at the moment it counts at, given in any order.
    #[must_use]
    pub fn of(plays: impl Iterator<Item = (ItemKey, Timestamp)>, half_life: Duration) -> Self {
        let mut plays: Vec<(ItemKey, Timestamp)> = plays.collect();
        plays.par_sort_unstable();
        let half_life_days = (half_life.as_secs_f64() / 86_400.0).max(1e-6);
        let mut trends = Self {
            half_life_days,
            places: FxHashMap::default(),
            moments: Vec::with_capacity(plays.len()),
            counts: Vec::with_capacity(plays.len()),
        };
        for of_item in plays.chunk_by(|a, b| a.0 == b.0) {
            let start = trends.moments.len();
            let mut last: Option<(Timestamp, f64)> = None;
            for (_, at) in of_item {
                let count = 1.0 + last.map_or(0.0, |last| trends.decayed(last, *at));
                trends.moments.push(*at);
                trends.counts.push(count);
                last = Some((*at, count));
            }
            if let Some((key, _)) = of_item.first() {
                trends.places.insert(*key, (start, trends.moments.len()));
            }
        }
        trends
    }

    fn decayed(&self, (at, count): (Timestamp, f64), now: Timestamp) -> f64 {
        let days = now.0.saturating_sub(at.0) as f64 / 86_400_000.0;
        count * (-days / self.half_life_days).exp2()
    }

    /// An item's decayed plays at a moment, plays at that very moment among them.
    #[must_use]
    pub fn plays(&self, key: ItemKey, now: Timestamp) -> f64 {
        let Some(&(start, end)) = self.places.get(&key) else { return 0.0 };
        let after = start + self.moments[start..end].partition_point(|at| *at <= now);
        if after == start {
            return 0.0;
        }
        self.decayed((self.moments[after - 1], self.counts[after - 1]), now)
    }
}

#[cfg(test)]
mod tests {
    use candidate_generation::{index::trending::Trending, profiles::counted_at};
    use shared_models::{
        EventId, ItemId, UserId,
        event::{Event, EventKind},
    };

    use super::*;

    #[test]
    fn training_counts_as_serving_counts() {
        let item = ItemId::new("a").unwrap();
        let at = |hours: i64| Timestamp(1_700_000_000_000 + hours * 3_600_000);
        let event = |n: i64| Event {
            id: EventId::new(format!("{n}")).unwrap(),
            user: UserId::new("u").unwrap(),
            kind: EventKind::Play,
            item: item.clone(),
            occurred_at: at(n),
            received_at: at(n),
            ms_played: None,
            recommendation: None,
            shelf: None,
            position: None,
            session: None,
            device: None,
            market: None,
        };
        let events: Vec<Event> = [0, 1, 5, 30, 31].map(event).to_vec();
        let half_life = Duration::from_secs(86_400);
        let plays = events.iter().map(|event| (event.item_key(), counted_at(event)));
        let trends = Trends::of(plays, half_life);
        let served = Trending::new(half_life);
        served.add(events.iter().map(|event| (event.item_key(), 1.0, counted_at(event))));
        served.refresh();
        let found = trends.plays(ItemKey::of(&item), at(40));
        let expected = served.trends().plays(at(40))(ItemKey::of(&item));
        assert!((found - f64::from(expected)).abs() < 1e-5, "{found} is not {expected}");
        assert_eq!(trends.plays(ItemKey::of(&item), at(-1)), 0.0);
    }
}
