//! `setlist serve`: the whole platform in one process, until it is asked to stop.

use std::process::ExitCode;

use service_runtime::process::{self, Listening};

use crate::{
    cli,
    config::{self, Loaded},
    platform::Platform,
};

/// Serves.
#[must_use]
pub fn run(args: &cli::Serve) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    let loopback = args.loopback_grpc;
    process::start("setlist", *config, move |config, runtime| async move {
        let (listener, address) = Platform::bind(&config)?;
        let platform = Platform::build(&config, &runtime, loopback).await?;
        platform.serve(listener, &runtime);
        anyhow::Ok(vec![Listening { what: "http", address }])
    })
}
