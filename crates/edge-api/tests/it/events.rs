//! Events: taken one by one, answered when they are stored.

use std::{sync::Arc, time::Duration};

use contracts::events as wire;
use event_bus::{Config as BusConfig, EventBus, embedded::EmbeddedBus, subjects};
use serde_json::json;
use service_runtime::Runtime;
use shared_models::{ErrorCode, SystemClock, event::Event};

use crate::support::{Edge, Mood, World};

fn stored(edge: &Edge) -> Vec<Event> {
    let published = edge.world.published.lock().unwrap();
    let events = published.iter().filter(|(subject, _)| subject.as_str().starts_with("events.demo."));
    events
        .flat_map(|(_, envelope)| wire::decode(&envelope.kind, envelope.version, &envelope.payload).unwrap().1)
        .collect()
}

#[tokio::test]
async fn events_are_stored_as_they_were_told() {
    let edge = Edge::start().await;
    let body = json!({"events": [{
        "event_id": "e-1", "user_id": "user-1", "type": "play", "item_id": "track-1", "ms_played": 1000,
        "occurred_at": "2026-11-01T10:00:00Z", "recommendation_id": "0193576e-9f2a-7000-8000-000000000001",
        "shelf": "made-for-you", "position": 3, "session_id": "s", "device": "phone", "market": "SE"
    }, {"user_id": "user-2", "type": "own_kind", "item_id": "track-2"}]});
    let answer = edge.send("POST", "/v1/events", &body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = answer.json();
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_u64()), (Some(2), Some(0)));
    assert_eq!(answer["results"][0], json!({"index": 0, "event_id": "e-1", "status": "accepted"}));
    assert_eq!(answer["results"][1]["event_id"].as_str().unwrap().len(), 36);

    let mut events = stored(&edge);
    events.sort_by(|a, b| a.user.cmp(&b.user));
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].id.as_str(), events[0].kind.as_str(), events[0].ms_played, events[0].position),
        ("e-1", "play", Some(1000), Some(3))
    );
    assert_eq!(events[0].occurred_at.to_string(), "2026-11-01T10:00:00.000Z");
    assert_eq!(events[1].kind.as_str(), "own_kind");
}

#[tokio::test]
async fn one_bad_event_does_not_sink_the_others() {
    let edge = Edge::start().await;
    let good = json!({"event_id": "e-1", "user_id": "u", "type": "like", "item_id": "track-1"});
    let body = json!({"events": [
        good, {"event_id": "e-2", "user_id": "u", "type": "like"}, "no event", good,
        {"event_id": "e-3", "user_id": "u", "type": "like", "item_id": "t", "ms_played": 3, "market": "x", "colour": 1},
        {"event_id": "e-4", "user_id": "u", "type": "Like!", "item_id": "t", "occurred_at": "soon", "recommendation_id": "x"}
    ]});
    let answer = edge.send("POST", "/v1/events", &body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = answer.json();
    let status = |index: usize| answer["results"][index]["status"].as_str().unwrap().to_owned();
    assert_eq!(
        (0..6).map(status).collect::<Vec<_>>(),
        ["accepted", "refused", "refused", "duplicate", "refused", "refused"]
    );
    assert_eq!(answer["results"][1]["errors"][0]["field"], "/events/1/item_id");
    assert_eq!(answer["results"][4]["errors"][0]["field"], "/events/4/colour");
    let fields: Vec<_> = answer["results"][5]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["/events/5/type", "/events/5/occurred_at", "/events/5/recommendation_id"]);
    assert_eq!((answer["accepted"].as_u64(), answer["refused"].as_u64()), (Some(1), Some(4)));
    assert_eq!(stored(&edge).len(), 1);
}

