//! The archive: every event, as Parquet files that any tool reads. It consumes the stream of events
//! and gives training its history. It must not know what the events are used for.
//!
//! # Layout
//! `<root>/<tenant>/<day>/<first>-<last>-<hash>.parquet`: the UTC day on which the stream took the
//! messages, the first and last stream position in the file, and a hash of exactly which messages
//! are in it. One file for each tenant, day and batch; [`Archive::compact`] makes one file of a day
//! that is over (`day-<hash>.parquet`). A file is written aside, synced, and renamed into place: a
//! file that is there is whole. Names that begin with a dot are being written; readers pass them by.
//!
//! # Once
//! A message that is delivered again is not written again: the footer of each file (key
//! [`columns::DELIVERIES`]) lists stream position and envelope id of every message in it, and the
//! writer remembers those of the last [`REMEMBERED_DAYS`] days, which is longer than the stream keeps
//! anything. A position that comes with another envelope id is another message (the stream was made
//! anew) and is kept. An event that its client published twice is given once by the reader, which
//! knows events by user and event id.
//!
//! # Columns
//! | column | type | |
//! |---|---|---|
//! | `sequence` | int64 | the stream position of the message that carried the event; 0 for imports |
//! | `event_id`, `user_id`, `item_id`, `kind` | utf8 | as the client gave them |
//! | `occurred_at` | timestamp (ms, UTC) | when it happened, by the client's clock |
//! | `received_at` | timestamp (ms, UTC) | when the edge took it |
//! | `ms_played` | int64, optional | plays only |
//! | `recommendation_id` | uuid, optional | the answer that showed the card |
//! | `shelf` | utf8, optional | the shelf the card stood on |
//! | `position` | int32, optional | the card's position there, from 0 |
//! | `session`, `device` | utf8, optional | as the client gave them |
//! | `market` | utf8, optional | ISO 3166-1 alpha-2 |

pub mod columns;
mod compact;
mod files;
mod handler;
mod landing;
mod reader;

use std::path::PathBuf;

use shared_models::ErrorCode;

pub use handler::ArchiveHandler;
pub use landing::{Archive, Landed, Message};
pub use reader::Span;

/// How many days of stream positions the writer remembers; streams keep events for seven.
pub const REMEMBERED_DAYS: i64 = 9;

/// Why the archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// A file is no Parquet file, or not one of ours.
    #[error("could not {action} {} as Parquet", path.display())]
    Parquet {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A row holds what no event can hold.
    #[error("{} row {row} has no usable {column}", path.display())]
    Row {
        /// In which file.
        path: PathBuf,
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
            Self::Io { .. } => ErrorCode::Unavailable,
            Self::Parquet { .. } | Self::Row { .. } => ErrorCode::Internal,
        }
    }

    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    fn parquet(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.into();
        move |source| Self::Parquet { action, path, source }
    }
}
