//! Decision forests in one form, whatever tool grew them: trees of tests `number <= threshold`, leaves that are summed.
//!
//! A forest checks its trees once and is then evaluated without a test of its own: every feature becomes a byte, which
//! of the forest's thresholds it lies between (`bins`), and every tree is evaluated on those bytes (`kernel`) in the
//! way that suits it (`plan`). Nothing is lost by the bytes: between two thresholds no test can tell numbers apart.
//! It must not know a format or the schema.

mod bins;
#[cfg(target_arch = "x86_64")]
mod bins_avx512;
mod kernel;
mod plan;
mod tree;

pub use tree::{Binary, Levels, Missing, Next, Problem, Split, Tree};

use plan::Plan;

/// A forest may have at most this many trees.
pub const MAX_TREES: usize = 100_000;
/// All trees together may have at most this many splits.
pub const MAX_SPLITS: usize = 1 << 21;
/// A forest may read at most this many features.
pub const MAX_FEATURES: usize = 4096;

/// How leaves become the raw number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// What the sum starts from.
    pub start: f64,
    /// Whether every addition rounds to `f32`, as XGBoost's do.
    pub single: bool,
    /// What the sum is multiplied by.
    pub scale: f64,
    /// What is added at the end.
    pub offset: f64,
}

impl Sum {
    /// The plain sum.
    pub const PLAIN: Self = Self { start: 0.0, single: false, scale: 1.0, offset: 0.0 };
}

/// A checked forest, ready to evaluate.
#[derive(Debug)]
pub struct Forest {
    features: usize,
    sum: Sum,
    plan: Plan,
}

/// Why trees are no forest: which tree (none: all together), and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which tree, from 0.
    pub tree: Option<usize>,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Forest {
    /// Checks the trees and lays them out.
    ///
    /// # Errors
    /// The first tree that is none, a limit that is passed, or a sum that is not finite.
    pub fn new(features: usize, trees: Vec<Tree>, sum: Sum) -> Result<Self, Refused> {
        let whole = |problem| Refused { tree: None, problem };
        if features > MAX_FEATURES {
            return Err(whole(Problem::Many { what: "features", given: features, limit: MAX_FEATURES }));
        }
        if trees.len() > MAX_TREES {
            return Err(whole(Problem::Many { what: "trees", given: trees.len(), limit: MAX_TREES }));
        }
        if !(sum.start.is_finite() && sum.scale.is_finite() && sum.offset.is_finite()) {
            return Err(whole(Problem::Sum));
        }
        // What the largest leaves add up to must be a number too.
        let (mut splits, mut largest) = (0_usize, sum.start.abs());
        for (number, tree) in trees.iter().enumerate() {
            tree.check(features).map_err(|problem| Refused { tree: Some(number), problem })?;
            splits = splits.saturating_add(tree.splits());
            largest += tree.leaves().iter().fold(0.0_f64, |largest, leaf| largest.max(leaf.abs()));
        }
        if splits > MAX_SPLITS {
            return Err(whole(Problem::Many { what: "splits", given: splits, limit: MAX_SPLITS }));
        }
        let top = if sum.single { f64::from(f32::MAX) } else { f64::MAX };
        if largest > top || !(largest * sum.scale.abs() + sum.offset.abs()).is_finite() {
            return Err(whole(Problem::Sum));
        }
        let plan = Plan::new(trees).map_err(whole)?;
        Ok(Self { features, sum, plan })
    }

    /// How many features a row has.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// The raw number of every row: `columns` holds each feature's numbers, in the forest's order. Never NaN, whatever
    /// the features are.
    pub fn raw(&self, columns: &[&[f32]], raw: &mut [f64]) {
        kernel::evaluate(&self.plan, self.sum, columns, raw);
    }

    /// The same by following every tree from its root for every row: what the fast way is held against.
    #[must_use]
    pub fn reference(trees: &[Tree], sum: Sum, row: &[f32]) -> f64 {
        let total = trees.iter().fold(sum.start, |total, tree| {
            let next = total + tree.leaf(row);
            if sum.single { f64::from(next as f32) } else { next }
        });
        total * sum.scale + sum.offset
    }
}

#[cfg(test)]
mod tests;
