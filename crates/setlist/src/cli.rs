//! The command line: what can be asked of the binary, and nothing of how it is done.

mod explain;
mod features;
mod measure;
pub mod policy;
pub mod release;
pub mod simulate;
mod train;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use service_runtime::cli::Options;

pub use explain::{Explain, Replay};
pub use features::{CostClass, Features};
pub use measure::{Evaluate, Other, Part, World};
pub use train::{Train, TrainOnly, Training};

/// Setlist: the backend behind a listening app's Home.
///
/// Start with `setlist demo`: it generates a world of listeners and tracks, learns from it, serves it
/// on this machine and shows you round. Nothing has to be installed.
#[derive(Debug, Parser)]
#[command(name = "setlist", version, about, long_about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a world, learn from it, serve it, and show a guided tour.
    Demo(Demo),
    /// Serve the whole platform from one process on embedded storage.
    Serve(Serve),
    /// Run the edge alone: HTTP in, gRPC out.
    Edge(Service),
    /// Run candidate generation alone: gRPC in, catalogue and profiles behind it.
    Candidates(Service),
    /// Run ranking alone: gRPC in, models behind it.
    Ranking(Service),
    /// Run learning alone: events into the archive, and a release now and then.
    Learning(Service),
    /// Import a data set: items into the catalogue, events through the stream.
    Import(Import),
    /// Train on the archive and promote the release, if every gate lets it through.
    #[command(long_about = train::ABOUT)]
    Train(Train),
    /// Export everything a tenant owns into a folder.
    Export(Export),
    /// Train now and then, beside a running platform, and promote what the gates let through.
    Learn(release::Learn),
    /// List, show, verify, promote, roll back and compare releases.
    Release(release::Release),
    /// Measure engines by a published protocol, with intervals, as a table, JSON and pictures.
    #[command(long_about = measure::ABOUT_EVALUATE)]
    Evaluate(Evaluate),
    /// Describe the generated world, in figures and pictures.
    #[command(long_about = measure::ABOUT_WORLD)]
    World(World),
    /// Let listeners of the generated world use the platform, and see what it brings them.
    #[command(long_about = simulate::ABOUT)]
    Simulate(simulate::Simulate),
    /// Show the schema of ranking features: what a scorer may know of a card.
    #[command(long_about = features::ABOUT)]
    Features(Features),
    /// Draw a listener's page in the terminal, from a running platform.
    Page(Page),
    /// Explain an answer of a running platform: why these cards, and why not another.
    #[command(long_about = explain::ABOUT_EXPLAIN)]
    Explain(Explain),
    /// Make answers of a running platform again: the same, or with another release or surface.
    #[command(long_about = explain::ABOUT_REPLAY)]
    Replay(Replay),
    /// Measure how long a play takes to change the next page of a running platform.
    Freshness(Freshness),
    /// Make an API key for the edge's configuration.
    Key(Key),
    /// Show every stream of the event bus with its consumers.
    Streams(Streams),
    /// List, show, send again or throw away what no consumer could take.
    Dead(Dead),
    /// Check configuration, ports, stores, streams and releases, and say what to mend.
    Doctor(Doctor),
}

/// Where a platform keeps everything.
#[derive(Clone, Debug, Args)]
pub struct Data {
    /// The folder of catalogue, profiles, stream, archive and releases.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/data")]
    pub data: PathBuf,
    /// The tenant.
    #[arg(long, default_value = "demo")]
    pub tenant: String,
}

/// How to call a running platform.
#[derive(Clone, Debug, Args)]
pub struct Access {
    /// The edge.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// An API key; the development key of `--data` when left out.
    #[arg(long, env = "SETLIST_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The data folder of the platform, for its development key.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/data")]
    pub data: PathBuf,
}

/// `setlist demo`.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Where the demo keeps everything. A second run with the same world starts warm.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/demo")]
    pub data: PathBuf,
    /// The port of the HTTP API on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The port of the operators' listener (/livez, /readyz, /metrics) on 127.0.0.1: the one after `--port` when left
    /// out, a free one for 0.
    #[arg(long)]
    pub ops_port: Option<u16>,
    /// Tracks in the generated catalogue.
    #[arg(long, default_value_t = 20_000)]
    pub tracks: usize,
    /// Listeners.
    #[arg(long, default_value_t = 2_000)]
    pub listeners: usize,
    /// Events, impressions not counted.
    #[arg(long, default_value_t = 500_000)]
    pub events: usize,
    /// The seed of the world: the same seed gives the same world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Throw away what an earlier demo left in the folder.
    #[arg(long)]
    pub fresh: bool,
    /// Stop after the tour instead of serving until Ctrl-C.
    #[arg(long)]
    pub once: bool,
    /// Send traces to an OTLP gRPC endpoint, such as `http://127.0.0.1:4317`.
    #[arg(long, value_name = "URL", default_value = "")]
    pub otlp: String,
}

/// `setlist serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
    /// Call the services over gRPC on the loopback interface instead of in process.
    #[arg(long)]
    pub loopback_grpc: bool,
}

/// One service alone.
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
}

/// The forms of data that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A MovieLens folder (`movies.dat` with `ratings.dat` or `ratings_merged.csv.gz`).
    Movielens,
    /// A Last.fm HetRec 2011 folder (`user_artists.dat`, `artists.dat`, `tags.dat`).
    Lastfm,
    /// ListenBrainz listens, JSON lines.
    Listenbrainz,
    /// A listener's own Spotify extended streaming history: the folder or one of its files.
    Spotify,
    /// Any .csv, .tsv or .jsonl file, plain or .gz; see `--map`.
    #[value(aliases = ["csv", "jsonl"])]
    Table,
}

