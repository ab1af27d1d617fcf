//! Nearest items to a listener's vector by inner product: an inverted file over the release's factors.
//!
//! Rows stand in lists by direction, longest first, coded in a byte a number (`releases::lists`). The lists are made
//! when a release is, and read where its file is mapped; a release without them has them made when it is loaded. A search
//! (`search`) scans what promises most and holds the best against each other in `f32`.

use std::sync::Arc;

use releases::{Factors, Lists, Release, lists::LANES};
use serde::{Deserialize, Serialize};

use super::{
    added::Added,
    build,
    kernel::{self, Query},
    search::{Filter, Search},
};

/// How the index is built and searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Up to this many items stand in one list, where the lists are made here.
    pub exact_below: usize,
    /// How much of a list's spread counts as promise: more finds more of what there is, and takes longer.
    pub effort: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { exact_below: 20_000, effort: 0.5 }
    }
}

/// The index of one release. Searching borrows the release's factors.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingIndex {
    lists: Arc<Lists>,
    centres: Centres,
    effort: f32,
    few: f32,
}

/// Up to this share of the rows, those that a filter leaves cost less one by one than scanning for them.
const FEW: f32 = 0.025;

/// The lists' directions, coded as rows are.
#[derive(Clone, Debug, Default)]
pub(super) struct Centres {
    codes: Vec<u8>,
    steps: Vec<f32>,
    /// The length of each list's longest row; 0 where it has none.
    pub(super) longest: Vec<f32>,
}

impl EmbeddingIndex {
    /// The index of these factors, its lists made on the processors of the rayon pool that this is called in.
    #[must_use]
    pub fn build(factors: &Factors, config: &Config) -> Self {
        Self::over(Arc::new(build::lists(factors, config.exact_below)), config)
    }

    /// The index of a release: over its own lists, which are there already, else over lists made now. `None` when the
    /// release has no factors.
    #[must_use]
    pub fn of(release: &Release, config: &Config) -> Option<Self> {
        let factors = release.factors.as_ref()?;
        Some(match &release.lists {
            Some(lists) => Self::over(Arc::clone(lists), config),
            None => Self::build(factors, config),
        })
    }

    /// The index over lists.
    #[must_use]
    pub fn over(lists: Arc<Lists>, config: &Config) -> Self {
        Self { centres: Centres::of(&lists), lists, effort: config.effort, few: FEW }
    }

    /// The same with another effort; at infinity everything is scanned.
    #[must_use]
    pub fn with_effort(&self, effort: f32) -> Self {
        Self { effort, ..self.clone() }
    }

    /// The same, going one by one over what a filter leaves up to this share of the rows.
    #[must_use]
    pub fn with_few(&self, few: f32) -> Self {
        Self { few, ..self.clone() }
    }

    /// How many lists there are.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.lists.count()
    }

    /// The rows of largest inner product with `query`, best first, ties by row, with their products.
    #[must_use]
    pub fn search(&self, factors: &Factors, query: &[f32], limit: usize) -> Vec<(u32, f32)> {
        self.search_among(factors, None, Filter::default(), query, limit)
    }

    /// The same among the rows that a filter leaves, and among those that were added since and did not go.
    #[must_use]
    pub fn search_among(
        &self,
        factors: &Factors,
        added: Option<&Added>,
        filter: Filter<'_>,
        query: &[f32],
        limit: usize,
    ) -> Vec<(u32, f32)> {
        let Self { lists, centres, effort, few } = self;
        Search { factors, lists, centres, added, filter, effort: *effort, few: *few }.run(query, limit)
    }
}

impl Centres {
    fn of(lists: &Lists) -> Self {
        let (stride, places) = (lists.stride, lists.count().next_multiple_of(LANES));
        let (mut codes, mut steps) = (vec![releases::lists::ZERO; places * stride], vec![0.0; places]);
        if stride > 0 {
            let mut coded = vec![0; stride];
            for (list, (centre, step)) in lists.centres.chunks_exact(stride).zip(&mut steps).enumerate() {
                *step = kernel::quantise(centre, &mut coded);
                if let Some(block) = codes.chunks_exact_mut(stride * LANES).nth(list / LANES) {
                    kernel::put(&coded, list % LANES, block);
                }
            }
        }
        let longest = |list: usize| lists.lengths.get(lists.blocks(list)).and_then(|lengths| lengths.first()).copied();
        let longest = (0..lists.count()).map(|list| longest(list).unwrap_or(0.0)).collect();
        Self { codes, steps, longest }
    }

    /// The product with a query of this length that a row of length 1 may have, for each list: of one that lies from
    /// the centre as far as the list's rows do, `effort` of that towards the query and the rest aside.
    pub(super) fn reach(&self, lists: &Lists, query: &Query, length: f32, effort: f32) -> Vec<f32> {
        if lists.count() <= 1 || effort == f32::INFINITY {
            return vec![length; lists.count()];
        }
        let mut reach = vec![0.0; self.steps.len()];
        query.scan(&self.codes, &self.steps, &mut reach);
        reach.truncate(lists.count());
        for (product, spread) in reach.iter_mut().zip(lists.spreads.iter()) {
            let cosine = (*product / length).clamp(-1.0, 1.0);
            let along = cosine * (1.0 - spread * spread).max(0.0).sqrt();
            let aside = effort * (1.0 - cosine * cosine).sqrt() * spread;
            *product = length * (along + aside).clamp(0.0, 1.0);
        }
        reach
    }
}

#[cfg(test)]
mod tests;
