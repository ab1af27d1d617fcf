//! What is asked of training, and what cannot be asked.

use serde::{Deserialize, Serialize};
use shared_models::{ErrorCode, Seed};

use ranking::scorers::trees::{MOST_BORDERS, MOST_DEPTH, MOST_TREES};

/// What trees are trained for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// Log-odds of labels that are 0 or 1 (or rates between); measured by log loss.
    Logistic,
    /// The mean of the label; measured by the root of the mean squared error.
    Squared,
    /// The order within each group, by lambda gradients: Burges, "From RankNet to LambdaRank to LambdaMART: An
    /// Overview" (2010). Measured by NDCG with gains of `2^label - 1`.
    Ranking {
        /// Pairs count where one of the two stands among this many first.
        truncation: usize,
        /// The length that NDCG is measured at.
        at: usize,
        /// Whether pairs weigh less the further apart their scores are, and groups alike whatever their size: the
        /// `lambdarank_norm` of LightGBM.
        is_normalised: bool,
    },
    /// The order within each group, by neighbours in orders that chance has disturbed: Gulin, Kuralenok and Pavlov,
    /// "Winning The Transfer Learning Track of Yahoo!'s Learning To Rank Challenge with YetiRank" (2011). Measured as
    /// [`Objective::Ranking`] is.
    Disturbed {
        /// How many orders each tree looks at.
        orders: usize,
        /// What a pair weighs against the one before it in the order.
        decay: f32,
        /// The length that NDCG is measured at.
        at: usize,
    },
}

impl Objective {
    /// Whether rows are ordered within groups.
    #[must_use]
    pub fn ranks(&self) -> bool {
        matches!(self, Self::Ranking { .. } | Self::Disturbed { .. })
    }
}

/// Which way a column may only move the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A greater number never lowers the score.
    Rising,
    /// A greater number never raises the score.
    Falling,
}

/// How trees are trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What for.
    pub objective: Objective,
    /// The most trees.
    pub trees: usize,
    /// The most levels of a tree.
    pub depth: usize,
    /// What each tree's numbers are multiplied by: shrinkage, Friedman 2001.
    pub learning_rate: f32,
    /// The penalty on squared leaves.
    pub l2: f32,
    /// A question counts in a node only where both answers have this much weight (second derivatives).
    pub min_weight: f32,
    /// The most borders of a column.
    pub borders: usize,
    /// The share of rows that each tree looks at for its questions.
    pub rows: f32,
    /// The share of columns that each tree may ask.
    pub columns_per_tree: f32,
    /// The share of those that each level may ask.
    pub columns_per_level: f32,
    /// Columns that may only raise, or only lower, the score.
    pub monotone: Vec<(usize, Direction)>,
    /// Training stops when the validation part has not got better for this many trees; 0 never stops.
    pub patience: usize,
    /// Where chance comes from.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            objective: Objective::Logistic,
            trees: 300,
            depth: 6,
            learning_rate: 0.1,
            l2: 1.0,
            min_weight: 1.0,
            borders: MOST_BORDERS,
            rows: 1.0,
            columns_per_tree: 1.0,
            columns_per_level: 1.0,
            monotone: Vec::new(),
            patience: 0,
            seed: Seed(1),
        }
    }
}

/// Why nothing is trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its range.
    #[error("{name} is {given}, expected {expected}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What was given.
        given: String,
        /// What would do.
        expected: String,
    },
    /// A list has another length than the table has rows.
    #[error("{what} has {given} entries, expected {expected}")]
    Length {
        /// Which list.
        what: String,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        given: usize,
    },
    /// A label or weight cannot be used.
    #[error("{what}[{row}] is {given}, expected {expected}")]
    Number {
        /// Which list.
        what: &'static str,
        /// Where.
        row: usize,
        /// What stands there.
        given: f32,
        /// What would do.
        expected: &'static str,
    },
    /// A table without rows or columns.
    #[error("there are {columns} columns of {rows} rows, expected at least one of each")]
    Empty {
        /// How many columns.
        columns: usize,
        /// How many rows.
        rows: usize,
    },
    /// The objective ranks, and the rows belong to no groups.
    #[error("ranking needs groups of rows, and there are none")]
    NoGroups,
    /// The trees that came out are none.
    #[error("the trees cannot be used")]
    Trees(#[source] ranking::scorers::trees::Error),
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Setting { .. } | Self::Length { .. } | Self::Number { .. } | Self::Empty { .. } | Self::NoGroups => {
                ErrorCode::InvalidArgument
            }
            Self::Trees(_) => ErrorCode::Internal,
        }
    }
}

impl Settings {
    /// Checks what does not depend on a table but on its number of columns.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn validate(&self, columns: usize) -> Result<(), Error> {
        let whole = |name, given: usize, least: usize, most: usize| {
            let fits = (least..=most).contains(&given);
            let expected = || format!("{least} to {most}");
            if fits { Ok(()) } else { Err(Error::Setting { name, given: given.to_string(), expected: expected() }) }
        };
        let real = |name, given: f32, fits: bool, expected: &str| {
            if fits {
                Ok(())
            } else {
                Err(Error::Setting { name, given: given.to_string(), expected: expected.to_owned() })
            }
        };
        let share = |name, given: f32| real(name, given, given > 0.0 && given <= 1.0, "more than 0, at most 1");
        whole("trees", self.trees, 1, MOST_TREES)?;
        whole("depth", self.depth, 1, MOST_DEPTH)?;
        whole("borders", self.borders, 1, MOST_BORDERS)?;
        let rate = self.learning_rate;
        real("learning_rate", rate, rate > 0.0 && rate <= 1.0, "more than 0, at most 1")?;
        real("l2", self.l2, self.l2 >= 0.0 && self.l2.is_finite(), "0 or more")?;
        let weight = self.min_weight;
        real("min_weight", weight, weight >= 0.0 && weight.is_finite(), "0 or more")?;
        share("rows", self.rows)?;
        share("columns_per_tree", self.columns_per_tree)?;
        share("columns_per_level", self.columns_per_level)?;
        if let Objective::Ranking { truncation, at, .. } = self.objective {
            whole("truncation", truncation, 1, usize::MAX)?;
            whole("at", at, 1, usize::MAX)?;
        }
        if let Objective::Disturbed { orders, decay, at } = self.objective {
            whole("orders", orders, 1, 1_000)?;
            real("decay", decay, decay > 0.0 && decay <= 1.0, "more than 0, at most 1")?;
            whole("at", at, 1, usize::MAX)?;
        }
        for (column, _) in &self.monotone {
            whole("monotone", *column, 0, columns.saturating_sub(1))?;
        }
        Ok(())
    }
}
