//! Surfaces: read from YAML, checked, and kept by name with a version.
//!
//! Must not know requests, plans or the services: a surface here is only what a product team wrote.

mod check;
mod parse;
mod schema;
mod tree;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use shared_models::{ErrorCode, SurfaceId, surface::Surface};

pub use parse::{Problem, parse};
pub use schema::schema_text;

/// The surfaces that are there when nobody wrote any.
const EMBEDDED: &[(&str, &str)] = &[
    ("surfaces/home.yaml", include_str!("../../surfaces/home.yaml")),
    ("surfaces/item-similar.yaml", include_str!("../../surfaces/item-similar.yaml")),
];

/// Why surfaces are not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A surface file says something wrong; all problems of all files.
    #[error("surface files have {} problems:{}", .0.len(), lines(.0))]
    Invalid(Vec<Problem>),
    /// A file or folder could not be read.
    #[error("cannot read surfaces from {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Read { .. } => ErrorCode::Unavailable,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// A surface as it is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// What the team wrote, defaults filled in.
    pub surface: Surface,
    /// The first 12 hexadecimal digits of the SHA-256 of its canonical JSON: the same content has the
    /// same version on every edge.
    pub version: String,
}

/// All surfaces, by name.
#[derive(Clone, Debug, Default)]
pub struct Surfaces {
    by_id: BTreeMap<SurfaceId, Arc<Served>>,
}

impl Surfaces {
    /// The embedded surfaces, and over them the `*.yaml` and `*.yml` files of a folder, when one is given.
    ///
    /// # Errors
    /// With every problem of every file; or when the folder cannot be read.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut surfaces = Self::default();
        let mut problems = Vec::new();
        for (name, text) in EMBEDDED {
            surfaces.add(name, text, &mut problems);
        }
        if let Some(folder) = folder {
            let mut own = BTreeMap::new();
            for path in files_of(folder)? {
                let text =
                    std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
                let name = path.display().to_string();
                if let Some(id) = surfaces.add(&name, &text, &mut problems)
                    && let Some(first) = own.insert(id.clone(), name.clone())
                {
                    problems.push(Problem::duplicate_surface(&name, &id, &first));
                }
            }
        }
        if problems.is_empty() { Ok(surfaces) } else { Err(Error::Invalid(problems)) }
    }

    fn add(&mut self, file: &str, text: &str, problems: &mut Vec<Problem>) -> Option<SurfaceId> {
        match parse(file, text) {
            Ok(surface) => {
                let id = surface.surface.clone();
                let version = version_of(&surface);
                self.by_id.insert(id.clone(), Arc::new(Served { surface, version }));
                Some(id)
            }
            Err(found) => {
                problems.extend(found);
                None
            }
        }
    }

    /// A surface by name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Served>> {
        // A name that is no identifier names no surface.
        self.by_id.get(&SurfaceId::new(name).ok()?)
    }

    /// All surfaces, by name ascending.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_id.values()
    }

    /// The name nearest to one that is not known.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.by_id.keys().map(SurfaceId::as_str))
    }
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The version of a surface's content.
pub(crate) fn version_of(surface: &Surface) -> String {
    // Serialising plain data with string keys cannot fail; an empty text would still be a version.
    let canonical = serde_json::to_vec(surface).unwrap_or_default();
    let mut version = hex::encode(Sha256::digest(&canonical));
    version.truncate(12);
    version
}

/// The known name nearest to a given one, when it is near enough to be a slip of the keyboard.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 2.max(name.chars().count() / 3))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_surfaces_use_every_source_and_gather_enough() {
        let surfaces = Surfaces::load(None).unwrap();
        let home = &surfaces.by_name("home").unwrap().surface;
        assert!(home.shelves.len() >= 5);
        for source in shared_models::component::SourceName::ALL {
            assert!(
                home.shelves.iter().any(|shelf| shelf.sources.iter().any(|s| s.name == *source)),
                "no shelf uses {source}"
            );
        }
        let mut largest = BTreeMap::new();
        for source in home.shelves.iter().flat_map(|shelf| &shelf.sources) {
            let key = format!("{}{:?}", source.name, source.params);
            let limit = largest.entry(key).or_insert(0);
            *limit = source.limit.max(*limit);
        }
        assert!(largest.values().sum::<u32>() >= 600, "{largest:?}");
        assert!(surfaces.by_name("item-similar").unwrap().surface.about_items);
    }

    #[test]
    fn same_content_has_the_same_version() {
        let once = Surfaces::load(None).unwrap();
        let again = Surfaces::load(None).unwrap();
        assert_eq!(once.by_name("home").unwrap().version, again.by_name("home").unwrap().version);
        assert_ne!(once.by_name("home").unwrap().version, once.by_name("item-similar").unwrap().version);
    }

    #[test]
    fn a_folder_adds_and_replaces_and_reports_every_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "own.yaml",
            "surface: own\nowner: a\nshelves: [{ id: one, title: One, sources: [{ name: trending }] }]\n",
        );
        write("notes.txt", "not a surface");
        let surfaces = Surfaces::load(Some(folder.path())).unwrap();
        assert!(surfaces.by_name("own").is_some() && surfaces.by_name("home").is_some());

        write("first.yaml", "surfacee: own\n");
        write("second.yaml", "surface: own\nowner: a\nshelves: []\n");
        let error = Surfaces::load(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("first.yaml:1") && error.contains("second.yaml:3"), "{error}");
    }
}
