//! The world's listeners: where they live, what they like, how much and when they listen.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, LogNormal};
use shared_models::{Timestamp, UserId, listener::UserAttributes};

use super::{
    Config, Error,
    catalogue::{Catalogue, DIMENSIONS, Latent, MARKETS, alias, market, near, normalised},
};

/// The share of all events that one listener may have at most.
const MOST_ACTIVE: f64 = 0.02;

pub(crate) struct Listener {
    pub(super) id: UserId,
    /// The index of their home in [`MARKETS`].
    pub(super) market: usize,
    pub(super) explicit_allowed: bool,
    pub(super) taste: Latent,
    /// Genres they listen to, with running shares; the last is 1.
    pub(super) genres: Vec<(usize, f32)>,
    /// How many interactions and impressions they get.
    pub(super) interactions: usize,
    pub(super) impressions: usize,
    /// The chance that a play repeats one of theirs.
    pub(super) repeats: f64,
    /// The chance that a play that repeats nothing is of an artist they know.
    pub(super) loyalty: f64,
    /// How readily they move on, around 0.
    pub(super) haste: f32,
    /// How readily they say yes, around 0.
    pub(super) warmth: f32,
    /// Running shares of the 24 local hours; the last is 1.
    pub(super) hours: [f32; 24],
    pub(super) device: &'static str,
}

impl Listener {
    pub(super) fn attributes(&self, now: Timestamp) -> UserAttributes {
        UserAttributes {
            id: self.id.clone(),
            market: Some(market(self.market)),
            explicit_allowed: self.explicit_allowed,
            updated_at: now,
        }
    }

    pub(super) fn genre(&self, rng: &mut impl Rng) -> usize {
        let at = rng.random::<f32>();
        self.genres
            .iter()
            .find(|(_, running)| at < *running)
            .or_else(|| self.genres.last())
            .map_or(0, |(genre, _)| *genre)
    }
}

pub(super) fn build(config: &Config, catalogue: &Catalogue) -> Result<Vec<Listener>, Error> {
    let rng = &mut config.seed.stream("world/listeners");
    let homes = alias(MARKETS.iter().map(|(_, share, _)| *share).collect())?;
    let genres = alias(catalogue.genre_weights.clone())?;
    // A long tail: the median listener has half the mean, one in a hundred eight times the mean.
    let activity = LogNormal::new(0.0, 1.2).map_err(|_| Error::Weights)?;
    let weights: Vec<f64> = (0..config.listeners).map(|_| activity.sample(rng)).collect();
    let total: f64 = weights.iter().sum();
    let cap = if config.listeners > 200 { MOST_ACTIVE } else { 1.0 };
    (0..config.listeners)
        .map(|index| {
            let share = (weights[index] / total).min(cap);
            let count = 1 + (rng.random::<f32>() * rng.random::<f32>() * 4.0) as usize;
            let mut mix: Vec<(usize, f32)> = (0..count)
                .map(|_| {
                    (genres.sample(rng), {
                        let share: f32 = Exp1.sample(rng);
                        share + 0.05
                    })
                })
                .collect();
            let sum: f32 = mix.iter().map(|(_, share)| share).sum();
            let mut taste = [0.0; DIMENSIONS];
            let mut running = 0.0;
            for (genre, share) in &mut mix {
                let corner = &catalogue.corners[*genre][rng.random_range(0..3_usize)];
                taste.iter_mut().zip(corner).for_each(|(x, c)| *x += *share / sum * c);
                running += *share / sum;
                *share = running;
            }
            Ok(Listener {
                id: UserId::new(format!("user-{:05}", index + 1))?,
                market: homes.sample(rng),
                explicit_allowed: rng.random_bool(0.92),
                taste: near(&normalised(taste), 0.5, rng),
                genres: mix,
                interactions: ((share * config.interactions as f64).round() as usize).max(4),
                impressions: (share * config.impressions as f64).round() as usize,
                repeats: 0.25 + 0.5 * rng.random::<f64>(),
                loyalty: 0.2 + 0.5 * rng.random::<f64>(),
                haste: super::catalogue::gaussian(rng) * 0.5,
                warmth: super::catalogue::gaussian(rng) * 0.6,
                hours: hours(rng),
                device: ["phone", "phone", "phone", "desktop", "speaker", "tv"][rng.random_range(0..6_usize)],
            })
        })
        .collect()
}

/// A mix of two bells over the day: one around the way to work, one around the evening, each
/// listener's own; nobody listens much around four at night.
fn hours(rng: &mut impl Rng) -> [f32; 24] {
    let (first, second) = (8.0 + 2.5 * super::catalogue::gaussian(rng), 19.0 + 2.0 * super::catalogue::gaussian(rng));
    let share = rng.random::<f32>();
    let bell = |hour: f32, centre: f32, width: f32| {
        let apart = (hour - centre).rem_euclid(24.0);
        let apart = apart.min(24.0 - apart);
        (-apart * apart / (2.0 * width * width)).exp()
    };
    let mut running = 0.0;
    let mut sums: [f32; 24] = std::array::from_fn(|hour| {
        let hour = hour as f32;
        running += share * bell(hour, first, 2.0) + (1.0 - share) * bell(hour, second, 3.0) + 0.03;
        running
    });
    sums.iter_mut().for_each(|sum| *sum /= running);
    sums
}
