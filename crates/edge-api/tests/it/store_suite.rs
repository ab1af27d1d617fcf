//! What any store of records must do, on SQLite and on PostgreSQL.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use edge_api::store::{self, Config, Error, Kept, Store, Wanted};
use service_runtime::config::Secret;
use shared_models::{ErrorCode, RecommendationId, SurfaceId, TenantId, Timestamp, UserId, UserKey};
use testkit::{Postgres, folder::Folder};
use uuid::Uuid;

fn config(url: String) -> Config {
    Config {
        url,
        password: Secret::default(),
        connections: 2,
        statement_timeout: Duration::from_secs(20),
        keep: Duration::from_secs(60),
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn user(name: &str) -> UserKey {
    UserKey::of(&UserId::new(name).unwrap())
}

/// The record of answer `number`, made so many milliseconds after 1970; every third of nobody, every second whole.
fn record(of: &str, number: u64) -> Kept {
    Kept {
        tenant: tenant(of),
        id: RecommendationId(Uuid::from_u64_pair(number, 7)),
        made_at: Timestamp(number as i64),
        surface: SurfaceId::new(if number % 4 == 0 { "radio" } else { "home" }).unwrap(),
        user: (number % 3 != 0).then(|| user(&format!("u{}", number % 3))),
        whole: number % 2 == 0,
        version: 1,
        payload: Bytes::from(format!("record {number} ").repeat(100)),
    }
}

fn all() -> Wanted {
    Wanted {
        since: Timestamp(0),
        until: Timestamp(i64::MAX),
        user: None,
        surface: None,
        whole: false,
        before: None,
        limit: 100,
    }
}

async fn numbers(store: &dyn Store, wanted: Wanted) -> Vec<i64> {
    store.list(&tenant("a"), &wanted).await.unwrap().iter().map(|listed| listed.made_at.0).collect()
}

async fn passes(store: &dyn Store) {
    let records: Vec<Kept> = (1..=12).map(|number| record("a", number)).chain([record("b", 5)]).collect();
    store.put(&records).await.unwrap();
    // Again, and with another payload: what is kept stays.
    store.put(&[Kept { payload: Bytes::from("other"), ..record("a", 3) }]).await.unwrap();
    store.put(&[]).await.unwrap();
    for number in [3, 4, 12] {
        let kept = record("a", number);
        assert_eq!(store.get(&kept.tenant, kept.id).await.unwrap(), Some(kept));
    }
    assert_eq!(store.get(&tenant("b"), record("a", 4).id).await.unwrap(), None, "tenants never meet");

    assert_eq!(numbers(store, all()).await, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    let between = Wanted { since: Timestamp(4), until: Timestamp(7), ..all() };
    assert_eq!(numbers(store, between).await, [6, 5, 4]);
    assert_eq!(numbers(store, Wanted { user: Some(user("u1")), ..all() }).await, [10, 7, 4, 1]);
    assert_eq!(numbers(store, Wanted { surface: SurfaceId::new("radio").ok(), ..all() }).await, [12, 8, 4]);
    assert_eq!(numbers(store, Wanted { whole: true, limit: 2, ..all() }).await, [12, 10]);
    let next = Wanted { whole: true, limit: 2, before: Some(record("a", 10).id), ..all() };
    assert_eq!(numbers(store, next).await, [8, 6]);

    assert_eq!(store.prune(Timestamp(9)).await.unwrap(), 9, "eight of one tenant and one of the other");
    assert_eq!(numbers(store, all()).await, [12, 11, 10, 9]);
    assert_eq!(store.prune(Timestamp(9)).await.unwrap(), 0);
}

#[tokio::test]
async fn sqlite_keeps_records() {
    let folder = Folder::new().unwrap();
    let config = config(format!("sqlite://{}", folder.path().join("below/edge.db").display()));
    passes(&*store::open(&config).await.unwrap().unwrap()).await;
    // Opened again, it is all there.
    let again = store::open(&config).await.unwrap().unwrap();
    assert_eq!(numbers(&*again, all()).await, [12, 11, 10, 9]);
}

#[tokio::test]
async fn postgres_keeps_records() {
    let server = Postgres::shared().await.unwrap();
    let url = server.database().await.unwrap();
    let (one, other) = (config(url.clone()), config(url));
    // Two edges begin at once.
    let (one, other) = tokio::join!(store::open(&one), store::open(&other));
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    let wanted = all();
    let (tenant_a, tenant_b) = (tenant("a"), tenant("b"));
    let (first, second) = tokio::join!(one.list(&tenant_a, &wanted), other.list(&tenant_b, &wanted));
    assert_eq!((first.unwrap(), second.unwrap()), (vec![], vec![]));
    passes(&*one).await;
}

#[tokio::test]
async fn a_database_that_is_away_is_told_and_no_url_keeps_nothing() {
    let away: Arc<dyn Store> =
        store::open(&config("postgres://nobody@127.0.0.1:1/none".to_owned())).await.unwrap().unwrap();
    let error = away.get(&tenant("a"), record("a", 1).id).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(store::open(&config(String::new())).await.unwrap().is_none());
    let error = store::open(&config("mysql://x".to_owned())).await.err().unwrap();
    assert!(matches!(error, Error::Url { .. }) && error.to_string().contains("sqlite://"), "{error}");
}
