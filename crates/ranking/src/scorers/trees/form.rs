//! Oblivious trees as they are written: the form, and what it has to hold. What passes here cannot fail later.

use serde::{Deserialize, Serialize};
use shared_models::ErrorCode;

use super::bins::MOST_BORDERS;

/// The form this code reads and writes.
pub const FORM: u32 = 1;
/// The deepest a tree may be.
pub const MOST_DEPTH: usize = 8;
/// The most trees of one head.
pub const MOST_TREES: usize = 20_000;
/// The most heads that share borders.
pub const MOST_HEADS: usize = 64;
/// The most columns a table may have.
pub const MOST_COLUMNS: usize = 65_536;
/// The longest file: longer ones are refused before they are parsed.
pub const MOST_BYTES: usize = 256 << 20;

/// Trees as they are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Which form this is: [`FORM`].
    pub form: u32,
    /// How many columns the tables have that these trees read.
    pub width: usize,
    /// The columns that are read, by ascending place, and where each is divided.
    pub columns: Vec<Borders>,
    /// Sums of trees over the same borders.
    pub heads: Vec<Ensemble>,
}

/// Where one column is divided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Borders {
    /// The place of the column in the table.
    pub column: usize,
    /// Finite and strictly ascending, at least one and at most [`MOST_BORDERS`]. A number is beyond a border when it is
    /// greater: NaN is beyond none, infinity beyond all, and -0 is 0.
    pub borders: Vec<f32>,
}

/// A sum of trees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// What the sum starts from.
    pub bias: f64,
    /// In the order of the sum.
    pub trees: Vec<Tree>,
}

/// One tree: all nodes of a level ask the same question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// The questions: at least one, at most [`MOST_DEPTH`].
    pub levels: Vec<Level>,
    /// One number for each set of answers: level `n` answers with bit `n` of the place.
    pub leaves: Vec<f32>,
}

/// The question of a level: is the number of a column beyond a border?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// A place in [`Definition::columns`].
    pub column: usize,
    /// A place in that column's borders.
    pub border: usize,
}

/// Why trees are refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no trees.
    #[error("the trees are not valid JSON of their form")]
    Json(#[source] serde_json::Error),
    /// Another form.
    #[error("form is {given}, expected {FORM}")]
    Form {
        /// What the file says.
        given: u32,
    },
    /// Too many of something, or none.
    #[error("{what} has {given} entries, expected {least} to {most}")]
    Count {
        /// Which list.
        what: String,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
        /// How many there are.
        given: usize,
    },
    /// A place is past the end of what it points to.
    #[error("{what} is {given}, expected less than {most}")]
    Place {
        /// Which place.
        what: String,
        /// One past the last.
        most: usize,
        /// What stands there.
        given: usize,
    },
    /// Numbers do not ascend.
    #[error("{what} is {given} after {before}, expected more")]
    Order {
        /// Where.
        what: String,
        /// What stands before.
        before: f64,
        /// What stands there.
        given: f64,
    },
    /// A number is not finite.
    #[error("{what} is {given}, expected a finite number")]
    Number {
        /// Where.
        what: String,
        /// What stands there.
        given: f64,
    },
    /// The trees read tables of another width than the one at hand.
    #[error("the trees read {given} columns, expected {expected}")]
    Width {
        /// How many the table has.
        expected: usize,
        /// How many the trees read.
        given: usize,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Json(_)
            | Self::Form { .. }
            | Self::Count { .. }
            | Self::Place { .. }
            | Self::Order { .. }
            | Self::Number { .. }
            | Self::Width { .. } => ErrorCode::InvalidArgument,
        }
    }
}

impl Definition {
    /// Checks everything that evaluation relies on.
    ///
    /// # Errors
    /// Where the first thing is that cannot be.
    pub fn validate(&self) -> Result<(), Error> {
        if self.form != FORM {
            return Err(Error::Form { given: self.form });
        }
        count(|| "width".to_owned(), self.width, 1, MOST_COLUMNS)?;
        count(|| "columns".to_owned(), self.columns.len(), 0, self.width)?;
        for (at, column) in self.columns.iter().enumerate() {
            column.validate(at, self.width)?;
        }
        for (at, pair) in self.columns.windows(2).enumerate() {
            if let [a, b] = pair
                && a.column >= b.column
            {
                let what = format!("columns[{}].column", at + 1);
                return Err(Error::Order { what, before: a.column as f64, given: b.column as f64 });
            }
        }
        count(|| "heads".to_owned(), self.heads.len(), 1, MOST_HEADS)?;
        for (at, head) in self.heads.iter().enumerate() {
            finite(|| format!("heads[{at}].bias"), head.bias)?;
            count(|| format!("heads[{at}].trees"), head.trees.len(), 0, MOST_TREES)?;
            for (number, tree) in head.trees.iter().enumerate() {
                tree.validate(&self.columns, || format!("heads[{at}].trees[{number}]"))?;
            }
        }
        Ok(())
    }
}

impl Borders {
    fn validate(&self, at: usize, width: usize) -> Result<(), Error> {
        place(|| format!("columns[{at}].column"), self.column, width)?;
        count(|| format!("columns[{at}].borders"), self.borders.len(), 1, MOST_BORDERS)?;
        for (n, border) in self.borders.iter().enumerate() {
            finite(|| format!("columns[{at}].borders[{n}]"), f64::from(*border))?;
        }
        for (n, pair) in self.borders.windows(2).enumerate() {
            if let [a, b] = pair
                && a >= b
            {
                let what = format!("columns[{at}].borders[{}]", n + 1);
                return Err(Error::Order { what, before: f64::from(*a), given: f64::from(*b) });
            }
        }
        Ok(())
    }
}

impl Tree {
    fn validate(&self, columns: &[Borders], name: impl Fn() -> String) -> Result<(), Error> {
        count(|| format!("{}.levels", name()), self.levels.len(), 1, MOST_DEPTH)?;
        for (n, level) in self.levels.iter().enumerate() {
            let column = columns.get(level.column).ok_or_else(|| Error::Place {
                what: format!("{}.levels[{n}].column", name()),
                most: columns.len(),
                given: level.column,
            })?;
            place(|| format!("{}.levels[{n}].border", name()), level.border, column.borders.len())?;
        }
        let leaves = 1 << self.levels.len();
        count(|| format!("{}.leaves", name()), self.leaves.len(), leaves, leaves)?;
        for (n, leaf) in self.leaves.iter().enumerate() {
            finite(|| format!("{}.leaves[{n}]", name()), f64::from(*leaf))?;
        }
        Ok(())
    }
}

fn count(what: impl Fn() -> String, given: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(Error::Count { what: what(), least, most, given }) }
}

fn place(what: impl Fn() -> String, given: usize, most: usize) -> Result<(), Error> {
    if given < most { Ok(()) } else { Err(Error::Place { what: what(), most, given }) }
}

fn finite(what: impl Fn() -> String, given: f64) -> Result<(), Error> {
    if given.is_finite() { Ok(()) } else { Err(Error::Number { what: what(), given }) }
}
