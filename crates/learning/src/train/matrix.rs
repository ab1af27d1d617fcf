//! Events as a table of who did what to which row of the release, and the matrices that trainers
//! take. The weights are those of serving: the sum of event weights clamped to the bounds of
//! `releases::factors`, halving with the age against the user's last event.

use candidate_generation::profiles::counted_at;
use releases::{Popularity, factors::confidence};
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp, UserId,
    event::{Event, EventKind},
    item::{Item, Market},
};

use crate::{
    evaluate::split::{self, Timed},
    factors::{self, Interactions},
};

/// Below this a pair says nothing.
const LEAST: f32 = 1e-3;

/// One interaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    user: u32,
    item: u32,
    weight: f32,
    at: Timestamp,
    is_play: bool,
    market: Market,
}

/// The interactions with items of the catalogue, in time order.
pub(super) struct Table {
    /// The release's items, ascending.
    pub(super) items: Vec<ItemKey>,
    pub(super) touches: Vec<Touch>,
    pub(super) users: usize,
    pub(super) impressions: u64,
    pub(super) plays: u64,
    /// Events on items that the catalogue does not hold.
    pub(super) unknown: u64,
    /// Events on items that nobody plays, such as follows of artists: they count for profiles only.
    pub(super) unplayed: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Table {
    pub(super) fn of(items: &[Item], events: &[Event]) -> Self {
        let mut keys: Vec<ItemKey> = items.iter().map(Item::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let rows: FxHashMap<ItemKey, u32> = keys.iter().enumerate().map(|(row, key)| (*key, row as u32)).collect();
        let mut is_played = vec![false; keys.len()];
        for event in events {
            if matches!(event.kind, EventKind::Play | EventKind::Complete)
                && let Some(row) = rows.get(&event.item_key())
            {
                is_played[*row as usize] = true;
            }
        }
        let mut users: FxHashMap<&UserId, u32> = FxHashMap::default();
        let mut table = Self {
            items: Vec::new(),
            touches: Vec::with_capacity(events.len()),
            users: 0,
            impressions: 0,
            plays: 0,
            unknown: 0,
            unplayed: 0,
            first: events.iter().map(counted_at).min().unwrap_or_default(),
            last: events.iter().map(counted_at).max().unwrap_or_default(),
        };
        for event in events {
            let Some(item) = rows.get(&event.item_key()).copied() else {
                table.unknown += 1;
                continue;
            };
            if event.kind == EventKind::Impression {
                table.impressions += 1;
                continue;
            }
            let is_play = event.kind == EventKind::Play;
            table.plays += u64::from(is_play);
            if !is_played[item as usize] {
                table.unplayed += 1;
                continue;
            }
            let next = users.len() as u32;
            let user = *users.entry(&event.user).or_insert(next);
            table.touches.push(Touch {
                user,
                item,
                weight: event.kind.weight(),
                at: counted_at(event),
                is_play,
                market: event.market.unwrap_or_default(),
            });
        }
        table.users = users.len();
        table.touches.sort_by_key(|touch| touch.at);
        table.items = keys;
        table
    }

    /// The moment that `share` of the touches lie at or after.
    pub(super) fn moment_for_share(&self, share: f64) -> Timestamp {
        let timed: Vec<Timed> = self
            .touches
            .iter()
            .map(|touch| Timed { user: touch.user, item: touch.item, weight: touch.weight, at: touch.at })
            .collect();
        split::moment_for_share(&timed, share).unwrap_or(self.last)
    }

    fn before(&self, until: Option<Timestamp>) -> &[Touch] {
        let end = until.map_or(self.touches.len(), |until| self.touches.partition_point(|touch| touch.at < until));
        &self.touches[..end]
    }

    /// The weights of all pairs as they stood at a moment, or after everything.
    pub(super) fn matrix(&self, until: Option<Timestamp>) -> Result<Interactions, factors::Error> {
        let touches = self.before(until);
        let mut last_of_user = vec![Timestamp(i64::MIN); self.users];
        let mut pairs: FxHashMap<(u32, u32), (f32, Timestamp)> = FxHashMap::default();
        for touch in touches {
            last_of_user[touch.user as usize] = touch.at;
            let pair = pairs.entry((touch.user, touch.item)).or_insert((0.0, touch.at));
            pair.0 += touch.weight;
            pair.1 = touch.at;
        }
        let mut entries: Vec<(u32, u32, f32)> = pairs
            .into_iter()
            // With alpha 1 the confidence is the decayed weight; the solver multiplies by its alpha.
            .map(|((user, item), (weight, at))| {
                (user, item, confidence(1.0, weight, last_of_user[user as usize].days_since(at)))
            })
            .filter(|(_, _, weight)| *weight > LEAST)
            .collect();
        entries.sort_unstable_by_key(|(user, item, _)| (*user, *item));
        Interactions::from_entries(self.users, self.items.len(), &entries)
    }

    /// What users came to like from a moment on and had not before: those who had something before.
    pub(super) fn held_out(&self, seen: &Interactions, from: Timestamp) -> Result<Interactions, factors::Error> {
        let start = self.touches.partition_point(|touch| touch.at < from);
        let mut known: rustc_hash::FxHashSet<(u32, u32)> = rustc_hash::FxHashSet::default();
        known.extend(self.touches[..start].iter().map(|touch| (touch.user, touch.item)));
        let mut pairs: FxHashMap<(u32, u32), f32> = FxHashMap::default();
        for touch in &self.touches[start..] {
            let is_new = !known.contains(&(touch.user, touch.item));
            if is_new && !seen.row(touch.user as usize).0.is_empty() {
                *pairs.entry((touch.user, touch.item)).or_default() += touch.weight;
            }
        }
        let entries: Vec<(u32, u32, f32)> =
            pairs.into_iter().filter(|(_, weight)| *weight > 0.0).map(|((user, item), _)| (user, item, 1.0)).collect();
        Interactions::from_entries(self.users, self.items.len(), &entries)
    }

    /// Shares of plays up to a moment, everywhere and in each market that is told.
    pub(super) fn popularity(&self, until: Option<Timestamp>, top: usize) -> Popularity {
        let mut everywhere = vec![0_u64; self.items.len()];
        let mut markets: std::collections::BTreeMap<Market, FxHashMap<u32, u64>> = std::collections::BTreeMap::new();
        for touch in self.before(until).iter().filter(|touch| touch.is_play) {
            everywhere[touch.item as usize] += 1;
            if touch.market != Market::UNKNOWN {
                *markets.entry(touch.market).or_default().entry(touch.item).or_default() += 1;
            }
        }
        let total = everywhere.iter().sum::<u64>().max(1) as f64;
        let global = everywhere.iter().map(|plays| Popularity::of_share(*plays as f64 / total)).collect();
        let markets = markets
            .into_iter()
            .map(|(market, plays)| {
                let total = plays.values().sum::<u64>().max(1) as f64;
                let mut list: Vec<(u32, f32)> =
                    plays.into_iter().map(|(item, plays)| (item, Popularity::of_share(plays as f64 / total))).collect();
                list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                list.truncate(top);
                (market, list)
            })
            .collect();
        Popularity { global, markets }
    }
}
