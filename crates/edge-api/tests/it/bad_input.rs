//! Wrong requests: each is refused with the field, what is there and what would be right. No 5xx.

use crate::support::{Answer, Edge, Mood, World};

/// Method, path, body, status, reason, and a text that the answer must hold.
type Case = (&'static str, &'static str, String, u16, &'static str, &'static str);

fn case(
    method: &'static str,
    path: &'static str,
    body: impl Into<String>,
    status: u16,
    reason: &'static str,
    holds: &'static str,
) -> Case {
    (method, path, body.into(), status, reason, holds)
}

fn corpus() -> Vec<Case> {
    let page = "/v1/surfaces/home:page";
    let many = |count: usize| format!("[{}]", vec!["\"x\""; count].join(","));
    vec![
        // Not JSON, or not the right JSON.
        case("POST", page, "{", 400, "malformed_json", "line 1, column 1"),
        case("POST", page, "{\n\"user_id\": }", 400, "malformed_json", "line 2, column 12"),
        case("POST", page, "[]", 400, "invalid_field", "a JSON object"),
        case("POST", page, "null", 400, "invalid_field", "a JSON object"),
        case("POST", page, "[[", 400, "malformed_json", "line 1"),
        case("POST", page, "{} {}", 400, "malformed_json", "trailing characters"),
        case("POST", page, "{\"user_id\": \"\u{0}\"}", 400, "malformed_json", "control character"),
        case("POST", page, format!("{{\"exclude\": {}", "[".repeat(5_000)), 400, "nesting_too_deep", "32 levels"),
        case("POST", page, r#"{"usr_id": "u"}"#, 400, "invalid_field", "did you mean `user_id`?"),
        case("POST", page, r#"{"user_id": "a", "user_id": "b"}"#, 400, "invalid_field", "the field twice"),
        // Fields of a page.
        case("POST", page, r#"{"user_id": 7}"#, 400, "invalid_field", "\"/user_id\""),
        case("POST", page, r#"{"user_id": ""}"#, 400, "invalid_field", "1 to 128 visible characters"),
        case("POST", page, format!(r#"{{"user_id": "{}"}}"#, "u".repeat(129)), 400, "invalid_field", "at most 128"),
        case("POST", page, r#"{"user_id": "a\nb"}"#, 400, "invalid_field", "not allowed"),
        case(
            "POST",
            page,
            r#"{"user_id": "a", "anonymous_id": "b"}"#,
            400,
            "invalid_field",
            "one of `user_id` and `anonymous_id`",
        ),
        case("POST", page, r#"{"user_id": "anonymous:a"}"#, 400, "invalid_field", "what follows it as `anonymous_id`"),
        case("GET", "/v1/items/track-1/similar?user_id=anonymous:a", "", 400, "invalid_field", "\"?user_id\""),
        case("POST", page, r#"{"market": "Sweden"}"#, 400, "invalid_field", "ISO 3166-1"),
        case("POST", page, r#"{"market": "S1"}"#, 400, "invalid_field", "\"/market\""),
        case("POST", page, r#"{"device": "My Phone"}"#, 400, "invalid_field", "\"/device\""),
        case("POST", page, r#"{"locale": "sv_SE"}"#, 400, "invalid_field", "language tag"),
        case("POST", page, r#"{"local_time": "25:00"}"#, 400, "invalid_field", "\"/local_time\""),
        case("POST", page, r#"{"limit": 0}"#, 400, "invalid_field", "from 1 to 100"),
        case("POST", page, r#"{"limit": 101}"#, 400, "invalid_field", "from 1 to 100"),
        case("POST", page, r#"{"limit": 99999999999999999999}"#, 400, "invalid_field", "\"/limit\""),
        case("POST", page, r#"{"limit": 1.5}"#, 400, "invalid_field", "\"/limit\""),
        case("POST", page, r#"{"budget_ms": 4}"#, 400, "invalid_field", "from 5 to 10000"),
        case("POST", page, r#"{"explore": "yes"}"#, 400, "invalid_field", "\"/explore\""),
        case("POST", page, r#"{"cursor": "abc"}"#, 400, "invalid_field", "\"/cursor\""),
        case("POST", page, format!(r#"{{"exclude": {}}}"#, many(501)), 400, "invalid_field", "at most 500 items"),
        case("POST", page, format!(r#"{{"seed_items": {}}}"#, many(51)), 400, "invalid_field", "at most 50 items"),
        case("POST", page, r#"{"exclude": ["a", ""]}"#, 400, "invalid_field", "\"/exclude/1\""),
        case("POST", "/v1/surfaces/item-similar:page", "{}", 409, "seed_items_needed", "this surface is about items"),
        // Paths.
        case("POST", "/v1/surfaces/hoem:page", "{}", 404, "surface_not_found", "did you mean `home`?"),
        case("POST", "/v1/surfaces/home:explode", "{}", 404, "route_not_found", "/docs"),
        case("POST", "/v1/surfaces/home", "{}", 404, "route_not_found", ""),
        case("POST", "/v1/surfaces/%FF:page", "{}", 400, "bad_path", "UTF-8"),
        case("GET", "/v1/nothing", "", 404, "route_not_found", ""),
        case("GET", page, "", 405, "method_not_allowed", "POST"),
        case("DELETE", "/v1/events", "", 405, "method_not_allowed", "POST"),
        case("PATCH", "/v1/items/a", "{}", 405, "method_not_allowed", "PUT, GET, DELETE"),
        case("POST", "/livez", "{}", 405, "method_not_allowed", "GET"),
        case("GET", "/v1/items/a/similar?limit=0", "", 400, "invalid_field", "\"?limit\""),
        case("GET", "/v1/items/a/similar?limit=x", "", 400, "invalid_field", "?"),
        case("GET", "/v1/items/a/similar?colour=red", "", 400, "invalid_field", "colour"),
        case("GET", "/v1/items/%0A", "", 400, "invalid_field", "\"{id}\""),
        // Items and users.
        case("PUT", "/v1/items/a", "{}", 400, "invalid_field", "the field `title`"),
        case("PUT", "/v1/items/a", r#"{"title": ""}"#, 400, "invalid_field", "\"/title\""),
        case("PUT", "/v1/items/a", r#"{"title": "t", "item_id": "b"}"#, 409, "item_id_mismatch", "the id of the path"),
        case("PUT", "/v1/items/a", r#"{"title": "t", "type": "Big Thing"}"#, 400, "invalid_field", "\"/type\""),
        case(
            "PUT",
            "/v1/items/a",
            r#"{"title": "t", "released_at": "yesterday"}"#,
            400,
            "invalid_field",
            "\"/released_at\"",
        ),
        case("PUT", "/v1/items/a", r#"{"title": "t", "duration_ms": -1}"#, 400, "invalid_field", "\"/duration_ms\""),
        case(
            "PUT",
            "/v1/items/a",
            r#"{"title": "t", "markets": ["SE", "XXX"]}"#,
            400,
            "invalid_field",
            "\"/markets/1\"",
        ),
        case("PUT", "/v1/items/a", r#"{"title": "conflict"}"#, 409, "key_taken", "another item"),
        case("GET", "/v1/items/nothing", "", 404, "item_not_found", ""),
        case("DELETE", "/v1/items/nothing", "", 404, "item_not_found", ""),
        case("POST", "/v1/items:batch", r#"{"items": []}"#, 400, "invalid_field", "1 to 1000 items"),
        case("POST", "/v1/items:batch", r#"{"items": [{"title": "t"}]}"#, 400, "invalid_field", "\"/items/0/item_id\""),
        case("PUT", "/v1/users/a", r#"{"market": "x"}"#, 400, "invalid_field", "\"/market\""),
        case("GET", "/v1/users/nobody", "", 404, "user_not_found", ""),
        // Events.
        case("POST", "/v1/events", r#"{"events": []}"#, 400, "invalid_field", "1 to 1000 events"),
        case(
            "POST",
            "/v1/events",
            format!(r#"{{"events": [{}]}}"#, vec!["1"; 1_001].join(",")),
            400,
            "invalid_field",
            "1001 events",
        ),
        case("POST", "/v1/events", r#"{"events": [1]}"#, 400, "invalid_field", "\"/events/0\""),
        case(
            "POST",
            "/v1/events",
            r#"{"events": [{"user_id": "u", "type": "play"}]}"#,
            400,
            "invalid_field",
            "\"/events/0/item_id\"",
        ),
        case(
            "POST",
            "/v1/events",
            r#"{"events": [{"user_id": "anonymous:a", "type": "play", "item_id": "i"}]}"#,
            400,
            "invalid_field",
            "\"/events/0/user_id\"",
        ),
        case("POST", "/v1/events", r#"{"evnts": []}"#, 400, "invalid_field", "did you mean `events`?"),
    ]
}

#[tokio::test]
async fn wrong_requests_are_told_what_would_be_right() {
    let edge = Edge::start().await;
    for (method, path, body, status, reason, holds) in corpus() {
        let answer = edge.send(method, path, &body).await;
        let what = format!("{method} {path} {}: {}", body.chars().take(80).collect::<String>(), answer.text);
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
        let problem = answer.json();
        assert_eq!(problem["reason"], reason, "{what}");
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(problem["type"], format!("urn:setlist:problem:{reason}"), "{what}");
        for field in ["title", "detail", "instance", "code", "request_id"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {what}");
        }
        assert_eq!(problem["request_id"], answer.header("x-request-id"), "{what}");
        assert!(answer.text.replace("\\\"", "\"").contains(&holds.replace("\\\"", "\"")), "{holds}: {what}");
        if status == 405 {
            assert_eq!(answer.header("allow"), holds, "{what}");
        }
    }
}

#[tokio::test]
async fn bodies_are_json_and_not_too_large() {
    let edge = Edge::with(|config| config.limits.body_bytes = 1_024).await;
    let post = || edge.request("POST", "/v1/surfaces/home:page");
    let answer = Answer::of(post().body("{}")).await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (415, Some("unsupported_media_type")));
    let answer = Answer::of(post().header("content-type", "text/plain").body("{}")).await;
    assert_eq!(answer.status, 415);
    let answer = Answer::of(post().header("content-type", "application/json; charset=utf-8").body("{}")).await;
    assert_eq!(answer.status, 200);
    let answer = Answer::of(post().header("content-type", "application/json").body(" ".repeat(2_000))).await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (413, Some("body_too_large")));
}

#[tokio::test]
async fn our_own_defects_tell_nothing() {
    let edge = Edge::start().await;
    World::set(&edge.world.catalogue, Mood::Panics);
    let answer = edge.send("GET", "/v1/items/track-1", "").await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (500, Some("internal")));
    assert!(!answer.text.contains("panic"), "{}", answer.text);

    World::set(&edge.world.catalogue, Mood::Fails(shared_models::ErrorCode::Internal));
    let answer = edge.send("GET", "/v1/items/track-1", "").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text.contains("secret") && !answer.text.contains("told_to_fail"), "{}", answer.text);

    World::set(&edge.world.catalogue, Mood::Fails(shared_models::ErrorCode::Unavailable));
    let answer = edge.send("GET", "/v1/items/track-1", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert!(!answer.text.contains("secret"), "{}", answer.text);
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_at_once() {
    let edge = Edge::with(|config| {
        config.limits.concurrency = 1;
        config.limits.request_timeout = std::time::Duration::from_millis(500);
    })
    .await;
    World::set(&edge.world.catalogue, Mood::Hangs);
    let hanging = edge.send("GET", "/v1/items/track-1", "");
    let refused = async {
        edge.has_in_flight("recommend", 1).await;
        edge.send("GET", "/docs", "").await
    };
    let (hanging, refused) = tokio::join!(hanging, refused);
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (429, Some("overloaded")));
    // Not to the second: who is refused together does not come back together.
    assert!((1..=3).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!((hanging.status, hanging.json()["reason"].as_str()), (504, Some("request_timeout")));
}
