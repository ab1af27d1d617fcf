//! The candidate-generation process.

use std::process::ExitCode;

use candidate_generation::service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service_runtime::process::run(&service::ABOUT, service::serve)
}