#[tokio::test]
async fn moments_that_cannot_be_are_moved_and_told() {
    let edge = Edge::start().await;
    let event = |n: usize, at: &str| json!({"event_id": format!("e-{n}"), "user_id": "u", "type": "skip", "ms_played": 900, "item_id": "t", "occurred_at": at});
    let moments = ["2099-01-01T00:00:00Z", "1999-01-01T00:00:00Z"];
    let body = json!({"events": [event(0, moments[0]), event(1, moments[1])]});
    let answer = edge.send("POST", "/v1/events", &body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let answer = answer.json();
    let stored = stored(&edge);
    for (index, (moment, days)) in moments.into_iter().zip([0, 400]).enumerate() {
        let event = &stored[index];
        assert_eq!(event.occurred_at, event.received_at.before(Duration::from_secs(days * 86_400)));
        let told = &answer["results"][index]["adjusted"][0];
        assert_eq!(told["field"], format!("/events/{index}/occurred_at"));
        assert_eq!(told["given"], format!("{moment:?}"));
        assert!(told["expected"].as_str().unwrap().starts_with(&event.occurred_at.to_string()), "{told}");
    }
}

#[tokio::test]
async fn what_is_not_stored_is_never_accepted() {
    let edge = Edge::with(|config| config.events.ack_timeout = Duration::from_millis(100)).await;
    let body =
        json!({"events": [{"event_id": "e-1", "user_id": "u", "type": "like", "item_id": "track-1"}]}).to_string();
    for mood in [Mood::Fails(ErrorCode::Unavailable), Mood::Hangs] {
        World::set(&edge.world.bus, mood);
        let answer = edge.send("POST", "/v1/events", &body).await;
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (503, Some("events_not_stored")), "{mood:?}");
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn a_large_body_of_one_listener_is_stored() {
    let edge = Edge::start().await;
    // More than a message of the bus takes, and all of it for one partition.
    let long = "\u{1d11e}".repeat(120);
    let event = |n: usize| json!({"event_id": format!("{n}-{long}"), "user_id": long, "type": "play", "item_id": long});
    let body = json!({"events": (0..1_000).map(event).collect::<Vec<_>>()}).to_string();
    assert!((1 << 20..2 << 20).contains(&body.len()), "{} bytes", body.len());
    let answer = edge.send("POST", "/v1/events", &body).await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1_000)), "{}", answer.text);
    assert_eq!(stored(&edge).len(), 1_000);
    assert!(edge.world.published.lock().unwrap().iter().all(|(_, envelope)| envelope.payload.len() <= 64 << 10));
}

#[tokio::test]
async fn what_the_bus_refuses_is_told_apart() {
    let edge = Edge::start().await;
    let body =
        json!({"events": [{"event_id": "e-1", "user_id": "u", "type": "like", "item_id": "track-1"}]}).to_string();
    for (code, status, reason, retry) in [
        (ErrorCode::InvalidArgument, 413, "events_too_large", ""),
        (ErrorCode::ResourceExhausted, 429, "events_queue_full", "1"),
        (ErrorCode::Unavailable, 503, "events_not_stored", "1"),
    ] {
        World::set(&edge.world.bus, Mood::Fails(code));
        let answer = edge.send("POST", "/v1/events", &body).await;
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (status, Some(reason)), "{code:?}");
        assert_eq!(answer.header("retry-after"), retry, "{code:?}");
    }
}

#[tokio::test]
async fn a_thousand_events_are_on_the_embedded_log_when_answered() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(Arc::new(SystemClock));
    let config = BusConfig { path: folder.path().join("events.db"), ..BusConfig::default() };
    let bus: Arc<dyn EventBus> = Arc::new(EmbeddedBus::open(&config, &runtime).await.unwrap());
    let edge = Edge::over(World::new(), Arc::clone(&bus), |_| ()).await;
    let event = |n: usize| json!({"event_id": format!("e-{n}"), "user_id": format!("user-{}", n % 50), "type": "play", "item_id": "track-1"});
    let body = json!({"events": (0..1_000).map(event).collect::<Vec<_>>()});
    let answer = edge.send("POST", "/v1/events", &body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);

    let mut seat = bus.subscribe(&subjects::CANDIDATES_INTAKE).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 1_000 {
        for delivery in seat.next_batch(64).await.unwrap() {
            let (tenant, events) =
                wire::decode(&delivery.envelope.kind, delivery.envelope.version, &delivery.envelope.payload).unwrap();
            assert_eq!(tenant.as_str(), "demo");
            seen.extend(events.into_iter().map(|event| event.id.to_string()));
        }
    }
    seat.close().await;
    edge.runtime.drain(Duration::from_secs(5)).await;
}
