//! Item factors from implicit feedback: alternating least squares (iALS).
//!
//! It must not know events, catalogues or releases' files: it takes a sparse matrix of weights and
//! gives factors in the form that serving folds listeners in with.
//!
//! # The model
//! `x_u · y_i` approximates the preference of user u for item i, which is 1 where the matrix has an
//! entry and 0 elsewhere, believed with confidence `1 + c_ui`, `c_ui = α · weight` (Hu, Koren and
//! Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008). Training lowers
//!
//! `Σ_ui (1 + c_ui)(p_ui - x_u · y_i)² + Σ_u λ_u |x_u|² + Σ_i λ_i |y_i|²`
//!
//! `λ_u = λ · (items + Σ_i c_ui)^ν` and `λ_i = λ · (users + Σ_u c_ui)^ν`: regularisation scaled by
//! frequency, and initial factors of deviation `σ / √k`, after Rendle, Krichene, Zhang and Koren,
//! "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (RecSys 2022). Their
//! weight of what was not observed is `α₀ = 1 / α`; with ν = 1 their λ is ours, because dividing
//! their objective by α₀ gives the above up to the target of observed pairs.
//!
//! What is ours, all of it in settings, and none of it in the equations that users are solved by:
//!
//! * Where items are solved, the confidence of a pair is multiplied by
//!   `(n_i / mean n_i)^-p · (n_u / mean n_u)^-q`, for an item of `n_i` users and a user of `n_u` items: what everybody
//!   has and who has everything do not take the factors for themselves. It is the degree normalisation of
//!   graph filters (Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021; Peng, Sugiyama
//!   and Mine, "SVD-GCN", CIKM 2022), as confidences.
//! * The random initial factors N may be spread, `D_i^-½ Rᵀ D_u^-1 R D_i^-½ N`: one pass of the linear filter of Shen et
//!   al., so that items of the same users begin alike.
//!
//! With damping the two sides no longer lower one sum, and `λ_i` counts the damped confidences. Epochs are few
//! by default: each turns the factors further towards the directions that explain most pairs, and away from those
//! that tell the rest apart; on Gowalla, validation recall falls from the third on.
//!
//! # The solver
//! One side is held, and each row of the other is the solution of a k × k system whose common part
//! `Σ y yᵀ` is computed once. A few steps of conjugate gradient from the row's last value replace the
//! exact solution (Takács, Pilászy and Tikk, "Applications of the Conjugate Gradient Method for
//! Implicit Feedback Collaborative Filtering", RecSys 2011): the error they leave is made up for by
//! the next epoch. Both sides are turned onto the axes of the held one first: there the common part is its diagonal,
//! which costs a row k products instead of k², and preconditions. Each row's solution depends on the held side alone, so results are the same for
//! any number of threads.

mod axes;
mod gram;
mod interactions;
mod kernels;
mod lines;
mod solve;
mod start;

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use releases::Factors;
use shared_models::{ErrorCode, Seed};

pub use interactions::Interactions;

use axes::Axes;
use lines::Rows;
use solve::Held;

use crate::checkpoint::{Checkpoint, Checkpoints, Kind};

/// How each row's system is solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// This many steps of conjugate gradient.
    ConjugateGradient(NonZeroUsize),
    /// Exactly.
    Cholesky,
}

/// What a training does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// k, the factors of a row.
    pub dimensions: usize,
    /// How often both sides are solved.
    pub epochs: usize,
    /// α: the confidence of one unit of weight.
    pub alpha: f32,
    /// λ.
    pub regularisation: f32,
    /// ν: 0 regularises all rows alike, 1 by their total confidence.
    pub regularisation_exponent: f32,
    /// p: how much less pairs of popular items count where items are solved; 0 counts all alike.
    pub item_damping: f32,
    /// q: how much less pairs of users of many items count where items are solved; 0 counts all alike.
    pub user_damping: f32,
    /// Whether the initial factors are spread over the interactions.
    pub spread: bool,
    /// σ: the deviation of an initial row's length.
    pub initial_deviation: f32,
    /// How each row's system is solved.
    pub solver: Solver,
    /// The source of the initial factors: the same seed and matrix give the same factors.
    pub seed: Seed,
    /// How many threads solve; 0 takes the caller's pool. Results do not depend on it.
    pub threads: usize,
}

