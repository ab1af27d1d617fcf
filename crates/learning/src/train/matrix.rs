//! The matrices that trainers take, and popularity, from the table of touches. The weights are those of serving: the sum
//! of event weights clamped to the bounds of `releases::factors`, halving with the age against the user's last event.

use std::collections::BTreeMap;

use rayon::prelude::*;
use releases::{Popularity, Segments, factors::confidence};
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{ItemKey, Timestamp, item::Market};

use super::table::{Table, Touch};
use crate::{
    events::{Kind, draw},
    factors::{self, Interactions},
    segments::{self, Counts, Played},
};

/// Below this a pair says nothing.
const LEAST: f32 = 1e-3;
/// Users whose rows a thread makes together.
const BLOCK: usize = 1_024;

/// The touches before a moment, of one user's in time order.
fn before(touches: &[Touch], until: Option<Timestamp>) -> &[Touch] {
    let end = until.map_or(touches.len(), |until| touches.partition_point(|touch| touch.at < until));
    &touches[..end]
}

impl Table {
    /// The moment that `share` of the touches lie at or after.
    pub(super) fn moment_for_share(&self, share: f64) -> Timestamp {
        let mut moments: Vec<Timestamp> = self.touches().iter().map(|touch| touch.at).collect();
        let Some(most) = moments.len().checked_sub(1) else { return self.last };
        let place = ((1.0 - share.clamp(0.0, 1.0)) * moments.len() as f64) as usize;
        *moments.select_nth_unstable(place.min(most)).1
    }

    /// A matrix from each user's row: ascending items with their weights.
    fn matrix_of(&self, row: impl Fn(usize) -> Vec<(u32, f32)> + Sync) -> Result<Interactions, factors::Error> {
        let users: Vec<usize> = (0..self.users.len()).collect();
        let blocks: Vec<Vec<Vec<(u32, f32)>>> =
            users.par_chunks(BLOCK).map(|users| users.iter().map(|user| row(*user)).collect()).collect();
        Interactions::from_rows(self.items.len(), blocks.iter().flatten())
    }

    /// The weights of all pairs as they stood at a moment, or after everything.
    pub(super) fn matrix(&self, until: Option<Timestamp>) -> Result<Interactions, factors::Error> {
        self.matrix_of(|user| {
            let touches = before(self.of_user(user), until);
            let Some(last) = touches.last().map(|touch| touch.at) else { return Vec::new() };
            // Stable: the last of a pair is its latest.
            let mut by_item = touches.to_vec();
            by_item.sort_by_key(|touch| touch.item);
            by_item
                .chunk_by(|a, b| a.item == b.item)
                .filter_map(|pair| {
                    let latest = pair.last()?;
                    let weight = pair.iter().map(|touch| touch.kind.weight()).sum();
                    // With alpha 1 the confidence is the decayed weight; the solver multiplies by its alpha.
                    let weight = confidence(1.0, weight, last.days_since(latest.at));
                    (weight > LEAST).then_some((latest.item, weight))
                })
                .collect()
        })
    }

    /// What users came to like from a moment on and had not before: those who had something before. Of more than `most`
    /// users that many are drawn.
    pub(super) fn held_out(
        &self,
        seen: &Interactions,
        from: Timestamp,
        most: usize,
    ) -> Result<Interactions, factors::Error> {
        let all = self.matrix_of(|user| {
            if seen.row(user).0.is_empty() {
                return Vec::new();
            }
            let touches = self.of_user(user);
            let (earlier, later) = touches.split_at(before(touches, Some(from)).len());
            let known: FxHashSet<u32> = earlier.iter().map(|touch| touch.item).collect();
            let mut new: FxHashMap<u32, f32> = FxHashMap::default();
            for touch in later.iter().filter(|touch| !known.contains(&touch.item)) {
                *new.entry(touch.item).or_default() += touch.kind.weight();
            }
            let mut new: Vec<(u32, f32)> =
                new.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(item, _)| (item, 1.0)).collect();
            new.sort_unstable_by_key(|(item, _)| *item);
            new
        })?;
        let mut users: Vec<usize> = (0..all.rows()).filter(|user| !all.row(*user).0.is_empty()).collect();
        if users.len() <= most {
            return Ok(all);
        }
        users.sort_unstable_by_key(|user| draw(self.users[*user]));
        let drawn: FxHashSet<usize> = users.into_iter().take(most).collect();
        let row = |user: usize| {
            let (items, weights) = if drawn.contains(&user) { all.row(user) } else { (&[][..], &[][..]) };
            items.iter().copied().zip(weights.iter().copied()).collect::<Vec<_>>()
        };
        self.matrix_of(row)
    }

    /// Shares of plays up to a moment, everywhere and in each market that is told.
    pub(super) fn popularity(&self, until: Option<Timestamp>, top: usize) -> Popularity {
        let mut everywhere = vec![0_u64; self.items.len()];
        let mut markets: BTreeMap<Market, FxHashMap<u32, u64>> = BTreeMap::new();
        let is_in_time = |touch: &&Touch| until.is_none_or(|until| touch.at < until);
        for touch in self.touches().iter().filter(|touch| touch.kind == Kind::PLAY).filter(is_in_time) {
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

    /// What was played most in each segment up to a moment, by the plays' ages then.
    pub(super) fn segments(&self, until: Option<Timestamp>, settings: &segments::Settings) -> Segments {
        let now = until.unwrap_or(self.last);
        let played = |touch: &Touch| Played { item: touch.item, at: touch.at, market: touch.market, weight: 1.0 };
        let plays = (0..self.users.len()).flat_map(|user| {
            let touches = before(self.of_user(user), until).iter().filter(|touch| touch.kind == Kind::PLAY);
            segments::counted(touches.map(played).collect(), settings)
        });
        Counts::of(self.items.len(), plays, now, settings).lists(settings.top)
    }

    /// The plays of some items, in no order.
    pub(super) fn plays_of<'a>(
        &'a self,
        wanted: &'a FxHashSet<ItemKey>,
    ) -> impl Iterator<Item = (ItemKey, Timestamp)> + 'a {
        let rows: Vec<bool> = self.items.iter().map(|key| wanted.contains(key)).collect();
        let known = self.touches().iter().filter(move |touch| touch.kind == Kind::PLAY && rows[touch.item as usize]);
        let strangers = self.strangers.iter().filter(|(key, _)| wanted.contains(key)).copied();
        known.map(|touch| (self.items[touch.item as usize], touch.at)).chain(strangers)
    }
}
