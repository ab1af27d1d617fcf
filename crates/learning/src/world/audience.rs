//! Listeners of the world who answer: what they do with a page they are shown, and what they play of their own accord.
//! Every probability comes from `truth`; here are memory, fatigue and changes of taste. It must not know who makes pages.
//!
//! Luck depends on seed, listener, round and item alone: whoever shows the same card in the same round gets the same
//! answer, so that two makers of pages can be compared by the listener.

use parking_lot::Mutex;
use rand::{RngExt, seq::IndexedRandom};
use rand_distr::Distribution;
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemId, ItemKey, Seed,
    event::{Event, EventKind},
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    Truth,
    catalogue::{Latent, affinity, near},
};

/// What a card loses each time it was shown and not wanted, or just played.
const TIRED: f32 = 0.75;
/// How much of that is left a round later.
const RESTED: f32 = 0.85;

/// What a listener did with a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// They played it.
    pub played: bool,
    /// For how long, in milliseconds.
    pub ms: u32,
    /// To the end.
    pub completed: bool,
    /// They moved on early.
    pub skipped: bool,
    /// They said yes.
    pub liked: bool,
}

/// A listener's state.
struct Member {
    taste: Latent,
    /// Genres with running shares, as the world's listeners have them.
    genres: Vec<(usize, f32)>,
    heard: FxHashSet<u32>,
    artists: FxHashSet<u32>,
    liked: FxHashSet<u32>,
    /// How tired they are of a track, and since which round.
    tired: FxHashMap<u32, (f32, u32)>,
}

/// All listeners of a world, each with a state of their own.
pub struct Audience<'a> {
    truth: &'a Truth,
    seed: Seed,
    members: Vec<Mutex<Member>>,
}

impl<'a> Audience<'a> {
    /// The listeners as their history leaves them.
    #[must_use]
    pub fn new(truth: &'a Truth, history: &[Event], seed: Seed) -> Self {
        let mut members: Vec<Member> = truth
            .listeners()
            .iter()
            .map(|listener| Member {
                taste: listener.taste,
                genres: listener.genres.clone(),
                heard: FxHashSet::default(),
                artists: FxHashSet::default(),
                liked: FxHashSet::default(),
                tired: FxHashMap::default(),
            })
            .collect();
        for event in history {
            let (member, track) = (truth.number(&event.user), truth.track(event.item_key()));
            let Some((member, track)) = member.zip(track) else { continue };
            let Some(member) = members.get_mut(member) else { continue };
            match event.kind {
                EventKind::Play => {
                    member.heard.insert(track as u32);
                    member.artists.insert(truth.catalogue().tracks[track].artist as u32);
                }
                EventKind::Like => _ = member.liked.insert(track as u32),
                _ => {}
            }
        }
        Self { truth, seed, members: members.into_iter().map(Mutex::new).collect() }
    }

    /// How many listeners there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How likely a listener plays these when they look at them, on average, rested: how well a page fits their taste as it
    /// is now.
    #[must_use]
    pub fn fit(&self, listener: usize, cards: &[ItemKey]) -> f32 {
        let member = self.members[listener].lock();
        let known: Vec<f32> = cards
            .iter()
            .filter_map(|card| self.truth.track(*card))
            .map(|track| self.truth.play_of(&member.taste, track, false))
            .collect();
        known.iter().sum::<f32>() / cards.len().max(1) as f32
    }

    /// What a listener does with a page, card by card from the top.
    pub fn answer(&self, listener: usize, round: u32, cards: &[ItemKey]) -> Vec<Did> {
        let mut member = self.members[listener].lock();
        cards
            .iter()
            .enumerate()
            .map(|(position, card)| {
                let Some(track) = self.truth.track(*card) else { return Did::default() };
                let luck = |what: u8| self.luck(listener, round, *card, what);
                let known = &self.truth.catalogue().tracks[track];
                let tired = member.tired.get(&(track as u32)).map_or(0.0, |(by, since)| {
                    by * RESTED.powi(i32::try_from(round.saturating_sub(*since)).unwrap_or(i32::MAX))
                });
                let looks = luck(0) < Truth::examination(position as u16);
                if !looks {
                    return Did::default();
                }
                member.tired.insert(track as u32, (tired + 1.0, round));
                let familiar = member.artists.contains(&(known.artist as u32));
                if luck(1) >= self.truth.play_of(&member.taste, track, familiar) * TIRED.powf(tired) {
                    return Did::default();
                }
                self.play(&mut member, listener, track, &luck)
            })
            .collect()
    }

    /// What a listener plays of their own accord: tracks of their genres, the nearest to their taste of a few.
    pub fn own(&self, listener: usize, round: u32, plays: usize) -> Vec<(ItemId, Did)> {
        let mut member = self.members[listener].lock();
        let mut random = self.seed.stream(&format!("own/{listener}/{round}"));
        let catalogue = self.truth.catalogue();
        let mut chosen = Vec::with_capacity(plays);
        for _ in 0..plays {
            let drawn = (0..8).map(|_| {
                let at = random.random::<f32>();
                let genre = member.genres.iter().find(|(_, running)| at < *running).or_else(|| member.genres.last());
                let genre = genre.map_or(0, |(genre, _)| *genre);
                let place = catalogue.draws[genre].sample(&mut random);
                let artist = catalogue.by_genre[genre].get(place).copied().unwrap_or(0);
                catalogue.track_of_artist(artist, &mut random)
            });
            let drawn: Vec<usize> = drawn.collect();
            let like = |track: &usize| affinity(&member.taste, &catalogue.tracks[*track].latent);
            let Some(track) = drawn.into_iter().max_by(|a, b| like(a).total_cmp(&like(b))) else { continue };
            let id = catalogue.tracks[track].id.clone();
            let key = ItemKey::of(&id);
            let luck = |what: u8| self.luck(listener, round, key, what | 0x80);
            let did = self.play(&mut member, listener, track, &luck);
            chosen.push((id, did));
        }
        chosen
    }

