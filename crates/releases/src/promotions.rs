//! The log of promotions: who made which release live, when and why. It lies beside the pointer that it tells of.
//!
//! One JSON object a line, oldest first, only ever added to. A line is on disk before the pointer moves: nothing is
//! live that nobody answers for. A line whose move failed stays; the pointer says what serves.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use shared_models::{Clock, ReleaseId, SystemClock, Timestamp};

use crate::{Error, Refusal, store::sync_folder};

/// The log's name, beside LIVE and PREVIOUS.
pub const LOG: &str = "PROMOTIONS";

/// How the live release changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// A release was promoted.
    Promote,
    /// The release before was made live again.
    RollBack,
    /// A service was told to serve it.
    Activate,
}

impl Move {
    /// The name, as the log has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::RollBack => "roll_back",
            Self::Activate => "activate",
        }
    }
}

/// Who moves the pointer, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// A person or a program.
    pub by: String,
    /// In words.
    pub why: String,
    /// What the gates said, such as `8 passed`; empty when none were asked.
    pub gates: String,
    /// The gates that said no and were overridden, each with what it said.
    pub overridden: Vec<String>,
}

impl Act {
    /// An act of `by` for a reason, now.
    #[must_use]
    pub fn now(by: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: SystemClock.now(), by: by.into(), why: why.into(), ..Self::default() }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// When, in milliseconds since 1970.
    pub at: Timestamp,
    /// How the live release changed.
    pub what: Move,
    /// What served before.
    pub from: Option<ReleaseId>,
    /// What was made live.
    pub to: ReleaseId,
    /// A person or a program.
    pub by: String,
    /// In words.
    pub why: String,
    /// What the gates said; empty when none were asked.
    #[serde(default)]
    pub gates: String,
    /// The gates that said no and were overridden.
    #[serde(default)]
    pub overridden: Vec<String>,
}

/// Adds a line; it is on disk when this returns.
pub(crate) fn add(folder: &Path, promotion: &Promotion) -> Result<(), Error> {
    let path = folder.join(LOG);
    let mut line = serde_json::to_vec(promotion)
        .map_err(|error| Error::refused(LOG, Refusal::Unreadable { detail: error.to_string() }))?;
    line.push(b'\n');
    let mut write = || -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        if !ends_whole(&mut file)? {
            // A line that a power cut left half-written must not swallow this one.
            line.insert(0, b'\n');
        }
        // One write: lines of two processes do not mix.
        file.write_all(&line)?;
        file.sync_all()
    };
    let is_new = !path.exists();
    write().map_err(Error::io("write", &path))?;
    if is_new { sync_folder(folder) } else { Ok(()) }
}

fn ends_whole(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The lines that can be read, oldest first.
pub(crate) fn read(folder: &Path) -> Result<Vec<Promotion>, Error> {
    let path = folder.join(LOG);
    let text = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promotion(to: &str) -> Promotion {
        Promotion {
            at: Timestamp(1),
            what: Move::Promote,
            from: None,
            to: ReleaseId::new(to).unwrap(),
            by: "ada".to_owned(),
            why: "more recall".to_owned(),
            gates: String::new(),
            overridden: Vec::new(),
        }
    }

    #[test]
    fn a_half_written_line_costs_itself_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap().is_empty());
        add(folder.path(), &promotion("one")).unwrap();
        let path = folder.path().join(LOG);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"at\": 5, \"wh");
        std::fs::write(&path, bytes).unwrap();
        add(folder.path(), &promotion("two")).unwrap();
        let kept: Vec<String> = read(folder.path()).unwrap().into_iter().map(|line| line.to.to_string()).collect();
        assert_eq!(kept, ["one", "two"]);
    }
}
