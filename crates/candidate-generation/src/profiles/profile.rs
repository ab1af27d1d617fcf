//! The profile itself, and how one event changes it.

use shared_models::{
    ItemKey, Timestamp,
    event::{Event, EventKind},
};

use super::{Affinities, GenreKey, Impressions, Items, Marks, Session, counted_at, session};

/// What the fold needs to know of an event's item. An item the catalogue does not hold has none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemFactsForFold<'a> {
    /// The item's artist, or [`ItemKey::NONE`].
    pub artist: ItemKey,
    /// The item's genres.
    pub genres: &'a [GenreKey],
}

/// How many days of plays are counted one by one.
const DAYS: usize = 8;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events folded.
    pub events: u64,
    /// Plays.
    pub plays: u64,
    /// Plays that reached the end.
    pub completes: u64,
    /// Plays that ended early.
    pub skips: u64,
    /// Plays of an item that had been played before.
    pub repeats: u64,
    /// Cards seen.
    pub impressions: u64,
    /// Plays that followed a recommendation.
    pub clicks: u64,
    /// Yeses: likes, saves, additions to playlists.
    pub likes: u64,
}

/// What is known of one listener, folded from their events. Every part is bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// How often what happened.
    pub counters: Counters,
    /// When the last event happened.
    pub last_event_at: Option<Timestamp>,
    /// The history with each item.
    pub items: Items,
    /// Decayed plays by artist.
    pub artists: Affinities<ItemKey, 128>,
    /// Decayed plays by genre, each play shared out among its item's genres.
    pub genres: Affinities<GenreKey, 64>,
    /// When what was shown.
    pub impressions: Impressions,
    /// Items and artists never to show again.
    pub hidden: Marks,
    /// Artists and shows that are followed.
    pub followed: Marks,
    /// Plays by hour of the day, UTC.
    pub hours: [u32; 24],
    /// Plays by day since 1970, oldest first.
    pub days: Vec<(u32, u32)>,
    /// The latest session.
    pub session: Option<Session>,
}

impl Profile {
    /// Folds one event in. The caller sees to it that each event is folded once.
    pub fn apply(&mut self, event: &Event, facts: &ItemFactsForFold<'_>) {
        let (key, when, weight) = (event.item_key(), counted_at(event), event.kind.weight());
        self.counters.events += 1;
        self.session = Some(Session::after(self.session, self.last_event_at, &event.kind, when));
        self.last_event_at = self.last_event_at.max(Some(when));
        match &event.kind {
            EventKind::Impression => {
                self.counters.impressions += 1;
                self.impressions.add(key, when);
                self.artists.show(facts.artist);
                facts.genres.iter().for_each(|genre| self.genres.show(*genre));
            }
            EventKind::Play => {
                self.counters.clicks += u64::from(event.recommendation.is_some());
                self.play(key, when, facts);
            }
            EventKind::Complete => {
                self.counters.completes += 1;
                self.speak_for(key, when, weight, facts.artist, false);
            }
            EventKind::Skip => {
                self.counters.skips += 1;
                self.artists.skip(facts.artist);
                facts.genres.iter().for_each(|genre| self.genres.skip(*genre));
                self.speak_against(key, when, weight, facts.artist, |item| item.skips = item.skips.saturating_add(1));
            }
            EventKind::Like | EventKind::Save | EventKind::PlaylistAdd => {
                self.counters.likes += 1;
                self.hidden.remove(key);
                self.speak_for(key, when, weight, facts.artist, true);
            }
            EventKind::Share => self.speak_for(key, when, weight, facts.artist, false),
            EventKind::Follow => {
                self.hidden.remove(key);
                self.followed.insert(key, when);
                self.speak_for(key, when, weight, facts.artist, false);
            }
            EventKind::Unlike => self.speak_against(key, when, weight, facts.artist, |item| item.liked = false),
            EventKind::Hide => {
                self.followed.remove(key);
                self.hidden.insert(key, when);
                self.speak_against(key, when, weight, facts.artist, |item| item.liked = false);
            }
            EventKind::Other(_) => {}
        }
    }

