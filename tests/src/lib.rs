//! What the repository's own tests share: where the repository is and which files it holds, what a cluster serves, and
//! how it is broken.
//!
//! Targets: `architecture` (allowed arrows), `tidy` (house rules of files and docs), `wire`
//! (contracts only grow, generated code is fresh), `path` (the whole loop), `deploy` (what operators run
//! agrees with what there is), `faults` (what is promised when parts fail). Programs: `cluster`
//! (`scripts/cluster`) and `faults` (`scripts/faults`).

use std::path::{Path, PathBuf};

pub mod faults;
pub mod stock;

/// The repository's root folder.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Every file below `folder` whose name ends with one of `endings`, build output left out, sorted.
#[must_use]
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | ".setlist" | "node_modules") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path as it reads from the repository's root.
#[must_use]
pub fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}
