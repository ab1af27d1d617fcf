//! What a tree is, when it is one, and which leaf a row falls into. It must not know how trees are evaluated fast.

use std::fmt;

/// LightGBM takes numbers of at most this magnitude for zero.
pub(super) const ZERO: f32 = 1e-35;

/// Where a row goes whose number is missing, and what else is special about numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// NaN goes left.
    Left,
    /// NaN goes right.
    Right,
    /// NaN is read as 0, and so are numbers that LightGBM takes for it: as all the following do.
    AsZero,
    /// NaN goes left.
    TinyLeft,
    /// NaN goes right.
    TinyRight,
    /// NaN and zero go left.
    ZeroLeft,
    /// NaN and zero go right.
    ZeroRight,
}

impl Missing {
    /// Whether tiny numbers are read as 0.
    pub(super) fn flushes(self) -> bool {
        !matches!(self, Self::Left | Self::Right)
    }

    /// Whether zero is missing too.
    pub(super) fn has_zero(self) -> bool {
        matches!(self, Self::ZeroLeft | Self::ZeroRight)
    }

    /// Where a missing number goes; `None` where it is read as 0.
    pub(super) fn is_left(self) -> Option<bool> {
        match self {
            Self::AsZero => None,
            Self::Left | Self::TinyLeft | Self::ZeroLeft => Some(true),
            Self::Right | Self::TinyRight | Self::ZeroRight => Some(false),
        }
    }

    /// Whether a number goes left at a threshold.
    pub(super) fn goes_left(self, number: f32, at: f32) -> bool {
        let is_zero = self.flushes() && number.abs() <= ZERO;
        let is_missing = number.is_nan() || (self.has_zero() && is_zero);
        match self.is_left() {
            Some(left) if is_missing => left,
            _ if is_missing || is_zero => 0.0 <= at,
            _ => number <= at,
        }
    }
}

/// What follows on a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another test.
    Split(u32),
    /// The end.
    Leaf(u32),
}

/// One test: a row goes left when its number is at most `at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Which feature.
    pub feature: u32,
    /// The largest number that goes left.
    pub at: f32,
    /// Where a missing number goes.
    pub missing: Missing,
    /// What follows for those that are at most `at`.
    pub left: Next,
    /// What follows for the others.
    pub right: Next,
}

/// A tree of splits; the first is the root. Without a split its one leaf is all there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The tests.
    pub splits: Vec<Split>,
    /// The values, one more than there are tests.
    pub leaves: Vec<f64>,
}

/// A tree that asks every row the same questions: bit `i` of the leaf's number says whether the number of question `i`
/// is above its threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Feature, threshold, and where a missing number goes: left is bit 0.
    pub questions: Vec<(u32, f32, Missing)>,
    /// The values, `2^questions`.
    pub leaves: Vec<f64>,
}

/// One tree of a forest.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// With a test of its own at every split.
    Binary(Binary),
    /// With one test a level.
    Levels(Levels),
}

/// The deepest tree of levels that is taken.
pub(super) const MAX_LEVELS: usize = 16;

/// Why something is no tree, or trees are no forest.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// There are more than are taken.
    Many {
        /// Of what.
        what: &'static str,
        /// How many.
        given: usize,
        /// How many are taken.
        limit: usize,
    },
    /// There is none of something, or another number than belongs there.
    Count {
        /// Of what.
        what: &'static str,
        /// How many.
        given: usize,
        /// How many belong there.
        expected: usize,
    },
    /// A test reads a feature that does not exist.
    Feature {
        /// Which split.
        split: usize,
        /// Which feature it reads.
        feature: u32,
        /// How many there are.
        features: usize,
    },
    /// A threshold is no number.
    Threshold {
        /// Which split.
        split: usize,
    },
    /// A leaf is not finite.
    Leaf {
        /// Which.
        leaf: usize,
    },
    /// What follows on a test does not exist.
    Missing {
        /// What.
        what: &'static str,
        /// Which.
        number: u32,
    },
    /// Two ways lead to one place: a cycle, or branches that meet.
    Twice {
        /// What.
        what: &'static str,
        /// Which.
        number: u32,
    },
    /// No way leads there.
    Unreached {
        /// What.
        what: &'static str,
        /// Which.
        number: usize,
    },
    /// The sum of leaves may not be finite.
    Sum,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many { what, given, limit } => write!(f, "{given} {what}, at most {limit} are taken"),
            Self::Count { what, given, expected } => write!(f, "{given} {what}, expected {expected}"),
            Self::Feature { split, feature, features } => {
                write!(f, "split {split} reads feature {feature}, the model has {features}")
            }
            Self::Threshold { split } => write!(f, "the threshold of split {split} is no number"),
            Self::Leaf { leaf } => write!(f, "leaf {leaf} is not finite"),
            Self::Missing { what, number } => write!(f, "{what} {number} does not exist"),
            Self::Twice { what, number } => write!(f, "{what} {number} is reached twice"),
            Self::Unreached { what, number } => write!(f, "{what} {number} is never reached"),
            Self::Sum => f.write_str("the sum of its leaves, with start, scale and offset, may not be finite"),
        }
    }
}