    fn play(&mut self, key: ItemKey, when: Timestamp, facts: &ItemFactsForFold<'_>) {
        self.counters.plays += 1;
        let mut repeated = false;
        self.items.touch(key, when, |item| {
            repeated = item.plays > 0;
            item.artist = facts.artist;
            item.play(when);
            item.weight += EventKind::Play.weight();
            item.last_positive = item.last_positive.max(Some(when));
        });
        self.counters.repeats += u64::from(repeated);
        self.artists.add_total(1.0, when);
        if facts.artist.is_some() {
            self.artists.add(facts.artist, 1.0, when);
        }
        self.genres.add_total(1.0, when);
        for genre in facts.genres {
            self.genres.add(*genre, 1.0 / facts.genres.len() as f32, when);
        }
        if let Some(hour) = self.hours.get_mut(hour_of(when)) {
            *hour = hour.saturating_add(1);
        }
        self.count_day(when);
    }

    fn speak_for(&mut self, key: ItemKey, when: Timestamp, weight: f32, artist: ItemKey, liked: bool) {
        self.items.touch(key, when, |item| {
            item.artist = artist;
            item.weight += weight;
            item.liked |= liked;
            item.last_positive = item.last_positive.max(Some(when));
        });
    }

    fn speak_against(
        &mut self,
        key: ItemKey,
        when: Timestamp,
        weight: f32,
        artist: ItemKey,
        change: impl FnOnce(&mut super::ItemHistory),
    ) {
        self.items.touch(key, when, |item| {
            item.artist = artist;
            item.weight += weight;
            change(item);
        });
    }

    fn count_day(&mut self, when: Timestamp) {
        let day = day_of(when);
        match self.days.binary_search_by_key(&day, |counted| counted.0) {
            Ok(at) => {
                if let Some(counted) = self.days.get_mut(at) {
                    counted.1 = counted.1.saturating_add(1);
                }
            }
            Err(at) => {
                self.days.insert(at, (day, 1));
                if self.days.len() > DAYS {
                    self.days.remove(0);
                }
            }
        }
    }

    /// Plays on the present day and the six before it, UTC.
    #[must_use]
    pub fn plays_7d(&self, now: Timestamp) -> u32 {
        let today = day_of(now);
        self.days
            .iter()
            .filter(|(day, _)| *day <= today && today - *day < 7)
            .fold(0, |sum, (_, plays)| sum.saturating_add(*plays))
    }

    /// The share of plays in the hour of the day of `now`, UTC; the even share when there is none.
    #[must_use]
    pub fn hour_share(&self, now: Timestamp) -> f32 {
        let total: u64 = self.hours.iter().map(|plays| u64::from(*plays)).sum();
        let here = self.hours.get(hour_of(now)).copied().unwrap_or(0);
        if total == 0 { 1.0 / 24.0 } else { here as f32 / total as f32 }
    }

    /// The session that is under way at `now`.
    #[must_use]
    pub fn session_at(&self, now: Timestamp) -> Option<Session> {
        self.session.filter(|_| self.last_event_at.is_some_and(|last| now.before(session::PAUSE) <= last))
    }

    /// Bytes this takes in memory, to bound a cache by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(self.items.as_slice())
            + size_of_val(self.artists.entries())
            + size_of_val(self.genres.entries())
            + size_of_val(self.impressions.as_slice())
            + size_of_val(self.hidden.as_slice())
            + size_of_val(self.followed.as_slice())
            + size_of_val(self.days.as_slice())
    }
}

fn hour_of(when: Timestamp) -> usize {
    (when.0.rem_euclid(DAY) / HOUR) as usize
}

fn day_of(when: Timestamp) -> u32 {
    u32::try_from(when.0.div_euclid(DAY)).unwrap_or(0)
}
