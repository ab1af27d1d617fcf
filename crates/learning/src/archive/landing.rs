//! Landing: messages of a stream become files, each message once. It must not know the bus: the handlers hand it
//! messages and answer for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
    sync::Arc,
};

use contracts::RecommendationRecord;
use object_store::{ObjectStore, path::Path};
use rayon::prelude::*;
use shared_models::{TenantId, Timestamp, event::Event};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    CandidateRow, Config, DELIVERIES, Error, EventRow, REMEMBERED_DAYS, Row, ShownRow, TABLES, candidates, cells,
    events,
    layout::{self, Place},
    objects::Objects,
    recommendations,
    schema::Table,
};

const DAY: i64 = 86_400_000;

/// A message as the archive keeps it.
#[derive(Clone, Debug)]
pub struct Message<R> {
    /// Its position on the stream.
    pub sequence: u64,
    /// The envelope's id.
    pub id: String,
    /// When the stream took it.
    pub published_at: Timestamp,
    /// Whose rows.
    pub tenant: TenantId,
    /// What it carries.
    pub rows: Vec<R>,
}

impl Message<EventRow> {
    /// A message of events.
    #[must_use]
    pub fn of_events(
        sequence: u64,
        id: impl Into<String>,
        published_at: Timestamp,
        tenant: TenantId,
        events: Vec<Event>,
    ) -> Self {
        let id = id.into();
        let rows = events::rows_of(sequence, &id, events);
        Self { sequence, id, published_at, tenant, rows }
    }
}

impl Message<ShownRow> {
    /// A message with a decision record.
    #[must_use]
    pub fn of_record(
        sequence: u64,
        id: impl Into<String>,
        published_at: Timestamp,
        record: &RecommendationRecord,
    ) -> Self {
        let id = id.into();
        let rows = recommendations::rows_of(sequence, &id, record);
        Self { sequence, id, published_at, tenant: record.tenant.clone(), rows }
    }
}

impl Message<CandidateRow> {
    /// The candidates of a decision record; none unless it is whole.
    #[must_use]
    pub fn of_candidates(
        sequence: u64,
        id: impl Into<String>,
        published_at: Timestamp,
        record: &RecommendationRecord,
    ) -> Option<Self> {
        let id = id.into();
        let rows = candidates::rows_of(sequence, &id, record);
        let message = Self { sequence, id, published_at, tenant: record.tenant.clone(), rows };
        (!message.rows.is_empty()).then_some(message)
    }
}

/// What became of messages that were landed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    /// Messages that were written now.
    pub written: usize,
    /// Messages that had been written before.
    pub known: usize,
    /// Files that were written.
    pub files: usize,
}

/// A message: its stream position, and the hash of its envelope's id.
type Key = (u64, u64);

/// The archive of all tenants. One process has one, behind an `Arc`.
#[derive(Debug)]
pub struct Archive {
    pub(super) objects: Objects,
    /// Where training keeps what it has read.
    pub(super) history: Option<PathBuf>,
    /// Which messages are on disk, by table and day.
    remembered: parking_lot::Mutex<BTreeMap<(&'static str, String), BTreeSet<Key>>>,
}

impl Archive {
    /// Opens the archive in a folder, which is made when it is not there; see [`Archive::connect`].
    ///
    /// # Errors
    /// As [`Archive::connect`].
    pub fn open(root: impl Into<PathBuf>, now: Timestamp) -> Result<Self, Error> {
        Self::connect(&Config::folder(root), now)
    }

    /// Opens the configured archive and recalls what the last days brought. `now` says which days those are.
    ///
    /// # Errors
    /// When the store says no, or a file of the last days is no archive file.
    pub fn connect(config: &Config, now: Timestamp) -> Result<Self, Error> {
        let history = (!config.history.as_os_str().is_empty()).then(|| config.history.clone());
        Self::over(config.store()?, history, now)
    }

    /// The archive in an object store.
    ///
    /// # Errors
    /// As [`Archive::connect`].
    pub fn over(store: Arc<dyn ObjectStore>, history: Option<PathBuf>, now: Timestamp) -> Result<Self, Error> {
        let archive = Self { objects: Objects::new(store)?, history, remembered: parking_lot::Mutex::default() };
        archive.refuse_first_layout()?;
        let oldest = layout::day_of(Timestamp(now.0.saturating_sub(REMEMBERED_DAYS * DAY)));
        for table in TABLES {
            let found = archive.objects.list(&Path::from(table.name))?;
            let recent: Vec<_> = found
                .iter()
                .filter_map(|object| Some((Place::parse(&object.location)?, object)))
                .filter(|(place, _)| place.day >= oldest)
                .collect();
            let listed: Vec<Vec<Key>> = recent
                .par_iter()
                .map(|(_, object)| {
                    let metadata = archive.objects.metadata(&object.location, object.size)?;
                    Ok(parse_deliveries(&cells::entry(&metadata, DELIVERIES).unwrap_or_default()))
                })
                .collect::<Result<_, Error>>()?;
            for ((place, _), keys) in recent.into_iter().zip(listed) {
                archive.remember(table, &place.day, keys);
            }
        }
        Ok(archive)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.objects.place()
    }

