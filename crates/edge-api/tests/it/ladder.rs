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

/// A page while candidates are away.
async fn fallen(edge: &Edge, body: &str) -> Value {
    World::set(&edge.world.candidates, Mood::Fails(ErrorCode::Unavailable));
    let page = edge.page(body).await;
    World::set(&edge.world.candidates, Mood::Well);
    page
}

#[tokio::test]
async fn a_last_good_page_is_for_its_own_market() {
    let edge = Edge::start().await;
    edge.page(r#"{"user_id": "user-1", "market": "SE"}"#).await;
    assert_eq!(level(&fallen(&edge, r#"{"user_id": "user-1", "market": "SE"}"#).await), "last_good");
    assert_ne!(level(&fallen(&edge, r#"{"user_id": "user-1", "market": "NO"}"#).await), "last_good");
    assert_ne!(level(&fallen(&edge, r#"{"user_id": "user-1"}"#).await), "last_good");
}

#[tokio::test]
async fn a_last_good_page_is_as_short_as_it_is_asked_for() {
    let edge = Edge::start().await;
    let good = edge.page(r#"{"user_id": "user-1"}"#).await;
    let short = fallen(&edge, r#"{"user_id": "user-1", "limit": 2}"#).await;
    assert_eq!(level(&short), "last_good");
    for (short, good) in short["shelves"].as_array().unwrap().iter().zip(good["shelves"].as_array().unwrap()) {
        assert_eq!(short["cards"].as_array().unwrap()[..], good["cards"].as_array().unwrap()[..2]);
    }
    // Having asked for a short one does not shorten the next.
    edge.page(r#"{"user_id": "user-1", "limit": 1}"#).await;
    assert_eq!(item_ids(&fallen(&edge, r#"{"user_id": "user-1"}"#).await), item_ids(&good));

    // A flat answer is as long as its first shelf where nobody says how long.
    let flat = async |body: &str| {
        let answer = edge.send("POST", "/v1/surfaces/home:recommend", body).await.json();
        (level(&answer).to_owned(), answer["cards"].as_array().unwrap().len())
    };
    assert_eq!(flat(r#"{"user_id": "user-2", "limit": 6}"#).await, ("none".to_owned(), 6));
    World::set(&edge.world.candidates, Mood::Fails(ErrorCode::Unavailable));
    assert_eq!(flat(r#"{"user_id": "user-2", "limit": 3}"#).await, ("last_good".to_owned(), 3));
}

#[tokio::test]
async fn what_was_deleted_or_written_since_is_on_no_fallback() {
    let edge = Edge::start().await;
    popular_is_known(&edge, "SE").await;
    let ask = r#"{"user_id": "user-1", "market": "SE"}"#;
    let good = item_ids(&edge.page(ask).await);
    assert_eq!(&good[..2], ["track-39", "track-38"]);
    assert_eq!(edge.send("DELETE", "/v1/items/track-39", "").await.status, 204);
    assert_eq!(edge.send("PUT", "/v1/items/track-38", r#"{"title": "Other", "markets": ["NO"]}"#).await.status, 200);
    // The evidence of every card: without it, a card has no title to name.
    assert_eq!(edge.send("DELETE", "/v1/items/track-50", "").await.status, 204);
    let same = json!({"items": [{"item_id": "track-37", "title": "Song 37", "artist_id": "artist-2",
        "artist_name": "Artist 2", "genres": ["tango"], "duration_ms": 180_000}]});
    assert_eq!(
        edge.send("POST", "/v1/items:batch", &same.to_string()).await.json()["results"][0]["status"],
        "unchanged"
    );

    let page = fallen(&edge, ask).await;
    assert_eq!((level(&page), item_ids(&page)), ("last_good", good[2..].to_vec()));
    assert_eq!(page["shelves"][0]["cards"][0]["reason"]["evidence"], json!([]));
    assert_eq!(page["shelves"][0]["cards"][0]["reason"]["text"], "Because of what you played");

    // A page that is made afterwards may hold what was written.
    let again = edge.page(ask).await;
    assert_eq!(item_ids(&again)[0], "track-38");
    assert_eq!(item_ids(&fallen(&edge, ask).await), item_ids(&again));

    assert_eq!(edge.send("DELETE", "/v1/items/track-20", "").await.status, 204);
    let popular = fallen(&edge, r#"{"market": "SE"}"#).await;
    assert_eq!((level(&popular), item_ids(&popular)[0].as_str()), ("popular", "track-21"));
}

#[tokio::test]
async fn a_listener_who_said_no_is_not_shown_it_again() {
    let edge = Edge::start().await;
    popular_is_known(&edge, "SE").await;
    let ask = r#"{"user_id": "user-1", "market": "SE"}"#;
    let tell = async |kind: &str, item: &str| {
        let body = json!({"events": [{"user_id": "user-1", "type": kind, "item_id": item}]});
        assert_eq!(edge.send("POST", "/v1/events", &body.to_string()).await.status, 202);
    };
    edge.page(ask).await;
    tell("play", "track-39").await;
    assert_eq!(level(&fallen(&edge, ask).await), "last_good");
    for kind in ["hide", "unlike"] {
        edge.page(ask).await;
        tell(kind, "track-20").await;
        let page = fallen(&edge, ask).await;
        assert_eq!(level(&page), "popular", "{kind}");
        assert!(!item_ids(&page).contains(&"track-20".to_owned()), "{kind}");
    }
    // Whom it does not concern keeps what they had.
    assert_eq!(item_ids(&fallen(&edge, r#"{"user_id": "user-2", "market": "SE"}"#).await)[0], "track-20");

    edge.page(ask).await;
    assert_eq!(level(&fallen(&edge, ask).await), "last_good");
    assert_eq!(edge.send("PUT", "/v1/users/user-1", r#"{"explicit_allowed": false}"#).await.status, 200);
    assert_eq!(level(&fallen(&edge, ask).await), "popular");
}

#[tokio::test]
async fn a_partial_page_does_not_push_out_a_full_one() {
    let edge = Edge::start().await;
    let ask = r#"{"user_id": "user-1"}"#;
    let full = edge.page(ask).await;
    // One item less, so that the two are told apart.
    let partial = r#"{"user_id": "user-1", "exclude": ["track-39"]}"#;
    World::set(&edge.world.candidates, Mood::Partial);
    assert_eq!(level(&edge.page(partial).await), "partial");
    assert_eq!(item_ids(&fallen(&edge, ask).await), item_ids(&full));
    // Better a partial page than none, and better than one from before the listener changed.
    World::set(&edge.world.candidates, Mood::Partial);
    edge.send("PUT", "/v1/users/user-1", "{}").await;
    let kept = edge.page(partial).await;
    assert_eq!(item_ids(&fallen(&edge, ask).await), item_ids(&kept));
}

#[tokio::test]
async fn a_page_about_items_is_not_the_listeners_own() {
    let edge = Edge::start().await;
    let own = edge.page(r#"{"user_id": "user-1"}"#).await;
    edge.page(r#"{"user_id": "user-1", "exclude": ["track-39"], "seed_items": ["track-5"]}"#).await;
    assert_eq!(item_ids(&fallen(&edge, r#"{"user_id": "user-1"}"#).await), item_ids(&own));
    let seeded = fallen(&edge, r#"{"user_id": "user-1", "seed_items": ["track-39"]}"#).await;
    assert_eq!(item_ids(&seeded), item_ids(&own)[1..]);
}
