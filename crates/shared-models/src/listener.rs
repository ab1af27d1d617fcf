//! The listener, as the services may know them: attributes the tenant sets, and the compact context
//! that candidate-generation derives from the profile and ranking reads.

use serde::{Deserialize, Serialize};

use crate::{ItemKey, ReleaseId, Timestamp, UserId, item::Market};

/// What a tenant tells of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAttributes {
    /// Who.
    pub id: UserId,
    /// Where they are at home, when known.
    pub market: Option<Market>,
    /// Whether explicit items may be shown.
    pub explicit_allowed: bool,
    /// When the tenant last wrote this.
    pub updated_at: Timestamp,
}

/// A summary of one profile, for people: what `GET /v1/users/{id}` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserSummary {
    /// What the tenant told.
    pub attributes: UserAttributes,
    /// Plays folded so far.
    pub plays: u64,
    /// The most recent positive items, newest first, with when.
    pub recent: Vec<(ItemKey, Timestamp)>,
    /// The artists of most decayed plays with their share, largest first.
    pub artists: Vec<(ItemKey, f32)>,
    /// The last event folded, when there was one.
    pub last_event_at: Option<Timestamp>,
}

/// What ranking needs to know of the listener: derived at profile change, sent with the candidates.
/// A user nobody has heard of has the default context and `known: false`: a cold page, not an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListenerContext {
    /// Whether any event of the user has been folded.
    pub known: bool,
    /// The user vector in the factor space of `vector_release`; empty when unknown.
    pub vector: Vec<f32>,
    /// The release whose factors `vector` was folded from.
    pub vector_release: Option<ReleaseId>,
    /// Recent positive items, newest first, at most 20.
    pub recent: Vec<ItemKey>,
    /// Plays folded so far.
    pub plays: u32,
    /// Plays in the last 7 days.
    pub plays_7d: u32,
    /// Share of plays that ended in a skip, 0..1.
    pub skip_rate: f32,
    /// Share of plays that reached the end, 0..1.
    pub complete_rate: f32,
    /// Share of plays that repeat an item played before, 0..1.
    pub repeat_rate: f32,
    /// Distinct artists among the profile's items.
    pub artists: u32,
    /// Days since the last event; -1 when never.
    pub idle_days: f32,
    /// Share of plays in the present hour of the day, 0..1 (uniform is 1/24).
    pub hour_share: f32,
    /// Mean popularity (the fact of that name) of the recent items: mainstream or niche.
    pub mean_popularity: f32,
    /// The items played most, most played first, at most 10.
    pub favourites: Vec<ItemKey>,
    /// The items skipped last of which nothing speaks for more than against, last first, at most 10.
    pub skipped: Vec<ItemKey>,
    /// How many of `recent`, from the first, belong to the session that is under way.
    pub session_items: u32,
    /// Plays in this session.
    pub session_plays: u32,
    /// Skips in this session.
    pub session_skips: u32,
    /// Different artists among the session's items.
    pub session_artists: u32,
    /// Minutes since the session began; 0 when none is under way.
    pub session_minutes: f32,
    /// Cards seen.
    pub impressions: u32,
    /// Plays that followed a recommendation per card seen, 0..1.
    pub click_rate: f32,
    /// Yeses per play, 0..1.
    pub like_rate: f32,
}