    /// A listener comes to like another genre than theirs, and only that.
    pub fn change_taste(&self, listener: usize) {
        let mut member = self.members[listener].lock();
        let mut random = self.seed.stream(&format!("change/{listener}"));
        let catalogue = self.truth.catalogue();
        let others: Vec<usize> = (0..catalogue.corners.len())
            .filter(|genre| !catalogue.by_genre[*genre].is_empty())
            .filter(|genre| member.genres.iter().all(|(own, _)| own != genre))
            .collect();
        let Some(genre) = others.choose(&mut random) else { return };
        let corner = catalogue.corners[*genre][random.random_range(0..3_usize)];
        member.taste = near(&corner, 0.4, &mut random);
        member.genres = vec![(*genre, 1.0)];
    }

    fn play(&self, member: &mut Member, listener: usize, track: usize, luck: &dyn Fn(u8) -> f32) -> Did {
        let key = track as u32;
        let known = &self.truth.catalogue().tracks[track];
        let after = self.truth.after_play_of(listener, &member.taste, track, member.heard.contains(&key));
        let draw = luck(2);
        let (completed, skipped) =
            (draw < after.complete, draw >= after.complete && draw < after.complete + after.skip);
        let part = luck(3);
        let ms = if completed {
            known.length
        } else if skipped {
            2_000 + (part * 28_000.0) as u32
        } else {
            (known.length as f32 * (0.2 + 0.75 * part)) as u32
        };
        let liked = luck(4) < after.like && member.liked.insert(key);
        member.heard.insert(key);
        member.artists.insert(known.artist as u32);
        Did { played: true, ms, completed, skipped, liked }
    }

    /// A number of [0, 1).
    fn luck(&self, listener: usize, round: u32, item: ItemKey, what: u8) -> f32 {
        let mut bytes = [0_u8; 21];
        bytes[..8].copy_from_slice(&(listener as u64).to_le_bytes());
        bytes[8..12].copy_from_slice(&round.to_le_bytes());
        bytes[12..20].copy_from_slice(&item.0.to_le_bytes());
        bytes[20] = what;
        (xxh3_64_with_seed(&bytes, self.seed.0) >> 40) as f32 / (1_u64 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use shared_models::{Timestamp, item::ItemKind};

    use super::*;
    use crate::{
        progress::Silent,
        world::{Config, World, generate},
    };

    fn world() -> World {
        let config =
            Config { tracks: 400, artists: 60, listeners: 60, ..Config::small(Seed(5), Timestamp(1_700_000_000_000)) };
        generate(&Config { interactions: 6_000, impressions: 0, ..config }, &Silent).unwrap()
    }

    fn tracks(world: &World) -> Vec<ItemKey> {
        world.items.iter().filter(|item| item.kind == ItemKind::Track).map(|item| ItemKey::of(&item.id)).collect()
    }

    #[test]
    fn the_same_cards_get_the_same_answers() {
        let world = world();
        let tracks = tracks(&world);
        let [one, other] = [(), ()].map(|()| Audience::new(&world.truth, &world.events, Seed(1)));
        for listener in 0..one.len() {
            assert_eq!(one.answer(listener, 3, &tracks[..10]), other.answer(listener, 3, &tracks[..10]));
            assert_eq!(one.own(listener, 3, 2), other.own(listener, 3, 2));
        }
    }

    #[test]
    fn a_card_that_is_shown_again_and_again_is_played_less() {
        let world = world();
        let tracks = tracks(&world);
        let audience = Audience::new(&world.truth, &[], Seed(2));
        let mut played = [0_usize; 2];
        for listener in 0..audience.len() {
            for round in 0..12 {
                let plays = audience.answer(listener, round, &tracks[..10]).iter().filter(|did| did.played).count();
                played[usize::from(round >= 6)] += plays;
            }
        }
        // The first rounds tire too: 0.85 rested and 0.75 tired a look come near their balance within a dozen rounds.
        assert!(played[1] * 10 < played[0] * 9, "{played:?}");
    }

    #[test]
    fn a_change_of_taste_changes_what_fits_and_what_is_played() {
        let world = world();
        let audience = Audience::new(&world.truth, &world.events, Seed(3));
        let ids = |own: Vec<(ItemId, Did)>| own.iter().map(|(id, _)| ItemKey::of(id)).collect::<Vec<_>>();
        let (mut before, mut after) = (0.0, 0.0);
        for listener in 0..audience.len() {
            let liked = ids(audience.own(listener, 0, 10));
            before += audience.fit(listener, &liked);
            audience.change_taste(listener);
            after += audience.fit(listener, &liked);
            assert!(audience.fit(listener, &ids(audience.own(listener, 1, 10))) > 0.1);
        }
        assert!(after < 0.5 * before, "{after} of {before}");
    }
}
