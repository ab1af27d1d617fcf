//! Folders that vanish when the test ends. This file must not know what lies in them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A folder of its own for one test; it vanishes with this value.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new, empty folder.
    ///
    /// # Errors
    /// When the machine's folder for temporary files cannot be written.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("setlist-test-").tempdir();
        folder.map(Self).context("a temporary folder could not be made")
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Keeps it from vanishing: another removes it.
    pub(crate) fn keep(self) -> PathBuf {
        self.0.keep()
    }

    /// A file or folder in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
