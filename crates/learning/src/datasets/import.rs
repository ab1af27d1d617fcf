//! What an import yields, and the builder that importers fill: it counts every row, keeps every
//! reason, and puts events in time order.

use std::{collections::BTreeMap, fmt};

use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    EventId, ItemId, Timestamp, UserId,
    event::{Event, EventKind},
    item::Item,
    listener::UserAttributes,
};
use xxhash_rust::xxh3::xxh3_128;

/// How many skipped rows a report lists one by one; past that it counts them by reason.
pub const MAX_LISTED: usize = 10_000;

/// A data set as Setlist sees it.
#[derive(Clone, Debug)]
pub struct Import {
    /// The catalogue, each item once, in the order of the data set.
    pub items: Vec<Item>,
    /// What is told of users. Listening histories tell nothing: what a tenant wrote of a user stays as it is.
    pub users: Vec<UserAttributes>,
    /// The events in time order, ties by id. Ids are derived from the rows, so importing twice
    /// counts once.
    pub events: Vec<Event>,
    /// What was read, used and skipped.
    pub report: Report,
}

/// One row that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// What was read, used and skipped. `used + skipped = rows` for every file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The format, such as `movielens`.
    pub format: &'static str,
    /// Rows read and rows used, by file.
    pub files: BTreeMap<String, FileCount>,
    /// The first [`MAX_LISTED`] skipped rows.
    pub skipped: Vec<Skipped>,
    /// All skipped rows, by kind of reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Where the events' times come from and what else a reader of the numbers should know.
    pub notes: Vec<String>,
}

/// The rows of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCount {
    /// Rows read.
    pub rows: u64,
    /// Rows used.
    pub used: u64,
    /// Rows skipped.
    pub skipped: u64,
}

