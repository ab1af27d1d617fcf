//! Columns to and from files: the same few lines for every table. It must not know a table.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::Compression,
    column::reader::get_typed_column_reader,
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
    file::{
        metadata::{KeyValue, ParquetMetaData, RowGroupMetaData},
        properties::WriterProperties,
        reader::{FileReader as _, RowGroupReader, SerializedFileReader},
        statistics::Statistics,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
};
use rustc_hash::FxHashMap;
use shared_models::{ItemId, Timestamp, UserId};

use super::{
    Error, Origin, Row, Span,
    schema::{Kind, Table},
};

/// Rows that are held in memory and read together.
const GROUP: usize = 131_072;
/// Microseconds in the millisecond that this code counts in.
const MICROS: i64 = 1_000;

/// The rows as the bytes of a Parquet file, with entries for its footer.
///
/// # Errors
/// When the library refuses the rows, which it has no reason to.
pub fn write<R: Row>(rows: &[R], footer: &[(&str, String)]) -> ParquetResult<Vec<u8>> {
    let footer = footer.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), Some(value.clone()))).collect();
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(footer)).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), R::TABLE.schema()?, Arc::new(properties))?;
    for rows in rows.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        R::write(&mut Group(&mut group), rows)?;
        group.close()?;
    }
    writer.into_inner()
}

/// The rows of a file whose moment lies within a span.
///
/// # Errors
/// When the bytes are no Parquet file of this table, or hold what no row can.
pub fn read<R: Row>(path: &str, bytes: Bytes, span: Span) -> Result<Vec<R>, Error> {
    let reader = SerializedFileReader::new(bytes).map_err(Error::parquet("read", path))?;
    let mut rows = Vec::new();
    let mut names = Names::default();
    for index in 0..reader.num_row_groups() {
        if !may_hold(reader.metadata().row_group(index), R::TABLE.index_of(R::MOMENT), span) {
            continue;
        }
        let group = reader.get_row_group(index).map_err(Error::parquet("read", path))?;
        R::read(&Columns { group: group.as_ref(), table: R::TABLE, path }, span, &mut names, &mut rows)?;
    }
    Ok(rows)
}

/// Shows the row groups of a file, one after another.
///
/// # Errors
/// When the bytes are no Parquet file of this table, or `look` says so.
pub(super) fn each_group(
    table: &'static Table,
    path: &str,
    bytes: Bytes,
    mut look: impl FnMut(&Columns<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let reader = SerializedFileReader::new(bytes).map_err(Error::parquet("read", path))?;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(Error::parquet("read", path))?;
        look(&Columns { group: group.as_ref(), table, path })?;
    }
    Ok(())
}

/// How many rows a file has.
///
/// # Errors
/// When the bytes are no Parquet file.
pub fn count(path: &str, bytes: &Bytes) -> Result<u64, Error> {
    let reader = SerializedFileReader::new(bytes.clone()).map_err(Error::parquet("read", path))?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default())
}

/// The texts in one column of a file, each once. Other columns are not read.
///
/// # Errors
/// When the bytes are no Parquet file of this table.
pub fn distinct(
    table: &'static Table,
    column: &'static str,
    path: &str,
    bytes: &Bytes,
) -> Result<BTreeSet<String>, Error> {
    let reader = SerializedFileReader::new(bytes.clone()).map_err(Error::parquet("read", path))?;
    let is_required = table.columns.iter().any(|known| known.name == column && known.required);
    let mut found = FxHashMap::default();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(Error::parquet("read", path))?;
        let columns = Columns { group: group.as_ref(), table, path };
        let values: Vec<ByteArray> = if is_required {
            columns.every::<ByteArrayType>(column)?
        } else {
            columns.some::<ByteArrayType>(column)?.into_iter().flatten().collect()
        };
        for value in values {
            shared(&mut found, &value, |text| Some(text.to_owned()));
        }
    }
    Ok(found.into_values().collect())
}

/// An entry of a file's footer; `None` when there is none.
pub(super) fn entry(metadata: &ParquetMetaData, key: &str) -> Option<String> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.clone()
}

/// Whether a row group's statistics allow for a moment within the span.
fn may_hold(group: &RowGroupMetaData, moment: usize, span: Span) -> bool {
    match group.columns().get(moment).and_then(|column| column.statistics()) {
        Some(Statistics::Int64(statistics)) => {
            statistics.max_opt().is_none_or(|latest| of_micros(*latest) >= span.from)
                && statistics.min_opt().is_none_or(|earliest| of_micros(*earliest) < span.to)
        }
        _ => true,
    }
}

