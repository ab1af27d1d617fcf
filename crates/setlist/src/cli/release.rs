//! The command line of releases: what can be asked of `setlist release` and `setlist learn`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand};
use service_runtime::cli::Options;

use super::Data;

/// `setlist release`.
#[derive(Clone, Debug, Args)]
pub struct Release {
    /// What to do.
    #[command(subcommand)]
    pub action: ReleaseAction,
}

/// Where releases are, and how what is found is written.
///
/// They are in the data folder; those of a cluster are named with `--set ranking.releases.path=…`.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
    /// Print JSON, for scripts.
    #[arg(long)]
    pub json: bool,
}

/// Who does it, and why: both go into the log of promotions.
#[derive(Clone, Debug, Args)]
pub struct Who {
    /// Who you are.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "somebody")]
    pub by: String,
    /// Why.
    #[arg(long, default_value = "")]
    pub why: String,
}

/// What to do with releases. A release is named by its id or by the beginning of it.
#[derive(Clone, Debug, Subcommand)]
pub enum ReleaseAction {
    /// List them, newest first, with which is live and who promoted what.
    List {
        /// Where.
        #[command(flatten)]
        place: Place,
        /// How many lines of the log of promotions to show.
        #[arg(long, default_value_t = 10)]
        log: usize,
    },
    /// Show one: its files, measurements and lineage; the live one when none is named.
    Show {
        /// Which.
        release: Option<String>,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Ask every gate, and change nothing; the live one when none is named. Exits with 1 when a gate says no.
    Verify {
        /// Which.
        release: Option<String>,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Make a release live if every gate lets it through; the newest when none is named.
    Promote {
        /// Which.
        release: Option<String>,
        /// Promote it against gates that judge (golden, quality, size, latency), for this reason. What services check
        /// for themselves cannot be forced.
        #[arg(long, value_name = "REASON")]
        force: Option<String>,
        /// Who and why.
        #[command(flatten)]
        who: Who,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Make the release live that was before. Once more, it is undone.
    Rollback {
        /// Who and why.
        #[command(flatten)]
        who: Who,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Compare two releases: measurements, sizes, items, and what golden listeners would get.
    Diff {
        /// The one.
        from: String,
        /// The other; the live one when it is left out.
        to: Option<String>,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// `setlist learn`.
///
/// Runs beside `setlist serve`, on the same folder: it reads the archive and the catalogue and writes releases, and the
/// services take up what is promoted.
#[derive(Clone, Debug, Args)]
pub struct Learn {
    /// How long from one training to the next, such as `6h`; `learn.every` of the configuration when left out.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub every: Option<Duration>,
    /// Train once, now, and end: with 0 when the release is live, with 1 when a gate held it back or there is none.
    #[arg(long)]
    pub once: bool,
    /// How many releases are kept, the live one and the one before not counted; `learn.keep` when left out.
    #[arg(long)]
    pub keep: Option<usize>,
    /// Where operators find /livez, /readyz and /metrics.
    #[arg(long, default_value = "127.0.0.1:9103")]
    pub ops: SocketAddr,
    /// Beside a cluster: the candidate generation that has the catalogue, such as `http://127.0.0.1:7101`.
    #[arg(long, value_name = "URL")]
    pub candidates: Option<String>,
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
}
