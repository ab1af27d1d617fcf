//! The binary artefact format: one 64-byte header, then little-endian arrays, nothing else.
//!
//! It must not know what the arrays mean; `factors.rs`, `items.rs`, … do.

use std::sync::Arc;

use bytemuck::{NoUninit, Pod, Zeroable};

use crate::{
    Error, Refusal,
    array::{Array, Content},
    map::Map,
};

#[cfg(target_endian = "big")]
compile_error!("artefacts are little-endian and are read without conversion");

/// The first bytes of every artefact: the last one catches a transfer as text.
pub(crate) const MAGIC: [u8; 8] = *b"SETLIST\n";

/// The version of the formats.
pub(crate) const VERSION: u32 = 1;

/// What an artefact holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Items = 1,
    Factors = 2,
    Neighbours = 3,
    Popularity = 4,
    Lists = 5,
    Rates = 6,
    Content = 7,
    Segments = 8,
}

/// The header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) kind: u32,
    pub(crate) version: u32,
    /// Rows: items, or what the kind says.
    pub(crate) rows: u64,
    /// What the kind says: factors of a row, neighbours of a row, markets.
    pub(crate) dimensions: u64,
    /// What the kind says: the length of the array whose length neither of the above gives.
    pub(crate) entries: u64,
    /// Numbers of the kind.
    pub(crate) parameters: [f32; 4],
    pub(crate) reserved: u64,
}

const HEADER_BYTES: usize = size_of::<Header>();

/// Puts an artefact together.
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn new(kind: Kind, rows: usize, dimensions: usize, entries: usize, parameters: [f32; 4]) -> Self {
        let header = Header {
            magic: MAGIC,
            kind: kind as u32,
            version: VERSION,
            rows: rows as u64,
            dimensions: dimensions as u64,
            entries: entries as u64,
            parameters,
            reserved: 0,
        };
        Self(bytemuck::bytes_of(&header).to_vec())
    }

    pub(crate) fn array<T: NoUninit>(mut self, values: &[T]) -> Self {
        self.0.extend_from_slice(bytemuck::cast_slice(values));
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes an artefact apart.
pub(crate) struct Decoder<'a> {
    file: &'a str,
    total: usize,
    rest: &'a [u8],
    /// Where the bytes are a mapped file.
    map: Option<&'a Arc<Map>>,
}

