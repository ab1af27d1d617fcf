//! A generated world: a catalogue, listeners and what they did, the same for the same seed on any
//! number of threads. It is shaped like a music service (`docs/world.md` holds the model and the
//! measured shapes), names nobody real, and knows the true probability of every action, which no
//! data set tells. It must not know who consumes it.

mod audience;
mod behaviour;
mod catalogue;
mod counts;
mod listeners;
mod names;
mod shapes;
mod truth;

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use shared_models::{ErrorCode, Seed, Timestamp, event::Event, item::Item, listener::UserAttributes};

use crate::progress::{Progress, Unit};

pub use audience::{Audience, Did};
pub use counts::{Counts, Genre, counts};
pub use shapes::{Shape, Shapes, shapes};
pub use truth::Truth;

/// What world to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The same seed makes the same world.
    pub seed: Seed,
    /// How many tracks, at least as many as artists.
    pub tracks: usize,
    /// How many artists.
    pub artists: usize,
    /// How many listeners.
    pub listeners: usize,
    /// About how many interactions (everything but impressions).
    pub interactions: usize,
    /// About how many impressions.
    pub impressions: usize,
    /// Over how many days before `now`.
    pub days: u32,
    /// When the world ends: no event is later.
    pub now: Timestamp,
    /// The exponent of the artists' popularity by rank.
    pub artist_slope: f64,
    /// The share of tracks that are released within the window.
    pub new_release_share: f64,
}

impl Config {
    /// The demo world: 20,000 tracks, 2,500 artists, 2,000 listeners, 500,000 interactions and
    /// 200,000 impressions over 90 days.
    #[must_use]
    pub fn demo(seed: Seed, now: Timestamp) -> Self {
        Self {
            seed,
            tracks: 20_000,
            artists: 2_500,
            listeners: 2_000,
            interactions: 500_000,
            impressions: 200_000,
            days: 90,
            now,
            artist_slope: 1.05,
            new_release_share: 0.03,
        }
    }

    /// A world of the same shape that is made in a moment, for tests.
    #[must_use]
    pub fn small(seed: Seed, now: Timestamp) -> Self {
        Self {
            tracks: 2_000,
            artists: 300,
            listeners: 300,
            interactions: 40_000,
            impressions: 20_000,
            ..Self::demo(seed, now)
        }
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what, given: usize, expected| Err(Error::Config { what, given, expected });
        if self.artists == 0 {
            return wrong("artists", self.artists, "give 1 or more");
        }
        if self.tracks < self.artists {
            return wrong("tracks", self.tracks, "give at least one for each artist");
        }
        if self.listeners == 0 {
            return wrong("listeners", self.listeners, "give 1 or more");
        }
        if self.days == 0 {
            return wrong("days", 0, "give 1 or more");
        }
        Ok(())
    }
}

/// Why a world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of the configuration makes no sense.
    #[error("{what} is {given}; {expected}")]
    Config {
        /// Which.
        what: &'static str,
        /// What was given.
        given: usize,
        /// What would be right.
        expected: &'static str,
    },
    /// A distribution has no sound weights.
    #[error("a distribution of the world has no sound weights")]
    Weights,
    /// A generated id is none.
    #[error("a generated id is not an identifier")]
    Id(#[from] shared_models::ids::Error),
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config { .. } => ErrorCode::InvalidArgument,
            Self::Weights | Self::Id(_) => ErrorCode::Internal,
        }
    }
}

/// A generated world.
pub struct World {
    /// The catalogue: every artist, followed by their tracks.
    pub items: Vec<Item>,
    /// The listeners.
    pub users: Vec<UserAttributes>,
    /// What they did and saw, in time order, ties by id.
    pub events: Vec<Event>,
    /// The probabilities that made it so.
    pub truth: Truth,
}

/// Makes a world.
///
/// # Errors
/// When the configuration makes no sense.
pub fn generate(config: &Config, progress: &dyn Progress) -> Result<World, Error> {
    let lives: Mutex<Vec<Vec<Event>>> = Mutex::default();
    let mut world = stream(config, progress, &|_, events| lives.lock().push(events))?;
    world.events = lives.into_inner().into_iter().flatten().collect();
    // Ids are unique: the order is the same in whatever order the listeners were done.
    world.events.par_sort_unstable_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
    Ok(world)
}

/// Makes a world without keeping its events: `lived` is given the number of each listener and their events, in time order,
/// on any thread and the listeners in no order.
///
/// # Errors
/// When the configuration makes no sense.
pub fn stream(
    config: &Config,
    progress: &dyn Progress,
    lived: &(dyn Fn(usize, Vec<Event>) + Sync),
) -> Result<World, Error> {
    config.check()?;
    let catalogue = catalogue::build(config)?;
    let listeners = listeners::build(config, &catalogue)?;
    let stage = progress.stage("world", Unit::Rows, Some((config.interactions + config.impressions) as u64));
    let truth = Truth::new(catalogue, listeners);
    // Each listener draws from a stream of their own: threads cannot change the outcome.
    let events = AtomicUsize::new(0);
    (0..truth.listeners().len()).into_par_iter().try_for_each(|listener| {
        let life = behaviour::live(config, &truth, listener)?;
        stage.advance(life.len() as u64);
        events.fetch_add(life.len(), Ordering::Relaxed);
        lived(listener, life);
        Ok::<(), Error>(())
    })?;
    stage.finish(&format!("{} events", events.into_inner()));
    let users = truth.listeners().iter().map(|listener| listener.attributes(config.now)).collect();
    Ok(World { items: truth.items().to_vec(), users, events: Vec::new(), truth })
}
