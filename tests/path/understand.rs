//! Questions about answers, in every shape: the record says what the page said, the page comes out again bit for bit, and
//! of every item it is told why it is there or why not.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use setlist::client::{Client, Page, Told};

use crate::story::{PATIENCE, eventually};

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The cards of a page in any of its forms: shelf, item, score and propensity.
fn cards(answer: &Value) -> Vec<(String, String, f64, f64)> {
    let number = |card: &Value, key: &str| card.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let of = |shelf: &Value| -> Vec<(String, String, f64, f64)> {
        let card = |card: &Value| {
            let id = text(shelf, "/id").to_owned();
            (id, text(card, "/item_id").to_owned(), number(card, "score"), number(card, "propensity"))
        };
        list(shelf, "/cards").iter().map(card).collect()
    };
    list(answer, "/shelves").iter().flat_map(of).collect()
}

/// Asks everything about one listener's page.
pub async fn check(client: &Client, user: &str) -> Result<()> {
    let before = eventually(client, user, |page| page.degraded.level == "none").await?;
    let hidden = hide_one(client, user, &before).await?;
    let page = client.page_recorded_whole("home", user).await?;
    let path = format!("/v1/recommendations/{}", page.recommendation_id);

    // The record.
    let record = client.get(&path).await?;
    let shown: Vec<_> = page
        .shelves
        .iter()
        .flat_map(|shelf| {
            shelf.cards.iter().map(|card| (shelf.id.clone(), card.item_id.clone(), card.score, card.propensity))
        })
        .collect();
    ensure!(cards(&record) == shown, "the record holds another page: {record:#}");
    ensure!(record["whole"] == true && record["user_id"] == user && record["degraded"] == "none", "{record:#}");

    // Why these cards.
    let explained = client.get(&format!("{path}/explain")).await?;
    ensure!(explained.pointer("/ranked_again/same") == Some(&Value::Bool(true)), "{}", explained["ranked_again"]);
    ensure!(cards(&explained) == shown, "another page is explained");
    for card in list(&explained, "/shelves").iter().flat_map(|shelf| list(shelf, "/cards")) {
        let adds: f64 = list(card, "/score_path").iter().filter_map(|action| action["adds"].as_f64()).sum();
        let score = card["score"].as_f64().context("no score")?;
        ensure!((adds - score).abs() < 1e-4, "the way to the score ends at {adds}, not at {score}: {card:#}");
        ensure!(!list(card, "/sources").is_empty() && !text(card, "/text").is_empty(), "{card:#}");
        ensure!(card["place"].as_u64() <= card["of"].as_u64() && card["place"] != Value::Null, "{card:#}");
    }
    let has_features = list(&explained, "/shelves").iter().flat_map(|shelf| list(shelf, "/cards"));
    ensure!(has_features.clone().any(|card| !list(card, "/features").is_empty()), "no card's features are told");

    // Why one item, and why not others.
    let outcome = async |item: &str| client.get(&format!("{path}/explain/{item}")).await;
    let first = shown.first().context("an empty page")?;
    let why = outcome(&first.1).await?;
    ensure!(why["outcome"] == "shown", "{why:#}");
    let why = outcome(&hidden).await?;
    ensure!(why["outcome"] == "dropped" && why["candidates"] == "recorded", "{why:#}");
    let dropped = list(&why, "/shelves").iter().find(|shelf| shelf["outcome"] == "dropped").context("no shelf")?;
    ensure!(dropped["rule"] == "not_hidden" && dropped["reason"] == "item_hidden", "{dropped:#}");
    let lost = ranked_and_not_chosen(client, &path, &explained).await?;
    ensure!(!text(&lost, "/text").is_empty() && !list(&lost, "/asked").is_empty(), "{lost:#}");
    let unknown = client.get(&format!("{path}/explain/no-such-item")).await.err().context("an item nobody knows")?;
    ensure!(unknown.to_string().contains("404"), "{unknown:#}");

    // Made again: the same, and with another objective.
    let same = client.replay(&page.recommendation_id, &json!({})).await?;
    ensure!(same["same"] == true && same["candidates"] == "recorded" && same["overlap"] == 1.0, "{same:#}");
    let current = client.replay(&page.recommendation_id, &json!({ "surface": "current", "release": "live" })).await?;
    ensure!(current["same"] == true, "{current:#}");
    let other = client.replay(&page.recommendation_id, &json!({ "surface": other_surface() })).await?;
    ensure!(other["same"] == false && other["candidates"] == "gathered_again", "{other:#}");
    ensure!(list(&other, "/shelves").iter().any(|shelf| !list(shelf, "/lost").is_empty()), "{other:#}");
    let nothing = client.replay(&page.recommendation_id, &json!({ "release": "0".repeat(64) })).await;
    ensure!(nothing.is_err_and(|error| error.to_string().contains("404")), "a release that is not there");
    of_what_was_shown(client, user, &hidden).await
}

