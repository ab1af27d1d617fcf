//! `setlist freshness`: how long a play takes to change its listener's next page, seen through HTTP alone.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use comfy_table::{Table, presets};
use futures_util::{StreamExt, stream};

use crate::{
    cli,
    client::{self, Client, Told},
};

/// A play that does not show for this long is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait between two looks; what is measured is later than the truth by up to this and one page.
const LOOK: Duration = Duration::from_millis(1);

/// What became of one play, from the moment it was due to be sent.
struct Play {
    accepted: Duration,
    visible: Duration,
}

/// Plays, looks and draws.
#[must_use]
pub fn run(args: &cli::Freshness) -> ExitCode {
    client::command(async { Ok(table(&measure(args).await?)) })
}

/// From a play to a page that knows of it, in milliseconds: p50, p95, p99.
pub(crate) async fn visible(args: &cli::Freshness) -> anyhow::Result<[f64; 3]> {
    let mut times: Vec<Duration> = measure(args).await?.iter().map(|play| play.visible).collect();
    times.sort_unstable();
    Ok([0.5, 0.95, 0.99].map(|share| at(&times, share)))
}

/// The time of a rank among sorted times, in milliseconds.
fn at(times: &[Duration], share: f64) -> f64 {
    let rank = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1));
    times.get(rank - 1).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// Open loop: plays are due at a fixed rate, whether or not the earlier ones have shown.
async fn measure(args: &cli::Freshness) -> anyhow::Result<Vec<Play>> {
    ensure!(args.rate > 0.0 && args.rate.is_finite(), "--rate {} is no number of plays a second above 0", args.rate);
    ensure!(args.plays > 0, "--plays 0 measures nothing; give 1 or more");
    let client = Client::of(&args.access)?;
    let began = Instant::now();
    let plays = (0..args.plays).map(|number| {
        let client = &client;
        let due = began + Duration::from_secs_f64(1.0 + f64::from(number) / args.rate);
        // Listeners of the generated world, spread over it: each plays once.
        let user = format!("{}{:05}", args.users, number % args.listeners.max(1));
        async move { play(client, &args.surface, &user, due).await.with_context(|| format!("the play of {user}")) }
    });
    stream::iter(plays).buffer_unordered(args.plays as usize).collect::<Vec<_>>().await.into_iter().collect()
}

async fn play(client: &Client, surface: &str, user: &str, due: Instant) -> anyhow::Result<Play> {
    // The page before is asked for ahead of time: it is not part of what is measured.
    tokio::time::sleep_until((due - Duration::from_millis(500)).into()).await;
    let (before, _) = client.page(surface, user, None).await?;
    let (shelf, card) = before.fresh_card().context("the page has no card to play")?;
    let told = Told {
        user_id: user,
        kind: "play",
        item_id: &card.item_id,
        ms_played: Some(180_000),
        recommendation_id: Some(&before.recommendation_id),
        shelf: Some(&shelf.id),
        ..Told::default()
    };
    tokio::time::sleep_until(due.into()).await;
    client.events(&[told]).await?;
    let accepted = due.elapsed();
    loop {
        let (page, _) = client.page(surface, user, None).await?;
        if page.knows(&card.item_id) {
            return Ok(Play { accepted, visible: due.elapsed() });
        }
        ensure!(due.elapsed() < PATIENCE, "{} does not show after {PATIENCE:?}", card.item_id);
        tokio::time::sleep(LOOK).await;
    }
}

fn table(plays: &[Play]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["from the play", "p50", "p95", "p99", "most"]);
    for (what, of) in [
        ("to the durable 202", (|play: &Play| play.accepted) as fn(&Play) -> Duration),
        ("to a page that knows of it", |play| play.visible),
    ] {
        let mut times: Vec<Duration> = plays.iter().map(of).collect();
        times.sort_unstable();
        let at = |share: f64| format!("{:.1} ms", at(&times, share));
        table.add_row([what.to_owned(), at(0.5), at(0.95), at(0.99), at(1.0)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let plays: Vec<Play> = (1..=200)
            .map(|ms| Play { accepted: Duration::from_millis(ms), visible: Duration::from_millis(2 * ms) })
            .collect();
        let drawn = table(&plays).to_string();
        for text in ["100.0 ms", "190.0 ms", "198.0 ms", "200.0 ms", "396.0 ms", "400.0 ms"] {
            assert!(drawn.contains(text), "{text} is not in\n{drawn}");
        }
    }
}