impl Report {
    /// Rows skipped in all files.
    #[must_use]
    pub fn skipped_rows(&self) -> u64 {
        self.files.values().map(|file| file.skipped).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format {}", self.format)?;
        for (file, count) in &self.files {
            writeln!(f, "  {file}: {} rows, {} used, {} skipped", count.rows, count.used, count.skipped)?;
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "  skipped {count}: {reason}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}

/// A row's place, for reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u64,
}

/// Collects an import. An importer calls exactly one of [`Builder::used`] and [`Builder::skip`] for
/// each row.
pub(super) struct Builder {
    now: Timestamp,
    items: Vec<Item>,
    known_items: FxHashMap<ItemId, usize>,
    seen: FxHashSet<(UserId, ItemId, i64)>,
    events: Vec<Event>,
    report: Report,
}

impl Builder {
    pub(super) fn new(format: &'static str, now: Timestamp) -> Self {
        Self {
            now,
            items: Vec::new(),
            known_items: FxHashMap::default(),
            seen: FxHashSet::default(),
            events: Vec::new(),
            report: Report { format, ..Report::default() },
        }
    }

    /// The row was used.
    pub(super) fn used(&mut self, place: Place<'_>) {
        let count = self.count(place.file);
        count.rows += 1;
        count.used += 1;
    }

    /// The row was not used: `kind` groups the reasons, `detail` says what was found.
    pub(super) fn skip(&mut self, place: Place<'_>, kind: &'static str, detail: impl fmt::Display) {
        let count = self.count(place.file);
        count.rows += 1;
        count.skipped += 1;
        *self.report.reasons.entry(kind).or_default() += 1;
        if self.report.skipped.len() < MAX_LISTED {
            let detail = detail.to_string();
            let reason = if detail.is_empty() { kind.to_owned() } else { format!("{kind}: {detail}") };
            self.report.skipped.push(Skipped { file: place.file.to_owned(), line: place.line, reason });
        }
    }

    fn count(&mut self, file: &str) -> &mut FileCount {
        // Two look-ups, because an entry would need an owned name for every row.
        if !self.report.files.contains_key(file) {
            self.report.files.insert(file.to_owned(), FileCount::default());
        }
        self.report.files.entry(file.to_owned()).or_default()
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    pub(super) fn item(&self, id: &ItemId) -> Option<&Item> {
        self.known_items.get(id).and_then(|index| self.items.get(*index))
    }

    pub(super) fn item_mut(&mut self, id: &ItemId) -> Option<&mut Item> {
        self.known_items.get(id).and_then(|index| self.items.get_mut(*index))
    }

    /// Adds an item unless one of its id is there; answers whether it was added.
    pub(super) fn add_item(&mut self, item: Item) -> bool {
        if self.known_items.contains_key(&item.id) {
            return false;
        }
        self.known_items.insert(item.id.clone(), self.items.len());
        self.items.push(item);
        true
    }

    /// Adds an event of a user on an item. `id` is whatever tells this event from all others.
    pub(super) fn add_event(
        &mut self,
        user: &UserId,
        item: &ItemId,
        kind: EventKind,
        occurred_at: Timestamp,
        id: &[&str],
    ) -> &mut Event {
        let index = self.events.len();
        self.events.push(Event {
            id: event_id([self.report.format, kind.as_str(), user.as_str(), item.as_str()], id),
            user: user.clone(),
            kind,
            item: item.clone(),
            occurred_at,
            received_at: self.now,
            ms_played: None,
            recommendation: None,
            shelf: None,
            position: None,
            session: None,
            device: None,
            market: None,
        });
        // The event was pushed a line above.
        &mut self.events[index]
    }

    /// Whether this user and item were not yet met at this moment: overlapping exports repeat rows.
    pub(super) fn first_time(&mut self, user: &UserId, item: &ItemId, at: i64) -> bool {
        self.seen.insert((user.clone(), item.clone(), at))
    }

    /// Puts events in time order and closes the report.
    pub(super) fn finish(mut self) -> Import {
        self.events.sort_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
        let skipped = self.report.skipped_rows();
        if skipped > self.report.skipped.len() as u64 {
            self.report.notes.push(format!(
                "{skipped} rows were skipped; the first {} are listed one by one",
                self.report.skipped.len()
            ));
        }
        Import { items: self.items, users: Vec::new(), events: self.events, report: self.report }
    }
}

/// An id derived from the row: 128 bits of XXH3 in hexadecimal, so that it fits whatever ids the data
/// set has.
fn event_id(common: [&str; 4], own: &[&str]) -> EventId {
    let mut text = String::with_capacity(96);
    for part in common.iter().chain(own) {
        text.push_str(part);
        text.push('\u{1f}');
    }
    EventId::new(format!("{:032x}", xxh3_128(text.as_bytes())))
        .unwrap_or_else(|_| unreachable!("32 hexadecimal digits are an id"))
}

/// A stable id for something that has names but no id: `prefix` and 64 bits of their hash.
pub(super) fn id_of_names(prefix: &str, names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        text.push_str(&name.to_lowercase());
        text.push('\u{1f}');
    }
    format!("{prefix}{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every importer's promise: no row is lost.
    pub(crate) fn assert_nothing_is_lost(import: &Import) {
        for (file, count) in &import.report.files {
            assert_eq!(count.rows, count.used + count.skipped, "{file}");
        }
        assert_eq!(import.report.skipped_rows(), import.report.reasons.values().sum::<u64>());
        assert_eq!(import.report.skipped_rows().min(MAX_LISTED as u64), import.report.skipped.len() as u64);
        assert!(import.events.is_sorted_by_key(|event| event.occurred_at));
        let ids: FxHashSet<_> = import.events.iter().map(|event| event.id.clone()).collect();
        assert_eq!(ids.len(), import.events.len(), "event ids are unique");
    }

    #[test]
    fn past_the_listed_rows_reasons_are_still_counted() {
        let mut builder = Builder::new("sample", Timestamp(0));
        for line in 0..MAX_LISTED as u64 + 5 {
            builder.skip(Place { file: "x", line }, "bad row", "");
        }
        let import = builder.finish();
        assert_eq!(import.report.reasons["bad row"], MAX_LISTED as u64 + 5);
        assert_eq!(import.report.skipped.len(), MAX_LISTED);
        assert!(import.report.notes[0].contains("10005 rows were skipped"));
        assert_nothing_is_lost(&import);
    }
}
