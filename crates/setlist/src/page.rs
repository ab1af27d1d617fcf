//! `setlist page`: a listener's page of a running platform, drawn in the terminal.

use std::process::ExitCode;

use crate::{
    cli,
    client::{self, Client},
    draw,
};

/// Asks and draws.
#[must_use]
pub fn run(args: &cli::Page) -> ExitCode {
    client::command(async {
        let client = Client::of(&args.access)?;
        let (page, elapsed) = client.page(&args.surface, &args.user, args.market.as_deref()).await?;
        Ok(draw::page(&page, &args.user, elapsed, args.cards, None))
    })
}
