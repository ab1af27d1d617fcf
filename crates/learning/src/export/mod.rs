//! An export: everything a tenant owns, in a folder of its own, in forms that any tool reads. Rows of services are JSON
//! lines, the archive's files are Parquet as they are, and a manifest counts and hashes everything. It must not know
//! where the edge keeps surfaces and keys: it is given them.
//!
//! The parts are read one after another while the platform may go on: an export is no snapshot of one moment.

pub mod dictionary;
mod folder;
mod listener;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use candidate_generation::store::{self, Store, StoredUser};
use serde_json::{Value, json};
use shared_models::{
    ErrorCode, TenantId, Timestamp, UserId, UserKey,
    item::Item,
    numbers::{Numbers, shortest},
};

use crate::{
    archive::{self, Archive, TABLES},
    progress::{Progress, Unit},
};

pub use folder::{FileEntry, Folder, MANIFEST, Manifest, TableEntry};
pub use listener::Names;

use dictionary::{ITEMS, KEYS, LISTENERS, RELEASES, SURFACES, TRENDS};
use listener::{line, moment, signed};

/// Items and listeners of one question.
const PAGE: usize = 1_000;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is there already.
    #[error("{} is not empty; give a folder that is, or one that is not there", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// A line could not be written.
    #[error("a line could not be written as JSON")]
    Json {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The archive could not be read.
    #[error("the archive could not be read")]
    Archive(#[source] archive::Error),
    /// The catalogue or the profiles could not be read.
    #[error("the catalogue and the profiles could not be read")]
    Store(#[source] store::Error),
    /// The releases could not be read.
    #[error("the releases could not be read")]
    Releases(#[source] releases::Error),
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Taken { .. } => ErrorCode::Conflict,
            Self::Io { .. } => ErrorCode::Unavailable,
            Self::Json { .. } => ErrorCode::Internal,
            Self::Archive(source) => source.code(),
            Self::Store(source) => source.code(),
            Self::Releases(source) => source.code(),
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// An export under way. Its parts are written in the order of these functions: later ones use the names that earlier
/// ones have met.
pub struct Export {
    tenant: TenantId,
    folder: Folder,
    names: Names,
    problems: Vec<String>,
    progress: Arc<dyn Progress>,
}

impl Export {
    /// Begins an export of a tenant into an empty folder.
    ///
    /// # Errors
    /// When there is anything in the folder already.
    pub fn begin(tenant: TenantId, to: &Path, progress: Arc<dyn Progress>) -> Result<Self, Error> {
        Ok(Self { tenant, folder: Folder::create(to)?, names: Names::default(), problems: Vec::new(), progress })
    }

    /// The archive's files, as they are.
    ///
    /// # Errors
    /// When the archive cannot be read or the folder not written; so for all of these.
    pub fn archive(&mut self, archive: Option<&Archive>) -> Result<(), Error> {
        for table in TABLES {
            self.folder.announce(table.name);
            let Some(archive) = archive else { continue };
            let files = archive.files(table, &self.tenant).map_err(Error::Archive)?;
            let total = files.iter().map(|file| file.bytes).sum();
            let stage = self.progress.stage(table.name, Unit::Bytes, Some(total));
            let mut rows = 0;
            for file in files {
                let bytes = archive.bytes(table, &file.place).map_err(Error::Archive)?;
                let path = format!("{}/tenant={}/{}", table.name, self.tenant, file.place.below_tenant());
                let held = archive::cells::count(&path, &bytes).map_err(Error::Archive)?;
                for user in archive::cells::distinct(table, "user_id", &path, &bytes).map_err(Error::Archive)? {
                    if let Ok(user) = UserId::new(user) {
                        self.names.users.insert(UserKey::of(&user), user);
                    }
                }
                self.folder.put(table.name, path, held, &bytes)?;
                rows += held;
                stage.advance(bytes.len() as u64);
            }
            stage.finish(&format!("{rows} rows"));
        }
        Ok(())
    }

    /// The catalogue, the listeners and the trending index.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn store(&mut self, store: &dyn Store) -> Result<(), Error> {
        let stage = self.progress.stage(ITEMS.name, Unit::Rows, None);
        let mut lines = self.folder.lines(ITEMS.name)?;
        let mut last = None;
        loop {
            let page = store.items_after(&self.tenant, last.as_ref(), PAGE).await.map_err(Error::Store)?;
            for item in &page {
                self.names.learn(item);
                lines.push(&item_line(item))?;
            }
            stage.advance(page.len() as u64);
            let Some(item) = page.last() else { break };
            last = Some(item.id.clone());
        }
        stage.finish(&format!("{} items", self.folder.close(lines)?));

        let stage = self.progress.stage(LISTENERS.name, Unit::Rows, None);
        let mut lines = self.folder.lines(LISTENERS.name)?;
        let mut last = None;
        loop {
            let page = store.users_after(&self.tenant, last, PAGE).await.map_err(Error::Store)?;
            for (key, user) in &page {
                match user {
                    Ok(user) => lines.push(&line(*key, user, None, &self.names))?,
                    Err(error) => {
                        let problem = error.to_string();
                        lines.push(&line(*key, &StoredUser::default(), Some(&problem), &self.names))?;
                        self.problems.push(format!("listener {}: {problem}", key.0 as i64));
                    }
                }
            }
            stage.advance(page.len() as u64);
            let Some((key, _)) = page.last() else { break };
            last = Some(*key);
        }
        stage.finish(&format!("{} listeners", self.folder.close(lines)?));

        let mut lines = self.folder.lines(TRENDS.name)?;
        for trend in store.trends(&self.tenant).await.map_err(Error::Store)? {
            lines.push(&json!({
                "item_key": signed(trend.key),
                "item_id": self.names.item(trend.key),
                "plays": trend.plays,
                "at": moment(trend.at),
            }))?;
        }
        self.folder.close(lines)?;
        Ok(())
    }

    /// Surfaces and keys, as the edge has them: lines with the fields of the dictionary.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn edge(&mut self, surfaces: &[Value], keys: &[Value]) -> Result<(), Error> {
        for (table, rows) in [(&SURFACES, surfaces), (&KEYS, keys)] {
            let mut lines = self.folder.lines(table.name)?;
            for row in rows {
                lines.push(row)?;
            }
            self.folder.close(lines)?;
        }
        Ok(())
    }

    /// The releases, without their files.
    ///
    /// # Errors
    /// When the releases cannot be read.
    pub fn releases(&mut self, releases: Option<&releases::Store>) -> Result<(), Error> {
        let mut lines = self.folder.lines(RELEASES.name)?;
        if let Some(releases) = releases {
            let live = releases.live(&self.tenant).map_err(Error::Releases)?;
            for release in releases.list(&self.tenant).map_err(Error::Releases)? {
                lines.push(&json!({
                    "release": release.id.as_str(),
                    "live": live.as_ref() == Some(&release.id),
                    "created_at": moment(release.created_at),
                    "window": { "from": moment(release.window.from), "to": moment(release.window.to) },
                    "counts": release.counts,
                    "metrics": release.metrics,
                    "lineage": release.lineage,
                    "code_version": release.code_version,
                    "notes": release.notes,
                    "files": release.files,
                }))?;
            }
        }
        self.folder.close(lines)?;
        Ok(())
    }

    /// Writes the manifest: the export is whole then.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn finish(self, now: Timestamp) -> Result<Manifest, Error> {
        self.folder.finish(self.tenant.as_str(), moment(now), self.problems)
    }
}

fn item_line(item: &Item) -> Value {
    let numbers = item.numbers.as_deref();
    let features = numbers.map(Numbers::features).filter(|features| !features.is_empty());
    let features: Option<BTreeMap<&str, f64>> =
        features.map(|features| features.iter().map(|(name, value)| (name.as_str(), shortest(*value))).collect());
    let embedding = numbers.map(Numbers::embedding).filter(|embedding| !embedding.is_empty());
    let embedding: Option<Vec<f64>> =
        embedding.map(|embedding| embedding.iter().map(|value| shortest(*value)).collect());
    json!({
        "item_id": item.id.as_str(),
        "item_key": signed(item.key()),
        "kind": item.kind.as_str(),
        "title": item.title,
        "artist_id": item.artist_id.as_ref().map(|id| id.as_str().to_owned()),
        "artist_name": item.artist_name,
        "genres": item.genres,
        "released_at": item.released_at.map(moment),
        "duration_ms": item.duration_ms,
        "explicit": item.explicit,
        "markets": item.markets,
        "features": features,
        "embedding": embedding,
    })
}
