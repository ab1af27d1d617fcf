//! The arithmetic of facts, one function for each origin. Serving and training call the same.

use std::time::Duration;

use shared_models::{ItemKey, Timestamp, component::Fact};

use crate::profiles::{GenreKey, Profile};

/// What [`item`] gives, in order.
pub const ITEM: [Fact; 3] = [Fact::AgeDays, Fact::DurationSeconds, Fact::Explicit];

/// What [`listener`] gives, in order.
pub const LISTENER: [Fact; 10] = [
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
];

const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// The facts of an item by itself.
#[must_use]
pub fn item(released_at: Option<Timestamp>, duration_seconds: f32, explicit: bool, now: Timestamp) -> [f32; 3] {
    [released_at.map_or(-1.0, |at| now.days_since(at)), duration_seconds, f32::from(u8::from(explicit))]
}

/// The facts of an item in the eyes of a listener.
#[must_use]
pub fn listener(profile: &Profile, key: ItemKey, artist: ItemKey, genres: &[GenreKey], now: Timestamp) -> [f32; 10] {
    let history = profile.items.of(key);
    let of_history = |fact: fn(&crate::profiles::ItemHistory) -> f32| history.map_or(0.0, fact);
    let last_shown = profile.impressions.last(key);
    let artist_entry = profile.artists.of(artist);
    [
        of_history(|item| item.plays as f32),
        of_history(|item| item.skips as f32),
        history.and_then(|item| item.last_played).map_or(-1.0, |at| now.days_since(at)),
        of_history(|item| f32::from(u8::from(item.liked))),
        if last_shown.is_some() { profile.impressions.count(key, WEEK, now) as f32 } else { 0.0 },
        last_shown.map_or(-1.0, |at| now.days_since(at) * 24.0),
        if artist_entry.is_some() { profile.artists.share(artist, now) } else { 0.0 },
        artist_entry.map_or(0.0, |entry| entry.plays as f32),
        f32::from(u8::from(artist.is_some() && profile.followed.contains(artist))),
        genres.iter().map(|genre| profile.genres.share(*genre, now)).sum::<f32>().min(1.0),
    ]
}
