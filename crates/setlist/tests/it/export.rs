//! `setlist export`: a tenant's everything, from a data folder and from PostgreSQL.

use std::{path::Path, sync::Arc};

use candidate_generation::store;
use learning::export::{MANIFEST, Manifest};
use shared_models::{
    ItemId, TenantId, Timestamp, UserId,
    item::{Item, ItemKind},
    listener::UserAttributes,
};

use crate::check;

fn manifest(folder: &Path) -> Manifest {
    serde_json::from_slice(&std::fs::read(folder.join(MANIFEST)).unwrap()).unwrap()
}

fn rows(manifest: &Manifest, table: &str) -> u64 {
    manifest.tables.iter().find(|found| found.name == table).unwrap().rows
}

#[test]
fn a_data_folder_is_exported_once_and_without_what_opens_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let table: String =
        (0..60).map(|n| format!("u{},t{},2026-05-{:02}T10:00:00Z,Title\n", n % 7, n % 11, 1 + n % 28)).collect();
    std::fs::write(at("plays.csv"), format!("user,item,time,title\n{table}")).unwrap();
    let (data, to) = (at("data"), at("export"));
    let secret = "ab".repeat(32);
    let key = |id: &str, tenant: &str| {
        format!(
            "[[edge.auth.keys]]\nid = \"{id}\"\nsha256 = \"{secret}\"\ntenant = \"{tenant}\"\nscopes = [\"serve\"]\n\n"
        )
    };
    std::fs::write(at("setlist.toml"), key("keyone", "demo") + &key("keytwo", "another")).unwrap();
    let config = at("setlist.toml");
    let ops = ["--set", "ops.listen=127.0.0.1:0"];
    let map = "user=user,item=item,time=time,title=title";
    check(&["export", "--data", &data, "--to", &to, ops[0], ops[1]], 1, &["there is no catalogue at", "--data"]);
    check(&["import", "table", &at("plays.csv"), "--map", map, "--data", &data, ops[0], ops[1]], 0, &["imported"]);
    let export = ["export", "--data", &data, "--to", &to, "--config", &config, ops[0], ops[1]];
    check(&export, 0, &["events", "listeners", "manifest.json"]);
    let made = manifest(folder.path().join("export").as_path());
    assert_eq!((made.tenant.as_str(), made.problems.len()), ("demo", 0));
    assert_eq!((rows(&made, "items"), rows(&made, "listeners"), rows(&made, "keys")), (11, 7, 1));
    assert!(rows(&made, "events") >= 60 && rows(&made, "surfaces") >= 2, "{made:?}");
    for file in made.tables.iter().flat_map(|table| &table.files).filter(|file| file.path.ends_with(".jsonl")) {
        let text = std::fs::read_to_string(folder.path().join("export").join(&file.path)).unwrap();
        assert!(!text.contains(&secret), "{} tells what opens a key", file.path);
    }
    check(&export, 1, &["is not empty"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_exported() {
    let server = testkit::Postgres::shared().await.unwrap();
    let url = server.database().await.unwrap();
    let tenant = TenantId::new("demo").unwrap();
    let store = store::open(&store::Config::at(&url)).await.unwrap();
    let item = Item {
        id: ItemId::new("t1").unwrap(),
        kind: ItemKind::Track,
        title: "Title".to_owned(),
        artist_id: None,
        artist_name: None,
        genres: Vec::new(),
        released_at: None,
        duration_ms: None,
        explicit: false,
        markets: Default::default(),
        numbers: None,
    };
    store.put_items(&tenant, &[Arc::new(item)], Timestamp(1)).await.unwrap();
    let told = UserAttributes {
        id: UserId::new("told").unwrap(),
        market: None,
        explicit_allowed: true,
        updated_at: Timestamp(1),
    };
    store.put_user(&tenant, &told).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("export");
    let (data, target) = (folder.path().to_str().unwrap(), to.to_str().unwrap());
    let set = format!("candidates.store.url={url}");
    let ops = "ops.listen=127.0.0.1:0";
    check(&["export", "--data", data, "--to", target, "--set", &set, "--set", ops], 0, &["manifest.json"]);
    let made = manifest(&to);
    assert_eq!((rows(&made, "items"), rows(&made, "listeners"), rows(&made, "events")), (1, 1, 0));
}
