//! One service alone: the same process as the service's own binary.

use std::process::ExitCode;

use service_runtime::process;

use crate::cli::Service;

/// The edge.
#[must_use]
pub fn edge(args: &Service) -> ExitCode {
    process::serve(edge_api::service::ABOUT, &args.configuration, edge_api::service::serve)
}

/// Candidate generation.
#[must_use]
pub fn candidates(args: &Service) -> ExitCode {
    process::serve(candidate_generation::service::ABOUT, &args.configuration, candidate_generation::service::serve)
}

/// Ranking.
#[must_use]
pub fn ranking(args: &Service) -> ExitCode {
    process::serve(ranking::service::ABOUT, &args.configuration, ranking::service::serve)
}

/// Learning.
#[must_use]
pub fn learning(args: &Service) -> ExitCode {
    process::serve(learning::service::ABOUT, &args.configuration, learning::service::serve)
}
