//! What one listener does: sessions over the window, each with perhaps a page of cards and then
//! plays of their own choosing. Every probability comes from `truth`; the choice of what to play
//! from the listener's genres, artists and history.

use std::time::Duration;

use rand::RngExt;
use rand_distr::Distribution;
use rand_xoshiro::Xoshiro256PlusPlus;
use rustc_hash::FxHashSet;
use shared_models::{
    EventId, ItemId, Timestamp,
    event::{Event, EventKind},
};
use uuid::Uuid;

use super::{
    Config, Error, Truth,
    catalogue::{DAY, MARKETS, affinity, market},
    listeners::Listener,
};

/// Cards of a page.
const CARDS: usize = 10;
/// Plays of a session, on average.
const SESSION: f64 = 9.0;
/// Interactions of a play, on average: the play itself and what follows it.
const PER_PLAY: f64 = 1.95;
const SHELF: &str = "made-for-you";
const HOUR: i64 = 3_600_000;

/// The card a play came from.
struct Card {
    recommendation: Uuid,
    position: u16,
}

struct Life<'a> {
    truth: &'a Truth,
    index: usize,
    listener: &'a Listener,
    rng: Xoshiro256PlusPlus,
    now: Timestamp,
    at: Timestamp,
    session: String,
    /// Tracks as they were played: drawing from it evenly prefers what was played most.
    played: Vec<u32>,
    heard: FxHashSet<u32>,
    artists: FxHashSet<u32>,
    followed: FxHashSet<u32>,
    liked: FxHashSet<u32>,
    events: Vec<Event>,
    interactions: usize,
    prefix: String,
}

/// The events of one listener, in the order in which they happened.
pub(super) fn live(config: &Config, truth: &Truth, index: usize) -> Result<Vec<Event>, Error> {
    let listener = &truth.listeners()[index];
    let mut life = Life {
        truth,
        index,
        listener,
        rng: config.seed.stream(&format!("world/listener/{index}")),
        now: config.now,
        at: Timestamp(0),
        session: String::new(),
        played: Vec::new(),
        heard: FxHashSet::default(),
        artists: FxHashSet::default(),
        followed: FxHashSet::default(),
        liked: FxHashSet::default(),
        events: Vec::with_capacity(listener.interactions + listener.impressions + 32),
        interactions: 0,
        prefix: format!("w{:x}-{index}-", config.seed.0),
    };
    let plays = listener.interactions as f64 / PER_PLAY;
    let sessions = (plays / SESSION).ceil().max(1.0) as usize;
    let starts = life.session_starts(config, sessions);
    let pages = listener.impressions as f64 / CARDS as f64;
    let mut shown = 0.0;
    for (number, start) in starts.into_iter().enumerate() {
        life.at = life.at.after(Duration::from_secs(600)).max(start);
        life.session = format!("s-{index}-{number}");
        // As many pages by now as the listener's share asks for.
        if shown < pages * (number + 1) as f64 / sessions as f64 {
            shown += 1.0;
            life.page()?;
        }
        let quota = listener.interactions * (number + 1) / sessions;
        while life.interactions < quota && life.at < life.now {
            let track = life.choose();
            life.play(track, None)?;
        }
    }
    Ok(life.events)
}

