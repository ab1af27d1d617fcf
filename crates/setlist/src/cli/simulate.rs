//! What can be asked of `setlist simulate`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// What `setlist simulate` does, for who has not met it.
pub(super) const ABOUT: &str = "\
Let listeners of the generated world use the platform, and see what it brings them.

A world is generated and its past is learned from, as `setlist demo` does. Then listeners ask for pages over HTTP, round \
after round, and answer them by the world's own probabilities: they look from the top, play what they like, finish it, skip \
it, like it, tire of what they see too often, and play something of their own accord. Their events go back over HTTP. At \
half time some change their taste; a few good tracks were kept from the past and are put into the catalogue when the \
rounds begin.

Every arm is a process of its own with a copy of the same past, and the same listeners with the same luck: the same card in \
the same round gets the same answer whoever shows it. So arms are compared listener by listener.

Arms:
  random   ten tracks of the catalogue, drawn by the listener's client: what no system shows
  popular  the ten most played of the market that the listener has not had lately
  ials     the ten nearest to the listener's vector (implicit ALS, folded in as events come)
  ranker   all sources, ordered by the ranker
  explore  the same with the source of new tracks, and one place in ten drawn
  softmax  as explore, each place drawn by worth (Plackett and Luce)
  thompson as explore, each place drawn by what is believed of each track and how little is known of it

Which ten popular and ials show is theirs; their order among each other is the ranker's, which favours them.";

/// `setlist simulate`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Simulate {
    /// Where worlds, copies and logs are kept; what an earlier simulation left there is removed.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/simulate")]
    pub data: PathBuf,
    /// The arms, joined with commas.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "random,popular,ials,ranker,explore,softmax,thompson"
    )]
    pub arms: Vec<Arm>,
    /// Tracks in the generated catalogue.
    #[arg(long, default_value_t = 5_000)]
    pub tracks: usize,
    /// Listeners in the world; the first of them take part.
    #[arg(long, default_value_t = 1_000)]
    pub world_listeners: usize,
    /// Events of the past, impressions not counted.
    #[arg(long, default_value_t = 200_000)]
    pub events: usize,
    /// How many listeners take part.
    #[arg(long, default_value_t = 200)]
    pub listeners: usize,
    /// How many rounds: a page for each listener, and their answer. Requests of an arm: 2 × listeners × rounds.
    #[arg(long, default_value_t = 30)]
    pub rounds: u32,
    /// How many tracks a listener plays of their own accord each round.
    #[arg(long, default_value_t = 1)]
    pub own: usize,
    /// The share of listeners who change their taste at half time.
    #[arg(long, default_value_t = 0.5)]
    pub change: f64,
    /// How many good tracks are kept from the past and come new.
    #[arg(long, default_value_t = 20)]
    pub planted: usize,
    /// Pages asked for at once.
    #[arg(long, default_value_t = 8)]
    pub at_once: usize,
    /// Plays to measure freshness with, on a platform of its own after the arms; 0 leaves it.
    #[arg(long, default_value_t = 100)]
    pub freshness: u32,
    /// Fail unless every arm of the full system (ranker, explore, softmax, thompson) brings at least so many times what
    /// popular does: the lower end of the interval, listener by listener.
    #[arg(long, value_name = "FACTOR", help_heading = "Bars")]
    pub at_least: Option<f64>,
    /// Fail unless four fifths of what a change of taste cost are back within so many plays, in every such arm.
    #[arg(long, value_name = "PLAYS", help_heading = "Bars")]
    pub learns_within: Option<u32>,
    /// Fail unless so many of the planted tracks are found, in every such arm.
    #[arg(long, value_name = "TRACKS", help_heading = "Bars")]
    pub finds: Option<usize>,
    /// Fail unless a play shows on a page within so long, nineteen times of twenty.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Bars")]
    pub fresh_within: Option<Duration>,
    /// Keep the folders of the arms, with so large a share of their answers recorded whole, 0 to 1: then
    /// `setlist evaluate policy --data <folder>/<arm>` tells of other policies by what listeners did.
    #[arg(long, value_name = "SHARE")]
    pub keep: Option<f64>,
    /// The seed of the world and of all luck.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Write all numbers as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw reward, new tracks and the change of taste as SVG into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
}

/// Who makes pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arm {
    /// The client draws from the catalogue.
    Random,
    /// What is played most in the market.
    Popular,
    /// What is nearest to the listener's vector.
    Ials,
    /// All sources and the ranker.
    Ranker,
    /// The same with new tracks and even draws.
    Explore,
    /// The same with draws by worth.
    Softmax,
    /// The same with draws by belief.
    Thompson,
}

impl Arm {
    /// Whether it is the full system: all sources, ordered by the ranker.
    #[must_use]
    pub fn is_full(self) -> bool {
        matches!(self, Self::Ranker | Self::Explore | Self::Softmax | Self::Thompson)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Popular => "popular",
            Self::Ials => "ials",
            Self::Ranker => "ranker",
            Self::Explore => "explore",
            Self::Softmax => "softmax",
            Self::Thompson => "thompson",
        }
    }
}

const HELP: &str = "\
Examples:
  setlist simulate
  setlist simulate --arms popular,explore --listeners 50 --rounds 10
  setlist simulate --rounds 60 --json simulation.json --plot report
  setlist simulate --arms popular,ranker --at-least 2 --learns-within 40 --finds 15 --fresh-within 500ms

With bars, the exit code is 1 when one is missed, and 0 when all are kept.";
