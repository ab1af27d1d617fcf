//! The `setlist` command: reads the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use setlist::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => setlist::demo::run(args),
        Command::Serve(args) => setlist::serve::run(&args),
        Command::Edge(args) => setlist::service::edge(&args),
        Command::Candidates(args) => setlist::service::candidates(&args),
        Command::Ranking(args) => setlist::service::ranking(&args),
        Command::Learning(args) => setlist::service::learning(&args),
        Command::Import(args) => setlist::import::run(args),
        Command::Train(args) => setlist::train::run(args),
        Command::Export(args) => setlist::export::run(args),
        Command::Learn(args) => setlist::learn::run(args),
        Command::Release(args) => setlist::release::run(&args),
        Command::Evaluate(args) => setlist::evaluate::run(&args),
        Command::World(args) => setlist::world::run(&args),
        Command::Simulate(args) => setlist::simulate::run(&args),
        Command::Features(args) => setlist::features::run(&args),
        Command::Page(args) => setlist::page::run(&args),
        Command::Explain(args) => setlist::explain::run(&args),
        Command::Replay(args) => setlist::replay::run(&args),
        Command::Freshness(args) => setlist::freshness::run(&args),
        Command::Key(args) => setlist::keys::run(&args),
        Command::Streams(args) => setlist::streams::run(&args),
        Command::Dead(args) => setlist::dead::run(&args),
        Command::Doctor(args) => setlist::doctor::run(&args),
    }
}
