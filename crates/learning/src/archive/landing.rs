//! Landing: messages of the stream become files, each message once. It must not know the bus: the
//! handler hands it messages and answers for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use shared_models::{TenantId, Timestamp, event::Event};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Error, REMEMBERED_DAYS,
    columns::{self, Row},
    files,
};

const DAY: i64 = 86_400_000;

/// A message as the archive keeps it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its position on the stream.
    pub sequence: u64,
    /// The envelope's id.
    pub id: String,
    /// When the stream took it.
    pub published_at: Timestamp,
    /// Whose events.
    pub tenant: TenantId,
    /// What it carries.
    pub events: Vec<Event>,
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

/// The archive of all tenants under one folder. Clones share nothing: one process has one, behind an
/// `Arc`.
#[derive(Debug)]
pub struct Archive {
    pub(super) root: PathBuf,
    /// Which messages are on disk: by day, stream position and hash of the envelope's id.
    remembered: parking_lot::Mutex<BTreeMap<String, BTreeSet<(u64, u64)>>>,
}

impl Archive {
    /// Opens the archive in a folder, which is made when it is not there, and recalls what the last
    /// days brought. `now` says which days those are.
    ///
    /// # Errors
    /// When the disk says no or a file of the last days is no archive file.
    pub fn open(root: impl Into<PathBuf>, now: Timestamp) -> Result<Self, Error> {
        let root = root.into();
        std::fs::create_dir_all(&root).map_err(Error::io("create", &root))?;
        let oldest = files::day_of(Timestamp(now.0 - REMEMBERED_DAYS * DAY));
        let mut remembered: BTreeMap<String, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for tenant in files::names(&root)? {
            for day in files::names(&root.join(&tenant))? {
                if day < oldest {
                    continue;
                }
                let folder = root.join(&tenant).join(&day);
                for name in files::parquet_files(&folder)? {
                    let listed = columns::footer(&folder.join(&name), columns::DELIVERIES)?.unwrap_or_default();
                    remembered.entry(day.clone()).or_default().extend(parse_deliveries(&listed));
                }
            }
        }
        Ok(Self { root, remembered: parking_lot::Mutex::new(remembered) })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes messages that are not on disk yet; returns when all are. One file for each tenant and
    /// day among them.
    ///
    /// # Errors
    /// When the disk says no. What was written before that stays, and is known when it comes again.
    pub fn land(&self, messages: &[Message]) -> Result<Landed, Error> {
        let mut landed = Landed::default();
        let mut groups: BTreeMap<(&TenantId, String), Vec<&Message>> = BTreeMap::new();
        for message in messages {
            let day = files::day_of(message.published_at);
            if self.knows(&day, message) {
                landed.known += 1;
            } else {
                groups.entry((&message.tenant, day)).or_default().push(message);
            }
        }
        for ((tenant, day), mut group) in groups {
            group.sort_by_key(|message| message.sequence);
            group.dedup_by(|a, b| key(a) == key(b));
            let keys: Vec<(u64, u64)> = group.iter().map(|message| key(message)).collect();
            let rows: Vec<Row> = group
                .iter()
                .flat_map(|message| {
                    message.events.iter().map(|event| Row { sequence: message.sequence, event: event.clone() })
                })
                .collect();
            let listed = format_deliveries(&keys);
            let (first, last) = (keys.first().map_or(0, |key| key.0), keys.last().map_or(0, |key| key.0));
            let name = format!("{first:020}-{last:020}-{:016x}.parquet", xxh3_64(listed.as_bytes()));
            let folder = files::folder(&self.root, tenant, &day);
            let bytes = columns::write(&rows, &[(columns::DELIVERIES, listed)])
                .map_err(Error::parquet("write", folder.join(&name)))?;
            files::place(&folder, &name, &bytes)?;
            landed.written += keys.len();
            landed.files += 1;
            self.remember(&day, keys);
        }
        Ok(landed)
    }

    /// Keeps imported events beside those of the stream, in the folder of the day of `now`. The same
    /// events kept twice are one file; a trainer reads events once by their ids in any case.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn keep(&self, tenant: &TenantId, events: &[Event], now: Timestamp) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row> = events.iter().map(|event| Row { sequence: 0, event: event.clone() }).collect();
        let mut ids = String::new();
        for event in events {
            ids.push_str(event.id.as_str());
            ids.push('\n');
        }
        let name = format!("import-{:016x}.parquet", xxh3_64(ids.as_bytes()));
        let folder = files::folder(&self.root, tenant, &files::day_of(now));
        let bytes = columns::write(&rows, &[]).map_err(Error::parquet("write", folder.join(&name)))?;
        files::place(&folder, &name, &bytes)
    }

    fn knows(&self, day: &str, message: &Message) -> bool {
        self.remembered.lock().get(day).is_some_and(|known| known.contains(&key(message)))
    }

    fn remember(&self, day: &str, keys: Vec<(u64, u64)>) {
        let mut remembered = self.remembered.lock();
        remembered.entry(day.to_owned()).or_default().extend(keys);
        while remembered.len() > REMEMBERED_DAYS as usize + 1 {
            remembered.pop_first();
        }
    }
}

fn key(message: &Message) -> (u64, u64) {
    (message.sequence, xxh3_64(message.id.as_bytes()))
}

pub(super) fn format_deliveries(keys: &[(u64, u64)]) -> String {
    keys.iter().fold(String::with_capacity(keys.len() * 28), |mut text, (sequence, id)| {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{sequence:x}:{id:016x}");
        text
    })
}

pub(super) fn parse_deliveries(text: &str) -> Vec<(u64, u64)> {
    text.split(',')
        .filter_map(|entry| entry.split_once(':'))
        .filter_map(|(sequence, id)| Some((u64::from_str_radix(sequence, 16).ok()?, u64::from_str_radix(id, 16).ok()?)))
        .collect()
}
