//! Wall clocks of services that can be set apart from the machine's, by libfaketime. It is loaded before the C library;
//! nats-server and PostgreSQL, which are not ours, keep the machine's clock. Monotonic clocks are left alone, as they
//! are when somebody sets a machine's clock. This file must not know what a service does with the time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::Part;
use crate::tools;

/// Where libfaketime leaves something behind when its process is killed.
const SHARED_MEMORY: &str = "/dev/shm";

/// The clocks of a cluster's services.
#[derive(Debug)]
pub(super) struct Clocks {
    library: PathBuf,
    folder: PathBuf,
}

impl Clocks {
    /// Clocks whose hands lie in a folder.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        Ok(Self { library: tools::faketime()?, folder: folder.to_owned() })
    }

    /// Sets a clock so many seconds ahead of the machine's.
    pub(super) fn set(&self, part: Part, ahead: i64) -> Result<()> {
        // A rename, so that nobody reads half of it.
        let (hand, next) = (self.hand(part), self.folder.join(format!("{part}.clock.next")));
        fs::write(&next, format!("{ahead:+}\n"))?;
        fs::rename(&next, &hand).with_context(|| format!("{} is not written", hand.display()))
    }

    /// What makes a process read its clock.
    pub(super) fn environment(&self, part: Part) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.hand(part))),
            // Seconds after which the hand is looked at again.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // The times of files are of the machine's clock.
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn hand(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{part}.clock"))
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        // Whoever has ended needs none of it; who lives is another's.
        for entry in fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
            if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                let _gone = fs::remove_file(entry.path());
            }
        }
    }
}
