//! Events as columns: the Parquet schema, and rows into and out of it. It must not know folders,
//! streams or days.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    basic::Compression,
    column::reader::get_typed_column_reader,
    data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
    file::{
        metadata::{KeyValue, RowGroupMetaData},
        properties::WriterProperties,
        reader::{FileReader, RowGroupReader, SerializedFileReader},
        statistics::Statistics,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};
use rustc_hash::FxHashMap;
use shared_models::{
    EventId, ItemId, Timestamp, UserId,
    event::{Event, EventKind},
    item::Market,
};
use uuid::Uuid;

use super::{Error, Span};

/// The footer's key for the messages in a file: `position:id-hash`, in hexadecimal, with commas.
pub const DELIVERIES: &str = "setlist.deliveries";
/// The footer's key for the files that this one stands for, with commas.
pub const REPLACES: &str = "setlist.replaces";

/// Rows that are held in memory and read together.
const GROUP: usize = 131_072;

const SCHEMA: &str = "message event {
    required int64 sequence;
    required binary event_id (UTF8);
    required binary user_id (UTF8);
    required binary item_id (UTF8);
    required binary kind (UTF8);
    required int64 occurred_at (TIMESTAMP(MILLIS, true));
    required int64 received_at (TIMESTAMP(MILLIS, true));
    optional int64 ms_played;
    optional fixed_len_byte_array(16) recommendation_id (UUID);
    optional binary shelf (UTF8);
    optional int32 position;
    optional binary session (UTF8);
    optional binary device (UTF8);
    optional binary market (UTF8);
}";

const OCCURRED_AT: usize = 5;

/// One row: an event and the position of the message that carried it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The stream position; 0 for imports.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}

/// The rows as the bytes of a Parquet file, with entries for its footer.
///
/// # Errors
/// When the library refuses the rows, which it has no reason to.
pub fn write(rows: &[Row], footer: &[(&str, String)]) -> ParquetResult<Vec<u8>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let footer = footer.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), Some(value.clone()))).collect();
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(footer)).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        write_group(&mut group, rows)?;
        group.close()?;
    }
    writer.into_inner()
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

/// Writes the columns in the order of the schema.
fn write_group(group: &mut Group<'_>, rows: &[Row]) -> ParquetResult<()> {
    let text = |text: &Option<String>| text.as_deref().map(ByteArray::from);
    required::<Int64Type>(group, rows, |row| row.sequence as i64)?;
    required::<ByteArrayType>(group, rows, |row| row.event.id.as_str().into())?;
    required::<ByteArrayType>(group, rows, |row| row.event.user.as_str().into())?;
    required::<ByteArrayType>(group, rows, |row| row.event.item.as_str().into())?;
    required::<ByteArrayType>(group, rows, |row| row.event.kind.as_str().into())?;
    required::<Int64Type>(group, rows, |row| row.event.occurred_at.0)?;
    required::<Int64Type>(group, rows, |row| row.event.received_at.0)?;
    optional::<Int64Type>(group, rows, |row| row.event.ms_played.map(i64::from))?;
    optional::<FixedLenByteArrayType>(group, rows, |row| {
        row.event.recommendation.map(|id| FixedLenByteArray::from(ByteArray::from(id.as_bytes().to_vec())))
    })?;
    optional::<ByteArrayType>(group, rows, |row| text(&row.event.shelf))?;
    optional::<Int32Type>(group, rows, |row| row.event.position.map(i32::from))?;
    optional::<ByteArrayType>(group, rows, |row| text(&row.event.session))?;
    optional::<ByteArrayType>(group, rows, |row| text(&row.event.device))?;
    optional::<ByteArrayType>(group, rows, |row| row.event.market.map(|market| market.as_str().into()))
}

fn required<T: DataType>(group: &mut Group<'_>, rows: &[Row], value: impl Fn(&Row) -> T::T) -> ParquetResult<()> {
    let values: Vec<T::T> = rows.iter().map(value).collect();
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(&values, None, None)?;
        column.close()?;
    }
    Ok(())
}

fn optional<T: DataType>(
    group: &mut Group<'_>,
    rows: &[Row],
    value: impl Fn(&Row) -> Option<T::T>,
) -> ParquetResult<()> {
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
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(&values, Some(&levels), None)?;
        column.close()?;
    }
    Ok(())
}

/// An entry of a file's footer; `None` when there is none.
pub(super) fn footer(path: &Path, key: &str) -> Result<Option<String>, Error> {
    let reader = open(path)?;
    let entries = reader.metadata().file_metadata().key_value_metadata();
    Ok(entries.and_then(|entries| entries.iter().find(|entry| entry.key == key)).and_then(|entry| entry.value.clone()))
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    SerializedFileReader::new(file).map_err(Error::parquet("open", path))
}

/// The rows of a file whose events happened within a span.
pub(super) fn read(path: &Path, span: Span) -> Result<Vec<Row>, Error> {
    let reader = open(path)?;
    let mut rows = Vec::new();
    let mut names = Names::default();
    for index in 0..reader.num_row_groups() {
        if !may_hold(reader.metadata().row_group(index), span) {
            continue;
        }
        let group = reader.get_row_group(index).map_err(Error::parquet("read", path))?;
        let columns = Columns::read(group.as_ref()).map_err(Error::parquet("read", path))?;
        columns.rows(path, span, &mut names, &mut rows)?;
    }
    Ok(rows)
}

