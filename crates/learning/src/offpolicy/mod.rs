//! Off-policy evaluation: what a policy would have brought, from the log of another one whose probabilities are known.
//!
//! | decisions | estimators |
//! |---|---|
//! | one action at a time | [`single`]: IPS, SNIPS, DM, DR, SNDR, SWITCH-DR, position-based |
//! | lists | [`slates`]: standard, independent and reward-interaction IPS, each self-normalised too, cascade DR |
//!
//! Each is a sum of ratios of means ([`estimate`]), and so is its interval. Logs come from Open Bandit files
//! ([`open_bandit`]), from a tenant's archive ([`answers`], [`otherwise`]), or from the generated world, where the truth is known and
//! intervals can be held against it ([`coverage`]). It must not know who serves.
//!
//! What all of it rests on: the log's probabilities are those that chose, and whatever the other policy may do, the
//! log's policy may do too. Where it may not, weights do not say so: their mean does, which is then below 1.

pub mod estimate;

pub mod reward;
pub mod single;
pub mod slates;

pub mod answers;
pub mod coverage;
pub mod open_bandit;
pub mod otherwise;

pub mod report;

use std::path::PathBuf;

use shared_models::ErrorCode;

pub use estimate::{Estimate, Intervals, Weights};

/// Why nothing can be said of a policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number of a log or of a policy is none that can be.
    #[error("{what} of round {round} is {given}, expected {expected}")]
    Number {
        /// Which number.
        what: &'static str,
        /// In which round, from 0.
        round: usize,
        /// What stands there.
        given: f64,
        /// What would do.
        expected: &'static str,
    },
    /// There is nothing to learn from.
    #[error("{what} has no rounds; {expected}")]
    Empty {
        /// What is empty.
        what: String,
        /// What would do.
        expected: &'static str,
    },
    /// A file cannot be read.
    #[error("could not read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// A file holds what cannot be used.
    #[error("{path} line {line}: {what}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A setting makes no sense.
    #[error("{name} is {given}, expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        given: String,
        /// What would do.
        expected: &'static str,
    },
    /// The model of rewards could not be trained.
    #[error("the model of rewards could not be trained")]
    Model(#[from] crate::trees::Error),
    /// The world could not be made.
    #[error("the world could not be made")]
    World(#[from] crate::world::Error),
    /// The archive could not be read.
    #[error("the archive could not be read")]
    Archive(#[from] crate::archive::Error),
}

impl Error {
    /// The code of this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Number { .. } | Self::Setting { .. } | Self::Line { .. } => ErrorCode::InvalidArgument,
            Self::Empty { .. } => ErrorCode::NotFound,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorCode::NotFound,
            Self::File { .. } => ErrorCode::Unavailable,
            Self::Model(error) => error.code(),
            Self::World(error) => error.code(),
            Self::Archive(error) => error.code(),
        }
    }
}
