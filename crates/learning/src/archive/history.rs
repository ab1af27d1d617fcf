//! A tenant's history for training, read incrementally: what was read before is kept in one local file, and only files of
//! the archive that are new since then are read. It must not know what training makes of it.
//!
//! Training needs the events themselves, in time order and each once: it measures by time, and replays profiles. So the
//! events are kept, not a matrix of them. What is kept is a cache: without it, or when it does not fit the archive any
//! more, everything is read, and the answer is the same.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use shared_models::{TenantId, event::Event};

use super::{
    Archive, EVENTS, Error, EventRow, Span, cells,
    reader::{Held, each_once},
};
use crate::progress::{Progress, Unit};

/// The footer's key for the form of a kept history.
const FORM: &str = "setlist.history";
/// The form that this code writes and reads.
const VERSION: &str = "1";
/// The footer's key for the files that a kept history has read, `day/name` with commas.
const COVERED: &str = "setlist.covered";

/// A tenant's history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The events as [`Archive::read`] gives them.
    pub events: Vec<Event>,
    /// The last stream position among them.
    pub position: u64,
    /// Files of the archive that were read now.
    pub files_read: usize,
    /// Files of the archive that had been read before.
    pub files_known: usize,
}

/// What was read before.
#[derive(Default)]
struct Kept {
    covered: BTreeSet<String>,
    rows: Vec<EventRow>,
}

impl Archive {
    /// Everything the archive holds of a tenant, in time order, each event once. What has been read is kept, where a
    /// folder for it is configured, and not read again.
    ///
    /// # Errors
    /// When the archive cannot be read. A history that cannot be kept is logged, and costs the next reading time.
    pub fn history(&self, tenant: &TenantId, progress: &dyn Progress) -> Result<History, Error> {
        let files = self.files(&EVENTS, tenant)?;
        let path = self.history.as_ref().map(|folder| folder.join(format!("{tenant}.parquet")));
        let kept = path.as_deref().and_then(Kept::load).filter(|kept| kept.fits(&files));
        let Kept { covered, mut rows } = kept.unwrap_or_default();
        let new: Vec<Held> = files.iter().filter(|file| !is_covered(&covered, file)).cloned().collect();
        let stage = progress.stage("read the archive", Unit::Rows, None);
        rows.extend(self.rows::<EventRow>(&new, Span::ALL, stage.as_ref())?);
        each_once(&mut rows);
        stage.finish(&format!("{} events, {} of {} files are new", rows.len(), new.len(), files.len()));
        let now: BTreeSet<String> = files.iter().map(name).collect();
        if let Some(path) = path.filter(|_| now != covered)
            && let Err(error) = store(&path, &now, &rows)
        {
            let reason = releases::error::chain(&error);
            tracing::warn!(tenant = tenant.as_str(), error = reason, "what was read of the archive is not kept");
        }
        Ok(History {
            position: rows.iter().map(|row| row.origin.sequence).max().unwrap_or_default(),
            files_read: new.len(),
            files_known: files.len() - new.len(),
            events: rows.into_iter().map(|row| row.event).collect(),
        })
    }
}

fn name(file: &Held) -> String {
    format!("{}/{}", file.place.day, file.place.name)
}

/// Whether everything in a file has been read: the file, or all that it stands for.
fn is_covered(covered: &BTreeSet<String>, file: &Held) -> bool {
    let read = |name: &String| covered.contains(&format!("{}/{name}", file.place.day));
    read(&file.place.name) || (!file.replaces.is_empty() && file.replaces.iter().all(read))
}

impl Kept {
    /// `None` when nothing is there or it does not read back: it is made anew.
    fn load(path: &Path) -> Option<Self> {
        let bytes = Bytes::from(fs::read(path).ok()?);
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).ok()?;
        (cells::entry(&metadata, FORM)? == VERSION).then_some(())?;
        let covered = cells::entry(&metadata, COVERED)?;
        let rows = cells::read::<EventRow>(&path.display().to_string(), bytes, Span::ALL).ok()?;
        Some(Self { covered: covered.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(), rows })
    }

    /// Whether all that was read still counts. What was taken out of the archive must not live on here.
    fn fits(&self, files: &[Held]) -> bool {
        let mut there: BTreeSet<String> = files.iter().map(name).collect();
        for file in files {
            there.extend(file.replaces.iter().map(|name| format!("{}/{name}", file.place.day)));
        }
        self.covered.is_subset(&there)
    }
}

/// Keeps a history: written aside, synced and renamed, so that what is there is whole.
fn store(path: &Path, covered: &BTreeSet<String>, rows: &[EventRow]) -> Result<(), Error> {
    let listed: Vec<&str> = covered.iter().map(String::as_str).collect();
    let footer = [(FORM, VERSION.to_owned()), (COVERED, listed.join(","))];
    let bytes = cells::write(rows, &footer).map_err(Error::parquet("write", path.display().to_string()))?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let aside: PathBuf = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = fs::File::create(&aside).map_err(Error::io("create", &aside))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &aside))?;
    fs::rename(&aside, path).map_err(Error::io("put into place", path))
}