/// A moment as files keep it.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(MICROS)
}

/// A moment that a file kept.
pub(super) fn of_micros(micros: i64) -> Timestamp {
    Timestamp(micros.div_euclid(MICROS))
}

/// A row group that is being written, column by column in the order of its table.
pub struct Group<'a, 'b>(&'a mut SerializedRowGroupWriter<'b, Vec<u8>>);

impl Group<'_, '_> {
    /// A column in which every row has a value.
    pub(super) fn every<T: DataType, R>(&mut self, rows: &[R], value: impl Fn(&R) -> T::T) -> ParquetResult<()> {
        let values: Vec<T::T> = rows.iter().map(value).collect();
        if let Some(mut column) = self.0.next_column()? {
            column.typed::<T>().write_batch(&values, None, None)?;
            column.close()?;
        }
        Ok(())
    }

    /// A column in which a row may have no value.
    pub(super) fn some<T: DataType, R>(&mut self, rows: &[R], value: impl Fn(&R) -> Option<T::T>) -> ParquetResult<()> {
        let mut values = Vec::new();
        let levels: Vec<i16> = rows
            .iter()
            .map(|row| match value(row) {
                Some(value) => {
                    values.push(value);
                    1
                }
                None => 0,
            })
            .collect();
        if let Some(mut column) = self.0.next_column()? {
            column.typed::<T>().write_batch(&values, Some(&levels), None)?;
            column.close()?;
        }
        Ok(())
    }

    /// A column in which a row has any number of values.
    pub(super) fn list<T: DataType, R>(
        &mut self,
        rows: &[R],
        values_of: impl for<'r> Fn(&'r R) -> &'r [T::T],
    ) -> ParquetResult<()> {
        let (mut values, mut levels, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let of_row = values_of(row);
            values.extend_from_slice(of_row);
            // A row without a value has a place too.
            levels.extend(std::iter::repeat_n(i16::from(!of_row.is_empty()), of_row.len().max(1)));
            repeats.extend((0..of_row.len().max(1)).map(|at| i16::from(at > 0)));
        }
        if let Some(mut column) = self.0.next_column()? {
            column.typed::<T>().write_batch(&values, Some(&levels), Some(&repeats))?;
            column.close()?;
        }
        Ok(())
    }

    /// Text in every row.
    pub(super) fn text<R>(&mut self, rows: &[R], value: impl for<'r> Fn(&'r R) -> &'r str) -> ParquetResult<()> {
        self.every::<ByteArrayType, R>(rows, |row| value(row).into())
    }

    /// Text in some rows.
    pub(super) fn some_text<R>(
        &mut self,
        rows: &[R],
        value: impl for<'r> Fn(&'r R) -> Option<&'r str>,
    ) -> ParquetResult<()> {
        self.some::<ByteArrayType, R>(rows, |row| value(row).map(ByteArray::from))
    }
}

/// A row group that is being read. Columns are asked for by their names.
pub struct Columns<'a> {
    group: &'a dyn RowGroupReader,
    table: &'static Table,
    path: &'a str,
}

