//! What the other stages learn of a listener: the compact context, and the summary for people.

use shared_models::{
    ItemKey, Timestamp,
    listener::{ListenerContext, UserAttributes, UserSummary},
};

use super::{Profile, UserVector};

/// How many recent items the context carries.
pub const RECENT: usize = 20;

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
