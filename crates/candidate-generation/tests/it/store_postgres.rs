//! The suite on PostgreSQL, each case in a fresh database; and what processes that share one see of each other.

use std::{sync::Arc, time::Duration};

use candidate_generation::{
    index::trending::StoredTrend,
    store::{Config, Error, Folding, Known, NextProfile, Store, StoredUser, encode, postgres::PostgresStore},
};
use shared_models::{ErrorCode, ItemKey, Timestamp, UserId, item::Item, listener::UserAttributes};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _, migrate::Migrator};
use testkit::{Postgres, postgres::Disk};

use crate::{
    store_suite::{event_key, full_item, profile, put, save, split, user},
    world::{NOW, id, key, tenant, track},
};

const STREAM: &str = "EVENTS";
const LONG: Duration = Duration::from_secs(60);

async fn fresh() -> (Arc<Postgres>, PostgresStore) {
    let server = Postgres::shared().await.unwrap();
    let store = open(&server.database().await.unwrap()).await;
    (server, store)
}

/// Two processes on one database.
async fn two() -> (Arc<Postgres>, PostgresStore, PostgresStore) {
    let server = Postgres::shared().await.unwrap();
    let url = server.database().await.unwrap();
    let (a, b) = tokio::join!(open(&url), open(&url));
    (server, a, b)
}

async fn open(url: &str) -> PostgresStore {
    let config = Config { connections: 4, statement_timeout: Duration::from_secs(20), ..Config::at(url) };
    PostgresStore::open(&config).await.unwrap()
}

crate::store_suite::cases!(fresh);

#[tokio::test]
async fn a_user_is_read_again_only_when_anything_is_other_than_known() {
    let (_server, a, b) = two().await;
    let (a, b) = (&a as &dyn Store, b.shared().unwrap());
    let unless =
        async |version, told_at| b.user_unless(&tenant(), user("u"), Known { version, told_at }).await.unwrap();
    assert_eq!(unless(0, None).await, None, "nobody has heard of the user");
    save(a, &tenant(), "u", 1).await.unwrap();
    assert_eq!(unless(1, None).await, None);
    let read = StoredUser { version: 1, profile: profile(1), attributes: None };
    assert_eq!(unless(0, None).await, Some(read.clone()));
    let told = UserAttributes { id: UserId::new("u").unwrap(), market: None, explicit_allowed: false, updated_at: NOW };
    a.put_user(&tenant(), &told).await.unwrap();
    assert_eq!(unless(1, None).await, Some(StoredUser { attributes: Some(told), ..read }));
    assert_eq!(unless(1, Some(NOW)).await, None);
}

#[tokio::test]
async fn what_one_process_writes_to_a_catalogue_the_others_find_by_its_version() {
    let (_server, a, b) = two().await;
    let (a, b) = (&a as &dyn Store, b.shared().unwrap());
    let put = async |items: &[Item]| {
        let items: Vec<Arc<Item>> = items.iter().cloned().map(Arc::new).collect();
        a.put_items(&tenant(), &items, NOW).await.unwrap()
    };
    assert_eq!(b.catalogue_versions().await.unwrap(), []);
    let many: Vec<Item> = (0..7).map(|n| track(&format!("t{n}"), "a")).collect();
    put(&many).await;
    put(&many).await;
    assert_eq!(b.catalogue_versions().await.unwrap(), [(tenant(), 1)], "what changes nothing is no version");
    put(&[track("t3", "b")]).await;
    assert!(a.delete_item(&tenant(), &id("t5")).await.unwrap());
    assert!(!a.delete_item(&tenant(), &id("t5")).await.unwrap());
    assert_eq!(b.catalogue_versions().await.unwrap(), [(tenant(), 3)]);

    // Page by page: each item once, as it is now.
    let mut after = (0, ItemKey(i64::MAX as u64));
    let mut found = Vec::new();
    loop {
        let page = b.catalogue_changes(&tenant(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = (last.version, last.key);
        found.extend(page);
    }
    assert_eq!(found.iter().map(|change| change.version).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 2, 3]);
    assert_eq!(found[5].item.as_deref(), Some(&track("t3", "b")));
    assert_eq!((found[6].key, found[6].item.as_deref()), (key("t5"), None));
    put(&[track("t5", "back")]).await;
    let back = b.catalogue_changes(&tenant(), (3, ItemKey(i64::MAX as u64)), 9).await.unwrap();
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].item.as_deref(), Some(&track("t5", "back")));
}

