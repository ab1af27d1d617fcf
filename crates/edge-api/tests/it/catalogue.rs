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