impl Life<'_> {
    fn session_starts(&mut self, config: &Config, sessions: usize) -> Vec<Timestamp> {
        let (_, _, offset) = MARKETS[self.listener.market];
        let first_day = config.now.0.div_euclid(DAY) - i64::from(config.days);
        let mut starts: Vec<Timestamp> = (0..sessions)
            .map(|_| {
                let day = first_day + self.rng.random_range(0..i64::from(config.days));
                let at = self.rng.random::<f32>();
                let local_hour = self.listener.hours.iter().position(|running| at < *running).unwrap_or(23) as i64;
                let within = self.rng.random_range(0..HOUR);
                Timestamp(day * DAY + (local_hour - offset).rem_euclid(24) * HOUR + within)
            })
            .collect();
        starts.sort_unstable();
        starts
    }

    fn event(
        &mut self,
        kind: EventKind,
        item: &ItemId,
        at: Timestamp,
        card: Option<&Card>,
    ) -> Result<&mut Event, Error> {
        let id = EventId::new(format!("{}{}", self.prefix, self.events.len()))?;
        if kind != EventKind::Impression {
            self.interactions += 1;
        }
        let at = at.min(self.now);
        let index = self.events.len();
        self.events.push(Event {
            id,
            user: self.listener.id.clone(),
            kind,
            item: item.clone(),
            occurred_at: at,
            received_at: at,
            ms_played: None,
            recommendation: card.map(|card| card.recommendation),
            shelf: card.map(|_| SHELF.to_owned()),
            position: card.map(|card| card.position),
            session: Some(self.session.clone()),
            device: Some(self.listener.device.to_owned()),
            market: Some(market(self.listener.market)),
        });
        Ok(&mut self.events[index])
    }

    /// Shows a page: every card is an impression; those looked at may be played, in page order.
    fn page(&mut self) -> Result<(), Error> {
        if self.at >= self.now {
            return Ok(());
        }
        let truth = self.truth;
        let recommendation =
            uuid::Builder::from_unix_timestamp_millis(u64::try_from(self.at.0).unwrap_or(0), &self.rng.random())
                .into_uuid();
        let cards = self.cards();
        for (position, track) in cards.iter().enumerate() {
            let card = Card { recommendation, position: position as u16 };
            self.event(EventKind::Impression, &truth.catalogue().tracks[*track].id, self.at, Some(&card))?;
        }
        self.at = self.at.after(Duration::from_secs(3));
        for (position, track) in cards.into_iter().enumerate() {
            let position = position as u16;
            let familiar = self.artists.contains(&(truth.catalogue().tracks[track].artist as u32));
            let chance = Truth::examination(position) * truth.play(self.index, track, familiar);
            if self.rng.random::<f32>() < chance && self.at < self.now {
                self.play(track, Some(Card { recommendation, position }))?;
            }
        }
        Ok(())
    }

    /// The cards of a page by the policy that served them: a popular one of a genre of theirs (45 %),
    /// the best of four by taste (35 %), or any track at all (20 %), in random order.
    fn cards(&mut self) -> Vec<usize> {
        let truth = self.truth;
        let catalogue = truth.catalogue();
        let mut cards = Vec::with_capacity(CARDS);
        for _ in 0..CARDS * 10 {
            if cards.len() == CARDS {
                break;
            }
            let track = match self.rng.random::<f32>() {
                draw if draw < 0.45 => self.popular(),
                draw if draw < 0.80 => {
                    let taste = &self.listener.taste;
                    let drawn: [usize; 4] = std::array::from_fn(|_| self.popular());
                    drawn
                        .into_iter()
                        .max_by(|a, b| {
                            affinity(taste, &catalogue.tracks[*a].latent)
                                .total_cmp(&affinity(taste, &catalogue.tracks[*b].latent))
                        })
                        .unwrap_or(0)
                }
                _ => self.rng.random_range(0..catalogue.tracks.len()),
            };
            if catalogue.playable(track, self.at, self.listener.market, self.listener.explicit_allowed)
                && !cards.contains(&track)
            {
                cards.push(track);
            }
        }
        cards
    }

    /// A track of one of their genres, by popularity, artists of their own market three times as
    /// likely.
    fn popular(&mut self) -> usize {
        let catalogue = self.truth.catalogue();
        let mut track = 0;
        for _ in 0..8 {
            let genre = self.listener.genre(&mut self.rng);
            let place = catalogue.draws[genre].sample(&mut self.rng);
            let artist = catalogue.by_genre[genre].get(place).copied().unwrap_or(0);
            track = catalogue.track_of_artist(artist, &mut self.rng);
            let at_home = catalogue.artists[artist].home == self.listener.market;
            if at_home || self.rng.random::<f32>() < 1.0 / 3.0 {
                break;
            }
        }
        track
    }

    /// What they play of their own accord.
    fn choose(&mut self) -> usize {
        let truth = self.truth;
        let catalogue = truth.catalogue();
        if !self.played.is_empty() && self.rng.random_bool(self.listener.repeats) {
            // Half of the repeats are from the last fifty plays: what is on everybody's mind fades.
            let from = if self.rng.random_bool(0.5) { self.played.len().saturating_sub(50) } else { 0 };
            return self.played[self.rng.random_range(from..self.played.len())] as usize;
        }
        let mut best = (f32::NEG_INFINITY, 0);
        for _ in 0..12 {
            let draw = self.rng.random::<f64>();
            let track = if draw < 0.08 && !catalogue.fresh.is_empty() {
                self.fresh()
            } else if draw < 0.08 + self.listener.loyalty && !self.played.is_empty() {
                let known = self.played[self.rng.random_range(0..self.played.len())] as usize;
                catalogue.track_of_artist(catalogue.tracks[known].artist, &mut self.rng)
            } else {
                self.popular()
            };
            if !catalogue.playable(track, self.at, self.listener.market, self.listener.explicit_allowed) {
                continue;
            }
            let near = affinity(&self.listener.taste, &catalogue.tracks[track].latent);
            if near > best.0 {
                best = (near, track);
            }
            // The nearer to their taste, the sooner they settle for it.
            if self.rng.random::<f32>() < 0.25 + 0.7 * near.max(0.0) {
                return track;
            }
        }
        best.1
    }

    /// Of the tracks released within three weeks before, one that is near to their taste.
    fn fresh(&mut self) -> usize {
        let catalogue = self.truth.catalogue();
        let released = |track: &usize| catalogue.tracks[*track].released;
        let end = catalogue.fresh.partition_point(|track| released(track) <= self.at);
        let start = catalogue
            .fresh
            .partition_point(|track| released(track) <= self.at.before(Duration::from_secs(21 * 86_400)));
        let recent = &catalogue.fresh[start..end];
        if recent.is_empty() {
            return self.popular();
        }
        let mut best = (f32::NEG_INFINITY, recent[0]);
        for _ in 0..6 {
            let track = recent[self.rng.random_range(0..recent.len())];
            let score = affinity(&self.listener.taste, &catalogue.tracks[track].latent) + catalogue.tracks[track].fame;
            if score > best.0 {
                best = (score, track);
            }
        }
        best.1
    }

    /// Plays a track and does what follows.
    #[expect(clippy::needless_pass_by_value, reason = "a card is played once")]
    fn play(&mut self, track: usize, card: Option<Card>) -> Result<(), Error> {
        let truth = self.truth;
        let known = &truth.catalogue().tracks[track];
        let key = track as u32;
        let after = truth.after_play(self.index, track, self.heard.contains(&key));
        let draw = self.rng.random::<f32>();
        let (completes, skips) = (draw < after.complete, draw >= after.complete && draw < after.complete + after.skip);
        let ms = if completes {
            known.length
        } else if skips {
            self.rng.random_range(2_000..30_000_u32).min(known.length)
        } else {
            (known.length as f32 * self.rng.random_range(0.2..0.95_f32)) as u32
        };
        let begun = self.at;
        self.event(EventKind::Play, &known.id, begun, card.as_ref())?.ms_played = Some(ms);
        let ended = begun.after(Duration::from_millis(u64::from(ms)));
        if completes {
            self.event(EventKind::Complete, &known.id, ended, card.as_ref())?;
        }
        if skips {
            self.event(EventKind::Skip, &known.id, ended, card.as_ref())?;
            if self.rng.random_bool(0.004) {
                self.event(EventKind::Hide, &known.id, ended, card.as_ref())?;
            }
        }
        if self.rng.random::<f32>() < after.like && self.liked.insert(key) {
            self.event(
                EventKind::Like,
                &known.id,
                begun.after(Duration::from_millis(u64::from(ms / 2))),
                card.as_ref(),
            )?;
            self.keep(track, ended, card.as_ref())?;
        }
        self.played.push(key);
        self.heard.insert(key);
        self.artists.insert(known.artist as u32);
        self.at = ended.after(Duration::from_millis(self.rng.random_range(500..8_000)));
        Ok(())
    }

    /// What may follow a yes: saving it, putting it on a list, sharing it, following its artist.
    fn keep(&mut self, track: usize, at: Timestamp, card: Option<&Card>) -> Result<(), Error> {
        let truth = self.truth;
        let track = &truth.catalogue().tracks[track];
        for (kind, chance) in [(EventKind::Save, 0.25), (EventKind::PlaylistAdd, 0.2), (EventKind::Share, 0.05)] {
            if self.rng.random_bool(chance) {
                self.event(kind, &track.id, at, card)?;
            }
        }
        if self.rng.random_bool(0.1) && self.followed.insert(track.artist as u32) {
            self.event(EventKind::Follow, &truth.catalogue().artists[track.artist].id, at, None)?;
        }
        Ok(())
    }
}