#[tokio::test]
async fn processes_add_what_they_counted() {
    let (_server, a, b) = two().await;
    let day = Duration::from_secs(86_400);
    let trend = |item: &str, plays: f64, days: i64| StoredTrend {
        key: key(item),
        plays,
        at: Timestamp(NOW.0 + days * 86_400_000),
    };
    let exchange = async |store: &PostgresStore, counted: &[StoredTrend], forgotten: &[ItemKey], since| {
        let shared = store.shared().unwrap();
        shared.exchange_trends(&tenant(), counted, forgotten, day, since).await.unwrap()
    };
    let first = exchange(&a, &[trend("x", 4.0, 0), trend("y", 1.0, 0)], &[], Timestamp(0)).await;
    assert_eq!(first.counts.len(), 2);
    let later = exchange(&b, &[trend("x", 1.0, 1)], &[], Timestamp(0)).await;
    assert!(later.counts.contains(&trend("x", 3.0, 1)), "{later:?}");
    // One that comes late counts as of then; one from ages ago is no underflow.
    let late = exchange(&a, &[trend("x", 2.0, 0), trend("y", 1.0, 5_000)], &[], first.as_of).await;
    assert!(late.counts.contains(&trend("x", 4.0, 1)), "{late:?}");
    assert!(late.counts.contains(&trend("y", 1.0, 5_000)), "{late:?}");
    let after = exchange(&a, &[], &[key("x")], Timestamp(late.as_of.0 + 60_000)).await;
    assert!(after.counts.is_empty(), "nothing changed since");
    assert_eq!(a.trends(&tenant()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_partition_has_one_holder_and_its_token_rises_with_each() {
    let (_server, a, b) = two().await;
    let (a, b) = (a.shared().unwrap(), b.shared().unwrap());
    let shares = a.shares(STREAM, 3, "a", LONG).await.unwrap();
    assert_eq!((shares.workers, shares.held.len(), shares.free), (1, 0, vec![0, 1, 2]));
    let lease = a.take(STREAM, 1, "a", LONG).await.unwrap().unwrap();
    assert_eq!(b.take(STREAM, 1, "b", LONG).await.unwrap(), None);
    let shares = b.shares(STREAM, 3, "b", LONG).await.unwrap();
    assert_eq!((shares.workers, shares.held.len(), shares.free), (2, 0, vec![0, 2]));
    a.give_back(&lease, "a").await.unwrap();
    let next = b.take(STREAM, 1, "b", Duration::ZERO).await.unwrap().unwrap();
    assert!(next.token > lease.token);
    // The former holder's late word changes nothing; a lease that lapsed is for whoever comes first.
    a.give_back(&lease, "a").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let third = a.take(STREAM, 1, "a", LONG).await.unwrap().unwrap();
    assert!(third.token > next.token);
    assert_eq!(a.shares(STREAM, 3, "a", LONG).await.unwrap().held, [third]);
    a.leave(STREAM, "a").await.unwrap();
    let shares = b.shares(STREAM, 3, "b", LONG).await.unwrap();
    assert_eq!((shares.workers, shares.free), (1, vec![0, 1, 2]));
}

#[tokio::test]
async fn a_former_holder_folds_nothing() {
    let (_server, a, b) = two().await;
    let take = async |store: &PostgresStore, holder: &str| {
        store.shared().unwrap().take(STREAM, 0, holder, Duration::ZERO).await.unwrap().unwrap()
    };
    let old = take(&a, "a").await;
    let mut tx = a.begin(Some(&old)).await.unwrap();
    tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    // While it folds, the lease does not change hands; after its commit it does.
    let taken = async { take(&b, "b").await };
    let commit = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tx.commit().await
    };
    let (new, committed) = tokio::join!(taken, commit);
    committed.unwrap();
    assert!(new.token > old.token);
    let Err(refused) = a.begin(Some(&old)).await.map(|_| ()) else { panic!("the old lease must be refused") };
    assert!(matches!(refused, Error::Fenced { partition: 0 }));
    assert_eq!(refused.code(), ErrorCode::Unavailable, "the batch is kept, and answered by whoever holds the lease");
    let mut tx = b.begin(Some(&new)).await.unwrap();
    assert_eq!(tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap(), [false]);
}

#[tokio::test]
async fn a_migration_that_is_cut_off_at_any_statement_begins_anew() {
    let server = Postgres::shared().await.unwrap();
    let migrator = sqlx::migrate!("src/store/migrations/postgres");
    assert!(migrator.iter().all(|migration| !migration.no_tx), "each must be one transaction");
    for (number, migration) in migrator.iter().enumerate() {
        let statements = split(migration.sql.as_str());
        for reached in 0..=statements.len() {
            let url = server.database().await.unwrap();
            let mut connection = PgConnection::connect(&url).await.unwrap();
            if number > 0 {
                let earlier = Migrator::with_migrations(migrator.iter().take(number).cloned().collect());
                earlier.run(&mut connection).await.unwrap();
            }
            connection.execute("BEGIN").await.unwrap();
            for statement in &statements[..reached] {
                connection.execute(sqlx::AssertSqlSafe(statement.clone())).await.unwrap();
            }
            // The process is killed: no ROLLBACK is said.
            drop(connection);
            let store = open(&url).await;
            save(&store, &tenant(), "u", 1).await.unwrap();
            put(&store, &tenant(), &[full_item()]).await;
            store.close().await;
        }
    }
}

#[tokio::test]
async fn an_older_release_runs_on_tables_of_a_later_one() {
    let (server, _) = fresh().await;
    let url = server.database().await.unwrap();
    let first = open(&url).await;
    save(&first, &tenant(), "u", 1).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection
        .execute(
            "ALTER TABLE profiles ADD COLUMN later TEXT; INSERT INTO _sqlx_migrations (version, description, success, \
             checksum, execution_time) VALUES (999, 'later', true, 'x', 1)",
        )
        .await
        .unwrap();
    let again = open(&url).await;
    save(&again, &tenant(), "u", 2).await.unwrap();
    assert_eq!(again.user(&tenant(), user("u")).await.unwrap().version, 2);
}

#[tokio::test]
async fn what_is_acknowledged_is_synced_and_no_statement_takes_for_ever() {
    let (_server, store) = fresh().await;
    let server = Postgres::shared().await.unwrap();
    let url = server.database().await.unwrap();
    let quick = Config { connections: 2, statement_timeout: Duration::from_millis(300), ..Config::at(url) };
    let quick = PostgresStore::open(&quick).await.unwrap();
    assert!(store.shared().is_some());
    let shown = async |setting: &str| quick.setting(setting).await.unwrap();
    assert_eq!(shown("synchronous_commit").await, "on");
    assert_eq!(shown("statement_timeout").await, "300ms");
    // A writer that holds a row for longer than a statement may take: the other is told, and the row is as it was.
    save(&quick, &tenant(), "u", 1).await.unwrap();
    let next = NextProfile { user: user("u"), version: 2, blob: encode(&profile(2)) };
    let mut holder: Box<dyn Folding> = quick.begin(None).await.unwrap();
    holder.save(&tenant(), std::slice::from_ref(&next), NOW).await.unwrap();
    let mut waiting = quick.begin(None).await.unwrap();
    let refused = waiting.save(&tenant(), &[next], NOW).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable, "{refused}");
    drop((holder, waiting));
    assert_eq!(quick.user(&tenant(), user("u")).await.unwrap().version, 1);
}

#[tokio::test]
async fn what_the_database_refuses_is_told_as_no_outage() {
    let (_server, store) = fresh().await;
    let nul = Item { title: "a\0b".to_owned(), ..track("t", "a") };
    let refused = store.put_items(&tenant(), &[Arc::new(nul)], NOW).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Internal, "{refused}");
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_has_all_that_was_committed() {
    let mut server = Postgres::start_with(Disk::Synced).await.unwrap();
    let store = open(&server.database().await.unwrap()).await;
    save(&store, &tenant(), "u", 1).await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap();
    let url = server.url("test_0");
    server.kill().unwrap();
    assert!(tx.commit().await.is_err());
    let away = store.user(&tenant(), user("u")).await.unwrap_err();
    assert_eq!(away.code(), ErrorCode::Unavailable, "{away}");
    // A process that is started before its database waits for it.
    let (early, restarted) = tokio::join!(open(&url), server.restart());
    restarted.unwrap();
    assert_eq!(early.user(&tenant(), user("u")).await.unwrap().version, 1);
    let mut found = store.user(&tenant(), user("u")).await;
    for _ in 0..50 {
        if found.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = store.user(&tenant(), user("u")).await;
    }
    assert_eq!(found.unwrap().version, 1);
    let mut tx = store.begin(None).await.unwrap();
    assert_eq!(tx.claim_events(&tenant(), &[(user("u"), event_key("e"))], NOW).await.unwrap(), [true]);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused_at_once() {
    let server = Postgres::shared().await.unwrap();
    let refused = PostgresStore::open(&Config::at(server.url("nowhere"))).await.unwrap_err();
    assert!(service_runtime::tasks::chain(&refused).contains("nowhere"), "{refused}");
}

#[tokio::test]
async fn every_table_of_a_tenant_begins_its_key_with_the_tenant() {
    let (server, _) = fresh().await;
    let url = server.database().await.unwrap();
    open(&url).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let rows = sqlx::query(
        "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
         AND a.attnum = i.indkey[0] WHERE i.indisprimary AND n.nspname = 'public' AND c.relname NOT LIKE '\\_sqlx%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let tables: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(tables.len() >= 9, "{tables:?}");
    for (table, first) in tables {
        let expected = if table.starts_with("intake_") { "stream" } else { "tenant" };
        assert_eq!(first, expected, "table {table}");
    }
}
