//! The brown-out ladder: a valid request gets a page, and is told what is missing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared_models::ErrorCode;

use crate::support::{Edge, Mood, World, item_ids};

fn level(page: &Value) -> &str {
    page["degraded"]["level"].as_str().unwrap()
}

fn stages(page: &Value) -> Vec<(&str, &str)> {
    page["degraded"]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| (stage["stage"].as_str().unwrap(), stage["cause"].as_str().unwrap()))
        .collect()
}

/// Waits until the edge has read what is popular, which it does in the background.
async fn popular_is_known(edge: &Edge, market: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    World::set(&edge.world.candidates, Mood::Fails(ErrorCode::Unavailable));
    loop {
        let page = edge.page(&json!({"market": market}).to_string()).await;
        if page["shelves"][0]["cards"][0]["reason"]["text"] == format!("Popular in {market}") {
            break;
        }
        assert!(Instant::now() < deadline, "{page}");
        tokio::task::yield_now().await;
    }
    World::set(&edge.world.candidates, Mood::Well);
}

#[tokio::test]
async fn a_slow_source_degrades_to_partial() {
    let edge = Edge::start().await;
    World::set(&edge.world.candidates, Mood::Partial);
    let page = edge.page("{}").await;
    assert_eq!((level(&page), stages(&page)), ("partial", vec![("source.trending", "timeout")]));
    World::set(&edge.world.candidates, Mood::Well);
    World::set(&edge.world.ranking, Mood::Partial);
    let page = edge.page("{}").await;
    assert_eq!((level(&page), stages(&page)), ("partial", vec![("scorer", "no_release")]));
}

#[tokio::test]
async fn without_ranking_cards_stand_in_source_order() {
    let edge = Edge::start().await;
    let cases = [
        (Mood::Fails(ErrorCode::Unavailable), "unavailable"),
        (Mood::Fails(ErrorCode::Internal), "failed"),
        (Mood::Fails(ErrorCode::NotFound), "failed"),
        (Mood::Fails(ErrorCode::DeadlineExceeded), "timeout"),
        (Mood::Confused, "failed"),
        (Mood::Hangs, "timeout"),
    ];
    for (mood, cause) in cases {
        World::set(&edge.world.ranking, mood);
        let began = Instant::now();
        let page = edge.page(r#"{"budget_ms": 300}"#).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{mood:?} took {:?}", began.elapsed());
        assert_eq!((level(&page), stages(&page)), ("source_order", vec![("ranking", cause)]), "{mood:?}");
        let ids = item_ids(&page);
        assert_eq!(ids[0], "track-0", "{mood:?}");
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "{mood:?}");
    }
}

#[tokio::test]
async fn without_candidates_the_last_good_page_returns() {
    let edge = Edge::start().await;
    let good = edge.page(r#"{"user_id": "user-1"}"#).await;
    for mood in [Mood::Fails(ErrorCode::Unavailable), Mood::Hangs, Mood::Confused, Mood::Empty] {
        World::set(&edge.world.candidates, mood);
        let page = edge.page(r#"{"user_id": "user-1", "budget_ms": 200}"#).await;
        assert_eq!(level(&page), "last_good", "{mood:?}");
        assert_eq!(item_ids(&page), item_ids(&good));
        assert_ne!(page["recommendation_id"], good["recommendation_id"]);
        let page = edge.page(r#"{"user_id": "user-1", "budget_ms": 200, "exclude": ["track-39"]}"#).await;
        assert!(!item_ids(&page).contains(&"track-39".to_owned()));
    }
}

#[tokio::test]
async fn without_a_last_good_page_what_is_popular_returns() {
    let edge = Edge::start().await;
    popular_is_known(&edge, "SE").await;
    World::set(&edge.world.candidates, Mood::Fails(ErrorCode::Unavailable));
    let page = edge.page(r#"{"user_id": "nobody-yet", "market": "SE", "limit": 5, "exclude": ["track-20"]}"#).await;
    assert_eq!((level(&page), stages(&page)), ("popular", vec![("candidates", "unavailable")]));
    assert_eq!(item_ids(&page), ["track-21", "track-22", "track-23", "track-24", "track-25"]);

    // The snapshot stays when the catalogue goes away too.
    World::set(&edge.world.catalogue, Mood::Fails(ErrorCode::Unavailable));
    let page = edge.page(r#"{"user_id": "nobody-yet", "market": "SE"}"#).await;
    assert_eq!(level(&page), "popular");
}

#[tokio::test]
async fn with_nothing_at_all_the_page_is_empty_and_says_why() {
    let world = World::new();
    World::set(&world.candidates, Mood::Fails(ErrorCode::Unavailable));
    World::set(&world.catalogue, Mood::Fails(ErrorCode::Unavailable));
    let edge = Edge::over(world.clone(), world, |_| ()).await;
    let page = edge.page("{}").await;
    assert_eq!((level(&page), stages(&page)), ("empty", vec![("candidates", "unavailable")]));
    assert_eq!(page["shelves"], json!([]));

    // A surface where a popular item would be wrong is empty too.
    let edge = Edge::start().await;
    World::set(&edge.world.candidates, Mood::Fails(ErrorCode::Unavailable));
    let similar = edge.send("GET", "/v1/items/track-5/similar", "").await;
    assert_eq!((similar.status, level(&similar.json())), (200, "empty"));
}

#[tokio::test]
async fn without_titles_the_page_falls_and_says_so() {
    let edge = Edge::start().await;
    popular_is_known(&edge, "SE").await;
    World::set(&edge.world.catalogue, Mood::Hangs);
    let page = edge.page(r#"{"market": "SE", "budget_ms": 100}"#).await;
    assert_eq!((level(&page), stages(&page)), ("popular", vec![("display", "timeout")]));
}

#[tokio::test]
async fn an_answer_stands_within_its_budget_when_everything_hangs() {
    let edge = Edge::start().await;
    World::set(&edge.world.ranking, Mood::Hangs);
    World::set(&edge.world.catalogue, Mood::Hangs);
    let began = Instant::now();
    let page = edge.page(r#"{"budget_ms": 250}"#).await;
    assert_eq!(stages(&page), [("ranking", "timeout"), ("display", "timeout")]);
    assert!(began.elapsed() < Duration::from_millis(750), "{:?}", began.elapsed());
}
