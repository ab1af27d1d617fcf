//! What is true in the world: how likely a listener is to act on a track they see or hear. The
//! behaviour draws from it, and a simulator may ask it how good a page could have been.

use rustc_hash::FxHashMap;
use shared_models::{ItemKey, UserId, item::Item};

use super::{
    catalogue::{Catalogue, Latent, affinity},
    listeners::Listener,
};

/// The world's probabilities.
pub struct Truth {
    catalogue: Catalogue,
    listeners: Vec<Listener>,
    by_id: FxHashMap<UserId, usize>,
}

/// What follows a play that began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AfterPlay {
    pub(super) complete: f32,
    pub(super) skip: f32,
    pub(super) like: f32,
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Truth {
    pub(super) fn new(catalogue: Catalogue, listeners: Vec<Listener>) -> Self {
        let by_id = listeners.iter().enumerate().map(|(index, listener)| (listener.id.clone(), index)).collect();
        Self { catalogue, listeners, by_id }
    }

    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(super) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The number of a listener.
    pub(super) fn number(&self, user: &UserId) -> Option<usize> {
        self.by_id.get(user).copied()
    }

    /// The number of a track; `None` for what is no track.
    pub(super) fn track(&self, item: ItemKey) -> Option<usize> {
        self.catalogue.track_of.get(&item).copied()
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.catalogue.items
    }

    /// The probability that a card at this position, from 0, is looked at.
    #[must_use]
    pub fn examination(position: u16) -> f32 {
        (1.0 + f32::from(position)).powf(-0.6)
    }

    /// The probabilities, for a card that a listener of no history sees at this position, that it is
    /// played, completed, liked and skipped, in the order of `Action::ALL`. `None` for an unknown
    /// listener, or an item that is no track.
    #[must_use]
    pub fn probabilities(&self, user: &UserId, item: ItemKey, position: u16) -> Option<[f32; 4]> {
        let listener = *self.by_id.get(user)?;
        let track = *self.catalogue.track_of.get(&item)?;
        let play = Self::examination(position) * self.play(listener, track, false);
        let after = self.after_play(listener, track, false);
        Some([play, play * after.complete, play * after.like, play * after.skip])
    }

    /// That a card which is looked at is played. `familiar`: they play the artist.
    pub(super) fn play(&self, listener: usize, track: usize, familiar: bool) -> f32 {
        self.play_of(&self.listeners[listener].taste, track, familiar)
    }

    /// [`Self::play`] for somebody of this taste.
    pub(super) fn play_of(&self, taste: &Latent, track: usize, familiar: bool) -> f32 {
        let near = affinity(taste, &self.catalogue.tracks[track].latent);
        let track = &self.catalogue.tracks[track];
        logistic(-3.4 + 4.2 * near + 0.9 * track.fame + if familiar { 0.7 } else { 0.0 })
    }

    /// What follows once it plays. `heard`: they have played the track before.
    pub(super) fn after_play(&self, listener: usize, track: usize, heard: bool) -> AfterPlay {
        self.after_play_of(listener, &self.listeners[listener].taste, track, heard)
    }

    /// [`Self::after_play`] for a listener whose taste is this one.
    pub(super) fn after_play_of(&self, listener: usize, taste: &Latent, track: usize, heard: bool) -> AfterPlay {
        let listener = &self.listeners[listener];
        let near = affinity(taste, &self.catalogue.tracks[track].latent);
        let known = if heard { 0.6 } else { 0.0 };
        let complete = logistic(-0.5 + 2.2 * near + known - listener.haste);
        let skip = (1.0 - complete) * logistic(1.2 - 2.4 * near + listener.haste);
        let like = logistic(-4.6 + 2.8 * near + listener.warmth);
        AfterPlay { complete, skip, like }
    }
}
