//! Reads what the peer's `gen_data.py` writes: arrays of numpy, tables of CSV. This file must not know what they mean.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

/// A number as numpy writes it, little-endian.
pub trait Number: Sized {
    /// What numpy calls it.
    const NAME: &'static str;
    /// Reads all of them.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! number {
    ($type:ty, $name:literal) => {
        impl Number for $type {
            const NAME: &'static str = $name;
            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }
        }
    };
}

number!(f32, "<f4");
number!(i32, "<i4");
number!(i64, "<i8");

/// A table of numbers, row by row.
#[derive(Debug)]
pub struct Table<T> {
    /// How many numbers a row has.
    pub width: usize,
    /// All rows.
    pub values: Vec<T>,
}

impl<T: Number> Table<T> {
    /// Reads `<folder>/<name>.npy`, of one or two dimensions.
    ///
    /// # Errors
    /// When the file is not there, or holds something else.
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.npy"));
        Self::parse(&fs::read(&path).with_context(|| path.display().to_string())?)
            .with_context(|| path.display().to_string())
    }

    /// The format of numpy's `lib.format`, version 1: a magic word, the length of a Python dictionary, the dictionary.
    fn parse(bytes: &[u8]) -> Result<Self> {
        let Some((b"\x93NUMPY\x01\x00", rest)) = bytes.split_at_checked(8) else { bail!("not an array of numpy") };
        let (length, rest) = rest.split_first_chunk().context("cut short")?;
        let (head, body) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).context("cut short")?;
        let head = std::str::from_utf8(head)?;
        ensure!(head.contains(&format!("'descr': '{}'", T::NAME)), "numbers are no {}: {head}", T::NAME);
        ensure!(head.contains("'fortran_order': False"), "columns come first: {head}");
        let shape = head.split_once("'shape': (").and_then(|(_, shape)| shape.split_once(')')).context("no shape")?.0;
        let shape = shape.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::parse);
        let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
        let values = T::read(body);
        ensure!(values.len() == shape.iter().product::<usize>(), "{} numbers for the shape {shape:?}", values.len());
        Ok(Self { width: shape.get(1..).unwrap_or_default().iter().product(), values })
    }
}

impl<T> Table<T> {
    /// A row.
    #[inline]
    pub fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.width..][..self.width]
    }
}

/// Columns of whole numbers of `<folder>/<name>.csv`, in the order of their names.
///
/// # Errors
/// When a column is not there, or a cell is no number.
pub fn columns<const N: usize>(folder: &Path, name: &str, wanted: [&str; N]) -> Result<[Vec<i32>; N]> {
    let path = folder.join(format!("{name}.csv"));
    let mut table = csv::Reader::from_path(&path).with_context(|| path.display().to_string())?;
    let head = table.headers()?.clone();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(wanted) {
        *place = head.iter().position(|column| column == name).with_context(|| format!("no column {name}"))?;
    }
    let mut columns = [const { Vec::new() }; N];
    let mut record = csv::StringRecord::new();
    while table.read_record(&mut record)? {
        for (place, column) in places.iter().zip(&mut columns) {
            column.push(record.get(*place).unwrap_or_default().parse()?);
        }
    }
    Ok(columns)
}