impl Default for Settings {
    /// Chosen on the validation part of Gowalla's training data: 64 factors, all users, weights fading, Recall@20
    /// 0.1692, 0.1680 and 0.1681 with seeds 1 to 3, where the plain form reaches 0.1487.
    fn default() -> Self {
        Self {
            dimensions: 64,
            epochs: 2,
            alpha: 100.0,
            regularisation: 0.0005,
            regularisation_exponent: 1.0,
            item_damping: 0.5,
            user_damping: 0.3,
            spread: true,
            initial_deviation: 0.1,
            solver: Solver::ConjugateGradient(NonZeroUsize::MIN.saturating_add(1)),
            seed: Seed(1),
            threads: 0,
        }
    }
}

/// What happened in one epoch.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// How long it took; nothing, when it was read from a checkpoint.
    pub wall: Duration,
    /// Whether a checkpoint had it.
    pub resumed: bool,
}

/// Why there are no factors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The matrix has no entry.
    #[error("there are no interactions to train on")]
    Nothing,
    /// A setting is outside its range.
    #[error("{name} is {given}; give {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What it was.
        given: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An entry lies outside the matrix, or its weight is no positive number.
    #[error("interaction of row {row} with column {column} and weight {weight} is not in the matrix")]
    Entry {
        /// Its row.
        row: u32,
        /// Its column.
        column: u32,
        /// Its weight.
        weight: f32,
    },
    /// The numbers overflowed.
    #[error("factors are no longer finite after epoch {epoch}")]
    Diverged {
        /// When it was seen.
        epoch: usize,
    },
    /// No threads could be started.
    #[error("could not start {threads} threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// The factors do not make an artefact.
    #[error("factors do not make an artefact")]
    Artefact(#[source] releases::Error),
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Setting { .. } | Self::Entry { .. } => ErrorCode::InvalidArgument,
            Self::Diverged { .. } | Self::Artefact(_) => ErrorCode::Internal,
            Self::Threads { .. } => ErrorCode::ResourceExhausted,
        }
    }
}

/// Trained factors of both sides.
#[derive(Clone, Debug)]
pub struct Model {
    settings: Settings,
    users: Rows,
    items: Rows,
}

impl Model {
    /// The vector of a training user: what serving folds in for the same interactions.
    #[must_use]
    pub fn user(&self, row: u32) -> &[f32] {
        &self.users.row(row as usize)[..self.settings.dimensions]
    }

    /// The vector of an item.
    #[must_use]
    pub fn item(&self, row: u32) -> &[f32] {
        &self.items.row(row as usize)[..self.settings.dimensions]
    }

    /// How many users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// The item side as a release carries it; item rows are rows of the release.
    ///
    /// # Errors
    /// Never with a model that [`train`] made.
    pub fn to_factors(&self) -> Result<Factors, Error> {
        let values: Vec<f32> = (0..self.items.len()).flat_map(|row| self.item(row as u32)).copied().collect();
        let Settings { dimensions, alpha, regularisation, regularisation_exponent, .. } = self.settings;
        Factors::new(dimensions, &values, alpha, regularisation, regularisation_exponent).map_err(Error::Artefact)
    }
}

/// Trains on a matrix of weights, a row for each user and a column for each item. `on_epoch` hears of
/// every epoch when it is over.
///
/// # Errors
/// When the matrix is empty, a setting is out of range, or the factors overflow.
pub fn train(
    interactions: &Interactions,
    settings: &Settings,
    on_epoch: &mut (dyn FnMut(Epoch) + Send),
) -> Result<Model, Error> {
    train_resumable(interactions, settings, None, on_epoch)
}

/// [`train`] that goes on from the checkpoint of a training of the same matrix and settings that was cut short, and
/// writes its own: the factors are the same to the bit.
///
/// # Errors
/// As [`train`].
pub fn train_resumable(
    interactions: &Interactions,
    settings: &Settings,
    checkpoints: Option<&Checkpoints>,
    on_epoch: &mut (dyn FnMut(Epoch) + Send),
) -> Result<Model, Error> {
    check(settings)?;
    if interactions.is_empty() {
        return Err(Error::Nothing);
    }
    if settings.threads == 0 {
        return run(interactions, settings, checkpoints, on_epoch);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|source| Error::Threads { threads: settings.threads, source })?;
    pool.install(|| run(interactions, settings, checkpoints, on_epoch))
}

