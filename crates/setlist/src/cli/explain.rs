//! `setlist explain` and `setlist replay`: what they take.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::Access;

/// What `setlist explain --help` teaches.
pub(super) const ABOUT_EXPLAIN: &str = "\
Explain an answer of a running platform: why each card stands where it stands, or what became of one item.

  setlist explain                        the newest answer
  setlist explain --user user-00042      the newest answer to a listener
  setlist explain <id>                   an answer, by its recommendation_id
  setlist explain <id> track-000123      why this item is there, or why not: shown, ranked and not chosen, dropped by a
                                         filter, or never a candidate

The key needs the scope `explain`.";

/// What `setlist replay --help` teaches.
pub(super) const ABOUT_REPLAY: &str = "\
Make answers of a running platform again, and show what would be otherwise. Nothing is served or recorded.

  setlist replay <id>                                with everything as it was: the same page, bit for bit
  setlist replay <id> --release live                 with the release that serves now
  setlist replay <id> --surface-file home.yaml       with other shelves, sources, objectives or rules
  setlist replay --since 1h --release <id>           many answers: overlap, shifts, how full shelves are, times, and who
                                                     gets the exposure; --plot draws it

Answers that were recorded whole (records.complete_share, or record_whole in the request) are made again from their own
candidates; for the others, and for surfaces that want other candidates, these are gathered by what is known now, and that is
said. The key needs the scope `explain`.";

/// `setlist explain`.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The answer's `recommendation_id`; the newest one when left out.
    pub id: Option<String>,
    /// An item: what became of it.
    pub item: Option<String>,
    /// With no id: the newest answer to this listener.
    #[arg(long, conflicts_with = "id")]
    pub user: Option<String>,
    /// The most cards to draw of each shelf.
    #[arg(long, default_value_t = 3)]
    pub cards: usize,
    /// Print the answer of the API, for scripts.
    #[arg(long)]
    pub json: bool,
    /// The edge and the key to it.
    #[command(flatten)]
    pub access: Access,
}

/// `setlist replay`.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The answer's `recommendation_id`.
    #[arg(required_unless_present = "since", conflicts_with = "since")]
    pub id: Option<String>,
    /// Many answers: those of the last so long, such as `1h`.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub since: Option<Duration>,
    /// The most of them, newest first.
    #[arg(long, default_value_t = 200)]
    pub limit: usize,
    /// Those to one listener only.
    #[arg(long, requires = "since")]
    pub user: Option<String>,
    /// Those of one surface only.
    #[arg(long, requires = "since")]
    pub surface: Option<String>,
    /// Those that were recorded whole only.
    #[arg(long, requires = "since")]
    pub whole: bool,
    /// The release to rank with: `live`, or an id.
    #[arg(long)]
    pub release: Option<String>,
    /// The surface to answer for: a file.
    #[arg(long, value_name = "FILE", conflicts_with = "current")]
    pub surface_file: Option<PathBuf>,
    /// The surface as it is served now.
    #[arg(long)]
    pub current: bool,
    /// Gather candidates again by what is known now.
    #[arg(long)]
    pub gather: bool,
    /// Draw pictures of many answers into this folder.
    #[arg(long, value_name = "FOLDER", requires = "since")]
    pub plot: Option<PathBuf>,
    /// Print JSON, for scripts.
    #[arg(long)]
    pub json: bool,
    /// The edge and the key to it.
    #[command(flatten)]
    pub access: Access,
}