    /// An archive of the first layout would look empty, and training would begin anew without a word.
    fn refuse_first_layout(&self) -> Result<(), Error> {
        for folder in self.objects.folders(&Path::default())? {
            if TABLES.iter().any(|table| folder.as_ref() == table.name) {
                continue;
            }
            let days = self.objects.folders(&folder)?;
            if days.iter().any(|day| day.filename().is_some_and(layout::is_bare_day)) {
                return Err(Error::FirstLayout { place: self.place(), folder: folder.to_string() });
            }
        }
        Ok(())
    }

    /// Where training may keep what it works on for a tenant, where there is such a place.
    #[must_use]
    pub fn work_of(&self, tenant: &TenantId) -> Option<PathBuf> {
        self.history.as_ref().map(|folder| folder.join(tenant.as_str()))
    }

    /// Writes messages that are not on disk yet; returns when all are. One file for each tenant and day among them.
    ///
    /// # Errors
    /// When the store says no. What was written before that stays, and is known when it comes again.
    pub fn land<R: Row>(&self, messages: &[Message<R>]) -> Result<Landed, Error> {
        let mut landed = Landed::default();
        let mut groups: BTreeMap<(&TenantId, String), Vec<&Message<R>>> = BTreeMap::new();
        for message in messages {
            let day = layout::day_of(message.published_at);
            if self.knows(R::TABLE, &day, message) {
                landed.known += 1;
            } else {
                groups.entry((&message.tenant, day)).or_default().push(message);
            }
        }
        for ((tenant, day), mut group) in groups {
            group.sort_by_key(|message| message.sequence);
            group.dedup_by(|a, b| key(a) == key(b));
            let keys: Vec<Key> = group.iter().map(|message| key(message)).collect();
            let rows: Vec<R> = group.iter().flat_map(|message| message.rows.iter().cloned()).collect();
            let listed = format_deliveries(&keys);
            let (first, last) = (keys.first().map_or(0, |key| key.0), keys.last().map_or(0, |key| key.0));
            let name = layout::landed(first, last, &listed);
            let path = Place { tenant: tenant.clone(), day: day.clone(), name }.path(R::TABLE);
            let bytes = cells::write(&rows, &[(DELIVERIES, listed)]).map_err(Error::parquet("write", path.as_ref()))?;
            // A file of this name has exactly these messages: whoever put it there, it need not be put again.
            if self.objects.put(&path, bytes)? {
                landed.files += 1;
            }
            landed.written += keys.len();
            self.remember(R::TABLE, &day, keys);
        }
        Ok(landed)
    }

    /// Keeps imported events beside those of the stream, in the folder of the day of `now`. The same events kept twice
    /// are one file.
    ///
    /// # Errors
    /// When the store says no.
    pub fn keep(&self, tenant: &TenantId, events: &[Event], now: Timestamp) -> Result<(), Error> {
        self.keep_all(tenant, events.to_vec(), now)
    }

    /// [`Archive::keep`] for events that nobody else needs.
    ///
    /// # Errors
    /// As [`Archive::keep`].
    pub fn keep_all(&self, tenant: &TenantId, events: Vec<Event>, now: Timestamp) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let mut ids = String::new();
        for event in &events {
            ids.push_str(event.id.as_str());
            ids.push('\n');
        }
        let hash = xxh3_64(ids.as_bytes());
        let rows = events::rows_of(0, &format!("{}{hash:016x}", layout::IMPORT), events);
        let place = Place { tenant: tenant.clone(), day: layout::day_of(now), name: layout::imported(hash) };
        let path = place.path(EventRow::TABLE);
        let bytes = cells::write(&rows, &[]).map_err(Error::parquet("write", path.as_ref()))?;
        self.objects.put(&path, bytes)?;
        Ok(())
    }

    fn knows<R>(&self, table: &'static Table, day: &str, message: &Message<R>) -> bool {
        let remembered = self.remembered.lock();
        remembered.get(&(table.name, day.to_owned())).is_some_and(|known| known.contains(&key(message)))
    }

    fn remember(&self, table: &'static Table, day: &str, keys: Vec<Key>) {
        let mut remembered = self.remembered.lock();
        remembered.entry((table.name, day.to_owned())).or_default().extend(keys);
        let days: Vec<_> = remembered.keys().filter(|(name, _)| *name == table.name).cloned().collect();
        for old in days.iter().rev().skip(REMEMBERED_DAYS as usize + 1) {
            remembered.remove(old);
        }
    }
}

fn key<R>(message: &Message<R>) -> Key {
    (message.sequence, xxh3_64(message.id.as_bytes()))
}

pub(super) fn format_deliveries(keys: &[Key]) -> String {
    keys.iter().fold(String::with_capacity(keys.len() * 28), |mut text, (sequence, id)| {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{sequence:x}:{id:016x}");
        text
    })
}

pub(super) fn parse_deliveries(text: &str) -> Vec<Key> {
    text.split(',')
        .filter_map(|entry| entry.split_once(':'))
        .filter_map(|(sequence, id)| Some((u64::from_str_radix(sequence, 16).ok()?, u64::from_str_radix(id, 16).ok()?)))
        .collect()
}
