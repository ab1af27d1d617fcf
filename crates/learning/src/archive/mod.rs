//! The archive: what the streams EVENTS and RECOMMENDATIONS brought, as Parquet files that any tool reads, in a folder
//! or a bucket. It gives training its history. It must not know what the rows are used for.
//!
//! # Layout
//! `<table>/tenant=<tenant>/day=<day>/<first>-<last>-<hash>.parquet`: the UTC day on which the stream took the messages,
//! the first and last stream position in the file, and a hash of exactly which messages are in it. One file for each
//! tenant, day and batch; [`Archive::compact`] makes few of many (`day-<hash>.parquet`). A file is put where none is,
//! whole or not at all, and on disk before its messages are answered.
//!
//! # Once
//! A message that is delivered again is not written again: the footer of each file (key [`DELIVERIES`]) lists stream
//! position and envelope id of every message in it, and the writer remembers those of the last [`REMEMBERED_DAYS`] days,
//! which is longer than the stream keeps anything. So it does not matter where a crash came between writing and
//! answering, nor in which batches the messages come again. A position that comes with another envelope id is another
//! message (the stream was made anew) and is kept.
//!
//! This holds for one writer at a time, which is how learning is deployed. Should two write for a while, a message may
//! stand in two files: the readers here give each row once, by message and place in it, and compaction writes it once.
//! Between the moment a merged file is in place and the moment those that it replaces are gone, a reader that looks at
//! all files sees their rows twice; the readers here do not.
//!
//! An event that its client published twice has two rows. [`Archive::read`] gives it once, by user and event id.
//!
//! The columns are in [`schema`]'s tables, and in `docs/data-dictionary.md`.

pub mod schema;

pub mod cells;
pub mod events;
pub mod recommendations;

pub mod candidates;

mod layout;
mod objects;
mod s3;

mod config;

mod compact;
mod handler;
mod history;
mod landing;
mod reader;
mod stream;

pub mod keeping;

use std::sync::Arc;

use shared_models::ErrorCode;

use schema::Table;

pub use candidates::{CANDIDATES, CandidateRow};
pub use config::{Config, S3};
pub use events::{EVENTS, EventRow};
pub use handler::{ArchiveHandler, RecordHandler};
pub use history::History;
pub use landing::{Archive, Landed, Message};
pub use layout::Place;
pub use reader::{Held, Span};
pub use recommendations::{RECOMMENDATIONS, ShownRow};
pub use stream::Streamed;

/// How many days of stream positions the writer remembers; streams keep messages for seven.
pub const REMEMBERED_DAYS: i64 = 9;

/// The footer's key for the messages in a file: `position:id-hash`, in hexadecimal, with commas.
pub const DELIVERIES: &str = "setlist.deliveries";
/// The footer's key for the files that this one stands for, with commas.
pub const REPLACES: &str = "setlist.replaces";

/// The tables.
pub static TABLES: [&Table; 3] = [&EVENTS, &RECOMMENDATIONS, &CANDIDATES];

/// Where a row comes from. Its order is that of the stream; message and index name the row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The position of the message on the stream; 0 for imports.
    pub sequence: u64,
    /// The id of the message's envelope.
    pub message: Arc<str>,
    /// The row's place in the message.
    pub index: u32,
}

/// A row of a table.
pub trait Row: Clone + Send + Sync + 'static {
    /// The table.
    const TABLE: &'static Table;
    /// The column of the moment by which rows are chosen.
    const MOMENT: &'static str;

    /// Where the row comes from.
    fn origin(&self) -> &Origin;

    /// Writes the columns in the order of the table.
    ///
    /// # Errors
    /// When the library refuses them.
    fn write(group: &mut cells::Group<'_, '_>, rows: &[Self]) -> parquet::errors::Result<()>;

    /// Reads the rows of a group whose moment lies within a span.
    ///
    /// # Errors
    /// When a column cannot be read or holds what no row can.
    fn read(
        columns: &cells::Columns<'_>,
        span: Span,
        names: &mut cells::Names,
        rows: &mut Vec<Self>,
    ) -> Result<(), Error>;
}

/// Why the archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where the archive is to be makes no sense.
    #[error("{key} is {given:?}; give {expected}")]
    Location {
        /// The key.
        key: &'static str,
        /// What was given.
        given: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The threads that talk to the store could not be started.
    #[error("could not start the archive's threads")]
    Start {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The folder is laid out as before tables were.
    #[error(
        "{place} holds {folder}, a folder of the archive's first layout (<tenant>/<day>), which is not read any more; move it away"
    )]
    FirstLayout {
        /// Which archive.
        place: String,
        /// Which folder.
        folder: String,
    },
    /// The file system said no.
    #[error("could not {action} {path}")]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which file.
        path: String,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The object store said no.
    #[error("could not {action} {path} in the archive")]
    Store {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which object.
        path: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// Whoever was asked is gone.
    #[error("could not {action} {path} in the archive: the work broke off")]
    Broken {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which object.
        path: String,
    },
    /// A file is no Parquet file, or not one of ours.
    #[error("could not {action} {path} as Parquet")]
    Parquet {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which file.
        path: String,
        /// What the library said.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A row holds what none can hold.
    #[error("{path} row {row} has no usable {column}")]
    Row {
        /// In which file.
        path: String,
        /// Which, from 0.
        row: usize,
        /// Which column.
        column: &'static str,
    },
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Location { .. } | Self::FirstLayout { .. } => ErrorCode::InvalidArgument,
            Self::Io { .. } | Self::Store { .. } => ErrorCode::Unavailable,
            Self::Start { .. } | Self::Broken { .. } | Self::Parquet { .. } | Self::Row { .. } => ErrorCode::Internal,
        }
    }

    fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { action, path, source }
    }

    fn store(action: &'static str, path: &str) -> impl FnOnce(object_store::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Store { action, path, source }
    }

    fn parquet(action: &'static str, path: impl Into<String>) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.into();
        move |source| Self::Parquet { action, path, source }
    }
}
