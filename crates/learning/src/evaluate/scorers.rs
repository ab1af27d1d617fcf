//! What can be measured: anything that gives every item a score for a user.

use pulp::{Arch, Simd, WithSimd};
use releases::vectors::simd::dot;

use crate::factors::{Interactions, Model};

/// Gives every item a score for a user.
pub trait Scorer: Sync {
    /// Fills `scores`, a row of all items for each of `users`, one after another.
    fn score(&self, users: &[u32], scores: &mut [f32]);

    /// The items as points of a space, where the recommender has one.
    fn item_vectors(&self) -> Option<ItemVectors> {
        None
    }
}

/// A vector for each item, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemVectors {
    /// How long a vector is.
    pub dimensions: usize,
    /// All of them.
    pub values: Vec<f32>,
}

/// The same for everybody: the sum of the weights that each item was chosen with.
#[derive(Clone, Debug)]
pub struct PopularityScorer(Vec<f32>);

impl PopularityScorer {
    /// Counts.
    #[must_use]
    pub fn new(interactions: &Interactions) -> Self {
        Self(interactions.column_sums().into_iter().map(|sum| sum as f32).collect())
    }
}

impl Scorer for PopularityScorer {
    fn score(&self, _: &[u32], scores: &mut [f32]) {
        for row in scores.chunks_exact_mut(self.0.len().max(1)) {
            row.copy_from_slice(&self.0);
        }
    }
}

/// The dot product of a user's vector with each item's.
#[derive(Clone, Copy, Debug)]
pub struct FactorScorer<'a>(pub &'a Model);

impl FactorScorer<'_> {
    /// Fills `scores`, a row of all items for each of the vectors, one after another.
    pub fn products(&self, users: &[&[f32]], scores: &mut [f32]) {
        Arch::new().dispatch(Products { model: self.0, users, scores });
    }
}

impl Scorer for FactorScorer<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let vectors: Vec<&[f32]> = users.iter().map(|user| self.0.user(*user)).collect();
        self.products(&vectors, scores);
    }
}

struct Products<'a> {
    model: &'a Model,
    users: &'a [&'a [f32]],
    scores: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { model, users, scores } = self;
        let items = model.items();
        // An item's vector is fetched once for the whole batch of users.
        for item in 0..items {
            let vector = model.item(item as u32);
            for (at, user) in users.iter().enumerate() {
                scores[at * items + item] = dot(simd, vector, user);
            }
        }
    }
}