fn run(
    by_user: &Interactions,
    settings: &Settings,
    checkpoints: Option<&Checkpoints>,
    on_epoch: &mut (dyn FnMut(Epoch) + Send),
) -> Result<Model, Error> {
    let by_item = by_user.transpose();
    let of_items = damping(&by_item, settings.item_damping);
    let of_users = damping(by_user, settings.user_damping);
    let dimensions = settings.dimensions;
    let mut started = Instant::now();
    // The number of threads changes nothing.
    let named = Settings { threads: 0, ..settings.clone() };
    let checkpoint = checkpoints.and_then(|checkpoints| Checkpoint::of(checkpoints, Kind::Factors, by_user, &named));
    let zeros = || (Rows::zeros(by_user.rows(), dimensions), Rows::zeros(by_item.rows(), dimensions));
    let kept = checkpoint.as_ref().and_then(|checkpoint| {
        let (mut users, mut items) = zeros();
        let epochs = checkpoint.read(&mut [users.values_mut(), items.values_mut()])?;
        Some((epochs, users, items))
    });
    let (over, mut users, mut items) =
        kept.unwrap_or_else(|| (0, zeros().0, start::initial(by_user, &by_item, settings)));
    let of = settings.epochs;
    for number in 1..=over {
        on_epoch(Epoch { number, of, wall: Duration::ZERO, resumed: true });
    }
    for number in over + 1..=of {
        let damping = [of_items.as_slice(), of_users.as_slice()];
        half(by_user, &mut items, &mut users, [&[], &[]], settings)
            .and_then(|()| half(&by_item, &mut users, &mut items, damping, settings))
            .ok_or(Error::Diverged { epoch: number })?;
        if !items.is_finite() {
            return Err(Error::Diverged { epoch: number });
        }
        if let Some(checkpoint) = checkpoint.as_ref().filter(|checkpoint| checkpoint.is_due(number, of)) {
            checkpoint.write(number, &[users.values(), items.values()]);
        }
        on_epoch(Epoch { number, of, wall: started.elapsed(), resumed: false });
        started = Instant::now();
    }
    // Serving folds listeners in from the final items, exactly: so are the users that are measured.
    let gram = gram::gram(&items, dimensions);
    let held =
        Held { interactions: by_user, rows: &items, dimensions, gram: &gram, diagonal: &[], damping: [&[], &[]] };
    solve::side(held, &mut users, settings, Solver::Cholesky);
    Ok(Model { settings: settings.clone(), users, items })
}

/// Half an epoch: `side` is solved with the other held. `None` where the held side is no longer finite.
fn half(
    interactions: &Interactions,
    held: &mut Rows,
    side: &mut Rows,
    damping: [&[f32]; 2],
    settings: &Settings,
) -> Option<()> {
    let dimensions = settings.dimensions;
    let gram = gram::gram(held, dimensions);
    let mut diagonal = Vec::new();
    if settings.solver != Solver::Cholesky {
        let axes = Axes::of(&gram, dimensions)?;
        axes.turn(held);
        axes.turn(side);
        diagonal = axes.lengths;
    }
    let held = Held { interactions, rows: held, dimensions, gram: &gram, diagonal: &diagonal, damping };
    solve::side(held, side, settings, settings.solver);
    Some(())
}

/// What the confidences of a row are multiplied by where items are solved: `(n / mean n)^-exponent`.
fn damping(interactions: &Interactions, exponent: f32) -> Vec<f32> {
    let mean = interactions.len() as f32 / interactions.rows() as f32;
    (0..interactions.rows()).map(|row| (interactions.row(row).0.len().max(1) as f32 / mean).powf(-exponent)).collect()
}

fn check(settings: &Settings) -> Result<(), Error> {
    let in_range = |name, value: f32, low: f32, high: f32, expected| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(Error::Setting { name, given: value.to_string(), expected })
        }
    };
    in_range("dimensions", settings.dimensions as f32, 1.0, 4_096.0, "1 to 4096")?;
    in_range("epochs", settings.epochs as f32, 1.0, 10_000.0, "1 to 10000")?;
    in_range("alpha", settings.alpha, f32::MIN_POSITIVE, 1e6, "a number above 0, up to 1e6")?;
    in_range("regularisation", settings.regularisation, f32::MIN_POSITIVE, 1e6, "a number above 0, up to 1e6")?;
    in_range("regularisation_exponent", settings.regularisation_exponent, 0.0, 2.0, "0 to 2")?;
    in_range("item_damping", settings.item_damping, 0.0, 2.0, "0 to 2")?;
    in_range("user_damping", settings.user_damping, 0.0, 2.0, "0 to 2")?;
    in_range("initial_deviation", settings.initial_deviation, f32::MIN_POSITIVE, 100.0, "a number above 0, up to 100")
}

#[cfg(test)]
mod tests;