/// `setlist import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The form of the data.
    #[arg(value_enum)]
    pub format: Format,
    /// The file or folder.
    pub path: PathBuf,
    /// For tables: which column holds what, such as
    /// `--map user=listener_id,item=track_id,time=played_at,title=track,artist=artist`.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    pub map: Option<String>,
    /// Whose history it is, where the rows do not say.
    #[arg(long, default_value = "me")]
    pub user: String,
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
    /// Write every skipped row with its reason to this file.
    #[arg(long, value_name = "FILE")]
    pub skipped: Option<PathBuf>,
    /// With bus.kind = nats: the edge that takes the items. Events go to NATS.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The key to it, with scope `catalog`.
    #[arg(long, env = "SETLIST_KEY", hide_env_values = true)]
    pub key: Option<String>,
}

/// `setlist export`.
///
/// Items, listeners, trends, surfaces, keys (without what opens them) and releases as JSON lines; events and
/// recommendations as Parquet; a manifest with counts and hashes. docs/data-dictionary.md explains every column.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// Where to: a folder that is not there, or is empty.
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration. A cluster is named by candidates.store.url, archive.path or archive.url, and
    /// ranking.releases.path.
    #[command(flatten)]
    pub configuration: Options,
}

/// `setlist page`.
#[derive(Clone, Debug, Args)]
pub struct Page {
    /// The listener; one nobody has heard of gets a cold page.
    #[arg(long)]
    pub user: String,
    /// The surface.
    #[arg(long, default_value = "home")]
    pub surface: String,
    /// The market, such as `SE`.
    #[arg(long)]
    pub market: Option<String>,
    /// The edge and the key to it.
    #[command(flatten)]
    pub access: Access,
    /// The most cards to draw of each shelf.
    #[arg(long, default_value_t = 5)]
    pub cards: usize,
}

/// `setlist freshness`.
///
/// Plays a track for each of many listeners and asks for their pages until they know of it. The plays are
/// real events: run it against a demo.
#[derive(Clone, Debug, Args)]
pub struct Freshness {
    /// How many plays.
    #[arg(long, default_value_t = 500)]
    pub plays: u32,
    /// How many plays a second, whether or not the earlier ones have shown.
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// What stands before a listener's number of five digits.
    #[arg(long, default_value = "user-")]
    pub users: String,
    /// How many listeners play in turn.
    #[arg(long, default_value_t = 2_000)]
    pub listeners: u32,
    /// The surface whose pages are looked at: one with a shelf of what was played.
    #[arg(long, default_value = "home")]
    pub surface: String,
    /// The edge and the key to it.
    #[command(flatten)]
    pub access: Access,
}

/// `setlist key`.
#[derive(Clone, Debug, Args)]
pub struct Key {
    /// The tenant the key belongs to.
    #[arg(long, default_value = "demo")]
    pub tenant: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_value = "serve,events")]
    pub scopes: Vec<String>,
}

/// Which event bus, for the commands of operators.
///
/// An embedded log belongs to one process at a time: stop `setlist serve` first. NATS is asked directly; name it with
/// `--set bus.kind=nats --set bus.url=nats://…`, a file, or the environment (SETLIST__BUS__KIND, SETLIST__BUS__URL).
#[derive(Clone, Debug, Args)]
pub struct Bus {
    /// The data folder of the platform, for its embedded log.
    #[arg(long, value_name = "FOLDER", default_value = ".setlist/data")]
    pub data: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
    /// Print JSON, for scripts.
    #[arg(long)]
    pub json: bool,
}

/// `setlist streams`.
#[derive(Clone, Debug, Args)]
pub struct Streams {
    /// The bus.
    #[command(flatten)]
    pub bus: Bus,
}

/// `setlist dead`.
#[derive(Clone, Debug, Args)]
pub struct Dead {
    /// What to do.
    #[command(subcommand)]
    pub action: DeadAction,
}

/// What to do with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadAction {
    /// List them, oldest first.
    List {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// The most to list.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// The bus.
        #[command(flatten)]
        bus: Bus,
    },
    /// Show one: why it was given up, and the message with its content.
    Show {
        /// Its id, as `list` shows it.
        id: u64,
        /// The bus.
        #[command(flatten)]
        bus: Bus,
    },
    /// Publish messages again on their subjects, after the repair, and remove their letters.
    Redrive {
        /// Which letters.
        #[command(flatten)]
        chosen: Chosen,
        /// The bus.
        #[command(flatten)]
        bus: Bus,
    },
    /// Remove letters for good.
    Drop {
        /// Which letters.
        #[command(flatten)]
        chosen: Chosen,
        /// The bus.
        #[command(flatten)]
        bus: Bus,
    },
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Of this stream, such as `EVENTS`.
    #[arg(long)]
    pub stream: Option<String>,
    /// Of this consumer, such as `candidates-intake`.
    #[arg(long)]
    pub consumer: Option<String>,
    /// Of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
}

/// Which dead letters are dealt with: by id, or all that the filters let through.
#[derive(Clone, Debug, Args)]
pub struct Chosen {
    /// Their ids.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<u64>,
    /// All of them, or all that the filters let through.
    #[arg(long)]
    pub all: bool,
    /// The filters.
    #[command(flatten)]
    pub which: Which,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// `setlist doctor`.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// Where everything is kept.
    #[command(flatten)]
    pub data: Data,
    /// The configuration.
    #[command(flatten)]
    pub configuration: Options,
}

/// The names of the commands, for the test that checks the documents.
#[must_use]
pub fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert_eq!(commands().first().map(String::as_str), Some("demo"));
    }
}
