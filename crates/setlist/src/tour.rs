//! The guided tour: a listener's page, a play, the page after it, and what to try next.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use uuid::Uuid;

use crate::{
    client::{Card, Client, Page, Shelf},
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

    let Some((shelf, card)) = fresh_card(&before) else {
        anyhow::bail!("the page of {} has no card to play", place.user);
    };
    println!("{} plays “{}” ({}) to the end and likes it …", place.user, card.title, card.item_id);
    let events: Vec<_> = ["play", "complete", "like"]
        .iter()
        .map(|kind| {
            json!({
                "event_id": Uuid::now_v7().to_string(), "user_id": place.user, "type": kind, "item_id": card.item_id,
                "recommendation_id": before.recommendation_id, "shelf": shelf.id,
                "ms_played": (*kind == "play").then_some(180_000),
            })
        })
        .map(without_nulls)
        .collect();
    let sent = Instant::now();
    client.events(&json!(events)).await?;
    let accepted = sent.elapsed();
    let (after, elapsed) = changed(&client, place, card).await?;
    println!(
        "… accepted durably after {:.1} ms; the page that knows of it came {:.1} ms after the play was sent: {}\n",
        accepted.as_secs_f64() * 1e3,
        sent.elapsed().as_secs_f64() * 1e3,
        draw::difference(&before, &after),
    );
    println!("{}", draw::page(&after, &place.user, elapsed, 4, Some(&before)));
    print!("{}", next_steps(place, card));
    Ok(())
}

/// The first card that the page does not already know as played: one that a play changes something for.
fn fresh_card(page: &Page) -> Option<(&Shelf, &Card)> {
    let mut cards = page.shelves.iter().flat_map(|shelf| shelf.cards.iter().map(move |card| (shelf, card)));
    cards.find(|(_, card)| !page.knows(&card.item_id))
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

fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
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
  {ops}/metrics    what an SRE scrapes
  {ops}/readyz     what is ready, and why not
"#
    )
}
