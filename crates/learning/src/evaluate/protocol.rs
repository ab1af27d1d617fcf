//! Protocols: how a data set is split, what is ranked, and which numbers are reported, each exactly as a published
//! table was made, so that a row of ours can stand beside its rows.
//!
//! A protocol must not know any engine. It never shows an engine the part that is measured on, and tuning never reads
//! the test part: [`Part::Validation`] holds out of the training data what stands in for it.

use std::path::{Path, PathBuf};

use shared_models::{ErrorCode, Seed};

use super::{
    protocols::{cold, gowalla, lastfm, movielens, ncf, quest, time},
    training::Training,
};
use crate::{
    checkpoint::Checkpoints,
    datasets,
    factors::{self, Interactions},
    progress::Progress,
};

/// All protocols, in the order of the help.
const PROTOCOLS: &[&Protocol] = &[
    &gowalla::LIGHTGCN,
    &movielens::LEAVE_ONE_OUT,
    &movielens::INF_AE,
    &ncf::NCF,
    &quest::QUEST,
    &lastfm::TKGAT,
    &lastfm::LIGHTGCN,
    &cold::COLD,
    &time::BY_TIME,
    &time::WORLD,
];

/// What is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The test part, for the report.
    Test,
    /// A part of the training data, for tuning: the test part stays unread.
    Validation,
}

/// A number about one user's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `hits / held out`.
    Recall,
    /// `hits / min(k, held out)`.
    HitRate,
    /// Normalised discounted cumulative gain with binary gains.
    Ndcg,
}

impl Metric {
    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "Recall",
            Self::HitRate => "HR",
            Self::Ndcg => "NDCG",
        }
    }
}

/// A metric at a length of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Measure {
    /// Which metric.
    pub metric: Metric,
    /// Of the first how many.
    pub k: usize,
}

impl Measure {
    /// Recall of the first k.
    #[must_use]
    pub const fn recall(k: usize) -> Self {
        Self { metric: Metric::Recall, k }
    }

    /// Hits of the first k over what could have been hit.
    #[must_use]
    pub const fn hit_rate(k: usize) -> Self {
        Self { metric: Metric::HitRate, k }
    }

    /// NDCG of the first k.
    #[must_use]
    pub const fn ndcg(k: usize) -> Self {
        Self { metric: Metric::Ndcg, k }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.metric.name(), self.k)
    }
}

/// A row of a published table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The method, with where its numbers stand.
    pub method: &'static str,
    /// Its numbers, in the order of [`Protocol::measures`]; those past the end were not published.
    pub values: &'static [Option<f64>],
    /// Where they stand.
    pub source: &'static str,
}

/// Which items a list is made of; items a user is known to have never stand on it, unless it says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Candidates {
    /// All.
    #[default]
    All,
    /// These, ascending, for everybody.
    Items(Vec<u32>),
    /// These, ascending, by user, whatever the user is known to have.
    Each(Vec<Vec<u32>>),
}

/// What is learned from and what is measured on.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// What engines are given.
    pub training: Training,
    /// What they must find.
    pub held_out: Interactions,
    /// Among what.
    pub candidates: Candidates,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
}

/// What a protocol is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is measured on.
    pub part: Part,
    /// The source of every draw of a split and of an engine.
    pub seed: Seed,
    /// How the files are read by protocols that take any data; found by the files' names when left out.
    pub source: Option<time::Source>,
    /// The share of the interactions that a split by time holds out.
    pub share: f64,
    /// Which of a protocol's folds, from 0.
    pub fold: usize,
    /// Where trainings keep how far they are, to go on from there when they are cut short.
    pub checkpoints: Option<Checkpoints>,
}

impl Options {
    /// The usual: the latest fifth where a split is by time.
    #[must_use]
    pub fn new(part: Part) -> Self {
        Self { part, seed: Seed(1), source: None, share: 0.2, fold: 0, checkpoints: None }
    }
}

/// Reads a folder.
pub type Read = fn(&Path, &Options, &dyn Progress) -> Result<Task, Error>;

/// A way to measure.
#[derive(Debug)]
pub struct Protocol {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The data, the split and what is ranked, in one or two sentences.
    pub about: &'static str,
    /// The files it reads.
    pub files: &'static str,
    /// What is reported; the first is what tuning raises.
    pub measures: &'static [Measure],
    /// Published rows, best first.
    pub published: &'static [Published],
    /// Reads the folder.
    pub read: Read,
}

/// Why a split could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such protocol.
    #[error("protocol {given:?} is not known; the protocols are {known}")]
    Protocol {
        /// What was asked for.
        given: String,
        /// The names there are.
        known: String,
    },
    /// The data cannot be read.
    #[error("could not read the data")]
    Data(#[from] datasets::Error),
    /// The archive cannot be read.
    #[error("could not read the archive")]
    Archive(#[from] crate::archive::Error),
    /// The data hold no such numbers as the protocol needs.
    #[error("{} is not what the protocol reads: {expected}", path.display())]
    Contents {
        /// The file or folder.
        path: PathBuf,
        /// What the protocol wants, as a clause.
        expected: String,
    },
    /// There is no such fold.
    #[error("fold is {given}; give 0 to {last}")]
    Fold {
        /// What was asked for.
        given: usize,
        /// The last there is.
        last: usize,
    },
    /// The world cannot be made.
    #[error("could not make the world")]
    World {
        /// Why.
        #[source]
        source: crate::world::Error,
    },
    /// The numbers make no matrix.
    #[error("the interactions make no matrix")]
    Matrix(#[from] factors::Error),
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Protocol { .. } => ErrorCode::NotFound,
            Self::Data(source) => source.code(),
            Self::Archive(source) => source.code(),
            Self::World { source } => source.code(),
            Self::Contents { .. } | Self::Fold { .. } | Self::Matrix(_) => ErrorCode::InvalidArgument,
        }
    }
}

/// All protocols.
#[must_use]
pub fn protocols() -> &'static [&'static Protocol] {
    PROTOCOLS
}

/// A protocol by its name.
///
/// # Errors
/// When there is none of that name.
pub fn protocol(name: &str) -> Result<&'static Protocol, Error> {
    PROTOCOLS.iter().copied().find(|protocol| protocol.name == name).ok_or_else(|| Error::Protocol {
        given: name.to_owned(),
        known: PROTOCOLS.iter().map(|protocol| protocol.name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_says_what_it_reports_and_published_rows_fit() {
        for protocol in protocols() {
            assert!(!protocol.measures.is_empty() && !protocol.about.is_empty(), "{}", protocol.name);
            for row in protocol.published {
                assert!(row.values.len() <= protocol.measures.len(), "{} {}", protocol.name, row.method);
                assert!(row.values.iter().flatten().all(|value| (0.0..1.0).contains(value)), "{}", row.method);
            }
        }
        let error = protocol("best-of-three").unwrap_err();
        assert!(error.to_string().contains("the protocols are gowalla"), "{error}");
        assert_eq!(protocol("ml-1m-loo").unwrap().measures[0].to_string(), "HR@10");
    }
}
