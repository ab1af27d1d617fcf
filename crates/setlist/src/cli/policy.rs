//! What can be asked of `setlist evaluate policy`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, ValueEnum};
use service_runtime::cli::Options;

/// What `setlist evaluate policy` does, for who has not met it.
pub(super) const ABOUT: &str = "\
Say what a policy would have brought, from the log of another one.

Where a log says with which probability its policy chose what it chose, another policy can be judged without showing it to \
anybody: choices that it would make more often count more. The ratio of the two probabilities is a decision's weight.

Three logs can be read. `--dataset` is a folder in the form of the Open Bandit data set, where two policies ran side by \
side: each is estimated from the other's log and held against what it brought itself. `--data` is a platform's data folder: \
its archive knows every card with its probability, and the events that name the answer. `--world` is the generated world, \
where the truth is known: it draws many logs and counts how often the intervals hold it.

Believe an estimate when the mean weight is near 1, the largest is small beside the number of decisions, and the effective \
sample size is some hundreds: it says as much as so many decisions of the policy itself would.";

/// `setlist evaluate policy`.
#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("log").required(true).args(["dataset", "data", "world"]),
    after_long_help = HELP
)]
pub struct Policy {
    /// A folder in the form of the Open Bandit data set: `<policy>/<campaign>/<campaign>.csv`.
    #[arg(long, value_name = "FOLDER")]
    pub dataset: Option<PathBuf>,
    /// The data folder of a platform, for its archive; `--set archive.url=…` names one in a bucket.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// The generated world, and how often intervals hold its truth.
    #[arg(long)]
    pub world: bool,

    /// With --dataset: the two policies.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME,NAME",
        default_value = "random,bts",
        help_heading = "Open Bandit"
    )]
    pub policies: Vec<String>,
    /// With --dataset: the campaigns; all of them when left out.
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", help_heading = "Open Bandit")]
    pub campaign: Vec<String>,
    /// With --dataset: how rewards are modelled for DM, DR, SNDR and SWITCH-DR.
    #[arg(long, value_enum, default_value_t = RewardModel::Rates, help_heading = "Open Bandit")]
    pub model: RewardModel,
    /// With --dataset: no decision is predicted by a model that saw it; so many parts are held out in turn.
    #[arg(long, default_value_t = 3, help_heading = "Open Bandit")]
    pub folds: u64,

    /// With --data: whose answers.
    #[arg(long, default_value = "demo", help_heading = "Archive")]
    pub tenant: String,
    /// With --data: what a card brings, such as `play=1` or `complete=1,like=3,skip=-1`; each kind counts once a card.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "KIND=WORTH,…",
        default_value = "play=1",
        help_heading = "Archive"
    )]
    pub reward: Vec<String>,
    /// With --data: another objective, such as `complete=1,like=3`: what cards would be chosen by, with the same exploration.
    /// It is told by answers that were recorded whole.
    #[arg(long, value_delimiter = ',', value_name = "ACTION=WORTH,…", requires = "data", help_heading = "Archive")]
    pub objective: Option<Vec<String>>,
    /// With --data: of answers that were recorded whole, so many places from the top alone: fewer places, surer numbers.
    #[arg(long, value_name = "PLACES", requires = "data", help_heading = "Archive")]
    pub places: Option<usize>,
    /// With --data: events up to so long after the answer count.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "24h", help_heading = "Archive")]
    pub window: Duration,
    /// With --data: only answers of so long until now, such as `7d`.
    #[arg(long, value_parser = humantime::parse_duration, help_heading = "Archive")]
    pub last: Option<Duration>,
    /// With --data: the configuration.
    #[command(flatten)]
    pub configuration: Options,

    /// With --world: how many logs are drawn.
    #[arg(long, default_value_t = 200, help_heading = "World")]
    pub runs: usize,
    /// With --world: decisions of each log, and as many lists.
    #[arg(long, default_value_t = 2_000, help_heading = "World")]
    pub rounds: usize,

    /// Weights above it count as much as this: less variance, more bias.
    #[arg(long, value_name = "WEIGHT")]
    pub clip: Option<f64>,
    /// τ of SWITCH-DR: decisions with a greater weight are left to the model.
    #[arg(long, value_name = "WEIGHT", default_value_t = 10.0)]
    pub switch: f64,
    /// Intervals by drawing listeners so often again with replacement, instead of the normal ones of the delta method.
    #[arg(long, value_name = "ROUNDS")]
    pub bootstrap: Option<usize>,
    /// The source of every draw: the same seed gives the same numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write all numbers as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// With --dataset or --world: write rounds, probabilities and expected rewards as CSV into this folder, for other
    /// tools.
    #[arg(long, value_name = "FOLDER", conflicts_with = "data")]
    pub dump: Option<PathBuf>,
    /// Draw every comparison as SVG into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
}

/// How rewards are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RewardModel {
    /// The mean of each action at each position, drawn towards that of the action and of all.
    Rates,
    /// Boosted trees on position, action, listener and item.
    Trees,
}

const HELP: &str = "\
Estimators:
  IPS, SNIPS       weights alone; SN divides by their sum instead of their number
  DM               a model of rewards alone: no variance of weights, all of the model's bias
  DR, SNDR         the model, mended by the weighted misses; right when either is
  SWITCH-DR        DR, with decisions of great weight left to the model
  position-based   for policies by position: a click needs a look at the place and a liking of the item
  SIPS, IIPS, RIPS, cascade DR   for lists: the whole list, each card alone, each card after those before it

Examples:
  setlist evaluate policy --dataset open-bandit-small --campaign men --plot report
  setlist evaluate policy --data .setlist/demo --reward complete=1,like=3
  setlist evaluate policy --data .setlist/demo --objective complete=1,like=3 --places 3
  setlist evaluate policy --world --runs 200";
