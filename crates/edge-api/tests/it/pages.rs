//! Pages as clients get them when everything works.

use crate::support::{Edge, Mood, World, item_ids, key};

#[tokio::test]
async fn a_page_carries_everything_it_promises() {
    let edge = Edge::start().await;
    let page = edge.page(r#"{"user_id": "user-1", "market": "se", "device": "phone", "local_time": "18:30"}"#).await;
    let mut fields: Vec<_> = page.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "degraded",
            "next_cursor",
            "recommendation_id",
            "release",
            "shelves",
            "surface",
            "surface_version",
            "trace_id",
            "variants"
        ]
    );
    assert_eq!(page["surface"], "home");
    assert_eq!(page["release"], "r1");
    assert_eq!(page["degraded"], serde_json::json!({"level": "none", "stages": []}));
    // There are more candidates than the page shows.
    assert!(page["next_cursor"].as_str().is_some_and(|cursor| cursor.len() > 100));
    assert_eq!(page["trace_id"].as_str().unwrap().len(), 32);

    let shelf = &page["shelves"][0];
    assert_eq!((shelf["id"].as_str(), shelf["title"].as_str()), (Some("made-for-you"), Some("Made for you")));
    let card = &shelf["cards"][0];
    assert_eq!(card["item_id"], "track-39");
    assert_eq!(
        (card["type"].as_str(), card["title"].as_str(), card["rank"].as_u64()),
        (Some("track"), Some("Song 39"), Some(0))
    );
    assert!(card["score"].is_number() && card["propensity"].is_number());
    assert!(card["sources"].as_array().unwrap().contains(&"trending".into()));
    assert_eq!(card["reason"]["code"], "because_you_played");
    assert_eq!(card["reason"]["text"], "Because you played Song 50");
    assert_eq!(card["reason"]["evidence"], serde_json::json!([{"item_id": "track-50", "title": "Song 50"}]));

    let ids = item_ids(&page);
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[tokio::test]
async fn a_pin_that_is_not_shown_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let surface = |name: &str, item: &str| {
        format!(
            "surface: {name}\nowner: team\nbudget: 80ms\nshelves:\n  - id: one\n    title: One\n    sources: [ {{ name: trending, limit: 50 }} ]\n    objective: {{ play: 1.0 }}\n    slate: {{ size: 8, pins: [ {{ item: {item}, position: 0 }} ] }}\n"
        )
    };
    for (name, item) in [("home", "nobody-gives-this"), ("own", "track-39")] {
        std::fs::write(folder.path().join(format!("{name}.yaml")), surface(name, item)).unwrap();
    }
    std::fs::write(folder.path().join("item-similar.yaml"), include_str!("../../surfaces/item-similar.yaml")).unwrap();
    let edge = Edge::with(|config| config.surfaces.folder = folder.path().to_owned()).await;
    let page = edge.page(r#"{"user_id": "user-1"}"#).await;
    assert_eq!(
        page["degraded"],
        serde_json::json!({"level": "partial", "stages": [{"stage": "slate.one.pins", "cause": "skipped"}]})
    );
}

#[tokio::test]
async fn the_request_becomes_the_plan() {
    let edge = Edge::start().await;
    edge.page(r#"{"anonymous_id": "a1", "market": "SE", "exclude": ["track-3"], "limit": 4, "explore": false, "budget_ms": 5000, "local_time": "2026-11-22T23:15:00-03:00"}"#).await;
    let asked = edge.world.asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked.user.unwrap().as_str(), "anonymous:a1");
    assert_eq!((asked.context.market.as_str(), asked.context.local_hour, asked.context.local_weekday), ("SE", 23, 6));
    assert_eq!(asked.exclude, [key(3)]);
    assert!(asked.plan.sources.iter().all(|source| source.budget.as_millis() == 1_800));
    let ranked = edge.world.ranked.lock().unwrap().pop().unwrap();
    assert!(ranked.shelves.iter().all(|shelf| shelf.slate.size <= 4 && shelf.slate.explore.is_off()));
}

