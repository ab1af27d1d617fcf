//! A listener as a line of an export. It must not know stores or files.

use std::collections::HashMap;

use candidate_generation::{
    profiles::{GenreKey, Profile},
    store::StoredUser,
};
use serde_json::{Value, json};
use shared_models::{ItemId, ItemKey, Timestamp, UserId, UserKey, item::Item};

/// What keys stand for, gathered from the catalogue and the archive.
#[derive(Debug, Default)]
pub struct Names {
    pub(super) users: HashMap<UserKey, UserId>,
    items: HashMap<ItemKey, ItemId>,
    genres: HashMap<GenreKey, String>,
}

impl Names {
    /// Learns the names of an item and its genres.
    pub(super) fn learn(&mut self, item: &Item) {
        self.items.insert(item.key(), item.id.clone());
        for genre in &item.genres {
            self.genres.insert(GenreKey::of(genre), genre.clone());
        }
    }

    pub(super) fn item(&self, key: ItemKey) -> Option<&str> {
        self.items.get(&key).map(ItemId::as_str)
    }
}

/// A moment as exports write it.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_string()
}

/// A 64-bit key as exports and the archive write it.
pub(super) fn signed(key: ItemKey) -> i64 {
    key.0 as i64
}

/// The line of a listener; `problem` says why the profile is not there.
pub(super) fn line(key: UserKey, user: &StoredUser, problem: Option<&str>, names: &Names) -> Value {
    let told = user.attributes.as_ref();
    let id = told.map(|told| &told.id).or_else(|| names.users.get(&key));
    let mut line = json!({
        "user_id": id.map(UserId::as_str),
        "user_key": key.0 as i64,
        "market": told.and_then(|told| told.market).map(|market| market.as_str().to_owned()),
        "explicit_allowed": told.map(|told| told.explicit_allowed),
        "updated_at": told.map(|told| moment(told.updated_at)),
        "profile_version": user.version,
        "problem": problem,
    });
    if let (Value::Object(line), Value::Object(profile)) = (&mut line, profile(&user.profile, names)) {
        line.extend(profile);
    }
    line
}

fn profile(profile: &Profile, names: &Names) -> Value {
    let counters = profile.counters;
    let items: Vec<Value> = profile
        .items
        .as_slice()
        .iter()
        .map(|item| {
            json!({
                "item_key": signed(item.key),
                "item_id": names.item(item.key),
                "artist_key": item.artist.is_some().then(|| signed(item.artist)),
                "plays": item.plays,
                "skips": item.skips,
                "weight": item.weight,
                "liked": item.liked,
                "last_played_at": item.last_played.map(moment),
                "last_positive_at": item.last_positive.map(moment),
                "touched_at": moment(item.touched),
            })
        })
        .collect();
    let artists: Vec<Value> = profile
        .artists
        .entries()
        .iter()
        .map(|entry| {
            json!({
                "artist_key": signed(entry.key),
                "artist_id": names.item(entry.key),
                "weight": entry.affinity.weight,
                "at": moment(entry.affinity.at),
                "plays": entry.plays,
            })
        })
        .collect();
    let genres: Vec<Value> = profile
        .genres
        .entries()
        .iter()
        .map(|entry| {
            json!({
                "genre_key": entry.key.0,
                "genre": names.genres.get(&entry.key),
                "weight": entry.affinity.weight,
                "at": moment(entry.affinity.at),
                "plays": entry.plays,
            })
        })
        .collect();
    let marks = |marks: &[(ItemKey, Timestamp)]| -> Vec<Value> {
        marks
            .iter()
            .map(|(key, at)| json!({ "item_key": signed(*key), "item_id": names.item(*key), "at": moment(*at) }))
            .collect()
    };
    let days: Vec<Value> = profile.days.iter().map(|(day, plays)| json!({ "day": day, "plays": plays })).collect();
    json!({
        "counters": {
            "events": counters.events,
            "plays": counters.plays,
            "completes": counters.completes,
            "skips": counters.skips,
            "repeats": counters.repeats,
            "impressions": counters.impressions,
        },
        "last_event_at": profile.last_event_at.map(moment),
        "items": items,
        "artists": artists,
        "genres": genres,
        "impressions": marks(profile.impressions.as_slice()),
        "hidden": marks(profile.hidden.as_slice()),
        "followed": marks(profile.followed.as_slice()),
        "hours": profile.hours,
        "days": days,
    })
}
