//! The inverted file over the factors: rows in lists by direction, coded in a byte a number.
//!
//! This module knows the form; candidate-generation's `index` builds it and searches it. A list holds rows that point
//! about the same way, longest first, in blocks of [`LANES`]; a row's place is its position over all lists. Within a
//! block numbers stand as the scan reads them: for each four factors, those of the block's first row, of its second,
//! and so on.

use crate::{
    Error, Factors, Refusal,
    array::{Array, Content},
    format::{self, Decoder, Encoder, Kind},
};

/// The artefact's name in a release.
pub const FILE: &str = "lists.bin";
/// Rows of a block.
pub const LANES: usize = 16;
/// The row of a place that nobody takes: lists are filled up to whole blocks.
pub const NOBODY: u32 = u32::MAX;
/// What a code of 0 stands as.
pub const ZERO: u8 = 128;
/// Rows whose codes are held against the factors when a release is read.
const LOOKED_AT: usize = 256;

/// Rows in lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// Numbers of a row, padded as in [`Factors`].
    pub stride: usize,
    /// Rows of the factors that the lists were made of.
    pub of_rows: usize,
    /// The directions of the lists, of length 1: `lists × stride`.
    pub centres: Array<f32>,
    /// For each list the sine of the angle between its centre and its rows: the root of the mean square.
    pub spreads: Array<f32>,
    /// The first block of each list; one more than lists.
    pub starts: Array<u32>,
    /// The length of each block's longest row; descending within a list.
    pub lengths: Array<f32>,
    /// The row of each place, or [`NOBODY`]. Rows of zeros are in no list.
    pub rows: Array<u32>,
    /// What one step of each place's codes stands for.
    pub steps: Array<f32>,
    /// The codes, [`ZERO`] more than the number of steps: `blocks × stride × LANES`.
    pub codes: Array<u8>,
}

impl Lists {
    /// How many lists there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The blocks of a list; none past the end.
    #[inline]
    #[must_use]
    pub fn blocks(&self, list: usize) -> std::ops::Range<usize> {
        match (self.starts.get(list), self.starts.get(list + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// Where the code of a place's factor stands.
    #[inline]
    #[must_use]
    pub fn code_at(stride: usize, place: usize, factor: usize) -> usize {
        (place / LANES) * stride * LANES + (factor / 4) * LANES * 4 + (place % LANES) * 4 + factor % 4
    }

    /// Whether every length, index, order and number is sound, and the codes are those of these factors.
    pub(crate) fn verify(&self, factors: &Factors) -> Result<(), Error> {
        format::same(FILE, "rows", factors.rows, self.of_rows)?;
        format::same(FILE, "stride", factors.stride(), self.stride)?;
        let (lists, blocks) = (self.count(), self.lengths.len());
        format::same(FILE, "centres", lists * self.stride, self.centres.len())?;
        format::same(FILE, "spreads", lists, self.spreads.len())?;
        format::same(FILE, "places", blocks * LANES, self.rows.len())?;
        format::same(FILE, "steps", blocks * LANES, self.steps.len())?;
        format::same(FILE, "codes", blocks * LANES * self.stride, self.codes.len())?;
        format::partition(FILE, "starts", &self.starts, blocks)?;
        format::finite(FILE, "centres", &self.centres)?;
        format::finite(FILE, "spreads", &self.spreads)?;
        format::finite(FILE, "lengths", &self.lengths)?;
        format::finite(FILE, "steps", &self.steps)?;
        format::descending(FILE, "lengths", &self.starts, &self.lengths)?;
        let mut is_there = vec![false; factors.rows];
        for (at, row) in self.rows.iter().enumerate().filter(|(_, row)| **row != NOBODY) {
            match is_there.get_mut(*row as usize) {
                Some(place) if !*place => *place = true,
                Some(_) => return Err(Error::refused(FILE, Refusal::Order { what: "rows", at })),
                None => return Err(Error::refused(FILE, Refusal::Range { what: "rows", at, value: row.to_string() })),
            }
        }
        self.look_at_codes(factors)
    }

    /// Codes of other factors would find nothing and say so to nobody: a spread of rows is held against theirs.
    fn look_at_codes(&self, factors: &Factors) -> Result<(), Error> {
        for place in (0..self.rows.len()).step_by((self.rows.len() / LOOKED_AT).max(1)) {
            let (row, step) = (self.rows[place], self.steps[place]);
            let differs = factors.row(row).iter().enumerate().any(|(factor, value)| {
                let code = f32::from(self.codes[Self::code_at(self.stride, place, factor)]) - f32::from(ZERO);
                (code * step - value).abs() > step
            });
            if differs {
                let detail = format!("the codes of row {row} are not those of its factors");
                return Err(Error::refused(FILE, Refusal::Check { detail }));
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Codes first: they are the most, and the header leaves them on a whole cache line.
        Encoder::new(Kind::Lists, self.of_rows, self.stride, self.lengths.len(), [0.0; 4])
            .array(&self.codes)
            .array(&self.rows)
            .array(&self.steps)
            .array(&self.lengths)
            .array(&[self.count() as u32])
            .array(&self.starts)
            .array(&self.spreads)
            .array(&self.centres)
            .finish()
    }

    pub(crate) fn decode(content: &Content) -> Result<Self, Error> {
        let (header, mut body) = Decoder::of(FILE, content, Kind::Lists)?;
        let places = format::product(FILE, "blocks", header.entries, LANES as u64)?;
        let codes = body.shared(format::product(FILE, "codes", places, header.dimensions)?)?;
        let rows = body.shared(places)?;
        let steps = body.shared(places)?;
        let lengths = body.shared(header.entries)?;
        let lists = u64::from(body.array::<u32>(1)?[0]);
        let lists = Self {
            stride: header.dimensions as usize,
            of_rows: header.rows as usize,
            codes,
            rows,
            steps,
            lengths,
            starts: body.shared(lists + 1)?,
            spreads: body.shared(lists)?,
            centres: body.shared(format::product(FILE, "centres", lists, header.dimensions)?)?,
        };
        body.finish()?;
        Ok(lists)
    }
}
