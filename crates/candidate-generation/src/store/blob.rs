//! The stored form of a profile: protobuf, columns rather than records, moments as distances from the
//! last event. Every format from 1 is read; the current one is written.

use prost::Message as _;
use shared_models::{ItemKey, Timestamp};

use super::Error;
use crate::profiles::{Affinities, Affinity, Counters, GenreKey, Impressions, ItemHistory, Items, Marks, Profile};

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
    let Counters { events, plays, completes, skips, repeats, impressions } = profile.counters;
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
    }
    .encode_to_vec()
}

fn encode_items(items: &[ItemHistory], last: Timestamp) -> WireItems {
    let moment = |item: &ItemHistory, at: Option<Timestamp>| at.map_or(0, |at| back(item.touched, at) + 1);
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
    Some(Profile {
        counters: Counters { events, plays, completes, skips, repeats, impressions },
        last_event_at: wire.last_event_at.map(Timestamp),
        items: Items::restore(read_items(wire.items.as_ref()?, last)?),
        artists: read_affinities(wire.artists.as_ref()?, ItemKey, last)?,
        genres: read_affinities(wire.genres.as_ref()?, |key| GenreKey(key as u32), last)?,
        impressions: Impressions::restore(read_moments(wire.impressions.as_ref()?, last)?),
        hidden: Marks::restore(read_moments(wire.hidden.as_ref()?, last)?),
        followed: Marks::restore(read_moments(wire.followed.as_ref()?, last)?),
        hours,
        days,
    })
}

fn same_length(length: usize, others: &[usize]) -> Option<()> {
    others.iter().all(|other| *other == length).then_some(())
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
    let item = |at: usize| {
        let touched = forth(last, *wire.touched.get(at)?);
        let moment = |distance: u64| distance.checked_sub(1).map(|distance| forth(touched, distance));
        Some(ItemHistory {
            key: ItemKey(*wire.keys.get(at)?),
            artist: ItemKey(*wire.artists.get(at)?),
            plays: *wire.plays.get(at)?,
            skips: *wire.skips.get(at)?,
            weight: *wire.weights.get(at)?,
            liked: *wire.liked.get(at)?,
            last_played: moment(*wire.last_played.get(at)?),
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
    let entries = wire
        .keys
        .iter()
        .zip(&wire.weights)
        .zip(wire.at.iter().zip(&wire.plays))
        .map(|((k, weight), (at, plays))| crate::profiles::Entry {
            key: key(*k),
            affinity: Affinity { weight: *weight, at: forth(last, *at) },
            plays: *plays,
        })
        .collect();
    Some(Affinities::restore(entries, Affinity { weight: wire.total, at: forth(last, wire.total_at) }))
}

fn read_moments(wire: &WireMoments, last: Timestamp) -> Option<Vec<(ItemKey, Timestamp)>> {
    same_length(wire.keys.len(), &[wire.at.len()])?;
    Some(wire.keys.iter().zip(&wire.at).map(|(key, at)| (ItemKey(*key), forth(last, *at))).collect())
}
