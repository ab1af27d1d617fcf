//! Keys and scopes, over every route there is.

use std::collections::BTreeSet;

use edge_api::{
    auth::{Key, KeyConfig, Scope},
    routes::access::{Access, ROUTES},
};
use shared_models::TenantId;

use crate::support::{Answer, Edge};

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

#[tokio::test]
async fn every_documented_route_declares_who_may_use_it() {
    let edge = Edge::start().await;
    let document: serde_json::Value = serde_json::from_str(&edge.openapi).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scopes: Vec<&str> = operation["security"]
                .as_array()
                .unwrap_or_else(|| panic!("{method} {path} declares no security"))
                .iter()
                .flat_map(|one| one.get("api_key").and_then(|scopes| scopes.as_array()).into_iter().flatten())
                .map(|scope| scope.as_str().unwrap())
                .collect();
            documented.insert((method.to_uppercase(), path.clone(), scopes.join(",")));
        }
    }
    let scope = |access: Access| match access {
        Access::Public => String::new(),
        Access::Key(scope) => scope.as_str().to_owned(),
    };
    let declared: BTreeSet<_> =
        ROUTES.iter().map(|route| (route.method.to_owned(), route.template.to_owned(), scope(route.access))).collect();
    assert_eq!(documented, declared);
}

#[tokio::test]
async fn every_route_is_closed_without_its_own_scope() {
    let (wrong, mut entries): (Vec<_>, Vec<_>) =
        Scope::ALL.map(|scope| Key::generate(&tenant(), &[scope])).into_iter().unzip();
    let (expired, mut entry) = Key::generate(&tenant(), &Scope::ALL);
    entry.expires_at = "2020-01-01T00:00:00Z".to_owned();
    entries.push(entry);
    let edge = Edge::with(|config| config.auth.keys.extend(entries)).await;
    let (stranger, _) = Key::generate(&tenant(), &Scope::ALL);

    for route in ROUTES {
        let path = route.template.replace("{surface}", "home").replace("{id}", "track-1");
        let ask = async |key: Option<&str>| {
            let request = edge
                .client
                .request(route.method.parse().unwrap(), edge.url(&path))
                .header("content-type", "application/json")
                .body("{}");
            Answer::of(match key {
                Some(key) => request.bearer_auth(key),
                None => request,
            })
            .await
        };
        let what = format!("{} {path}", route.method);
        let Access::Key(needed) = route.access else {
            assert_eq!(ask(None).await.status, 200, "{what}");
            continue;
        };
        for (key, reason) in [
            (None, "missing_key"),
            (Some("x"), "malformed_key"),
            (Some(stranger.expose()), "unknown_key"),
            (Some(expired.expose()), "expired_key"),
        ] {
            let answer = ask(key).await;
            assert_eq!((answer.status, answer.json()["reason"].as_str()), (401, Some(reason)), "{what}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        }
        for (scope, key) in Scope::ALL.into_iter().zip(&wrong) {
            let answer = ask(Some(key.expose())).await;
            if scope == needed {
                assert!(
                    ![401, 403, 404, 405].contains(&answer.status) || route.method == "DELETE",
                    "{what}: {}",
                    answer.text
                );
            } else {
                assert_eq!((answer.status, answer.json()["reason"].as_str()), (403, Some("missing_scope")), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn keys_are_kept_as_digests_only() {
    let (key, entry): (Key, KeyConfig) = Key::generate(&tenant(), &Scope::ALL);
    let secret = key.expose().rsplit('_').next().unwrap();
    let mut config = edge_api::Config::default();
    config.auth.keys.push(entry);
    assert!(!service_runtime::config::dump(&config).contains(secret));
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_configuration_opens_nothing_any_more() {
    let edge = Edge::start().await;
    let tenant = TenantId::new("demo").unwrap();
    let (key, entry) = Key::generate(&tenant, &Scope::ALL);
    let (other, of_other) = Key::generate(&TenantId::new("other").unwrap(), &Scope::ALL);
    let mut config = edge_api::Config::default();
    config.auth.keys.extend([entry, of_other]);
    assert_eq!(edge.send("GET", "/v1/items/none", "").await.status, 404);
    edge.runtime.reloads.send(config);
    let with = async |key: &str| {
        edge.client.get(edge.url("/v1/items/none")).bearer_auth(key).send().await.unwrap().status().as_u16()
    };
    for _ in 0..100 {
        if with(key.expose()).await == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(with(key.expose()).await, 404, "the new key opens");
    assert_eq!(with(&edge.key).await, 401, "the old one does not");
    assert_eq!(with(other.expose()).await, 401, "a tenant that had no key needs a start");
}
