//! The ranking process.

use std::process::ExitCode;

use ranking::service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service_runtime::process::run(&service::ABOUT, service::serve)
}
