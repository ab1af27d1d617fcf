//! The stored form of a profile: protobuf, columns rather than records, moments as distances from the
//! last event. Every format from 1 is read; the current one is written.
//!
//! Within a format it only grows: a column that is not there reads as nothing known, and a reader of before leaves out
//! what it does not know. So versions may write beside each other, and only what the older one folds is lost to the new
//! columns.

use prost::Message as _;
use shared_models::{ItemKey, Timestamp};

use super::Error;
use crate::profiles::{
    Affinities, Affinity, Counters, GenreKey, Impressions, ItemHistory, Items, Marks, Profile, Session,
};

/// The format that is written.
pub const FORMAT: i16 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(uint64, repeated, tag = "1")]
    counters: Vec<u64>,
    #[prost(sint64, optional, tag = "2")]
    last_event_at: Option<i64>,
    #[prost(message, optional, tag = "3")]
    items: Option<WireItems>,
    #[prost(message, optional, tag = "4")]
    artists: Option<WireAffinities>,
    #[prost(message, optional, tag = "5")]
    genres: Option<WireAffinities>,
    #[prost(message, optional, tag = "6")]
    impressions: Option<WireMoments>,
    #[prost(message, optional, tag = "7")]
    hidden: Option<WireMoments>,
    #[prost(message, optional, tag = "8")]
    followed: Option<WireMoments>,
    #[prost(uint32, repeated, tag = "9")]
    hours: Vec<u32>,
    #[prost(uint32, repeated, tag = "10")]
    days: Vec<u32>,
    #[prost(uint32, repeated, tag = "11")]
    day_plays: Vec<u32>,
    /// Clicks, likes; further ones may follow.
    #[prost(uint64, repeated, tag = "12")]
    more_counters: Vec<u64>,
    #[prost(message, optional, tag = "13")]
    session: Option<WireSession>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WireSession {
    /// Before the last event.
    #[prost(uint64, tag = "1")]
    started: u64,
    #[prost(uint32, tag = "2")]
    plays: u32,
    #[prost(uint32, tag = "3")]
    skips: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireItems {
    #[prost(fixed64, repeated, tag = "1")]
    keys: Vec<u64>,
    #[prost(fixed64, repeated, tag = "2")]
    artists: Vec<u64>,
    #[prost(uint32, repeated, tag = "3")]
    plays: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    skips: Vec<u32>,
    #[prost(float, repeated, tag = "5")]
    weights: Vec<f32>,
    #[prost(bool, repeated, tag = "6")]
    liked: Vec<bool>,
    /// Before the last event.
    #[prost(uint64, repeated, tag = "7")]
    touched: Vec<u64>,
    /// Before `touched`, plus 1; 0 when never. So the next one.
    #[prost(uint64, repeated, tag = "8")]
    last_played: Vec<u64>,
    #[prost(uint64, repeated, tag = "9")]
    last_positive: Vec<u64>,
    /// Before `last_played`, plus 1, of items that played at least twice; 0 when unknown. Empty when there is none.
    #[prost(uint64, repeated, tag = "10")]
    first_played: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireAffinities {
    #[prost(fixed64, repeated, tag = "1")]
    keys: Vec<u64>,
    #[prost(float, repeated, tag = "2")]
    weights: Vec<f32>,
    #[prost(uint64, repeated, tag = "3")]
    at: Vec<u64>,
    #[prost(uint32, repeated, tag = "4")]
    plays: Vec<u32>,
    #[prost(float, tag = "5")]
    total: f32,
    #[prost(uint64, tag = "6")]
    total_at: u64,
    /// Empty when all are 0. So the next one.
    #[prost(uint32, repeated, tag = "7")]
    skips: Vec<u32>,
    #[prost(uint32, repeated, tag = "8")]
    shown: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMoments {
    #[prost(fixed64, repeated, tag = "1")]
    keys: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    at: Vec<u64>,
}

/// A distance into the past from `from`; nothing in a profile lies after its last event.
fn back(from: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(from.0.saturating_sub(at.0)).unwrap_or(0)
}

fn forth(from: Timestamp, distance: u64) -> Timestamp {
    Timestamp(from.0.saturating_sub(i64::try_from(distance).unwrap_or(i64::MAX)))
}

/// A profile as it is stored.
#[must_use]
pub fn encode(profile: &Profile) -> Vec<u8> {
    let last = profile.last_event_at.unwrap_or_default();
    let Counters { events, plays, completes, skips, repeats, impressions, clicks, likes } = profile.counters;
    Wire {
        counters: vec![events, plays, completes, skips, repeats, impressions],
        last_event_at: profile.last_event_at.map(|at| at.0),
        items: Some(encode_items(profile.items.as_slice(), last)),
        artists: Some(encode_affinities(&profile.artists, |key| key.0, last)),
        genres: Some(encode_affinities(&profile.genres, |key| u64::from(key.0), last)),
        impressions: Some(encode_moments(profile.impressions.as_slice(), last)),
        hidden: Some(encode_moments(profile.hidden.as_slice(), last)),
        followed: Some(encode_moments(profile.followed.as_slice(), last)),
        hours: if profile.counters.plays == 0 { Vec::new() } else { profile.hours.to_vec() },
        days: profile.days.iter().map(|day| day.0).collect(),
        day_plays: profile.days.iter().map(|day| day.1).collect(),
        more_counters: unless_zero(vec![clicks, likes]),
        session: profile.session.map(|session| WireSession {
            started: back(last, session.started),
            plays: session.plays,
            skips: session.skips,
        }),
    }
    .encode_to_vec()
}

/// Nothing, where there is nothing to tell.
fn unless_zero<T: Default + PartialEq>(values: Vec<T>) -> Vec<T> {
    if values.iter().all(|value| *value == T::default()) { Vec::new() } else { values }
}

fn encode_items(items: &[ItemHistory], last: Timestamp) -> WireItems {
    let moment = |item: &ItemHistory, at: Option<Timestamp>| at.map_or(0, |at| back(item.touched, at) + 1);
    let first_played = |item: &ItemHistory| {
        let both = item.first_played.zip(item.last_played).filter(|_| item.plays > 1);
        both.map_or(0, |(first, last)| back(last, first) + 1)
    };
    WireItems {
        keys: items.iter().map(|item| item.key.0).collect(),
        artists: items.iter().map(|item| item.artist.0).collect(),
        plays: items.iter().map(|item| item.plays).collect(),
        skips: items.iter().map(|item| item.skips).collect(),
        weights: items.iter().map(|item| item.weight).collect(),
        liked: items.iter().map(|item| item.liked).collect(),
        touched: items.iter().map(|item| back(last, item.touched)).collect(),
        last_played: items.iter().map(|item| moment(item, item.last_played)).collect(),
        last_positive: items.iter().map(|item| moment(item, item.last_positive)).collect(),
        first_played: unless_zero(items.iter().map(first_played).collect()),
    }
}

fn encode_affinities<K: Copy + Ord, const BOUND: usize>(
    affinities: &Affinities<K, BOUND>,
    key: impl Fn(K) -> u64,
    last: Timestamp,
) -> WireAffinities {
    let entries = affinities.entries();
    WireAffinities {
        keys: entries.iter().map(|entry| key(entry.key)).collect(),
        weights: entries.iter().map(|entry| entry.affinity.weight).collect(),
        at: entries.iter().map(|entry| back(last, entry.affinity.at)).collect(),
        plays: entries.iter().map(|entry| entry.plays).collect(),
        total: affinities.total().weight,
        total_at: back(last, affinities.total().at),
        skips: unless_zero(entries.iter().map(|entry| entry.skips).collect()),
        shown: unless_zero(entries.iter().map(|entry| entry.shown).collect()),
    }
}

fn encode_moments(moments: &[(ItemKey, Timestamp)], last: Timestamp) -> WireMoments {
    WireMoments {
        keys: moments.iter().map(|moment| moment.0.0).collect(),
        at: moments.iter().map(|moment| back(last, moment.1)).collect(),
    }
}

/// Reads a stored profile.
///
/// # Errors
/// [`Error::Corrupt`] when the bytes are of a newer format, or of none.
pub fn decode(format: i16, bytes: &[u8]) -> Result<Profile, Error> {
    let corrupt = Error::Corrupt { what: "profile" };
    if format != FORMAT {
        return Err(corrupt);
    }
    let Ok(wire) = Wire::decode(bytes) else {
        return Err(corrupt);
    };
    read(&wire).ok_or(corrupt)
}

fn read(wire: &Wire) -> Option<Profile> {
    let last = Timestamp(wire.last_event_at.unwrap_or_default());
    let &[events, plays, completes, skips, repeats, impressions] = wire.counters.as_slice() else {
        return None;
    };
    let mut hours = [0; 24];
    if !wire.hours.is_empty() {
        hours = wire.hours.as_slice().try_into().ok()?;
    }
    let days = same_length(wire.days.len(), &[wire.day_plays.len()])
        .map(|()| wire.days.iter().copied().zip(wire.day_plays.iter().copied()).collect())?;
    let more = |at: usize| wire.more_counters.get(at).copied().unwrap_or_default();
    let session = |session: &WireSession| Session {
        started: forth(last, session.started),
        plays: session.plays,
        skips: session.skips,
    };
    Some(Profile {
        counters: Counters { events, plays, completes, skips, repeats, impressions, clicks: more(0), likes: more(1) },
        last_event_at: wire.last_event_at.map(Timestamp),
        items: Items::restore(read_items(wire.items.as_ref()?, last)?),
        artists: read_affinities(wire.artists.as_ref()?, ItemKey, last)?,
        genres: read_affinities(wire.genres.as_ref()?, |key| GenreKey(key as u32), last)?,
        impressions: Impressions::restore(read_moments(wire.impressions.as_ref()?, last)?),
        hidden: Marks::restore(read_moments(wire.hidden.as_ref()?, last)?),
        followed: Marks::restore(read_moments(wire.followed.as_ref()?, last)?),
        hours,
        days,
        session: wire.session.as_ref().map(session),
    })
}

fn same_length(length: usize, others: &[usize]) -> Option<()> {
    others.iter().all(|other| *other == length).then_some(())
}

/// A column that came later: empty where nothing was told.
fn same_length_or_empty(length: usize, later: usize) -> Option<()> {
    (later == 0 || later == length).then_some(())
}

fn read_items(wire: &WireItems, last: Timestamp) -> Option<Vec<ItemHistory>> {
    let lengths = [
        wire.artists.len(),
        wire.plays.len(),
        wire.skips.len(),
        wire.weights.len(),
        wire.liked.len(),
        wire.touched.len(),
        wire.last_played.len(),
        wire.last_positive.len(),
    ];
    same_length(wire.keys.len(), &lengths)?;
    same_length_or_empty(wire.keys.len(), wire.first_played.len())?;
    let item = |at: usize| {
        let touched = forth(last, *wire.touched.get(at)?);
        let moment = |distance: u64| distance.checked_sub(1).map(|distance| forth(touched, distance));
        let plays = *wire.plays.get(at)?;
        let last_played = moment(*wire.last_played.get(at)?);
        let before = wire.first_played.get(at).and_then(|distance| distance.checked_sub(1));
        let first_played = if plays == 1 {
            last_played
        } else {
            last_played.zip(before).map(|(last, distance)| forth(last, distance))
        };
        Some(ItemHistory {
            key: ItemKey(*wire.keys.get(at)?),
            artist: ItemKey(*wire.artists.get(at)?),
            plays,
            skips: *wire.skips.get(at)?,
            weight: *wire.weights.get(at)?,
            liked: *wire.liked.get(at)?,
            first_played,
            last_played,
            last_positive: moment(*wire.last_positive.get(at)?),
            touched,
        })
    };
    (0..wire.keys.len()).map(item).collect()
}

fn read_affinities<K: Copy + Ord, const BOUND: usize>(
    wire: &WireAffinities,
    key: impl Fn(u64) -> K,
    last: Timestamp,
) -> Option<Affinities<K, BOUND>> {
    same_length(wire.keys.len(), &[wire.weights.len(), wire.at.len(), wire.plays.len()])?;
    same_length_or_empty(wire.keys.len(), wire.skips.len())?;
    same_length_or_empty(wire.keys.len(), wire.shown.len())?;
    let later = |column: &[u32], place: usize| column.get(place).copied().unwrap_or_default();
    let entries = wire
        .keys
        .iter()
        .zip(&wire.weights)
        .zip(wire.at.iter().zip(&wire.plays))
        .enumerate()
        .map(|(place, ((k, weight), (at, plays)))| crate::profiles::Entry {
            key: key(*k),
            affinity: Affinity { weight: *weight, at: forth(last, *at) },
            plays: *plays,
            skips: later(&wire.skips, place),
            shown: later(&wire.shown, place),
        })
        .collect();
    Some(Affinities::restore(entries, Affinity { weight: wire.total, at: forth(last, wire.total_at) }))
}

fn read_moments(wire: &WireMoments, last: Timestamp) -> Option<Vec<(ItemKey, Timestamp)>> {
    same_length(wire.keys.len(), &[wire.at.len()])?;
    Some(wire.keys.iter().zip(&wire.at).map(|(key, at)| (ItemKey(*key), forth(last, *at))).collect())
}

#[cfg(test)]
mod tests {
    use shared_models::{
        EventId, ItemId, UserId,
        event::{Event, EventKind},
    };

    use super::*;
    use crate::profiles::ItemFactsForFold;

    const DAY: i64 = 86_400_000;

    /// A listener of some months: plays, skips, cards seen, two sessions a day.
    fn lived() -> Profile {
        let mut profile = Profile::default();
        for n in 0..3_000_i64 {
            let at = Timestamp(20_000 * DAY + n * DAY / 40);
            let item = (n * n) % 331;
            let kind =
                [EventKind::Impression, EventKind::Play, EventKind::Complete, EventKind::Impression, EventKind::Skip]
                    [(n % 5) as usize]
                    .clone();
            let event = Event {
                id: EventId::new("e").unwrap(),
                user: UserId::new("u").unwrap(),
                kind,
                item: ItemId::new(format!("t{item}")).unwrap(),
                occurred_at: at,
                received_at: at,
                ms_played: None,
                recommendation: None,
                shelf: None,
                position: None,
                session: None,
                device: None,
                market: None,
            };
            let genres = [GenreKey(item as u32 % 40), GenreKey(item as u32 % 7)];
            profile.apply(&event, &ItemFactsForFold { artist: ItemKey(1 + item as u64 % 90), genres: &genres });
        }
        profile
    }

    /// What a version of before would have written of a profile.
    fn of_before(profile: &Profile) -> Wire {
        let mut wire = Wire::decode(encode(profile).as_slice()).unwrap();
        wire.more_counters.clear();
        wire.session = None;
        wire.items.iter_mut().for_each(|items| items.first_played.clear());
        for affinities in [&mut wire.artists, &mut wire.genres].into_iter().flatten() {
            affinities.skips.clear();
            affinities.shown.clear();
        }
        wire
    }

    #[test]
    fn a_profile_of_before_reads_as_it_was_and_goes_on() {
        let profile = lived();
        let old = of_before(&profile);
        let read = decode(FORMAT, &old.encode_to_vec()).unwrap();
        assert_eq!((read.session, read.counters.clicks, read.counters.plays), (None, 0, profile.counters.plays));
        let items = |of: &Profile| of.items.as_slice().iter().map(|item| (item.key, item.plays)).collect::<Vec<_>>();
        assert_eq!(items(&read), items(&profile));
        assert!(read.items.as_slice().iter().all(|item| (item.plays == 1) == item.first_played.is_some()));
        assert!(read.artists.entries().iter().all(|entry| entry.skips == 0 && entry.shown == 0));
        assert_eq!(of_before(&read), old, "nothing of what was known is lost");
    }

    #[test]
    fn the_new_columns_are_small() {
        let profile = lived();
        let (before, after) = (of_before(&profile).encoded_len(), encode(&profile).len());
        println!("a profile of {} items takes {after} bytes, {before} before", profile.items.as_slice().len());
        assert!(after < before + before / 8, "{after} bytes, {before} before");
    }
}
