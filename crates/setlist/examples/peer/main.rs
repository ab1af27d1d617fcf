//! The service of a Python team, made of this platform's parts: the same data, the same rules, the same model file, for
//! the side by side runs of `scripts/bench/peer`. Candidates come from the embedding index, scores from the engine of
//! imported models, requests through the platform's HTTP layer with its spans and metrics.
//!
//! `peer <data> [--port 0] [--effort 0.5]` serves; `peer <data> --check` holds its answers against `golden.jsonl`.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

mod check;
mod data;
mod nearest;
mod rules;
mod serve;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves the Python peer's data by the Python peer's rules.
#[derive(Debug, Parser)]
struct Options {
    /// The folder that the peer's `gen_data.py` wrote.
    data: PathBuf,
    /// Where to listen on 127.0.0.1; 0 takes a free port and prints it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How thoroughly the index is searched; `inf` looks at every item.
    #[arg(long, default_value_t = 0.5)]
    effort: f32,
    /// Compares with `golden.jsonl` instead of serving.
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rules = rules::Rules::load(&options.data, options.effort)?;
    if options.check {
        return check::run(&rules, &options.data);
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve::run(rules, options.port))
}
