//! What can be asked of training: everything, or the ranker alone.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use service_runtime::cli::Options;

use super::Data;

/// What `setlist train` does.
pub(super) const ABOUT: &str = "\
Train on the archive and promote the release, if every gate lets it through.

Everything is trained: factors, neighbours, popularity, rates and the scorer. `setlist train ranker` trains the scorer \
alone, in a fraction of the time: from the recommendation records since the live release's data end, joined with what \
listeners then did. The release that comes of it has the live one's candidate models.

With --report a folder is filled with the numbers as JSON and with pictures: learning curves, what the trees ask, what is \
lost without a column, and how often what was predicted came true.";

/// `setlist train`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Train {
    /// A part to train alone.
    #[command(subcommand)]
    pub only: Option<TrainOnly>,
    /// On what, and where to.
    #[command(flatten)]
    pub training: Training,
}

/// A part that can be trained alone.
#[derive(Clone, Debug, Subcommand)]
pub enum TrainOnly {
    /// Train the scorer alone, from recommendation records and what came of them, and promote the release.
    Ranker(Training),
}

/// On what is trained, and where to.
#[derive(Clone, Debug, Args)]
pub struct Training {
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
    /// Write the report into this folder: the manifest and the training as JSON, and pictures as SVG. A name that ends in
    /// `.json` is a file that gets the manifest alone.
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
    /// Beside a cluster: the candidate generation that has the catalogue, such as `http://127.0.0.1:7101`. The archive
    /// and the releases are the configured folders, and the bus is left alone.
    #[arg(long, value_name = "URL")]
    pub candidates: Option<String>,
}
