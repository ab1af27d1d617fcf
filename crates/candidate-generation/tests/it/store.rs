//! The suite on SQLite, each case on a fresh file; and what is SQLite's own: another process's view.

use candidate_generation::store::{Config, Store, sqlite::SqliteStore};
use tempfile::TempDir;

use crate::world::{NOW, tenant, track};

pub(crate) async fn fresh() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    (folder, store)
}

pub(crate) async fn open(folder: &TempDir) -> SqliteStore {
    let url = format!("sqlite://{}", folder.path().join("deep/candidates.db").display());
    SqliteStore::open(&Config::at(url)).await.unwrap()
}

crate::store_suite::cases!(fresh);

#[tokio::test]
async fn what_is_written_is_there_after_a_restart() {
    let (folder, store) = fresh().await;
    store.put_items(&tenant(), &[std::sync::Arc::new(track("t", "a"))], NOW).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).await.items_after(&tenant(), None, 5).await.unwrap(), [track("t", "a")]);
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused_with_what_would_be_right() {
    let config = Config::at("mysql://somewhere");
    let Err(error) = candidate_generation::store::open(&config).await else { panic!("it must be refused") };
    assert!(error.to_string().contains("sqlite://") && error.to_string().contains("postgres://"), "{error}");
}
