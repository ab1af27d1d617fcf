//! The protocol of NGCF and LightGCN, whole: train on a split, rank all items but the seen ones for
//! all users, report Recall and NDCG at 20 and 50 beside popularity.

use std::{path::Path, time::Duration};

use shared_models::{ErrorCode, Seed};

use super::{At, FactorScorer, Interval, PopularityScorer, bootstrap, measure};
use crate::{
    datasets::gowalla,
    factors::{self, Epoch, Settings},
};

/// The list lengths that are reported.
pub const LENGTHS: [usize; 2] = [20, 50];

/// What one recommender reached at one list length.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which recommender.
    pub name: &'static str,
    /// The length of the lists.
    pub k: usize,
    /// Recall with its interval.
    pub recall: Interval,
    /// NDCG with its interval.
    pub ndcg: Interval,
    /// The share of the items that anybody is recommended.
    pub coverage: f64,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Users, items, training pairs, test pairs.
    pub size: [usize; 4],
    /// Popularity and factors, at each length.
    pub rows: Vec<Row>,
    /// How long each epoch took.
    pub epochs: Vec<Duration>,
}

/// What to measure on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// The test part, for the report.
    Test,
    /// The last tenth of each list of the training part, for tuning: the test part stays unread.
    Validation,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data cannot be read.
    #[error("could not read the split")]
    Data(#[from] gowalla::Error),
    /// The training failed.
    #[error("could not train")]
    Train(#[from] factors::Error),
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Data(error) => error.code(),
            Self::Train(error) => error.code(),
        }
    }
}

/// Reads a folder, trains and measures. Weights fade by `fading` ([`gowalla::Split::train`]). `on_epoch` hears of every epoch when it is over.
///
/// # Errors
/// When the folder cannot be read or the settings are out of range.
pub fn run(
    folder: &Path,
    part: Part,
    settings: &Settings,
    fading: f32,
    on_epoch: &mut (dyn FnMut(Epoch) + Send),
) -> Result<Report, Error> {
    let gowalla::Split { train: seen, test: held_out } = match part {
        Part::Test => gowalla::read(folder, fading)?,
        Part::Validation => gowalla::read_for_tuning(folder, 0.1, fading)?,
    };
    let mut epochs = Vec::with_capacity(settings.epochs);
    let model = factors::train(&seen, settings, &mut |epoch| {
        epochs.push(epoch.wall);
        on_epoch(epoch);
    })?;
    let mut rows = Vec::new();
    for at in measure(&PopularityScorer::new(&seen), &seen, &held_out, &LENGTHS) {
        rows.push(row("popularity", &at));
    }
    for at in measure(&FactorScorer(&model), &seen, &held_out, &LENGTHS) {
        rows.push(row("factors", &at));
    }
    Ok(Report { size: [seen.rows(), seen.columns(), seen.len(), held_out.len()], rows, epochs })
}

fn row(name: &'static str, at: &At) -> Row {
    let interval = |values: &[f32]| bootstrap(values, 1_000, Seed(1));
    Row { name, k: at.k, recall: interval(&at.recall), ndcg: interval(&at.ndcg), coverage: at.coverage }
}
