//! Why a release cannot be read, written or served.

use std::{io, path::PathBuf};

use shared_models::{ErrorCode, ReleaseId, TenantId};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no. Says nothing of the release: the same call may succeed later.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The store holds no release of that id.
    #[error("tenant {tenant} has no release {id}")]
    NotFound {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: ReleaseId,
    },
    /// The tenant has never promoted a release, or has no earlier one to go back to.
    #[error("tenant {tenant} has no {which} release")]
    NoneYet {
        /// Whose.
        tenant: TenantId,
        /// `live` or `previous`.
        which: &'static str,
    },
    /// The release is there and must not be served.
    #[error("{file} is refused")]
    Refused {
        /// The file at fault.
        file: String,
        /// What is wrong with it.
        #[source]
        refusal: Refusal,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn refused(file: impl Into<String>, refusal: Refusal) -> Self {
        Self::Refused { file: file.into(), refusal }
    }

    /// The kind of failure, for a caller that must decide what to do.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } => ErrorCode::Unavailable,
            Self::NotFound { .. } | Self::NoneYet { .. } => ErrorCode::NotFound,
            Self::Refused { .. } => ErrorCode::InvalidArgument,
        }
    }

    /// The stable name of the failure, for metrics, logs and answers.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Io { .. } => "store_unavailable",
            Self::NotFound { .. } => "release_not_found",
            Self::NoneYet { .. } => "no_release",
            Self::Refused { refusal, .. } => refusal.reason(),
        }
    }
}

/// Why an artefact must not be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A file that the manifest lists is not there.
    #[error("the file is missing")]
    Missing,
    /// The file is longer or shorter than the manifest says.
    #[error("it has {found} bytes, the manifest says {expected}")]
    Size {
        /// By the manifest.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// The bytes are not those that were trained.
    #[error("its hash is {found}, expected {expected}")]
    Hash {
        /// By the manifest, or by the release's id.
        expected: String,
        /// Of the bytes.
        found: String,
    },
    /// The file is no artefact, or one of another kind or version.
    #[error("its header has {what} {found}, expected {expected}")]
    Header {
        /// Which field.
        what: &'static str,
        /// What a reader takes.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// The file ends before its header says, or goes on after.
    #[error("it has {found} bytes, its header needs {expected}")]
    Length {
        /// By its own header.
        expected: u64,
        /// Given.
        found: u64,
    },
    /// Two counts that must agree do not.
    #[error("{what} is {found}, expected {expected}")]
    Dimension {
        /// Which count.
        what: &'static str,
        /// What it must be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A list that must ascend does not, or a list that must descend.
    #[error("{what} is out of order at {at}")]
    Order {
        /// Which list.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// A number is NaN or infinite.
    #[error("{what} holds {value} at {at}")]
    NotFinite {
        /// Which list.
        what: &'static str,
        /// Where.
        at: usize,
        /// What stands there, as text so that refusals compare.
        value: String,
    },
    /// A number is outside its range.
    #[error("{what} holds {value} at {at}, which is out of range")]
    Range {
        /// Which list.
        what: &'static str,
        /// Where.
        at: usize,
        /// What stands there.
        value: String,
    },
    /// The text cannot be read.
    #[error("it cannot be read: {detail}")]
    Unreadable {
        /// What the parser said.
        detail: String,
    },
    /// The release was trained for other features than the reader computes.
    #[error("its feature schema is {found:016x}, this process computes {expected:016x}")]
    Schema {
        /// The reader's.
        expected: u64,
        /// The release's.
        found: u64,
    },
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// The reader's own check failed: a golden request, a part it cannot do without.
    #[error("a check failed: {detail}")]
    Check {
        /// What the check said.
        detail: String,
    },
}

impl Refusal {
    /// The stable name of the refusal.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "file_missing",
            Self::Size { .. } => "wrong_size",
            Self::Hash { .. } => "wrong_hash",
            Self::Header { .. } => "wrong_header",
            Self::Length { .. } => "wrong_length",
            Self::Dimension { .. } => "wrong_dimension",
            Self::Order { .. } => "out_of_order",
            Self::NotFinite { .. } => "not_finite",
            Self::Range { .. } => "out_of_range",
            Self::Unreadable { .. } => "unreadable",
            Self::Schema { .. } => "wrong_feature_schema",
            Self::Empty => "empty",
            Self::Check { .. } => "check_failed",
        }
    }
}

/// The whole chain of an error as one line, for a log field or an operator's answer.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
