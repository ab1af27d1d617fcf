//! What the other stages learn of a listener: the compact context, and the summary for people.

use shared_models::{
    ItemKey, Timestamp,
    listener::{ListenerContext, UserAttributes, UserSummary},
};

use super::{Profile, UserVector};

/// How many recent items the context carries.
pub const RECENT: usize = 20;
/// How many of the most played, and of the items skipped last.
const FEW: usize = 10;

/// The listener's context at a moment. `recent` is `profile.items.recent(RECENT)`, which callers keep
/// beside the profile; `popularity` is the fact of that name for an item.
#[must_use]
pub fn context(
    profile: &Profile,
    recent: &[(ItemKey, Timestamp)],
    vector: Option<&UserVector>,
    popularity: impl Fn(ItemKey) -> f32,
    now: Timestamp,
) -> ListenerContext {
    let counters = &profile.counters;
    let share = |part: u64| {
        if counters.plays == 0 { 0.0 } else { (part as f32 / counters.plays as f32).min(1.0) }
    };
    let rate = |part: u64, whole: u64| if whole == 0 { 0.0 } else { (part as f32 / whole as f32).min(1.0) };
    let session = profile.session_at(now);
    let of_session = session.map_or(0, |session| recent.iter().take_while(|item| item.1 >= session.started).count());
    let recent_of_session = recent.get(..of_session).unwrap_or(&[]);
    let mut artists: Vec<ItemKey> = recent_of_session
        .iter()
        .filter_map(|item| profile.items.of(item.0))
        .map(|item| item.artist)
        .filter(|artist| artist.is_some())
        .collect();
    artists.sort_unstable();
    artists.dedup();
    let recent: Vec<ItemKey> = recent.iter().take(RECENT).map(|item| item.0).collect();
    let mean_popularity = if recent.is_empty() {
        0.0
    } else {
        recent.iter().map(|key| popularity(*key)).sum::<f32>() / recent.len() as f32
    };
    let vector = vector.filter(|vector| !vector.values.is_empty());
    ListenerContext {
        known: counters.events > 0,
        vector: vector.map(|vector| vector.values.clone()).unwrap_or_default(),
        vector_release: vector.and_then(|vector| vector.release.clone()),
        recent,
        plays: u32::try_from(counters.plays).unwrap_or(u32::MAX),
        plays_7d: profile.plays_7d(now),
        skip_rate: share(counters.skips),
        complete_rate: share(counters.completes),
        repeat_rate: share(counters.repeats),
        artists: profile.artists.entries().len() as u32,
        idle_days: profile.last_event_at.map_or(-1.0, |last| now.days_since(last)),
        hour_share: profile.hour_share(now),
        mean_popularity,
        favourites: profile.items.favourites(FEW),
        skipped: profile.items.skipped(FEW),
        session_items: of_session.min(RECENT) as u32,
        session_plays: session.map_or(0, |session| session.plays),
        session_skips: session.map_or(0, |session| session.skips),
        session_artists: artists.len() as u32,
        session_minutes: session.map_or(0.0, |session| now.days_since(session.started) * 1_440.0),
        impressions: u32::try_from(counters.impressions).unwrap_or(u32::MAX),
        click_rate: rate(counters.clicks, counters.impressions),
        like_rate: rate(counters.likes, counters.plays),
    }
}

/// The profile in short, for people.
#[must_use]
pub fn summary(profile: &Profile, attributes: UserAttributes, now: Timestamp) -> UserSummary {
    UserSummary {
        attributes,
        plays: profile.counters.plays,
        recent: profile.items.recent(RECENT),
        artists: profile.artists.strongest(RECENT, now),
        last_event_at: profile.last_event_at,
    }
}
