//! Any table: CSV, TSV or JSON lines, plain or gzipped, with a mapping of its columns
//! (`user=listener,item=track_id,time=played_at,kind=action,title=name,artist=artist_name`).
//!
//! `user` and `item` are needed. `time` is seconds or milliseconds since 1970 or RFC 3339; without
//! one, all events stand at the import's moment. `kind` is an event kind (`play` where absent; kinds
//! of the tenant's own are kept). In JSON, `a.b` names a field within a field.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use serde_json::Value;
use shared_models::{
    FeatureName, ItemId, Timestamp, UserId,
    event::EventKind,
    item::{Item, ItemKind, Market},
    numbers::Numbers,
};
use smallvec::SmallVec;

use super::{
    Error, Import, Options,
    import::{Builder, Place, id_of_names},
    lines::{Encoding, Lines, name_of, open},
};
use crate::progress::Progress;

/// What a column can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The user's id.
    User,
    /// The item's id.
    Item,
    /// When.
    Time,
    /// The event's kind.
    Kind,
    /// The item's title; the id where absent.
    Title,
    /// The artist's name.
    Artist,
    /// The artist's id; a hash of the name where absent.
    ArtistId,
    /// Genres, separated by `|` or `;`, or a JSON array.
    Genres,
    /// The item's kind; `track` where absent.
    ItemKind,
    /// The item's length in milliseconds.
    DurationMs,
    /// For how long it played, in milliseconds.
    MsPlayed,
    /// Where the listener was.
    Market,
    /// The listener's device.
    Device,
    /// The listener's session.
    Session,
    /// Named numbers of the item: a JSON object.
    Features,
    /// An embedding of the item: a JSON array, or numbers separated by `|`, `;` or blanks.
    Embedding,
    /// What tells the event from all others; the row's place in its file where absent.
    Event,
}

impl Field {
    const ALL: [(&'static str, Self); 17] = [
        ("user", Self::User),
        ("item", Self::Item),
        ("time", Self::Time),
        ("kind", Self::Kind),
        ("title", Self::Title),
        ("artist", Self::Artist),
        ("artist_id", Self::ArtistId),
        ("genres", Self::Genres),
        ("item_kind", Self::ItemKind),
        ("duration_ms", Self::DurationMs),
        ("ms_played", Self::MsPlayed),
        ("market", Self::Market),
        ("device", Self::Device),
        ("session", Self::Session),
        ("features", Self::Features),
        ("embedding", Self::Embedding),
        ("event", Self::Event),
    ];
}

/// Which column is what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping(BTreeMap<Field, String>);

impl FromStr for Mapping {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |expected: String| Error::Mapping { given: text.to_owned(), expected };
        let mut columns = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, column) = part.split_once('=').ok_or_else(|| wrong(format!("write {part} as field=column")))?;
            let (name, column) = (name.trim(), column.trim());
            let known = || Field::ALL.map(|(name, _)| name).join(", ");
            let (_, field) = Field::ALL
                .into_iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| wrong(format!("{name} is not a field; known are {}", known())))?;
            if column.is_empty() {
                return Err(wrong(format!("name the column of {name}")));
            }
            if columns.insert(field, column.to_owned()).is_some() {
                return Err(wrong(format!("{name} is given twice")));
            }
        }
        for (name, needed) in [("user", Field::User), ("item", Field::Item)] {
            if !columns.contains_key(&needed) {
                return Err(wrong(format!("name the column of {name}, as in {name}=COLUMN")));
            }
        }
        Ok(Self(columns))
    }
}

/// Imports tables by a mapping; the form of each is read off its name (`.csv`, `.tsv`, `.jsonl`,
/// `.ndjson`, each also with `.gz`).
///
/// # Errors
/// When a file cannot be read, is of no known form, or lacks a mapped column.
pub fn import(
    files: &[PathBuf],
    mapping: &Mapping,
    options: Options,
    progress: &dyn Progress,
) -> Result<Import, Error> {
    let mut builder = Builder::new("table", options.now);
    for path in files {
        let name = name_of(path);
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        match stem.rsplit('.').next() {
            Some("csv") => read_csv(path, b',', mapping, &mut builder, options, progress)?,
            Some("tsv") => read_csv(path, b'\t', mapping, &mut builder, options, progress)?,
            Some("jsonl" | "ndjson") => read_json(path, mapping, &mut builder, options, progress)?,
            _ => {
                return Err(Error::Format {
                    file: name,
                    expected: "give .csv, .tsv, .jsonl or .ndjson, plain or .gz".to_owned(),
                });
            }
        }
    }
    if !mapping.0.contains_key(&Field::Time) {
        builder.note("the mapping has no time: every event stands at the moment of the import");
    }
    Ok(builder.finish())
}

