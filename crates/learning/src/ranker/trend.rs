//! The fact `trend` as it stood at any moment: each item's plays, halving with time, by the formula
//! of candidate-generation's trending index. It must not know listeners.

use std::time::Duration;

use candidate_generation::profiles::counted_at;
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp,
    event::{Event, EventKind},
};

/// Every item's plays over time.
pub(super) struct Trends {
    half_life_days: f64,
    /// For each item, its moments of play in order, and the decayed count just after each.
    counts: FxHashMap<ItemKey, Vec<(Timestamp, f64)>>,
}

impl Trends {
    /// Counts events that are in time order.
    pub(super) fn of(events: &[Event], half_life: Duration) -> Self {
        let mut trends =
            Self { half_life_days: (half_life.as_secs_f64() / 86_400.0).max(1e-6), counts: FxHashMap::default() };
        let mut plays: Vec<(Timestamp, ItemKey)> = events
            .iter()
            .filter(|event| event.kind == EventKind::Play)
            .map(|event| (counted_at(event), event.item_key()))
            .collect();
        plays.sort_unstable();
        for (at, key) in plays {
            let before = trends.plays(key, at);
            trends.counts.entry(key).or_default().push((at, before + 1.0));
        }
        trends
    }

    /// An item's decayed plays at a moment, plays at that very moment among them.
    pub(super) fn plays(&self, key: ItemKey, now: Timestamp) -> f64 {
        let Some(counts) = self.counts.get(&key) else { return 0.0 };
        let after = counts.partition_point(|(at, _)| *at <= now);
        after.checked_sub(1).and_then(|last| counts.get(last)).map_or(0.0, |(at, count)| {
            let days = now.0.saturating_sub(at.0) as f64 / 86_400_000.0;
            count * (-days / self.half_life_days).exp2()
        })
    }
}

#[cfg(test)]
mod tests {
    use candidate_generation::index::trending::Trending;
    use shared_models::{EventId, ItemId, UserId};

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
        let trends = Trends::of(&events, half_life);
        let served = Trending::new(half_life);
        served.add(events.iter().map(|event| (event.item_key(), 1.0, counted_at(event))));
        served.refresh();
        let found = trends.plays(ItemKey::of(&item), at(40));
        let expected = served.trends().plays(at(40))(ItemKey::of(&item));
        assert!((found - f64::from(expected)).abs() < 1e-5, "{found} is not {expected}");
        assert_eq!(trends.plays(ItemKey::of(&item), at(-1)), 0.0);
    }
}
