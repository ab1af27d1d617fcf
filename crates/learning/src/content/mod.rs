//! Vectors for items nobody has chosen yet, from what is known of them: a regression from content to factors.
//!
//! It must not know events, catalogues or releases' files: words or numbers of each item and the vectors of those that were
//! trained go in, a mapping comes out ([`releases::content`] says what it gives for any item).
//!
//! # The model
//! W lowers
//!
//! `Σ_i g_i |y_i - Wᵀ f_i|² + λ |W|²`, so that `W = (Fᵀ G F + λ I)⁻¹ Fᵀ G Y`
//!
//! over the items i with a trained vector y, believed with `g_i = min(n_i, 50)^½` for n users: an item that few chose has a vector
//! that says little. (Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme, "Learning Attribute-to-Feature Mappings
//! for Cold-Start Recommendations", ICDM 2010, with ridge regression as the mapping.) Words (a genre, a tag, a year) are
//! scaled by how rare they are, `ln(1 + items / items with it)`; numbers by the mean and deviation of the items that have
//! them, and an item without is taken to have the mean. Of embeddings those of one length are taken, the one that most items have.
//!
//! What is left over is put down to an item's maker, as far as it is shared: κ of [`releases::content`] is the one of a few
//! by which the other items of a maker tell most of each left out.
//!
//! # Cost
//! `f²` numbers and `f³ / 3` multiplications for f features: the most frequent words up to [`Settings::most_words`], the most
//! frequent named numbers up to [`Settings::most_names`], the numbers of an embedding. For each item the square of its words
//! and numbers; items are taken a few thousand at a time, so that beside the catalogue itself only a vector of each is held.

mod fit;
mod rows;
mod scales;

use releases::{Mapping, content::Described};
use shared_models::{ErrorCode, ItemKey};

use crate::dense::Factor;

use fit::Fit;
use rows::Rows;

/// From how many users on an item's vector is believed no more.
const MOST_BELIEVED: f32 = 50.0;
/// What κ is chosen among.
const SHRINKAGES: [f32; 8] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// λ.
    pub regularisation: f32,
    /// The most words that are told apart; the rest of them, the rarest, are passed over.
    pub most_words: usize,
    /// The most named numbers that are told apart; the rest of them, the rarest, are passed over.
    pub most_names: usize,
    /// How many items a word or a named number must stand at.
    pub least_items: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { regularisation: 10.0, most_words: 4_096, most_names: 256, least_items: 2 }
    }
}

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No item has both content and a vector.
    #[error("no item has both a trained vector and words or numbers")]
    Nothing,
    /// The system cannot be solved.
    #[error(
        "the system is not positive definite with regularisation {regularisation}; give a number above 0, or a larger one"
    )]
    Unsolved {
        /// What was given.
        regularisation: f32,
    },
    /// What was computed is no mapping.
    #[error("the weights are no mapping")]
    Weights(#[source] releases::Error),
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Unsolved { .. } => ErrorCode::InvalidArgument,
            Self::Weights(source) => source.code(),
        }
    }
}

/// A trained item.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What is known of it.
    pub content: &'a Described,
    /// Who made it, or [`ItemKey::NONE`].
    pub maker: ItemKey,
    /// Its vector.
    pub vector: &'a [f32],
    /// How many users chose it.
    pub users: usize,
}

/// A mapping, and how good it is.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// From content to vectors.
    pub mapping: Mapping,
    /// How many items it was learned from.
    pub items: usize,
    /// Of them, how many have an embedding of another length than is taken.
    pub passed_over: usize,
    /// The share of what vectors differ by, item from item, that is told by content and by the maker's other items.
    pub explained: f64,
    /// The same of the mean of the maker's other items: what is known without a mapping.
    pub explained_by_makers: f64,
}

/// Learns from items with vectors; those nobody chose are passed over.
///
/// # Errors
/// When there is nothing to learn from, or the system cannot be solved.
pub fn learn(known: &[Known<'_>], settings: &Settings) -> Result<Learnt, Error> {
    let tells = |content: &Described| !content.words.is_empty() || content.numbers.is_some();
    let known: Vec<Known<'_>> = known.iter().filter(|item| item.users > 0 && tells(item.content)).copied().collect();
    let Some(dimensions) = known.first().map(|first| first.vector.len()) else { return Err(Error::Nothing) };
    let unsolved = Error::Unsolved { regularisation: settings.regularisation };
    if settings.regularisation.is_nan() || settings.regularisation <= 0.0 {
        return Err(unsolved);
    }
    let features = scales::features(&known, settings);
    let passed_over = known.iter().filter(|item| features.pass_over(item.content)).count();
    let rows = Rows { known: &known, features: &features, dimensions };
    let (mut system, right) = rows.system();
    system.add_to_diagonal(settings.regularisation);
    let weights = Factor::of(system).ok_or(unsolved)?.solve(right);
    let fit = Fit::of(&rows, &weights);
    let (shrinkage, left) = SHRINKAGES
        .map(|shrinkage| (shrinkage, fit.left(shrinkage)))
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((SHRINKAGES[0], fit.spread));
    let share = |left: f64| if fit.spread > 0.0 { 1.0 - left / fit.spread } else { 0.0 };
    let (explained, explained_by_makers) = (share(left), share(fit.left_by_makers()));
    drop(fit);
    let mapping = Mapping::new(features, dimensions, &weights.values, shrinkage).map_err(Error::Weights)?;
    Ok(Learnt { mapping, items: known.len(), passed_over, explained, explained_by_makers })
}

impl Known<'_> {
    /// How much it counts.
    fn belief(&self) -> f32 {
        (self.users as f32).min(MOST_BELIEVED).sqrt()
    }
}

#[cfg(test)]
mod tests;
