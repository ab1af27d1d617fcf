//! The command line of the feature schema: what can be asked of `setlist features`.

use clap::{Args, ValueEnum};

/// What stands above the options in the help.
pub(super) const ABOUT: &str = "\
Show the schema of ranking features: what a scorer may know of a card.

Every number that ranking computes for a candidate has one line: its name, what it depends on, its kind and unit, the
default where nothing is known, what is done to the raw number, the range that is sound, and what it means. Serving and
training read the same schema and compute with the same code; a model that was trained on another one is refused (its
hash stands below the table).

  item      depends on the item, the moment and the market: the same for every listener
  listener  depends on the listener and the request: computed once a page
  cross     depends on both: computed for each candidate

Examples:
  setlist features                     all of them, as a table
  setlist features session             those whose name, unit or meaning speaks of sessions
  setlist features --cost item         those that no listener changes
  setlist features --plain | cut -f1   the names alone, for scripts
  setlist features --json              everything, for programs";

/// `setlist features`.
#[derive(Clone, Debug, Args)]
pub struct Features {
    /// Only features that speak of this, in name, unit or meaning.
    pub about: Option<String>,
    /// Only features of this cost class.
    #[arg(long, value_enum)]
    pub cost: Option<CostClass>,
    /// Print lines with tabs between the columns, without a head, for scripts.
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// What a feature depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CostClass {
    /// The item, the moment and the market.
    Item,
    /// The listener and the request.
    Listener,
    /// Both.
    Cross,
}
