//! What can be asked of the commands that measure: engines by a protocol, and the generated world.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use learning::evaluate::{engine, protocol};

use super::{Format, policy};

/// What `setlist evaluate` does, for who has not met it.
pub(super) const ABOUT_EVALUATE: &str = "\
Measure engines by a published protocol, with intervals, as a table, JSON and pictures.

An engine learns from one part of a data set and makes a list for every user; the list is held against what the user \
chose in a part that the engine never saw. Protocols say which parts, what is ranked, and which numbers are reported, \
each exactly as a published table was made: its rows are shown below ours.

Every number is a mean over users with the interval that holds it with 95 % confidence. Two engines whose intervals \
overlap may still differ: `behind` compares them user by user, and an interval there without 0 is a difference.

Choose settings with `--part validation` or `--tune`: both hold a part of the training data out and read nothing of the \
test. What was chosen by looking at the test part is no measurement.";

/// What `setlist world` does.
pub(super) const ABOUT_WORLD: &str = "\
Describe the generated world, in figures and pictures.

Makes the world that `setlist demo` makes from the same numbers, prints its shapes beside those a music service has, \
and draws them. Where a demo of that world has trained a release, the space of its factors is drawn as well.

With --into the world is not described but put into a data folder, of any size: its events are written into the archive as \
they are made. `setlist learn --once --data <folder>` then trains on them, and `setlist serve --data <folder>` serves.";

/// `setlist evaluate`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = after_help(), args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Evaluate {
    /// What is evaluated, where it is no engine.
    #[command(subcommand)]
    pub other: Option<Other>,
    /// The folder with the data set's files; the protocol `world` needs none.
    #[arg(long, value_name = "FOLDER")]
    pub dataset: Option<PathBuf>,
    /// How it is split, ranked and measured.
    #[arg(long, value_parser = PossibleValuesParser::new(protocol_names()), hide_possible_values = true)]
    pub protocol: Option<String>,
    /// The engines, joined with commas; all of them when left out.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub engine: Vec<String>,
    /// List lengths to report instead of the protocol's, such as `10,20`.
    #[arg(long, value_delimiter = ',', value_name = "LENGTH,…")]
    pub k: Vec<usize>,
    /// What is measured on.
    #[arg(long, value_enum, default_value_t = Part::Test)]
    pub part: Part,
    /// A setting of an engine, such as `factors.dimensions=128`; may be given more than once.
    #[arg(long, value_name = "ENGINE.NAME=VALUE")]
    pub set: Vec<String>,
    /// Values to try on the validation part, all with all, such as `factors.alpha=10,40,100`; what is best there is then
    /// measured. May be given more than once.
    #[arg(long, value_name = "ENGINE.NAME=VALUE,…")]
    pub tune: Vec<String>,
    /// Leave the settings that were chosen for the protocol before, and begin from the engines' defaults.
    #[arg(long)]
    pub plain: bool,
    /// The source of every draw: the same seed gives the same numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// For splits by time: the latest share that is held out.
    #[arg(long, default_value_t = 0.2)]
    pub share: f64,
    /// For protocols with folds: which, from 0.
    #[arg(long, default_value_t = 0)]
    pub fold: usize,
    /// For the protocol `time`: the form of the data, as in `setlist import`; found by the files' names when left out.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// For `--format table`: which column holds what, as in `setlist import`.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    pub map: Option<String>,
    /// For the archive of a platform's data folder: whose.
    #[arg(long, default_value = "demo")]
    pub tenant: String,
    /// Write all numbers as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw recall, exposure and the space of factors as SVG into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Keep how far trainings are in this folder, which nobody else uses: begun again after it was cut short, an evaluation
    /// goes on from there, to the same numbers. Factors and contrast keep it; it is removed when all is measured.
    #[arg(long, value_name = "FOLDER")]
    pub work: Option<PathBuf>,
    /// Only list the protocols and the engines with their settings.
    #[arg(long)]
    pub list: bool,
}

/// What else than engines can be evaluated.
#[derive(Clone, Debug, Subcommand)]
pub enum Other {
    /// Say what a policy would have brought, from the log of another one.
    #[command(long_about = policy::ABOUT)]
    Policy(Box<policy::Policy>),
}

/// What is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The test part, for reports.
    Test,
    /// A part of the training data, for choosing settings.
    Validation,
}

fn protocol_names() -> Vec<&'static str> {
    protocol::protocols().iter().map(|protocol| protocol.name).collect()
}

/// The protocols and engines there are, from where they are defined.
fn after_help() -> String {
    let mut help = "Protocols:\n".to_owned();
    for protocol in protocol::protocols() {
        help.push_str(&format!("  {:<18} {}\n  {:<18} reads {}\n", protocol.name, protocol.about, "", protocol.files));
    }
    help.push_str("\nEngines (`--list` shows their settings):\n");
    for engine in engine::engines() {
        help.push_str(&format!("  {:<18} {}\n", engine.name(), engine.about()));
    }
    help.push_str(
        "\nExamples:\n  \
         setlist evaluate --protocol world\n  \
         setlist evaluate --protocol gowalla-lightgcn --dataset gowalla --plot report\n  \
         setlist evaluate --protocol ml-1m-loo --dataset ml-1m --engine factors --tune factors.alpha=10,40,100\n  \
         setlist evaluate --protocol time --dataset plays.csv --format table --map user=listener,item=track,time=at",
    );
    help
}

/// `setlist world`.
#[derive(Clone, Debug, Args)]
pub struct World {
    /// Tracks in the catalogue.
    #[arg(long, default_value_t = 20_000)]
    pub tracks: usize,
    /// Listeners.
    #[arg(long, default_value_t = 2_000)]
    pub listeners: usize,
    /// Events, impressions not counted.
    #[arg(long, default_value_t = 500_000)]
    pub events: usize,
    /// The seed: the same seed gives the same world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Draw popularity, activity, hours, genres and the space of factors as SVG into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Write all counts as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The folder of a demo of the same world, for its release.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/demo")]
    pub data: PathBuf,
    /// Put the world into this data folder, which must be new, instead of describing it.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["plot", "json"])]
    pub into: Option<PathBuf>,
    /// With --into: the events of so many listeners go through the stream, so that these have profiles.
    #[arg(long, default_value_t = 100)]
    pub profiles: usize,
}