impl Tree {
    /// How many tests the tree stands for.
    #[must_use]
    pub fn splits(&self) -> usize {
        match self {
            Self::Binary(tree) => tree.splits.len(),
            Self::Levels(tree) => tree.leaves.len().saturating_sub(1),
        }
    }

    /// The values.
    #[must_use]
    pub fn leaves(&self) -> &[f64] {
        match self {
            Self::Binary(tree) => &tree.leaves,
            Self::Levels(tree) => &tree.leaves,
        }
    }

    /// Whether it is a tree over so many features.
    pub(super) fn check(&self, features: usize) -> Result<(), Problem> {
        match self {
            Self::Binary(tree) => tree.check(features)?,
            Self::Levels(tree) => tree.check(features)?,
        }
        match self.leaves().iter().position(|leaf| !leaf.is_finite()) {
            Some(leaf) => Err(Problem::Leaf { leaf }),
            None => Ok(()),
        }
    }

    /// The value of the leaf that a row falls into. The tree has been checked.
    pub(super) fn leaf(&self, row: &[f32]) -> f64 {
        let number = |feature: u32| row.get(feature as usize).copied().unwrap_or(0.0);
        let leaf = match self {
            Self::Binary(tree) => {
                let mut next = tree.root();
                loop {
                    match next {
                        Next::Leaf(leaf) => break leaf as usize,
                        Next::Split(split) => {
                            let Some(split) = tree.splits.get(split as usize) else { break 0 };
                            let left = split.missing.goes_left(number(split.feature), split.at);
                            next = if left { split.left } else { split.right };
                        }
                    }
                }
            }
            Self::Levels(tree) => tree.questions.iter().enumerate().fold(0, |leaf, (level, (feature, at, missing))| {
                if missing.goes_left(number(*feature), *at) { leaf } else { leaf | 1 << level }
            }),
        };
        self.leaves().get(leaf).copied().unwrap_or(0.0)
    }
}

impl Binary {
    /// Where every row starts.
    pub(super) fn root(&self) -> Next {
        if self.splits.is_empty() { Next::Leaf(0) } else { Next::Split(0) }
    }

    fn check(&self, features: usize) -> Result<(), Problem> {
        let expected = self.splits.len() + 1;
        if self.leaves.len() != expected {
            return Err(Problem::Count { what: "leaves", given: self.leaves.len(), expected });
        }
        for (number, split) in self.splits.iter().enumerate() {
            question(number, split.feature, split.at, features)?;
        }
        let (mut splits, mut leaves) = (vec![false; self.splits.len()], vec![false; self.leaves.len()]);
        let mut open = vec![self.root()];
        while let Some(next) = open.pop() {
            let (what, number, seen) = match next {
                Next::Split(number) => ("split", number, splits.get_mut(number as usize)),
                Next::Leaf(number) => ("leaf", number, leaves.get_mut(number as usize)),
            };
            match seen {
                None => return Err(Problem::Missing { what, number }),
                Some(true) => return Err(Problem::Twice { what, number }),
                Some(seen) => *seen = true,
            }
            if let Next::Split(number) = next
                && let Some(split) = self.splits.get(number as usize)
            {
                open.extend([split.right, split.left]);
            }
        }
        for (what, seen) in [("split", &splits), ("leaf", &leaves)] {
            if let Some(number) = seen.iter().position(|seen| !seen) {
                return Err(Problem::Unreached { what, number });
            }
        }
        Ok(())
    }
}

impl Levels {
    fn check(&self, features: usize) -> Result<(), Problem> {
        let levels = self.questions.len();
        if levels > MAX_LEVELS {
            return Err(Problem::Many { what: "levels", given: levels, limit: MAX_LEVELS });
        }
        if self.leaves.len() != 1 << levels {
            return Err(Problem::Count { what: "leaves", given: self.leaves.len(), expected: 1 << levels });
        }
        self.questions
            .iter()
            .enumerate()
            .try_for_each(|(level, (feature, at, _))| question(level, *feature, *at, features))
    }

    /// The same tree with a split of its own for every way down.
    pub(super) fn spread(&self) -> Binary {
        let levels = self.questions.len();
        let mut splits = Vec::with_capacity(self.leaves.len().saturating_sub(1));
        for (level, (feature, at, missing)) in self.questions.iter().enumerate() {
            // The splits of a level stand by the bits of the way there; the next level's follow them.
            for way in 0..1_u32 << level {
                let next = |way: u32| {
                    if level + 1 == levels { Next::Leaf(way) } else { Next::Split((2 << level) - 1 + way) }
                };
                let (left, right) = (next(way), next(way | 1 << level));
                splits.push(Split { feature: *feature, at: *at, missing: *missing, left, right });
            }
        }
        Binary { splits, leaves: self.leaves.clone() }
    }
}

/// Infinity may be a threshold: LightGBM's `x <= ∞` tells NaN from all else, and `x < -f32::MAX` becomes `x <= -∞`.
fn question(split: usize, feature: u32, at: f32, features: usize) -> Result<(), Problem> {
    if feature as usize >= features {
        return Err(Problem::Feature { split, feature, features });
    }
    if at.is_nan() { Err(Problem::Threshold { split }) } else { Ok(()) }
}
