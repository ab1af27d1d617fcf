//! Importers: what turns a data set in its own format into items, users and events.
//!
//! Every importer keeps one promise: each row of each file is either used or listed in the report
//! with its file, line and reason. Importers must not know where an import goes (the stream, the
//! archive, a trainer).

pub mod import;
mod lines;
pub mod numbers;

pub mod gowalla;
pub mod lastfm;
pub mod listenbrainz;
pub mod movielens;
pub mod spotify;
pub mod table;

use std::path::PathBuf;

use shared_models::{ErrorCode, Timestamp};

pub use import::{Import, Report, Skipped};

/// What every importer needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The moment of the import: `received_at` of every event, and the end of the window in which
    /// events without a time of their own are placed.
    pub now: Timestamp,
}

/// Why an import could not be made. A bad row is no reason: rows are skipped and reported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the format needs is not there.
    #[error("file {} is not there; {expected}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the format needs, as a clause.
        expected: &'static str,
    },
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A column mapping makes no sense.
    #[error("mapping {given:?} is wrong: {expected}")]
    Mapping {
        /// The mapping as it was given.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// A file has no such column.
    #[error("{file} has no column {column:?}; it has {known}")]
    Column {
        /// The file.
        file: String,
        /// The column that the mapping names.
        column: String,
        /// The columns there are, joined with commas.
        known: String,
    },
    /// A file is not of the format at all.
    #[error("{file} is not of this format: {expected}")]
    Format {
        /// The file.
        file: String,
        /// What the format wants, as a clause.
        expected: String,
    },
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::NotFound,
            Self::Read { .. } => ErrorCode::Unavailable,
            Self::Mapping { .. } | Self::Column { .. } | Self::Format { .. } => ErrorCode::InvalidArgument,
        }
    }
}