impl Columns<'_> {
    /// What is said of a row that holds what it cannot.
    pub(super) fn unusable(&self, row: usize, column: &'static str) -> Error {
        Error::Row { path: self.path.to_owned(), row, column }
    }

    fn count(&self) -> usize {
        usize::try_from(self.group.metadata().num_rows()).unwrap_or(0)
    }

    /// A column in which every row has a value.
    pub(super) fn every<T: DataType>(&self, name: &str) -> Result<Vec<T::T>, Error> {
        let mut values = Vec::with_capacity(self.count());
        self.group
            .get_column_reader(self.table.index_of(name))
            .and_then(|reader| get_typed_column_reader::<T>(reader).read_records(self.count(), None, None, &mut values))
            .map_err(Error::parquet("read", self.path))?;
        Ok(values)
    }

    /// A column in which a row may have no value, unpacked: a place for each row.
    pub(super) fn some<T: DataType>(&self, name: &str) -> Result<Vec<Option<T::T>>, Error> {
        let (mut levels, mut values) = (Vec::with_capacity(self.count()), Vec::new());
        self.group
            .get_column_reader(self.table.index_of(name))
            .and_then(|reader| {
                get_typed_column_reader::<T>(reader).read_records(self.count(), Some(&mut levels), None, &mut values)
            })
            .map_err(Error::parquet("read", self.path))?;
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
    }

    /// A column in which a row has any number of values: a list for each row.
    pub(super) fn list<T: DataType>(&self, name: &str) -> Result<Vec<Vec<T::T>>, Error> {
        let (mut levels, mut repeats, mut values) = (Vec::new(), Vec::new(), Vec::new());
        self.group
            .get_column_reader(self.table.index_of(name))
            .and_then(|reader| {
                let mut reader = get_typed_column_reader::<T>(reader);
                reader.read_records(self.count(), Some(&mut levels), Some(&mut repeats), &mut values)
            })
            .map_err(Error::parquet("read", self.path))?;
        let mut lists: Vec<Vec<T::T>> = Vec::with_capacity(self.count());
        let mut values = values.into_iter();
        for (level, repeat) in levels.into_iter().zip(repeats) {
            if repeat == 0 {
                lists.push(Vec::new());
            }
            if let Some(list) = lists.last_mut().filter(|_| level > 0) {
                list.extend(values.next());
            }
        }
        Ok(lists)
    }

    /// A column of numbers in every row.
    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>, Error> {
        self.every::<Int64Type>(name)
    }

    /// Where the rows come from; `index` is the column of their place in the message.
    pub(super) fn origins(&self, index: &'static str, names: &mut Names) -> Result<Vec<Origin>, Error> {
        let (sequence, places) = (self.integers("sequence")?, self.every::<Int32Type>(index)?);
        let messages = self.every::<ByteArrayType>("message_id")?;
        sequence
            .into_iter()
            .zip(places)
            .zip(&messages)
            .enumerate()
            .map(|(row, ((sequence, place), message))| {
                Ok(Origin {
                    sequence: sequence as u64,
                    message: names.text(message).ok_or_else(|| self.unusable(row, "message_id"))?,
                    index: u32::try_from(place).map_err(|_| self.unusable(row, index))?,
                })
            })
            .collect()
    }

    /// All columns of text.
    pub(super) fn all_texts(&self) -> Result<Texts<'_>, Error> {
        let mut columns = FxHashMap::default();
        for column in self.table.columns.iter().filter(|column| column.kind == Kind::Text) {
            let values = if column.required {
                self.every::<ByteArrayType>(column.name)?.into_iter().map(Some).collect()
            } else {
                self.some::<ByteArrayType>(column.name)?
            };
            columns.insert(column.name, values);
        }
        Ok(Texts { columns, group: self })
    }
}

/// The texts of a row group, by column.
pub(super) struct Texts<'a> {
    columns: FxHashMap<&'static str, Vec<Option<ByteArray>>>,
    group: &'a Columns<'a>,
}

impl Texts<'_> {
    /// The text of a row, when it has one.
    pub(super) fn of(&self, name: &'static str, row: usize) -> Result<Option<String>, Error> {
        let value = self.columns.get(name).and_then(|values| values.get(row)).and_then(Option::as_ref);
        value.map(|bytes| bytes.as_utf8().map(str::to_owned).map_err(|_| self.group.unusable(row, name))).transpose()
    }
}

impl Texts<'_> {
    /// The same, shared with the rows before that say the same.
    pub(super) fn shared(&self, name: &'static str, row: usize, names: &mut Names) -> Result<Option<Arc<str>>, Error> {
        let value = self.columns.get(name).and_then(|values| values.get(row)).and_then(Option::as_ref);
        value.map(|bytes| names.text(bytes).ok_or_else(|| self.group.unusable(row, name))).transpose()
    }
}

/// Texts that were read before: most rows name one that is known, and share it.
#[derive(Default)]
pub struct Names {
    users: FxHashMap<Box<[u8]>, UserId>,
    items: FxHashMap<Box<[u8]>, ItemId>,
    texts: FxHashMap<Box<[u8]>, Arc<str>>,
}

fn shared<T: Clone>(known: &mut FxHashMap<Box<[u8]>, T>, bytes: &ByteArray, read: fn(&str) -> Option<T>) -> Option<T> {
    if let Some(known) = known.get(bytes.data()) {
        return Some(known.clone());
    }
    let value = read(bytes.as_utf8().ok()?)?;
    known.insert(bytes.data().into(), value.clone());
    Some(value)
}

impl Names {
    pub(super) fn user(&mut self, bytes: &ByteArray) -> Option<UserId> {
        shared(&mut self.users, bytes, |text| UserId::new(text).ok())
    }

    pub(super) fn item(&mut self, bytes: &ByteArray) -> Option<ItemId> {
        shared(&mut self.items, bytes, |text| ItemId::new(text).ok())
    }

    pub(super) fn text(&mut self, bytes: &ByteArray) -> Option<Arc<str>> {
        shared(&mut self.texts, bytes, |text| Some(Arc::from(text)))
    }
}
