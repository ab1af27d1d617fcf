//! The arithmetic of facts, one function for each origin. Serving and training call the same.

use std::time::Duration;

use shared_models::{ItemKey, Timestamp, component::Fact};

use crate::profiles::{GenreKey, Profile};

/// What [`item`] gives, in order.
pub const ITEM: [Fact; 4] = [Fact::AgeDays, Fact::DurationSeconds, Fact::Explicit, Fact::ArtistNewestDays];

/// What [`item`] gives for an item that the catalogue does not hold.
pub const UNKNOWN_ITEM: [f32; 4] = [-1.0, 0.0, 0.0, -1.0];

/// What [`listener`] gives, in order.
pub const LISTENER: [Fact; 18] = [
    Fact::ItemPlays,
    Fact::ItemSkips,
    Fact::ItemAgeDays,
    Fact::ItemLiked,
    Fact::Impressions,
    Fact::ImpressionAgeHours,
    Fact::ArtistAffinity,
    Fact::ArtistPlays,
    Fact::ArtistFollowed,
    Fact::GenreAffinity,
    Fact::ItemWeight,
    Fact::ItemCycleDays,
    Fact::ImpressionsKept,
    Fact::ShownSincePlay,
    Fact::ArtistAgeDays,
    Fact::ArtistSkipRate,
    Fact::ArtistShown,
    Fact::GenreSkipRate,
];

const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// So many plays are pretended at the listener's own rate before a rate of skips says something of its own.
const PRETENDED: f32 = 5.0;

/// The facts of an item by itself. `artist_newest` is when the newest item of its artist came out that is out by now.
#[must_use]
pub fn item(
    released_at: Option<Timestamp>,
    duration_seconds: f32,
    explicit: bool,
    artist_newest: Option<Timestamp>,
    now: Timestamp,
) -> [f32; 4] {
    let age = |at: Option<Timestamp>| at.map_or(-1.0, |at| now.days_since(at));
    [age(released_at), duration_seconds, f32::from(u8::from(explicit)), age(artist_newest)]
}

/// The facts of an item in the eyes of a listener.
#[must_use]
pub fn listener(profile: &Profile, key: ItemKey, artist: ItemKey, genres: &[GenreKey], now: Timestamp) -> [f32; 18] {
    let history = profile.items.of(key);
    let of_history = |fact: fn(&crate::profiles::ItemHistory) -> f32| history.map_or(0.0, fact);
    let last_shown = profile.impressions.last(key);
    let artist_entry = profile.artists.of(artist);
    let shown = profile.impressions.of(key);
    let last_played = history.and_then(|item| item.last_played);
    let since_play = shown.iter().filter(|shown| last_played.is_none_or(|at| shown.1 > at)).count();
    let overall = share(profile.counters.skips as f32, profile.counters.plays as f32);
    let (mut genre_plays, mut genre_skips) = (0.0, 0.0);
    for entry in genres.iter().filter_map(|genre| profile.genres.of(*genre)) {
        genre_plays += entry.plays as f32;
        genre_skips += entry.skips as f32;
    }
    [
        of_history(|item| item.plays as f32),
        of_history(|item| item.skips as f32),
        last_played.map_or(-1.0, |at| now.days_since(at)),
        of_history(|item| f32::from(u8::from(item.liked))),
        if last_shown.is_some() { profile.impressions.count(key, WEEK, now) as f32 } else { 0.0 },
        last_shown.map_or(-1.0, |at| now.days_since(at) * 24.0),
        if artist_entry.is_some() { profile.artists.share(artist, now) } else { 0.0 },
        artist_entry.map_or(0.0, |entry| entry.plays as f32),
        f32::from(u8::from(artist.is_some() && profile.followed.contains(artist))),
        genres.iter().map(|genre| profile.genres.share(*genre, now)).sum::<f32>().min(1.0),
        of_history(|item| item.weight),
        history.and_then(crate::profiles::ItemHistory::cycle_days).unwrap_or(-1.0),
        shown.len() as f32,
        since_play as f32,
        artist_entry.map_or(-1.0, |entry| now.days_since(entry.affinity.at)),
        artist_entry.map_or(-1.0, |entry| skip_rate(entry.skips as f32, entry.plays as f32, overall)),
        artist_entry.map_or(0.0, |entry| entry.shown as f32),
        if genre_plays > 0.0 { skip_rate(genre_skips, genre_plays, overall) } else { -1.0 },
    ]
}

/// A count to five significant bits, so that many of them take little room where they are kept: off by a part in 32 at most.
#[must_use]
pub fn short(count: f32) -> f32 {
    const CUT: u32 = f32::MANTISSA_DIGITS - 5;
    let rounded = count.to_bits().saturating_add(1 << (CUT - 1)) & !((1 << CUT) - 1);
    f32::from_bits(rounded)
}

fn share(part: f32, whole: f32) -> f32 {
    if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 }
}

/// A rate of skips, drawn to the listener's rate for all.
fn skip_rate(skips: f32, plays: f32, overall: f32) -> f32 {
    share(skips + PRETENDED * overall, plays + PRETENDED)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn counts_are_kept_to_five_bits() {
        for exact in [0.0, 1.0, 2.0, 17.0, 31.0, 48.0] {
            assert_eq!(short(exact), exact);
        }
        for count in [0.001_f32, 0.7, 33.0, 12_345.6, 1e9] {
            assert!((short(count) - count).abs() <= count / 32.0, "{count}: {}", short(count));
            assert_eq!(short(short(count)), short(count));
        }
    }
}
