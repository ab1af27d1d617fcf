//! The guided tour: a listener's page, a play, the page after it, and what to try next.

use std::time::{Duration, Instant};

use anyhow::Context;
use uuid::Uuid;

use crate::{
    client::{Card, Client, Page, Told},
    draw,
};

/// How long the tour waits for a play to show.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// Where things are, for the reader.
pub struct Place {
    /// The edge, such as `http://127.0.0.1:8080`.
    pub api: String,
    /// The admin listener.
    pub ops: String,
    /// The development key.
    pub key: String,
    /// The listener whose page is shown.
    pub user: String,
}

/// Shows a page, plays a track, shows what changed, and prints what to try.
///
/// # Errors
/// When the platform does not answer, or the play does not show within five seconds.
pub async fn walk(place: &Place) -> anyhow::Result<()> {
    let client = Client::new(&place.api, &place.key)?;
    // The first answer warms the caches of a process that has just started; the second is what a
    // listener sees.
    client.page("home", &place.user, None).await?;
    let (before, elapsed) = client.page("home", &place.user, None).await?;
    println!("{}", draw::page(&before, &place.user, elapsed, 4, None));

    let Some((shelf, card)) = before.fresh_card() else {
        anyhow::bail!("the page of {} has no card to play", place.user);
    };
    println!("{} plays “{}” ({}) to the end and likes it …", place.user, card.title, card.item_id);
    let events = ["play", "complete", "like"].map(|kind| Told {
        event_id: Some(Uuid::now_v7().to_string()),
        user_id: &place.user,
        kind,
        item_id: &card.item_id,
        ms_played: (kind == "play").then_some(180_000),
        recommendation_id: Some(&before.recommendation_id),
        shelf: Some(&shelf.id),
        ..Told::default()
    });
    let sent = Instant::now();
    client.events(&events).await?;
    let accepted = sent.elapsed();
    let (after, elapsed) = changed(&client, place, card).await?;
    println!(
        "… accepted durably after {:.1} ms; the page that knows of it came {:.1} ms after the play was sent: {}\n",
        accepted.as_secs_f64() * 1e3,
        sent.elapsed().as_secs_f64() * 1e3,
        draw::difference(&before, &after),
    );
    println!("{}", draw::page(&after, &place.user, elapsed, 4, Some(&before)));
    if let Some(trace) = trace(place, after.trace_id.as_deref()).await {
        println!("That page's trace, over all services (also at {}/traces):\n\n{trace}", place.ops);
    }
    print!("{}", next_steps(place, card));
    Ok(())
}

/// The trace of a page, where the process keeps its last ones: names, kinds and times, without the attributes.
async fn trace(place: &Place, id: Option<&str>) -> Option<String> {
    // A span is there when it has ended, and the outermost ends after its answer has left.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = reqwest::get(format!("{}/traces/{}", place.ops, id?)).await.ok()?;
    let text = answer.error_for_status().ok()?.text().await.ok()?;
    let drawn = |line: &str| line.match_indices('|').nth(1).map_or(line.len(), |(at, _)| at + 1);
    Some(text.lines().map(|line| format!("  {}\n", line.get(..drawn(line)).unwrap_or(line))).collect())
}

/// Asks until the played card shows as played: it leads the recently played, or is gone from where it stood.
async fn changed(client: &Client, place: &Place, played: &Card) -> anyhow::Result<(Page, Duration)> {
    let end = Instant::now() + PATIENCE;
    loop {
        let (page, elapsed) = client.page("home", &place.user, None).await?;
        if page.knows(&played.item_id) {
            return Ok((page, elapsed));
        }
        if Instant::now() > end {
            return Err(anyhow::anyhow!(
                "{} was played and the page does not show it after {PATIENCE:?}",
                played.item_id
            ))
            .context("the intake may be behind: see setlist doctor and the admin listener's /readyz");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn next_steps(place: &Place, card: &Card) -> String {
    let Place { api, ops, key, user } = place;
    let item = &card.item_id;
    format!(
        r#"Try it yourself. The key is a development key of this demo:

  export SETLIST_KEY={key}

  # the page of a listener, and of somebody nobody has heard of
  curl -s {api}/v1/surfaces/home:page -H "authorization: Bearer $SETLIST_KEY" -H 'content-type: application/json' -d '{{"user_id":"{user}"}}'
  curl -s {api}/v1/surfaces/home:page -H "authorization: Bearer $SETLIST_KEY" -H 'content-type: application/json' -d '{{"user_id":"somebody-new"}}'

  # an event, durable when it is answered 202
  curl -s {api}/v1/events -H "authorization: Bearer $SETLIST_KEY" -H 'content-type: application/json' \
    -d '{{"events":[{{"user_id":"{user}","type":"like","item_id":"{item}"}}]}}'

  # items like an item, and the item itself
  curl -s {api}/v1/items/{item}/similar -H "authorization: Bearer $SETLIST_KEY"
  curl -s {api}/v1/items/{item} -H "authorization: Bearer $SETLIST_KEY"

  # the same page drawn
  cargo run --release -p setlist -- page --url {api} --user {user}

  {api}/docs           the API
  {ops}/traces     the last traces; /traces/<trace_id> draws one, with what it set off
  {ops}/metrics    what an SRE scrapes
  {ops}/readyz     what is ready, and why not
"#
    )
}