fn read_csv(
    path: &Path,
    delimiter: u8,
    mapping: &Mapping,
    builder: &mut Builder,
    options: Options,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let (reader, stage) = open(path, progress)?;
    let file = name_of(path);
    let failed = |error: csv::Error| Error::Read { path: path.to_owned(), source: std::io::Error::other(error) };
    let mut table = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(reader);
    let heading: Vec<String> = table
        .byte_headers()
        .map_err(failed)?
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let mut columns: BTreeMap<Field, usize> = BTreeMap::new();
    for (field, column) in &mapping.0 {
        let index = heading.iter().position(|name| name == column).ok_or_else(|| Error::Column {
            file: file.clone(),
            column: column.clone(),
            known: heading.join(", "),
        })?;
        columns.insert(*field, index);
    }
    builder.used(Place { file: &file, line: 1 });
    let mut record = csv::ByteRecord::new();
    loop {
        match table.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) if error.is_io_error() => return Err(failed(error)),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                builder.skip(Place { file: &file, line }, "not a row of the table", error);
                continue;
            }
        }
        let place = Place { file: &file, line: record.position().map_or(0, csv::Position::line) };
        if record.len() != heading.len() {
            builder.skip(
                place,
                "wrong number of columns",
                format_args!("{} instead of {}", record.len(), heading.len()),
            );
            continue;
        }
        if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
            builder.skip(place, "not UTF-8 text", "");
            continue;
        }
        let row = |field: Field| {
            let text = columns
                .get(&field)
                .and_then(|index| record.get(*index))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default()
                .trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        take(row, place, builder, options);
    }
    stage.finish("");
    Ok(())
}

fn read_json(
    path: &Path,
    mapping: &Mapping,
    builder: &mut Builder,
    options: Options,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut lines = Lines::open(path, Encoding::Utf8, progress)?;
    let file = lines.name().to_owned();
    while let Some(line) = lines.next_line()? {
        let place = Place { file: &file, line: line.number };
        let value: Value = match line
            .text
            .map_err(str::to_owned)
            .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
        {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) => {
                builder.skip(place, "not a JSON object", "");
                continue;
            }
            Err(detail) => {
                builder.skip(place, "not JSON", detail);
                continue;
            }
        };
        let row = |field: Field| mapping.0.get(&field).and_then(|column| text_at(&value, column, field));
        take(row, place, builder, options);
    }
    Ok(())
}

