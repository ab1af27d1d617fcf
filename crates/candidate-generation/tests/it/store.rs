//! The suite on SQLite, each case on a fresh file; and what is SQLite's own: another process's view.

use candidate_generation::store::{Config, Store, sqlite::SqliteStore};
use tempfile::TempDir;

use crate::{
    store_suite as suite,
    world::{NOW, tenant, track},
};

pub(crate) async fn fresh() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    (folder, store)
}

pub(crate) async fn open(folder: &TempDir) -> SqliteStore {
    let url = format!("sqlite://{}", folder.path().join("deep/candidates.db").display());
    SqliteStore::open(&Config { url, readers: 2 }).await.unwrap()
}

macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (_folder, store) = fresh().await;
                suite::$case(&store).await;
            }
        )+
    };
}

suite!(
    items_round_trip,
    the_last_of_equals_is_kept,
    tenants_never_meet,
    users_round_trip,
    an_unreadable_profile_is_its_users_affair,
    an_outdated_writer_is_refused,
    claims_hold_once,
    a_dropped_transaction_leaves_nothing,
    old_events_are_forgotten,
    forgetting_much_holds_no_writer_up,
    trends_round_trip,
);

#[tokio::test]
async fn what_is_written_is_there_after_a_restart() {
    let (folder, store) = fresh().await;
    store.put_items(&tenant(), &[std::sync::Arc::new(track("t", "a"))], NOW).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).await.items_after(&tenant(), None, 5).await.unwrap(), [track("t", "a")]);
}

#[tokio::test]
async fn a_database_of_another_kind_is_refused_with_what_would_be_right() {
    let config = Config { url: "mysql://somewhere".to_owned(), readers: 1 };
    let Err(error) = candidate_generation::store::open(&config).await else { panic!("it must be refused") };
    assert!(error.to_string().contains("sqlite://"), "{error}");
}
