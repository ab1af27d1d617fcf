//! What a set of events counts up to: how often each track, artist, listener, hour and genre comes up. For pictures;
//! [`super::shapes()`] says the same in single figures.

use rustc_hash::FxHashMap;
use serde::Serialize;
use shared_models::{
    ItemKey, UserId,
    event::{Event, EventKind},
    item::Item,
};

/// Counts of a set of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Plays of each track that was played, most first.
    pub tracks: Vec<u64>,
    /// Plays of each artist who was played, most first.
    pub artists: Vec<u64>,
    /// Interactions (everything but impressions) of each listener who has any, most first.
    pub listeners: Vec<u64>,
    /// Plays by hour of the day, UTC.
    pub hours: [u64; 24],
    /// Plays and tracks by first genre of the track, most plays first.
    pub genres: Vec<Genre>,
}

/// How much of a catalogue and of its plays a genre has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Genre {
    /// Its name.
    pub name: String,
    /// Plays of its tracks.
    pub plays: u64,
    /// Tracks whose first genre it is, played or not.
    pub tracks: u64,
}

/// Counts.
#[must_use]
pub fn counts(items: &[Item], events: &[Event]) -> Counts {
    let known: FxHashMap<ItemKey, &Item> = items.iter().map(|item| (item.key(), item)).collect();
    let (mut tracks, mut artists): (FxHashMap<ItemKey, u64>, FxHashMap<ItemKey, u64>) = Default::default();
    let mut listeners: FxHashMap<&UserId, u64> = FxHashMap::default();
    let mut plays_of: FxHashMap<&str, u64> = FxHashMap::default();
    let mut hours = [0_u64; 24];
    for event in events.iter().filter(|event| event.kind != EventKind::Impression) {
        *listeners.entry(&event.user).or_default() += 1;
        if event.kind != EventKind::Play {
            continue;
        }
        let key = event.item_key();
        *tracks.entry(key).or_default() += 1;
        hours[event.occurred_at.0.div_euclid(3_600_000).rem_euclid(24) as usize] += 1;
        if let Some(item) = known.get(&key) {
            let artist = item.artist_key();
            if artist.is_some() {
                *artists.entry(artist).or_default() += 1;
            }
            if let Some(genre) = item.genres.first() {
                *plays_of.entry(genre).or_default() += 1;
            }
        }
    }
    // Artists are items as well, but no tracks: what has an artist other than itself is one.
    let mut of_genre: FxHashMap<&str, u64> = FxHashMap::default();
    for genre in items.iter().filter(|item| is_track(item)).filter_map(|item| item.genres.first()) {
        *of_genre.entry(genre).or_default() += 1;
    }
    let mut genres: Vec<Genre> = of_genre
        .into_iter()
        .map(|(name, tracks)| Genre { name: name.to_owned(), plays: plays_of.get(name).copied().unwrap_or(0), tracks })
        .collect();
    genres.sort_by(|a, b| b.plays.cmp(&a.plays).then_with(|| a.name.cmp(&b.name)));
    Counts {
        tracks: descending(tracks.into_values()),
        artists: descending(artists.into_values()),
        listeners: descending(listeners.into_values()),
        hours,
        genres,
    }
}

fn is_track(item: &Item) -> bool {
    item.kind == shared_models::item::ItemKind::Track
}

fn descending(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut counts: Vec<u64> = counts.collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts
}

#[cfg(test)]
mod tests {
    use shared_models::{Seed, Timestamp};

    use super::{
        super::{Config, generate},
        *,
    };
    use crate::progress::Silent;

    #[test]
    fn every_play_is_counted_once_in_every_way() {
        let world = generate(&Config::small(Seed(5), Timestamp(1_750_000_000_000)), &Silent).unwrap();
        let counts = counts(&world.items, &world.events);
        let plays = world.events.iter().filter(|event| event.kind == EventKind::Play).count() as u64;
        let interactions = world.events.iter().filter(|event| event.kind != EventKind::Impression).count() as u64;
        assert_eq!(counts.tracks.iter().sum::<u64>(), plays);
        assert_eq!(counts.artists.iter().sum::<u64>(), plays);
        assert_eq!(counts.hours.iter().sum::<u64>(), plays);
        assert_eq!(counts.genres.iter().map(|genre| genre.plays).sum::<u64>(), plays);
        assert_eq!(counts.genres.iter().map(|genre| genre.tracks).sum::<u64>(), 2_000);
        assert_eq!(counts.listeners.iter().sum::<u64>(), interactions);
        assert!(counts.tracks.is_sorted_by(|a, b| a >= b));
    }
}