/// Of an answer whose record holds only what was shown, candidates are gathered again, and that is said.
async fn of_what_was_shown(client: &Client, user: &str, other: &str) -> Result<()> {
    let (page, _) = client.page("home", user, None).await?;
    let path = format!("/v1/recommendations/{}", page.recommendation_id);
    let record = client.get(&path).await?;
    if record["whole"] == true {
        // One answer in a hundred is recorded whole anyway.
        return Ok(());
    }
    let explained = client.get(&format!("{path}/explain")).await?;
    ensure!(explained.pointer("/ranked_again/done") == Some(&Value::Bool(true)), "{}", explained["ranked_again"]);
    ensure!(explained.pointer("/ranked_again/same") == Some(&Value::Null), "{}", explained["ranked_again"]);
    let why = client.get(&format!("{path}/explain/{other}")).await?;
    ensure!(why["candidates"] == "gathered_again" || why["outcome"] == "shown", "{why:#}");
    let again = client.replay(&page.recommendation_id, &json!({})).await?;
    ensure!(again["candidates"] == "gathered_again" && again["same"] == false, "{again:#}");
    let listed = client.get(&format!("/v1/recommendations?user_id={user}&limit=1")).await?;
    ensure!(text(&listed, "/recommendations/0/recommendation_id") == page.recommendation_id, "{listed:#}");
    Ok(())
}

/// Hides an item that the listener's page shows, and waits until it is gone from there.
async fn hide_one(client: &Client, user: &str, page: &Page) -> Result<String> {
    let (_, card) = page.fresh_card().context("no card")?;
    let item = card.item_id.clone();
    client.events(&[Told { user_id: user, kind: "hide", item_id: &item, ..Told::default() }]).await?;
    let shows = |page: &Page| page.shelves.iter().flat_map(|shelf| &shelf.cards).any(|card| card.item_id == item);
    eventually(client, user, |page| !shows(page)).await?;
    Ok(item)
}

/// An item that was ranked and is not on the page: what pages of other listeners show is looked through.
async fn ranked_and_not_chosen(client: &Client, path: &str, explained: &Value) -> Result<Value> {
    let on_page: Vec<String> = cards(explained).into_iter().map(|(_, item, ..)| item).collect();
    let end = Instant::now() + PATIENCE;
    for listener in 0.. {
        ensure!(Instant::now() < end, "no item was ranked and not chosen");
        let (page, _) = client.page("home", &format!("somebody-{listener}"), None).await?;
        for card in page.shelves.iter().flat_map(|shelf| &shelf.cards) {
            if on_page.contains(&card.item_id) {
                continue;
            }
            let why = client.get(&format!("{path}/explain/{}", card.item_id)).await?;
            if why["outcome"] == "ranked_not_chosen" {
                return Ok(why);
            }
        }
    }
    unreachable!("the loop has no end")
}

/// Another home, with one shelf and another objective.
fn other_surface() -> Value {
    json!({
        "surface": "home", "owner": "test",
        "shelves": [{
            "id": "made-for-you", "title": "Made for you", "sources": [{ "name": "popular-in-market", "limit": 50 }],
            "objective": { "play": 0.0, "skip": -1.0 }, "slate": { "size": 5 },
        }],
    })
}
