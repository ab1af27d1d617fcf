//! Oblivious trees, boosted by learning: all nodes of a level ask the same question, so that a row's leaf is the number
//! that its answers spell, and 64 rows are asked at once. Kohavi, "Bottom-up induction of oblivious read-once decision
//! graphs" (1994); as ensembles: Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features" (2018).
//!
//! It must not know what the columns mean. A number that is missing (NaN) is less than every border, -0 is 0, and
//! infinities are numbers like others, so that every row has a score.

mod bins;
mod form;
mod kernel;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Head;
use crate::features::Matrix;
use kernel::Kernel;

pub use bins::{BLOCK, Binned, MOST_BORDERS, Search};
pub use form::{
    Borders, Definition, Ensemble, Error, FORM, Level, MOST_BYTES, MOST_COLUMNS, MOST_DEPTH, MOST_HEADS, MOST_TREES,
    Tree,
};

/// Trees that were checked and are ready to be evaluated.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Definition", into = "Definition")]
pub struct Trees {
    definition: Definition,
    searches: Vec<Search>,
    kernels: Vec<Kernel>,
}

impl Trees {
    /// Checks and prepares trees.
    ///
    /// # Errors
    /// Where the first thing is that cannot be.
    pub fn new(definition: Definition) -> Result<Self, Error> {
        definition.validate()?;
        let searches = definition.columns.iter().map(|column| Search::of(&column.borders)).collect();
        let kernels = definition.heads.iter().map(Kernel::of).collect();
        Ok(Self { definition, searches, kernels })
    }

    /// Reads, checks and prepares trees.
    ///
    /// # Errors
    /// When the bytes are no trees, or trees that cannot be.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MOST_BYTES {
            return Err(Error::Count { what: "the file".to_owned(), least: 0, most: MOST_BYTES, given: bytes.len() });
        }
        Self::new(serde_json::from_slice(bytes).map_err(Error::Json)?)
    }

    /// Writes the trees.
    ///
    /// # Errors
    /// When the numbers cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&self.definition).map_err(Error::Json)
    }

    /// The trees as they are written.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How many heads there are.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.kernels.len()
    }

    /// The bins of a table that all heads share; `column` gives the numbers of the column at a place.
    pub fn bin<'a>(&self, rows: usize, column: impl Fn(usize) -> &'a [f32]) -> Binned {
        Binned::of(&self.searches, rows, |at| self.definition.columns.get(at).map_or(&[], |c| column(c.column)))
    }

    /// The bins of a page's features.
    #[must_use]
    pub fn bin_matrix(&self, matrix: &Matrix) -> Binned {
        let columns: Vec<&[f32]> = matrix.columns().collect();
        self.bin(matrix.rows(), |column| columns.get(column).copied().unwrap_or(&[]))
    }

    /// Writes the raw numbers of a head: as many as there are rows and places. NaN where there is no such head, or the
    /// table was binned by other trees.
    pub fn raw(&self, head: usize, binned: &Binned, raw: &mut [f64]) {
        match self.kernels.get(head) {
            Some(kernel) if binned.columns() == self.searches.len() => kernel.raw(binned, raw),
            _ => raw.fill(f64::NAN),
        }
    }

    /// One head for tables of `width` columns.
    ///
    /// # Errors
    /// When there is no such head, or the trees read tables of another width.
    pub fn head(self: &Arc<Self>, head: usize, width: usize) -> Result<OneHead, Error> {
        if self.definition.width != width {
            return Err(Error::Width { expected: width, given: self.definition.width });
        }
        if head >= self.heads() {
            return Err(Error::Place { what: "the head".to_owned(), most: self.heads(), given: head });
        }
        Ok(OneHead { trees: Arc::clone(self), head })
    }
}

impl TryFrom<Definition> for Trees {
    type Error = Error;

    fn try_from(definition: Definition) -> Result<Self, Error> {
        Self::new(definition)
    }
}

impl From<Trees> for Definition {
    fn from(trees: Trees) -> Self {
        trees.definition
    }
}

impl PartialEq for Trees {
    fn eq(&self, other: &Self) -> bool {
        self.definition == other.definition
    }
}

/// One head of some trees. Who asks several heads of the same trees bins once instead, with [`Trees::bin_matrix`].
#[derive(Clone, Debug)]
pub struct OneHead {
    trees: Arc<Trees>,
    head: usize,
}

impl Head for OneHead {
    fn raw(&self, matrix: &Matrix, raw: &mut [f64]) {
        self.trees.raw(self.head, &self.trees.bin_matrix(matrix), raw);
    }
}

#[cfg(test)]
mod tests;
