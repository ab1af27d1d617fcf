//! One service alone: the same process as the service's own binary.

use std::process::ExitCode;

use service_runtime::{
    cli::{self, Loaded},
    process,
};

use crate::cli::Service;

/// The edge.
#[must_use]
pub fn edge(args: &Service) -> ExitCode {
    let about = edge_api::service::ABOUT;
    match cli::load(&args.configuration, about.defaults, about.env_prefix) {
        Loaded::Run(config) => process::start(about.name, config, edge_api::service::serve),
        Loaded::Exit(code) => code,
    }
}

/// Candidate generation.
#[must_use]
pub fn candidates(args: &Service) -> ExitCode {
    let about = candidate_generation::service::ABOUT;
    match cli::load(&args.configuration, about.defaults, about.env_prefix) {
        Loaded::Run(config) => process::start(about.name, config, candidate_generation::service::serve),
        Loaded::Exit(code) => code,
    }
}

/// Ranking.
#[must_use]
pub fn ranking(args: &Service) -> ExitCode {
    let about = ranking::service::ABOUT;
    match cli::load(&args.configuration, about.defaults, about.env_prefix) {
        Loaded::Run(config) => process::start(about.name, config, ranking::service::serve),
        Loaded::Exit(code) => code,
    }
}

/// Learning.
#[must_use]
pub fn learning(args: &Service) -> ExitCode {
    let about = learning::service::ABOUT;
    match cli::load(&args.configuration, about.defaults, about.env_prefix) {
        Loaded::Run(config) => process::start(about.name, config, learning::service::serve),
        Loaded::Exit(code) => code,
    }
}
