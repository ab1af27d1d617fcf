//! How often a caller may ask, and how many requests a tenant may have in hand.

use std::time::Duration;

use edge_api::auth::{Key, Scope};
use shared_models::TenantId;

use crate::support::{Answer, Edge, Mood, World};

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let (other, entry) = Key::generate(&TenantId::new("other").unwrap(), &Scope::ALL);
    let edge = Edge::with(|config| {
        config.auth.keys.push(entry);
        config.quota.key_requests_per_second = 1;
        config.quota.key_burst = 3;
    })
    .await;
    for left in (0..3).rev() {
        let answer = edge.send("GET", "/v1/items/track-1", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("ratelimit-policy"), "\"key\";q=3;w=3, \"tenant\";q=40000;w=2");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"key\";r={left};t=")),
            "{}",
            answer.header("ratelimit")
        );
    }
    let refused = edge.send("GET", "/v1/items/track-1", "").await;
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (429, Some("quota_exceeded")), "{}", refused.text);
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", "\"key\";r=0;t=1"));
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_quota_exceeded_total{whose=\"key\"} 1"));
    // Another key does not feel it, and nobody's quota is spent on what needs no key.
    let own = edge.client.get(edge.url("/v1/items/track-1")).bearer_auth(other.expose());
    assert_eq!(Answer::of(own).await.status, 200);
    let open = edge.send("GET", "/docs", "").await;
    assert_eq!((open.status, open.header("ratelimit")), (200, ""));
}

#[tokio::test]
async fn one_tenant_does_not_take_every_seat() {
    let (other, entry) = Key::generate(&TenantId::new("other").unwrap(), &Scope::ALL);
    let edge = Edge::with(|config| {
        config.auth.keys.push(entry);
        config.limits.concurrency = 3;
        config.limits.tenant_concurrency = 2;
        config.limits.request_timeout = Duration::from_millis(500);
    })
    .await;
    World::set(&edge.world.catalogue, Mood::Hangs);
    let hanging = || edge.send("GET", "/v1/items/track-1", "");
    let rest = async {
        edge.has_in_flight("recommend", 2).await;
        let refused = edge.send("GET", "/v1/users/nobody", "").await;
        let own = edge.client.get(edge.url("/v1/users/nobody")).bearer_auth(other.expose());
        (refused, Answer::of(own).await)
    };
    let (_, _, (refused, welcome)) = tokio::join!(hanging(), hanging(), rest);
    assert_eq!(refused.json()["reason"], "overloaded");
    assert_eq!(welcome.status, 404, "the other tenant's request is answered: {}", welcome.text);
    assert!(edge.runtime.metrics.encode().contains("setlist_edge_requests_shed_total{of=\"tenant\"}"));
}
