//! `setlist serve`: the whole platform in one process, until it is asked to stop.

use std::process::ExitCode;

use service_runtime::process::{self, Listening};
use shared_models::TenantId;

use crate::{
    cli,
    config::{self, Loaded},
    devkey,
    platform::Platform,
};

/// Serves.
#[must_use]
pub fn run(args: &cli::Serve) -> ExitCode {
    let mut config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    let offered = TenantId::new(&args.data.tenant)
        .map_err(anyhow::Error::from)
        .and_then(|tenant| devkey::offer(&mut config, &args.data.data, &tenant));
    match offered {
        Ok(None) => {}
        Ok(Some(path)) => {
            eprintln!("No API key is configured: the development key in {} opens this platform.", path.display());
        }
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    }
    let loopback = args.loopback_grpc;
    process::start("setlist", *config, move |config, runtime| async move {
        let (listener, address) = Platform::bind(&config)?;
        let platform = Platform::build(&config, &runtime, loopback).await?;
        platform.serve(listener, &runtime);
        anyhow::Ok(vec![Listening { what: "http", address }])
    })
}
