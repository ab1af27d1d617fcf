//! The next item from the ones before, by linear regression on profiles that fade.
//!
//! It must not know events, catalogues or releases' files: lists of items in time order go in, scores come out.
//!
//! # The model
//! At every place t of every list, the profile of a decay γ is `s_t = Σ_{a<t} γ^(t-1-a) e_{item a}`: what came before, the
//! last item counting 1. Profiles of several decays, each times its scale, stand side by side in x_t: one that forgets
//! within a few items tells what is being done now, one that forgets slowly tells taste. The weights B that lower
//!
//! `Σ_t |e_{item t} - Bᵀ x_t|² + λ |B|²`   are   `B = (Σ x xᵀ + λ I)⁻¹ Σ x e_tᵀ`
//!
//! and the scores of a user `Bᵀ x`, item by item divided by `count^p`, which takes back some of the advantage that
//! squares give to popular items. With one decay it is the sequential part (SLIT) of Choi, Kim, Lee, Shim and Lee,
//! "Session-aware Linear Item-Item Models for Session-based Recommendation" (WWW 2021); profiles of several decays in one
//! regression are ours: they let the quick profile be explained away by the slow one.
//!
//! # Cost
//! The sums over t have a closed form in pairs (a, b) of one list, with m = max(a, b) and n items:
//!
//! `Σ_{m<t<n} γ^(t-1-a) δ^(t-1-b) = γ^(m-a) δ^(m-b) (1 - (γδ)^(n-1-m)) / (1 - γδ)`
//!
//! so they take time by the pairs that lie near enough to count, not by places times profiles. For I items and d decays
//! the system takes `(d I)² + d I²` numbers of four bytes and `d³ I³ (1/3 + 2/d)` multiplications: 280 MB and 20 s on two cores for
//! 3,416 items and two decays. [`Settings::most_items`] is the guard.

mod sums;

use shared_models::ErrorCode;

use crate::{
    dense::{Factor, Matrix},
    evaluate::Scorer,
    progress::{Progress, Unit},
};

pub(crate) use sums::Places;

/// A profile of what a user did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// γ: what an item counts for each item that came after it; above 0, up to 1.
    pub decay: f32,
    /// What the profile is multiplied by. A smaller scale is a stronger regularisation.
    pub scale: f32,
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The profiles that are regressed on together.
    pub profiles: Vec<Profile>,
    /// λ.
    pub regularisation: f32,
    /// p: how much of an item's count is taken out of its scores.
    pub popularity_exponent: f32,
    /// More items than this are refused: memory grows with the square of their number, time with the cube.
    pub most_items: usize,
}

impl Default for Settings {
    /// Chosen on the validation items of MovieLens 1M (leave one out).
    fn default() -> Self {
        Self {
            profiles: vec![Profile { decay: 0.6, scale: 1.0 }, Profile { decay: 0.95, scale: 0.5 }],
            regularisation: 500.0,
            popularity_exponent: 0.2,
            most_items: 12_000,
        }
    }
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No list holds two items.
    #[error("no list holds two items; sequences need an item and one that came after it")]
    Nothing,
    /// A setting is out of range.
    #[error("{name} is {given}; give {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        given: String,
        /// What may be.
        expected: &'static str,
    },
    /// There are too many items for a dense system.
    #[error("there are {items} items and most_items is {most}; take transitions for a larger catalogue")]
    TooMany {
        /// How many.
        items: usize,
        /// How many may be.
        most: usize,
    },
    /// The system cannot be solved.
    #[error("the system of {items} items is not positive definite; raise regularisation")]
    Unsolved {
        /// How many items.
        items: usize,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Setting { .. } => ErrorCode::InvalidArgument,
            Self::TooMany { .. } => ErrorCode::ResourceExhausted,
            Self::Unsolved { .. } => ErrorCode::Internal,
        }
    }
}

/// The regression's weights.
#[derive(Clone, Debug)]
pub struct Model {
    profiles: Vec<Profile>,
    /// A row for each item of each profile, a column for each item.
    weights: Matrix,
}

/// Learns from lists of items in time order; `items` is how many there are.
///
/// # Errors
/// When a setting is out of range, there are too many items, or there is nothing to learn from.
pub fn train(
    sequences: &[Vec<u32>],
    items: usize,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Model, Error> {
    check(settings)?;
    if items > settings.most_items {
        return Err(Error::TooMany { items, most: settings.most_items });
    }
    if sequences.iter().all(|sequence| sequence.len() < 2) {
        return Err(Error::Nothing);
    }
    let profiles = &settings.profiles;
    let stage = progress.stage("fading profiles", Unit::Steps, Some((profiles.len() + 1) as u64));
    let places = sums::Places::of(sequences, items);
    let mut system = Matrix::zeros(profiles.len() * items, profiles.len() * items);
    sums::squares(&places, sequences, profiles, &mut system);
    stage.advance(profiles.len() as u64);
    let mut next = Matrix::zeros(profiles.len() * items, items);
    sums::next(&places, sequences, profiles, &mut next);
    stage.finish(&format!("{} lists, {items} items, {} profiles", sequences.len(), profiles.len()));

    let stage = progress.stage("regression", Unit::Steps, None);
    system.add_to_diagonal(settings.regularisation);
    let factor = Factor::of(system).ok_or(Error::Unsolved { items })?;
    let mut weights = factor.solve(next);
    let counts = places.counts();
    for row in weights.values.chunks_exact_mut(items) {
        for (weight, count) in row.iter_mut().zip(&counts) {
            *weight *= count.max(1.0).powf(-settings.popularity_exponent);
        }
    }
    stage.finish(&format!("{} unknowns for each of {items} items", weights.rows));
    Ok(Model { profiles: profiles.clone(), weights })
}

impl Model {
    /// The scores of all items after a list, into `scores`.
    pub fn score(&self, sequence: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        let items = self.weights.columns;
        for (number, Profile { decay, scale }) in self.profiles.iter().enumerate() {
            let mut weight = *scale;
            for item in sequence.iter().rev() {
                if weight < scale * sums::LEAST {
                    break;
                }
                if (*item as usize) < items {
                    releases::vectors::axpy(weight, self.weights.row(number * items + *item as usize), scores);
                }
                weight *= decay;
            }
        }
    }
}

/// A model with the lists it is asked about.
#[derive(Clone, Debug)]
pub struct SequenceScorer<'a> {
    /// What was learned.
    pub model: Model,
    /// Each user's items, oldest first.
    pub given: &'a [Vec<u32>],
}

impl Scorer for SequenceScorer<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let items = self.model.weights.columns.max(1);
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(items)) {
            self.model.score(self.given.get(*user as usize).map_or(&[][..], Vec::as_slice), row);
        }
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let refused = |name, given: String, expected| Err(Error::Setting { name, given, expected });
    if settings.profiles.is_empty() {
        return refused("profiles", "none".to_owned(), "at least one");
    }
    for Profile { decay, scale } in &settings.profiles {
        if !(*decay > 0.0 && *decay <= 1.0) {
            return refused("decay", decay.to_string(), "a number above 0, up to 1");
        }
        if !(*scale > 0.0 && scale.is_finite()) {
            return refused("scale", scale.to_string(), "a number above 0");
        }
    }
    if !(settings.regularisation > 0.0 && settings.regularisation.is_finite()) {
        return refused("regularisation", settings.regularisation.to_string(), "a number above 0");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