/// The field at a dotted path as text; arrays are joined with `|`, and objects are named numbers or nothing.
fn text_at(value: &Value, path: &str, field: Field) -> Option<String> {
    let found = value.get(path).or_else(|| path.split('.').try_fold(value, |value, key| value.get(key)))?;
    let text = match found {
        Value::Object(_) if field == Field::Features => found.to_string(),
        Value::Null | Value::Object(_) => return None,
        Value::String(text) => text.trim().to_owned(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join("|"),
        Value::Bool(_) | Value::Number(_) => found.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

fn take(row: impl Fn(Field) -> Option<String>, place: Place<'_>, builder: &mut Builder, options: Options) {
    match add(row, place, builder, options) {
        Ok(()) => builder.used(place),
        Err((kind, detail)) => builder.skip(place, kind, detail),
    }
}

type Refusal = (&'static str, String);

fn number(text: Option<String>, what: &'static str) -> Result<Option<u32>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    // Some writers give whole numbers a decimal point.
    match text.parse::<f64>() {
        Ok(number) if (0.0..=f64::from(u32::MAX)).contains(&number) => Ok(Some(number as u32)),
        _ => Err((what, text)),
    }
}

fn add(
    row: impl Fn(Field) -> Option<String>,
    place: Place<'_>,
    builder: &mut Builder,
    options: Options,
) -> Result<(), Refusal> {
    let detail = |error: &dyn fmt::Display| error.to_string();
    let user = row(Field::User).ok_or_else(|| ("the user is absent", String::new()))?;
    let user = UserId::new(user).map_err(|error| ("the user is no identifier", detail(&error)))?;
    let item = row(Field::Item).ok_or_else(|| ("the item is absent", String::new()))?;
    let item = ItemId::new(item).map_err(|error| ("the item is no identifier", detail(&error)))?;
    let at = row(Field::Time).map_or(Ok(options.now), |text| moment(&text).ok_or(("the time is no moment", text)))?;
    let kind = row(Field::Kind).map_or(EventKind::Play, |kind| EventKind::from(kind.to_lowercase().as_str()));
    let ms_played = number(row(Field::MsPlayed), "ms_played is no number")?;
    let duration_ms = number(row(Field::DurationMs), "duration_ms is no number")?.filter(|ms| *ms > 0);
    let market = row(Field::Market)
        .map(|text| Market::parse(&text).ok_or(("the market is no country code", text)))
        .transpose()?;
    if builder.item(&item).is_none() {
        let artist_name = row(Field::Artist);
        let artist_id =
            row(Field::ArtistId).or_else(|| artist_name.as_ref().map(|name| id_of_names("artist-", &[name])));
        let artist_id =
            artist_id.map(ItemId::new).transpose().map_err(|error| ("the artist is no identifier", detail(&error)))?;
        if let Some(id) = &artist_id {
            let title = artist_name.clone().unwrap_or_else(|| id.to_string());
            builder.add_item(plain_item(id.clone(), ItemKind::Artist, title));
        }
        let genres = row(Field::Genres).unwrap_or_default();
        let numbers = numbers(row(Field::Features), row(Field::Embedding))?;
        builder.add_item(Item {
            artist_id,
            artist_name,
            genres: genres
                .split(['|', ';'])
                .map(|genre| genre.trim().to_lowercase())
                .filter(|genre| !genre.is_empty())
                .collect(),
            duration_ms,
            numbers,
            ..plain_item(
                item.clone(),
                row(Field::ItemKind).map_or(ItemKind::Track, |kind| kind.as_str().into()),
                row(Field::Title).unwrap_or_else(|| item.to_string()),
            )
        });
    }
    let line = format!("{}:{}", place.file, place.line);
    let event = builder.add_event(&user, &item, kind, at, &[&row(Field::Event).unwrap_or(line)]);
    event.ms_played = ms_played;
    event.market = market;
    event.device = row(Field::Device);
    event.session = row(Field::Session);
    Ok(())
}

/// What was measured of an item.
fn numbers(features: Option<String>, embedding: Option<String>) -> Result<Option<Arc<Numbers>>, Refusal> {
    const FEATURES: &str = "features is no JSON object of numbers";
    const EMBEDDING: &str = "embedding is no list of numbers";
    let named: BTreeMap<FeatureName, f32> = match features {
        Some(text) => serde_json::from_str(&text).map_err(|error| (FEATURES, error.to_string()))?,
        None => BTreeMap::new(),
    };
    let embedding = embedding.unwrap_or_default();
    let separators = |character: char| character.is_whitespace() || "[],|;".contains(character);
    let numbers = embedding.split(separators).filter(|text| !text.is_empty());
    let numbers = numbers.map(|text| text.parse::<f32>().map_err(|_| (EMBEDDING, text.to_owned())));
    let numbers = numbers.collect::<Result<Vec<f32>, Refusal>>()?;
    Numbers::new(named, numbers)
        .map_err(|error| ("features and embedding are no numbers of an item", error.to_string()))
}

fn plain_item(id: ItemId, kind: ItemKind, title: String) -> Item {
    Item {
        id,
        kind,
        title,
        artist_id: None,
        artist_name: None,
        genres: Vec::new(),
        released_at: None,
        duration_ms: None,
        explicit: false,
        markets: SmallVec::new(),
        numbers: None,
    }
}

/// Seconds (below 10^11, the year 5138) or milliseconds since 1970, or RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            Some(Timestamp(if number.abs() < 1e11 { (number * 1000.0).round() as i64 } else { number as i64 }))
        }
        _ => text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond())),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::import::tests::assert_nothing_is_lost, *};
    use crate::progress::Silent;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn run(name: &str, text: &[u8], mapping: &str) -> Result<Import, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let import = import(&[path], &mapping.parse()?, Options { now: NOW }, &Silent)?;
        assert_nothing_is_lost(&import);
        Ok(import)
    }

    #[test]
    fn a_csv_table_is_read_by_its_mapping() {
        let text = b"who,what,when,did,name,by,len\nann,t1,1700000000,like,\"A, b\",Low,200000\nann,t1,2023-11-14T22:13:21Z,play,,,\nbob,t2,1700000000500,wobble,B,Low,1\n";
        let import =
            run("x.csv", text, "user=who,item=what,time=when,kind=did,title=name,artist=by,duration_ms=len").unwrap();
        let events: Vec<_> =
            import.events.iter().map(|event| (event.user.as_str(), event.kind.as_str(), event.occurred_at.0)).collect();
        assert_eq!(
            events,
            [
                ("ann", "like", 1_700_000_000_000),
                ("bob", "wobble", 1_700_000_000_500),
                ("ann", "play", 1_700_000_001_000)
            ]
        );
        assert_eq!(
            import.items.iter().map(|item| (item.title.as_str(), item.kind.as_str())).collect::<Vec<_>>(),
            [("Low", "artist"), ("A, b", "track"), ("B", "track")]
        );
        assert_eq!(import.items[1].artist_id, import.items[2].artist_id);
    }

    #[test]
    fn json_lines_may_be_nested() {
        let text = br#"{"u":{"id":7},"item":"t1","tags":["Rock","pop"],"ms":1500.0,"m":"se"}
[1]
{"item":"t1"}
"#;
        let import = run("x.jsonl", text, "user=u.id,item=item,genres=tags,ms_played=ms,market=m").unwrap();
        assert_eq!(import.events.len(), 1);
        assert_eq!(
            (import.events[0].user.as_str(), import.events[0].ms_played, import.events[0].occurred_at),
            ("7", Some(1500), NOW)
        );
        assert_eq!(import.items[0].genres, ["rock", "pop"]);
        let listed: Vec<_> = import.report.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(listed, ["x.jsonl:2: not a JSON object", "x.jsonl:3: the user is absent"]);
    }

    #[test]
    fn what_was_measured_of_an_item_comes_with_its_first_row() {
        let text = br#"{"u":"a","i":"t1","f":{"tempo":0.5,"energy":2},"e":[0.25,-1]}
{"u":"a","i":"t2","e":[1e39]}
{"u":"a","i":"t3","f":{"no blanks":1}}
{"u":"a","i":"t4","f":"fast"}
"#;
        let import = run("x.jsonl", text, "user=u,item=i,features=f,embedding=e").unwrap();
        let numbers = import.items[0].numbers.as_ref().unwrap();
        let named: Vec<_> = numbers.features().iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!((named, numbers.embedding()), (vec![("energy", 2.0), ("tempo", 0.5)], &[0.25, -1.0][..]));
        let kinds: Vec<String> = import.report.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(kinds.len(), 3, "{kinds:?}");
        assert!(kinds[0].contains("number 0 of embedding is inf"), "{kinds:?}");
        assert!(kinds[2].contains("features is no JSON object of numbers"), "{kinds:?}");
        let text = b"u,i,f,e\na,t1,\"{\"\"tempo\"\":1}\",0.5 -2|3\na,t2,,x\n";
        let import = run("x.csv", text, "user=u,item=i,features=f,embedding=e").unwrap();
        let numbers = import.items[0].numbers.as_ref().unwrap();
        assert_eq!((numbers.features().len(), numbers.embedding()), (1, &[0.5, -2.0, 3.0][..]));
        assert_eq!(import.report.skipped[0].to_string(), "x.csv:3: embedding is no list of numbers: x");
    }

    #[test]
    fn bad_rows_are_listed_with_file_line_and_reason() {
        let text = b"u,i,t\na,x,1\n,x,1\na,x\na,x,soon\na,\xff,1\na,x,2\n";
        let import = run("x.csv", text, "user=u,item=i,time=t").unwrap();
        let listed: Vec<_> = import.report.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(
            listed,
            [
                "x.csv:3: the user is absent",
                "x.csv:4: wrong number of columns: 2 instead of 3",
                "x.csv:5: the time is no moment: soon",
                "x.csv:6: not UTF-8 text"
            ]
        );
        assert_eq!(import.events.len(), 2);
    }

    #[test]
    fn wrong_mappings_are_refused_with_what_would_be_right() {
        let check = |name: &str, mapping: &str, expected: &str| {
            let error = run(name, b"u,i\na,x\n", mapping).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("x.csv", "user=u", "name the column of item, as in item=COLUMN");
        check("x.csv", "user=u,itm=i", "itm is not a field; known are user, item, time");
        check("x.csv", "user=u,item=j", "x.csv has no column \"j\"; it has u, i");
        check("x.csv", "user=u,user=i,item=i", "user is given twice");
        check("x.parquet", "user=u,item=i", "give .csv, .tsv, .jsonl or .ndjson");
    }
}
