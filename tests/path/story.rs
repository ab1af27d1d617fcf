//! What happens in every shape, seen through HTTP alone: a page, a play, the page after it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use setlist::client::{Client, Page};

/// How long anything may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// What the story leaves to be looked at.
pub struct Told {
    /// The trace of the last page.
    pub page_trace: String,
}

/// Asks until `wanted` holds.
pub async fn eventually(client: &Client, user: &str, wanted: impl Fn(&Page) -> bool) -> Result<Page> {
    let end = Instant::now() + PATIENCE;
    loop {
        let (page, _) = client.page("home", user, None).await?;
        if wanted(&page) {
            return Ok(page);
        }
        ensure!(Instant::now() < end, "the page of {user} never became what it should; the last was {page:#?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A page is whole: enough shelves, no card twice, every card with a title, a source, a propensity and a reason.
pub fn check(page: &Page) -> Result<()> {
    ensure!(page.shelves.len() >= 5, "{} shelves", page.shelves.len());
    let mut seen = std::collections::BTreeSet::new();
    for card in page.shelves.iter().flat_map(|shelf| &shelf.cards) {
        ensure!(seen.insert(card.item_id.clone()), "{} is twice on the page", card.item_id);
        ensure!(!card.title.is_empty() && !card.reason.text.is_empty(), "{card:?}");
        ensure!(card.propensity > 0.0 && card.propensity <= 1.0, "{card:?}");
        ensure!(card.score.is_finite(), "{card:?}");
    }
    Ok(())
}

/// Tells the story of one listener.
pub async fn tell(client: &Client, user: &str) -> Result<Told> {
    let before = eventually(client, user, |page| page.degraded.level == "none" && page.release.is_some()).await?;
    check(&before)?;
    let fresh = before
        .shelves
        .iter()
        .flat_map(|shelf| &shelf.cards)
        .find(|card| !before.knows(&card.item_id))
        .context("no card that the listener does not know")?;
    let played = fresh.item_id.clone();
    let events = json!([
        { "event_id": format!("{user}-play"), "user_id": user, "type": "play", "item_id": played, "ms_played": 180_000,
          "recommendation_id": before.recommendation_id },
        { "event_id": format!("{user}-like"), "user_id": user, "type": "like", "item_id": played },
    ]);
    client.events(&events).await?;
    let after = eventually(client, user, |page| page.knows(&played)).await?;
    check(&after)?;
    // Somebody nobody has heard of has a page too.
    let (cold, _) = client.page("home", "nobody-has-heard-of", None).await?;
    ensure!(cold.cards() > 10, "a cold page has {} cards", cold.cards());
    Ok(Told { page_trace: after.trace_id.context("no trace id")? })
}