impl<'a> Decoder<'a> {
    /// Reads and checks the header.
    pub(crate) fn open(file: &'a str, bytes: &'a [u8], kind: Kind) -> Result<(Header, Self), Error> {
        if bytes.is_empty() {
            return Err(Error::refused(file, Refusal::Empty));
        }
        let Some((head, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(Error::refused(
                file,
                Refusal::Length { expected: HEADER_BYTES as u64, found: bytes.len() as u64 },
            ));
        };
        let header: Header = bytemuck::pod_read_unaligned(head);
        let check = |what, expected: u64, found: u64| {
            if expected == found {
                Ok(())
            } else {
                Err(Error::refused(file, Refusal::Header { what, expected, found }))
            }
        };
        check("magic", u64::from_le_bytes(MAGIC), u64::from_le_bytes(header.magic))?;
        check("kind", kind as u64, header.kind.into())?;
        check("version", VERSION.into(), header.version.into())?;
        check("reserved", 0, header.reserved)?;
        if let Some((at, value)) = header.parameters.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::refused(file, Refusal::NotFinite { what: "parameters", at, value: value.to_string() }));
        }
        Ok((header, Self { file, total: bytes.len(), rest, map: None }))
    }

    /// The same, so that [`Decoder::shared`] leaves numbers where they are.
    pub(crate) fn of(file: &'a str, content: &'a Content, kind: Kind) -> Result<(Header, Self), Error> {
        let (header, decoder) = Self::open(file, content.bytes(), kind)?;
        Ok((header, Self { map: content.map(), ..decoder }))
    }

    /// The next array, copied.
    pub(crate) fn array<T: Pod>(&mut self, length: u64) -> Result<Vec<T>, Error> {
        let head = self.take::<T>(length)?;
        let mut values = vec![T::zeroed(); head.len() / size_of::<T>()];
        bytemuck::cast_slice_mut(&mut values).copy_from_slice(head);
        Ok(values)
    }

    /// The next array, where it is if the file is mapped.
    pub(crate) fn shared<T: Pod>(&mut self, length: u64) -> Result<Array<T>, Error> {
        let Some(map) = self.map else { return Ok(self.array(length)?.into()) };
        let start = self.total - self.rest.len();
        let head = self.take::<T>(length)?;
        let mapped = Array::mapped(map, start..start + head.len());
        mapped.ok_or_else(|| Error::refused(self.file, Refusal::Length { expected: length, found: self.total as u64 }))
    }

    /// The bytes of the next array. A length that the file cannot have is refused before anything is allocated.
    fn take<T: Pod>(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let bytes = usize::try_from(length).ok().and_then(|n| n.checked_mul(size_of::<T>()));
        let taken = bytes.and_then(|n| self.rest.split_at_checked(n));
        let Some((head, rest)) = taken else {
            let before = (self.total - self.rest.len()) as u64;
            let expected = before.saturating_add(length.saturating_mul(size_of::<T>() as u64));
            return Err(Error::refused(self.file, Refusal::Length { expected, found: self.total as u64 }));
        };
        self.rest = rest;
        Ok(head)
    }

    /// Refuses bytes past the last array.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let expected = (self.total - self.rest.len()) as u64;
        Err(Error::refused(self.file, Refusal::Length { expected, found: self.total as u64 }))
    }
}

/// A product of two counts from a header; one that overflows is no count of this file.
pub(crate) fn product(file: &str, what: &'static str, a: u64, b: u64) -> Result<u64, Error> {
    a.checked_mul(b).ok_or_else(|| Error::refused(file, Refusal::Range { what, at: 0, value: format!("{a} x {b}") }))
}

/// Refuses NaN and infinities.
pub(crate) fn finite(file: &str, what: &'static str, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::refused(file, Refusal::NotFinite { what, at, value: values[at].to_string() })),
    }
}

/// Refuses two counts that differ.
pub(crate) fn same(file: &str, what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::refused(file, Refusal::Dimension { what, expected: expected as u64, found: found as u64 }))
    }
}

/// Refuses row numbers that point past the items.
pub(crate) fn rows_in_range(file: &str, what: &'static str, values: &[u32], rows: usize) -> Result<(), Error> {
    match values.iter().position(|&value| value as usize >= rows) {
        None => Ok(()),
        Some(at) => Err(Error::refused(file, Refusal::Range { what, at, value: values[at].to_string() })),
    }
}

/// Refuses offsets that do not cut `entries` into consecutive ranges.
pub(crate) fn partition(file: &str, what: &'static str, offsets: &[u32], entries: usize) -> Result<(), Error> {
    if offsets.first() != Some(&0) {
        return Err(Error::refused(file, Refusal::Order { what, at: 0 }));
    }
    if let Some(at) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(Error::refused(file, Refusal::Order { what, at: at + 1 }));
    }
    same(file, what, entries, offsets.last().map_or(0, |&end| end as usize))
}

/// Refuses scores that do not descend within each range of `offsets` (sound ones: call `partition` first).
pub(crate) fn descending(file: &str, what: &'static str, offsets: &[u32], scores: &[f32]) -> Result<(), Error> {
    for range in offsets.windows(2) {
        let scores = &scores[range[0] as usize..range[1] as usize];
        if let Some(at) = scores.windows(2).position(|pair| pair[0] < pair[1]) {
            return Err(Error::refused(file, Refusal::Order { what, at: range[0] as usize + at + 1 }));
        }
    }
    Ok(())
}
