//! Paging: cursors over the real path, where events come in between the pages. Nothing is shown twice, and at the end
//! nothing that is still a candidate was left out.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Value, json};
use setlist::client::Told;
use testkit::folder::Folder;

use crate::{
    one_process::{Stand, configure},
    story,
};

/// Listeners who page, each through a story of their own.
const CASES: u32 = 6;
/// More pages than any listener can see: every page but the last shows something.
const MOST_PAGES: usize = 490;

/// What happens between two pages: to which of the cards just seen.
#[derive(Clone, Debug)]
struct Between {
    kind: &'static str,
    card: prop::sample::Index,
}

fn between() -> impl Strategy<Value = Vec<Between>> {
    let kind = prop::sample::select(vec!["impression", "play", "like", "skip", "complete"]);
    let event = (kind, any::<prop::sample::Index>()).prop_map(|(kind, card)| Between { kind, card });
    prop::collection::vec(event, 0..6)
}

struct Paged {
    shown: BTreeSet<String>,
    pages: usize,
}

fn items(page: &Value, shelves: bool) -> Vec<String> {
    let of = |cards: &Value| -> Vec<String> {
        cards.as_array().into_iter().flatten().filter_map(|card| card["item_id"].as_str().map(str::to_owned)).collect()
    };
    if shelves {
        page["shelves"].as_array().into_iter().flatten().flat_map(|shelf| of(&shelf["cards"])).collect()
    } else {
        of(&page["cards"])
    }
}

/// Pages to the end.
async fn page_through(stand: &Stand, verb: &str, user: &str, limit: u32, events: &[Vec<Between>]) -> Result<Paged> {
    let path = format!("/v1/surfaces/home:{verb}");
    let shelves = verb == "page";
    let mut paged = Paged { shown: BTreeSet::new(), pages: 0 };
    let mut cursor = Value::Null;
    let mut version = None;
    loop {
        let body = json!({
            "user_id": user, "market": "SE", "limit": limit, "budget_ms": 10_000, "local_time": "18:30", "cursor": cursor,
        });
        let page = stand.client.post(&path, &body).await?;
        ensure!(page["degraded"]["level"] == "none" || page["degraded"]["level"] == "empty", "{}", page["degraded"]);
        let seen = items(&page, shelves);
        for item in &seen {
            ensure!(paged.shown.insert(item.clone()), "{item} again on page {}", paged.pages);
        }
        ensure!(
            version.get_or_insert_with(|| page["surface_version"].clone()) == &page["surface_version"],
            "another plan"
        );
        paged.pages += 1;
        ensure!(paged.pages < MOST_PAGES, "there is no end");
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            return Ok(paged);
        }
        for (number, event) in events.get(paged.pages - 1).into_iter().flatten().enumerate() {
            if seen.is_empty() {
                break;
            }
            let told = Told {
                event_id: Some(format!("{user}-{verb}-{}-{number}", paged.pages)),
                user_id: user,
                kind: event.kind,
                item_id: event.card.get::<String>(&seen),
                ms_played: (event.kind == "play").then_some(120_000),
                ..Told::default()
            };
            stand.client.events(&[told]).await?;
        }
    }
}

/// Everything that is a candidate now and was not shown.
async fn left(stand: &Stand, user: &str, paged: &Paged) -> Result<Vec<String>> {
    let mut left = Vec::new();
    // What was shown is excluded, 500 at most: a page in which that holds shows what is left, if anything is.
    let exclude: Vec<&String> = paged.shown.iter().take(500).collect();
    let body = json!({
        "user_id": user, "market": "SE", "limit": 100, "budget_ms": 10_000, "local_time": "18:30", "exclude": exclude,
    });
    let page = stand.client.post("/v1/surfaces/home:recommend", &body).await?;
    // Below the first rungs an answer is not of candidates.
    if page["degraded"]["level"] == "none" {
        left.extend(items(&page, false));
    }
    Ok(left)
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_repeats_nothing_and_leaves_nothing_out_while_events_come_in() -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[("candidates.trending.refresh", "50ms".to_owned())])?;
    let stand = Stand::start(false, &config, &key, folder).await?;
    story::eventually(&stand.client, &stand.user, |page| page.degraded.level == "none" && page.release.is_some())
        .await?;

    // Events come in between the first pages: by the last they are all folded, so that what is a candidate then still is
    // when it is looked at afterwards.
    let cases = (prop::collection::vec(between(), 1..5), 8_u32..30, any::<bool>());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for case in 0..CASES {
        let (events, limit, is_page) = cases.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        let user = if case == 0 { stand.user.clone() } else { format!("pager-{case}") };
        let verb = if is_page { "page" } else { "recommend" };
        let paged = page_through(&stand, verb, &user, limit, &events).await.with_context(|| format!("case {case}"))?;
        ensure!(paged.pages > 1, "case {case}: one page of {limit} is all");
        if !is_page && paged.shown.len() <= 480 {
            let left = left(&stand, &user, &paged).await?;
            ensure!(left.is_empty(), "case {case}: {} of {} were left out: {left:?}", left.len(), paged.shown.len());
        }
    }

    // What came back changed, or from somebody else, is told.
    let body = json!({"user_id": "pager-a", "limit": 5});
    let first = stand.client.post("/v1/surfaces/home:page", &body).await?;
    let cursor = first["next_cursor"].as_str().context("no second page")?.to_owned();
    let refused = |body: Value| {
        let client = stand.client.clone();
        async move { client.post("/v1/surfaces/home:page", &body).await.expect_err("it was taken").to_string() }
    };
    let spoiled = cursor.replacen(&cursor[20..21], if &cursor[20..21] == "A" { "B" } else { "A" }, 1);
    for (body, expected) in [
        (json!({"user_id": "pager-a", "cursor": spoiled}), "a cursor that was changed"),
        (json!({"user_id": "pager-b", "cursor": cursor}), "a cursor of another listener"),
        (json!({"user_id": "pager-a", "cursor": "nonsense!"}), "a text that is no cursor"),
    ] {
        let told = refused(body).await;
        ensure!(told.contains(expected) && told.contains("/cursor"), "{told}");
    }
    stand.stop().await
}
