//! `setlist page`: a listener's page of a running platform, drawn in the terminal.

use std::process::ExitCode;

use crate::{
    cli,
    client::{Client, Page},
    draw,
};

/// Asks and draws.
#[must_use]
pub fn run(args: &cli::Page) -> ExitCode {
    let drawn =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from).and_then(
            |executor| {
                executor.block_on(async {
                    let client = Client::of(&args.access)?;
                    let (page, elapsed) = client.page(&args.surface, &args.user, args.market.as_deref()).await?;
                    Ok::<(Page, std::time::Duration), anyhow::Error>((page, elapsed))
                })
            },
        );
    match drawn {
        Ok((page, elapsed)) => {
            draw::print(&draw::page(&page, &args.user, elapsed, args.cards, None));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
