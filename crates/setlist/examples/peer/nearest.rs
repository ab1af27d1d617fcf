//! Rule 1: the items nearest to the listener's vector by inner product, from the platform's embedding index.

use anyhow::Result;
use candidate_generation::index::{EmbeddingIndex, embedding};
use releases::Factors;

/// The vectors of all items, and the index over them.
#[derive(Debug)]
pub struct Nearest {
    factors: Factors,
    index: EmbeddingIndex,
}

impl Nearest {
    /// Makes the index.
    ///
    /// # Errors
    /// When the numbers are no whole rows.
    pub fn new(dimensions: usize, vectors: &[f32], effort: f32) -> Result<Self> {
        // What a listener is folded in by is of no matter here: listeners bring their vectors.
        let factors = Factors::new(dimensions, vectors, 1.0, 1.0, 0.0)?;
        let index = EmbeddingIndex::build(&factors, &embedding::Config::default()).with_effort(effort);
        Ok(Self { factors, index })
    }

    /// The nearest items, best first.
    pub fn to(&self, vector: &[f32], count: usize) -> Vec<u32> {
        self.index.search(&self.factors, vector, count).into_iter().map(|(item, _)| item).collect()
    }

    /// The inner products of items with a vector.
    pub fn products(&self, vector: &[f32], items: &[u32], products: &mut [f32]) {
        releases::vectors::dot_rows(vector, &self.factors.values, items, products);
    }

    /// An item's vector.
    pub fn of(&self, item: u32) -> &[f32] {
        self.factors.row(item)
    }
}