/// Whether a row group's statistics allow for an event within the span.
fn may_hold(group: &RowGroupMetaData, span: Span) -> bool {
    match group.columns().get(OCCURRED_AT).and_then(|column| column.statistics()) {
        Some(Statistics::Int64(statistics)) => {
            statistics.max_opt().is_none_or(|latest| *latest >= span.from.0)
                && statistics.min_opt().is_none_or(|earliest| *earliest < span.to.0)
        }
        _ => true,
    }
}

/// A row group in memory. Optional columns stand unpacked, a place for each row.
struct Columns {
    sequence: Vec<i64>,
    event: Vec<ByteArray>,
    user: Vec<ByteArray>,
    item: Vec<ByteArray>,
    kind: Vec<ByteArray>,
    occurred_at: Vec<i64>,
    received_at: Vec<i64>,
    ms_played: Vec<Option<i64>>,
    recommendation: Vec<Option<FixedLenByteArray>>,
    shelf: Vec<Option<ByteArray>>,
    position: Vec<Option<i32>>,
    session: Vec<Option<ByteArray>>,
    device: Vec<Option<ByteArray>>,
    market: Vec<Option<ByteArray>>,
}

impl Columns {
    fn read(group: &dyn RowGroupReader) -> ParquetResult<Self> {
        Ok(Self {
            sequence: whole::<Int64Type>(group, 0)?,
            event: whole::<ByteArrayType>(group, 1)?,
            user: whole::<ByteArrayType>(group, 2)?,
            item: whole::<ByteArrayType>(group, 3)?,
            kind: whole::<ByteArrayType>(group, 4)?,
            occurred_at: whole::<Int64Type>(group, OCCURRED_AT)?,
            received_at: whole::<Int64Type>(group, 6)?,
            ms_played: sparse::<Int64Type>(group, 7)?,
            recommendation: sparse::<FixedLenByteArrayType>(group, 8)?,
            shelf: sparse::<ByteArrayType>(group, 9)?,
            position: sparse::<Int32Type>(group, 10)?,
            session: sparse::<ByteArrayType>(group, 11)?,
            device: sparse::<ByteArrayType>(group, 12)?,
            market: sparse::<ByteArrayType>(group, 13)?,
        })
    }

    fn rows(self, path: &Path, span: Span, names: &mut Names, rows: &mut Vec<Row>) -> Result<(), Error> {
        for at in 0..self.sequence.len() {
            let occurred_at = Timestamp(self.occurred_at[at]);
            if occurred_at < span.from || occurred_at >= span.to {
                continue;
            }
            let unusable = |column| Error::Row { path: path.to_owned(), row: at, column };
            let text = |of: &[Option<ByteArray>], column| match &of[at] {
                Some(bytes) => bytes.as_utf8().map(|text| Some(text.to_owned())).map_err(|_| unusable(column)),
                None => Ok(None),
            };
            let event = Event {
                id: self.event[at]
                    .as_utf8()
                    .ok()
                    .and_then(|text| EventId::new(text).ok())
                    .ok_or_else(|| unusable("event_id"))?,
                user: names.user(&self.user[at]).ok_or_else(|| unusable("user_id"))?,
                item: names.item(&self.item[at]).ok_or_else(|| unusable("item_id"))?,
                kind: self.kind[at].as_utf8().map(EventKind::from).map_err(|_| unusable("kind"))?,
                occurred_at,
                received_at: Timestamp(self.received_at[at]),
                ms_played: self.ms_played[at]
                    .map(|ms| u32::try_from(ms).map_err(|_| unusable("ms_played")))
                    .transpose()?,
                recommendation: self.recommendation[at]
                    .as_ref()
                    .map(|id| Uuid::from_slice(id.data()).map_err(|_| unusable("recommendation_id")))
                    .transpose()?,
                shelf: text(&self.shelf, "shelf")?,
                position: self.position[at]
                    .map(|place| u16::try_from(place).map_err(|_| unusable("position")))
                    .transpose()?,
                session: text(&self.session, "session")?,
                device: text(&self.device, "device")?,
                market: text(&self.market, "market")?
                    .map(|code| Market::parse(&code).ok_or_else(|| unusable("market")))
                    .transpose()?,
            };
            rows.push(Row { sequence: self.sequence[at] as u64, event });
        }
        Ok(())
    }
}

fn whole<T: DataType>(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Vec<T::T>> {
    let count = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let mut values = Vec::with_capacity(count);
    reader.read_records(count, None, None, &mut values)?;
    Ok(values)
}

fn sparse<T: DataType>(group: &dyn RowGroupReader, column: usize) -> ParquetResult<Vec<Option<T::T>>> {
    let count = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let (mut levels, mut values) = (Vec::with_capacity(count), Vec::new());
    reader.read_records(count, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter();
    Ok(levels.into_iter().map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// Users and items that were read before: most rows name one that is known, and share its text.
#[derive(Default)]
struct Names {
    users: FxHashMap<ByteArrayKey, UserId>,
    items: FxHashMap<ByteArrayKey, ItemId>,
}

type ByteArrayKey = Box<[u8]>;

impl Names {
    fn user(&mut self, bytes: &ByteArray) -> Option<UserId> {
        if let Some(known) = self.users.get(bytes.data()) {
            return Some(known.clone());
        }
        let user = UserId::new(bytes.as_utf8().ok()?).ok()?;
        self.users.insert(bytes.data().into(), user.clone());
        Some(user)
    }

    fn item(&mut self, bytes: &ByteArray) -> Option<ItemId> {
        if let Some(known) = self.items.get(bytes.data()) {
            return Some(known.clone());
        }
        let item = ItemId::new(bytes.as_utf8().ok()?).ok()?;
        self.items.insert(bytes.data().into(), item.clone());
        Some(item)
    }
}
