//! Items and users over HTTP.

use serde_json::json;

use crate::support::{Edge, Mood, World};

#[tokio::test]
async fn items_are_written_read_and_deleted() {
    let edge = Edge::start().await;
    let item = json!({
        "type": "track", "title": "Tango", "artist_id": "artist-1", "artist_name": "Ada", "genres": ["Tango", "Salon"],
        "released_at": "2024-05-17", "duration_ms": 181000, "explicit": true, "markets": ["se", "NO"]
    });
    // Ids may hold anything visible, escaped in the path.
    let path = "/v1/items/spotify:track%2F1%20%C3%A9";
    let created = edge.send("PUT", path, &item.to_string()).await;
    assert_eq!((created.status, created.json()["status"].as_str()), (201, Some("created")));
    assert_eq!(created.json()["item_id"], "spotify:track/1 é");
    let again = edge.send("PUT", path, &item.to_string()).await;
    assert_eq!((again.status, again.json()["status"].as_str()), (200, Some("unchanged")));
    let read = edge.send("GET", path, "").await.json();
    assert_eq!(read["title"], "Tango");
    assert_eq!(read["released_at"], "2024-05-17T00:00:00.000Z");
    assert_eq!(read["genres"], json!(["tango", "salon"]));
    assert_eq!(read["markets"], json!(["SE", "NO"]));
    // What is read can be written back.
    let back = edge.send("PUT", path, &read.to_string()).await;
    assert_eq!((back.status, back.json()["status"].as_str()), (200, Some("unchanged")));
    assert_eq!(edge.send("DELETE", path, "").await.status, 204);
    assert_eq!(edge.send("GET", path, "").await.status, 404);
}

#[tokio::test]
async fn what_was_measured_of_an_item_is_kept_as_it_was_written() {
    let edge = Edge::start().await;
    let item = json!({
        "title": "Tango", "features": {"tempo": 0.61, "energy": 1, "mfcc.1": -3e-5}, "embedding": [0.12, -4, 3.25e10, 0]
    });
    assert_eq!(edge.send("PUT", "/v1/items/t", &item.to_string()).await.status, 201);
    let read = edge.send("GET", "/v1/items/t", "").await;
    assert!(read.text.contains(r#""tempo":0.61"#), "{}", read.text);
    assert!(read.text.contains(r#""embedding":[0.12,-4.0,32500000000.0,0.0]"#), "{}", read.text);
    // What is read can be written back, and what is left out is gone.
    let back = edge.send("PUT", "/v1/items/t", &read.text).await;
    assert_eq!((back.status, back.json()["status"].as_str()), (200, Some("unchanged")));
    let other = edge.send("PUT", "/v1/items/t", r#"{"title": "Tango", "features": {}, "embedding": null}"#).await;
    assert_eq!(other.json()["status"], "updated");
    let read = edge.send("GET", "/v1/items/t", "").await.json();
    assert!(read.get("features").is_none() && read.get("embedding").is_none(), "{read}");
}

#[tokio::test]
async fn what_cannot_have_been_measured_is_refused_by_its_field() {
    let edge = Edge::start().await;
    let check = async |fields: &str, expected: &[(&str, &str)]| {
        let answer = edge.send("PUT", "/v1/items/t", &format!(r#"{{"title": "T", {fields}}}"#)).await;
        assert_eq!(answer.status, 400, "{fields}: {}", answer.text);
        let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<(&str, &str)> =
            errors.iter().map(|error| (error["field"].as_str().unwrap(), error["given"].as_str().unwrap())).collect();
        assert_eq!(found, expected, "{fields}");
    };
    let many = |count: usize| (0..count).map(|n| format!(r#""f{n}": {n}"#)).collect::<Vec<_>>().join(",");
    check(&format!(r#""features": {{{}}}"#, many(65)), &[("/features", "65 numbers")]).await;
    let long = vec!["0.5"; 1_025].join(",");
    check(&format!(r#""embedding": [{long}]"#), &[("/embedding", "1025 numbers")]).await;
    check(r#""features": {"tempo": 1e39}"#, &[("/features/tempo", "1e39")]).await;
    check(r#""embedding": [1, -1e39, 2]"#, &[("/embedding/1", "-1e39")]).await;
    check(r#""features": {"tempo": 1e400}"#, &[("/features/tempo", "a number out of range")]).await;
    check(r#""embedding": [1e400]"#, &[("/embedding/0", "a number out of range")]).await;
    check(r#""features": {"tempo": null}"#, &[("/features/tempo", "null")]).await;
    check(r#""features": {"a/b": 1, "": 2}"#, &[("/features/a~1b", "\"a/b\""), ("/features/", "\"\"")]).await;
    check(r#""features": {"tempo": 1, "tempo": 2}"#, &[("/features/tempo", "the field twice")]).await;
    check(r#""features": [1]"#, &[("/features", "sequence")]).await;
    check(r#""embedding": {"a": 1}"#, &[("/embedding", "map")]).await;
    // JSON has no word for what is no number.
    let answer = edge.send("PUT", "/v1/items/t", r#"{"title": "T", "embedding": [NaN]}"#).await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (400, Some("malformed_json")));
    let batch = r#"{"items": [{"item_id": "a", "title": "A", "embedding": [1e400]}, {"item_id": "b", "title": "B", "embedding": [1]}]}"#;
    let answer = edge.send("POST", "/v1/items:batch", batch).await.json();
    assert_eq!((answer["written"].as_u64(), answer["refused"].as_u64()), (Some(1), Some(1)));
    assert_eq!(answer["results"][0]["errors"][0]["field"], "/items/0/embedding/0");
}

#[tokio::test]
async fn one_bad_item_does_not_sink_the_others() {
    let edge = Edge::start().await;
    let body = json!({"items": [
        {"item_id": "new-1", "title": "One"}, {"item_id": "new-2"}, {"item_id": "new-3", "title": "conflict"}, {"item_id": "track-1", "title": "Other"}
    ]});
    let answer = edge.send("POST", "/v1/items:batch", &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let status = |index: usize| answer["results"][index]["status"].as_str().unwrap().to_owned();
    assert_eq!((0..4).map(status).collect::<Vec<_>>(), ["created", "refused", "refused", "updated"]);
    assert_eq!((answer["written"].as_u64(), answer["refused"].as_u64()), (Some(2), Some(2)));
    assert_eq!(answer["results"][1]["errors"][0]["field"], "/items/1/title");
}

#[tokio::test]
async fn users_are_written_and_read() {
    let edge = Edge::start().await;
    let written = edge.send("PUT", "/v1/users/user-1", r#"{"market": "se"}"#).await;
    assert_eq!(written.status, 200, "{}", written.text);
    assert_eq!(
        (written.json()["market"].as_str(), written.json()["explicit_allowed"].as_bool()),
        (Some("SE"), Some(true))
    );
    let read = edge.send("GET", "/v1/users/user-1", "").await.json();
    assert_eq!(read["recent"], json!([{"item_id": "track-1", "title": "Song 1", "at": "1970-01-01T00:00:01.000Z"}]));
    World::set(&edge.world.catalogue, Mood::Fails(shared_models::ErrorCode::Unavailable));
    assert_eq!(edge.send("GET", "/v1/users/user-1", "").await.status, 200, "titles are remembered");
}