#[tokio::test]
async fn titles_are_read_once_and_forgotten_when_written() {
    let edge = Edge::start().await;
    edge.page("{}").await;
    let reads = *edge.world.reads.lock().unwrap();
    edge.page("{}").await;
    assert_eq!(*edge.world.reads.lock().unwrap(), reads);

    let answer = edge.send("PUT", "/v1/items/track-39", r#"{"title": "Renamed"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = edge.page("{}").await;
    assert_eq!(page["shelves"][0]["cards"][0]["title"], "Renamed");

    assert_eq!(edge.send("DELETE", "/v1/items/track-39", "").await.status, 204);
    let page = edge.page("{}").await;
    assert_eq!(page["shelves"][0]["cards"][0]["item_id"], "track-38");
}

#[tokio::test]
async fn a_flat_answer_is_one_list() {
    let edge = Edge::start().await;
    let answer = edge.send("POST", "/v1/surfaces/home:recommend", r#"{"limit": 3}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["cards"].as_array().unwrap().len(), 3);
    assert!(answer.get("shelves").is_none());
}

#[tokio::test]
async fn similar_items_are_about_the_item() {
    let edge = Edge::start().await;
    let answer = edge.send("GET", "/v1/items/track-5/similar?limit=2&market=SE", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["surface"], "item-similar");
    assert_eq!(answer.json()["cards"].as_array().unwrap().len(), 2);
    assert_eq!(edge.world.asked.lock().unwrap().pop().unwrap().seed_items, [key(5)]);

    let unknown = edge.send("GET", "/v1/items/nothing/similar", "").await;
    assert_eq!((unknown.status, unknown.json()["reason"].as_str()), (404, Some("item_not_found")));
}

#[tokio::test]
async fn decisions_are_recorded_after_the_reply() {
    let edge = Edge::with(|config| config.records.complete_share = 1.0).await;
    let page = edge.page(r#"{"user_id": "user-1"}"#).await;
    World::set(&edge.world.candidates, Mood::Hangs);
    let fallen = edge.page(r#"{"user_id": "user-1", "budget_ms": 50}"#).await;
    edge.runtime.tasks.observers.drain(std::time::Duration::from_secs(5)).await;
    let published = edge.world.published.lock().unwrap();
    assert_eq!(published.len(), 2);
    let (subject, envelope) = &published[0];
    assert!(subject.as_str().starts_with("recommendations.demo."), "{}", subject.as_str());
    assert_eq!(envelope.id, page["recommendation_id"].as_str().unwrap());
    let record = contracts::records::decode(&envelope.kind, envelope.version, &envelope.payload).unwrap();
    assert_eq!(record.surface_version, page["surface_version"].as_str().unwrap());
    assert_eq!(record.trace_id.as_deref(), page["trace_id"].as_str());
    // It holds the question as it was asked.
    let again = record.rank_query().unwrap();
    assert_eq!(again, edge.world.ranked.lock().unwrap()[0]);
    let (_, envelope) = &published[1];
    let record = contracts::records::decode(&envelope.kind, envelope.version, &envelope.payload).unwrap();
    assert_eq!(record.level.as_str(), fallen["degraded"]["level"].as_str().unwrap());
}

#[tokio::test]
async fn decisions_wait_for_each_other_and_not_for_long() {
    let edge = Edge::with(|config| config.records.linger = std::time::Duration::from_millis(300)).await;
    let began = std::time::Instant::now();
    for _ in 0..3 {
        edge.page("{}").await;
    }
    while edge.world.published.lock().unwrap().len() < 3 {
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(*edge.world.batches.lock().unwrap(), [3], "one write for all");
    // A stop does not wait.
    edge.page("{}").await;
    let began = std::time::Instant::now();
    edge.runtime.tasks.observers.drain(std::time::Duration::from_secs(5)).await;
    assert!(began.elapsed() < std::time::Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(*edge.world.batches.lock().unwrap(), [3, 1]);
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_records_total{outcome=\"published\"} 4"));
}

#[tokio::test]
async fn operators_read_surfaces() {
    let edge = Edge::start().await;
    let list = edge.send("GET", "/v1/admin/surfaces", "").await.json();
    assert_eq!(list["surfaces"].as_array().unwrap().len(), 2);
    let home = edge.send("GET", "/v1/admin/surfaces/home", "").await;
    assert_eq!(home.json()["definition"]["shelves"][0]["id"], "made-for-you");
    let known = crate::support::Answer::of(
        edge.request("GET", "/v1/admin/surfaces/home").header("if-none-match", home.header("etag")),
    )
    .await;
    assert_eq!(known.status, 304);
    let unknown = edge.send("GET", "/v1/admin/surfaces/hom", "").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains("did you mean `home`?"), "{}", unknown.text);
}
