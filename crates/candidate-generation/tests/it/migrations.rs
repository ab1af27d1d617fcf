//! SQLite's tables through time: data of each earlier release is carried forward, and a migration that was cut off
//! at any statement begins anew.

use candidate_generation::store::{Config, Store as _, sqlite::SqliteStore};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, SqliteConnection,
    migrate::{Migrate as _, Migrator},
};

use crate::{
    store_suite::{profile, save, split, user},
    world::{NOW, tenant, track},
};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// A file as the release with so many migrations made it.
async fn earlier(url: &str, migrations: usize) -> SqliteConnection {
    let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    let earlier = Migrator::with_migrations(MIGRATIONS.iter().take(migrations).cloned().collect());
    earlier.run(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn data_of_every_earlier_release_is_carried_forward() {
    let folder = tempfile::tempdir().unwrap();
    for migrations in 1..=MIGRATIONS.iter().count() {
        let url = format!("sqlite://{}", folder.path().join(format!("{migrations}.db")).display());
        let mut connection = earlier(&url, migrations).await;
        // What the first release wrote, as it wrote it.
        let blob = candidate_generation::store::encode(&profile(3));
        let statements = [
            "INSERT INTO items (tenant, item_key, item_id, kind, title, artist_id, artist_name, genres, released_at, \
             duration_ms, explicit, markets, updated_at) VALUES ('demo', 7, 't', 'track', 'T', 'a', 'A', '[\"jazz\"]', 1, 2, 0, 'SE', 3)"
                .to_owned(),
            format!(
                "INSERT INTO profiles VALUES ('demo', {}, {}, 3, 1, x'{}', 5)",
                user("u").bucket(),
                user("u").0 as i64,
                blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            ),
            "INSERT INTO trends VALUES ('demo', 7, 1.5, 9)".to_owned(),
        ];
        for statement in statements {
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        connection.close().await.unwrap();
        let store = SqliteStore::open(&Config::at(url)).await.unwrap();
        let items = store.items_after(&tenant(), None, 9).await.unwrap();
        assert_eq!((items.len(), items[0].title.as_str(), items[0].genres[0].as_str()), (1, "T", "jazz"));
        assert_eq!(items[0].numbers, None);
        let found = store.user(&tenant(), user("u")).await.unwrap();
        assert_eq!((found.version, &found.profile), (3, &profile(3)));
        save(&store, &tenant(), "u", 4).await.unwrap();
        assert_eq!(store.trends(&tenant()).await.unwrap().len(), 1);
    }
}

/// The store, once nobody else holds its file.
async fn opened(url: &str) -> SqliteStore {
    let began = std::time::Instant::now();
    loop {
        match SqliteStore::open(&Config::at(url.to_owned())).await {
            Ok(store) => return store,
            Err(error) => {
                let is_held = format!("{error:?}").contains("database is locked");
                assert!(is_held && began.elapsed() < std::time::Duration::from_secs(10), "{error:?}");
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_migration_that_is_cut_off_at_any_statement_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    for (number, migration) in MIGRATIONS.iter().enumerate() {
        assert!(!migration.no_tx, "each must be one transaction");
        let statements = split(migration.sql.as_str());
        for reached in 0..=statements.len() {
            let url = format!("sqlite://{}", folder.path().join(format!("{number}-{reached}.db")).display());
            let mut connection = earlier(&url, number).await;
            connection.ensure_migrations_table("_sqlx_migrations").await.unwrap();
            connection.execute("BEGIN").await.unwrap();
            for statement in &statements[..reached] {
                connection.execute(AssertSqlSafe(statement.clone())).await.unwrap();
            }
            // The process is killed: no COMMIT and no ROLLBACK is said. Its hold of the file ends with it, that of a
            // connection when its thread gets to it.
            connection.close_hard().await.unwrap();
            let store = opened(&url).await;
            store.put_items(&tenant(), &[std::sync::Arc::new(track("t", "a"))], NOW).await.unwrap();
            save(&store, &tenant(), "u", 1).await.unwrap();
        }
    }
}
