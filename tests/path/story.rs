//! What happens in every shape, seen through HTTP alone: a page, a play, the page after it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use setlist::client::{Client, Page, Told};

/// How long anything may take to come true on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// What the story leaves to be looked at.
pub struct Left {
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
pub async fn tell(client: &Client, user: &str) -> Result<Left> {
    let before = eventually(client, user, |page| page.degraded.level == "none" && page.release.is_some()).await?;
    check(&before)?;
    let (_, fresh) = before.fresh_card().context("no card that the listener does not know")?;
    let played = fresh.item_id.clone();
    let event = |kind, ms_played| Told {
        event_id: Some(format!("{user}-{kind}")),
        user_id: user,
        kind,
        item_id: &played,
        ms_played,
        recommendation_id: Some(&before.recommendation_id),
        ..Told::default()
    };
    let events = [event("play", Some(180_000)), event("like", None)];
    // Sent again with the same ids until it is taken: an edge that has just begun may not reach the stream yet.
    let end = Instant::now() + PATIENCE;
    while let Err(refused) = client.events(&events).await {
        ensure!(Instant::now() < end, "events are never taken: {refused:#}");
        tokio::time::sleep(LOOK).await;
    }
    let after = eventually(client, user, |page| page.knows(&played)).await?;
    check(&after)?;
    // Somebody nobody has heard of has a page too.
    let (cold, _) = client.page("home", "nobody-has-heard-of", None).await?;
    ensure!(cold.cards() > 10, "a cold page has {} cards", cold.cards());
    Ok(Left { page_trace: after.trace_id.context("no trace id")? })
}
