//! The most similar items of every item.

use crate::{
    Error,
    format::{self, Decoder, Encoder, Kind},
};

/// The artefact's name in a release.
pub const FILE: &str = "neighbours.bin";

/// For each row its neighbours, best first, in one pair of arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// `offsets[row]..offsets[row + 1]` is the row's share of the arrays; one more than rows.
    pub offsets: Vec<u32>,
    /// The neighbours' rows.
    pub items: Vec<u32>,
    /// Their similarities, descending within a row.
    pub scores: Vec<f32>,
}

impl Neighbours {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The neighbours of a row with their similarities, best first; none past the end.
    #[inline]
    #[must_use]
    pub fn of(&self, row: u32) -> (&[u32], &[f32]) {
        let row = row as usize;
        let (Some(&start), Some(&end)) = (self.offsets.get(row), self.offsets.get(row + 1)) else {
            return (&[], &[]);
        };
        let range = start as usize..end as usize;
        (self.items.get(range.clone()).unwrap_or(&[]), self.scores.get(range).unwrap_or(&[]))
    }

    /// Whether every index, order and number is sound for `rows` items.
    pub(crate) fn verify(&self, rows: usize) -> Result<(), Error> {
        format::same(FILE, "rows", rows, self.rows())?;
        format::same(FILE, "scores", self.items.len(), self.scores.len())?;
        format::partition(FILE, "offsets", &self.offsets, self.items.len())?;
        format::rows_in_range(FILE, "items", &self.items, rows)?;
        format::finite(FILE, "scores", &self.scores)?;
        format::descending(FILE, "scores", &self.offsets, &self.scores)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        Encoder::new(Kind::Neighbours, self.rows(), 0, self.items.len(), [0.0; 4])
            .array(&self.offsets)
            .array(&self.items)
            .array(&self.scores)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Neighbours)?;
        let neighbours = Self {
            offsets: body.array(header.rows.saturating_add(1))?,
            items: body.array(header.entries)?,
            scores: body.array(header.entries)?,
        };
        body.finish()?;
        Ok(neighbours)
    }
}
