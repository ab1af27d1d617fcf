//! Exports: everything once, counted and hashed, in the fields that the data dictionary names.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use candidate_generation::{
    profiles::{ItemFactsForFold, Profile},
    store::{self, NextProfile, Store},
};
use learning::{
    archive::Archive,
    export::{Export, MANIFEST, Manifest, dictionary},
    progress::Silent,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_models::{
    FeatureName, ItemId, UserId, UserKey,
    event::EventKind,
    item::{Item, ItemKind},
    listener::UserAttributes,
    numbers::Numbers,
};

use super::{NOW, event, message, tenant};

fn item(id: &str) -> Arc<Item> {
    Arc::new(Item {
        id: ItemId::new(id).unwrap(),
        kind: ItemKind::Track,
        title: format!("Title of {id}"),
        artist_id: ItemId::new("artist-1").ok(),
        artist_name: Some("An Artist".to_owned()),
        genres: vec!["jazz".to_owned()],
        released_at: Some(NOW),
        duration_ms: Some(180_000),
        explicit: false,
        markets: Default::default(),
        numbers: None,
    })
}

/// A store with items, a listener whom the tenant told of, one whom events named, and one whose profile is damaged.
async fn filled(folder: &Path) -> Arc<dyn Store> {
    let url = format!("sqlite://{}", folder.join("candidates.db").display());
    let store = store::open(&store::Config::at(url)).await.unwrap();
    let mut items: Vec<Arc<Item>> = ["item-0", "item-1", "item-2"].into_iter().map(item).collect();
    let tempo = (FeatureName::new("tempo").unwrap(), 0.61);
    Arc::make_mut(&mut items[1]).numbers = Numbers::new([tempo], vec![0.1, -2.0]).unwrap();
    store.put_items(&tenant(), &items, NOW).await.unwrap();
    let told =
        UserAttributes { id: UserId::new("told").unwrap(), market: None, explicit_allowed: true, updated_at: NOW };
    store.put_user(&tenant(), &told).await.unwrap();
    let mut profile = Profile::default();
    let facts = ItemFactsForFold::default();
    profile.apply(&event(1), &facts);
    profile.apply(&shared_models::event::Event { kind: EventKind::Hide, ..event(2) }, &facts);
    let mut folding = store.begin(None).await.unwrap();
    let key = |name: &str| UserKey::of(&UserId::new(name).unwrap());
    let next = |user, blob| NextProfile { user, version: 1, blob };
    let profiles = [next(key("user-1"), store::encode(&profile)), next(key("damaged"), b"garbage".to_vec())];
    folding.save(&tenant(), &profiles, NOW).await.unwrap();
    folding.commit().await.unwrap();
    store
}

fn lines(folder: &Path, table: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(format!("{table}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_holds_everything_and_its_manifest_counts_and_hashes_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path()).await;
    let archive = Archive::open(folder.path().join("archive"), NOW).unwrap();
    archive.land(&[message(1, "a", 0..20)]).unwrap();
    let to = folder.path().join("export");
    let mut export = Export::begin(tenant(), &to, Arc::new(Silent)).unwrap();
    export.archive(Some(&archive)).unwrap();
    let surface = json!({ "surface": "home", "version": "1", "definition": {} });
    let key = json!({ "id": "k", "scopes": ["serve"], "expires_at": null });
    export.edge(&[surface], &[key]).unwrap();
    export.releases(None).unwrap();
    export.store(store.as_ref()).await.unwrap();
    let manifest = export.finish(NOW).unwrap();

    // The manifest is what was written.
    let kept: Manifest = serde_json::from_slice(&std::fs::read(to.join(MANIFEST)).unwrap()).unwrap();
    assert_eq!(kept, manifest);
    let rows: Vec<(&str, u64)> = manifest.tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
    let expected = [
        ("events", 20),
        ("recommendations", 0),
        ("candidates", 0),
        ("surfaces", 1),
        ("keys", 1),
        ("releases", 0),
        ("items", 3),
        ("listeners", 3),
        ("trends", 0),
    ];
    assert_eq!(rows, expected);
    for file in manifest.tables.iter().flat_map(|table| &table.files) {
        let bytes = std::fs::read(to.join(&file.path)).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64, "{}", file.path);
        assert_eq!(file.sha256, hex::encode(Sha256::digest(&bytes)), "{}", file.path);
    }
    assert!(manifest.problems.len() == 1 && manifest.problems[0].contains("does not read back"), "{manifest:?}");

    // The lines have the fields of the dictionary.
    for table in dictionary::ALL {
        let named: BTreeSet<&str> = table.fields.iter().map(|field| field.name).collect();
        for line in lines(&to, table.name) {
            let written: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(written, named, "{}", table.name);
        }
    }
    let items = lines(&to, "items");
    assert_eq!((&items[0]["features"], &items[0]["embedding"]), (&Value::Null, &Value::Null));
    assert_eq!((&items[1]["features"], &items[1]["embedding"]), (&json!({ "tempo": 0.61 }), &json!([0.1, -2.0])));
    let listeners = lines(&to, "listeners");
    let of = |id: Value| listeners.iter().find(|line| line["user_id"] == id).unwrap();
    assert_eq!(of(json!("told"))["explicit_allowed"], json!(true));
    let known = of(json!("user-1"));
    assert_eq!(known["counters"]["events"], json!(2), "named by an event of the archive");
    assert_eq!(known["hidden"][0]["item_id"], json!("item-2"));
    assert_eq!(of(Value::Null)["problem"], json!("stored profile does not read back"));

    // Nothing is written over.
    let error = Export::begin(tenant(), &to, Arc::new(Silent)).err().unwrap().to_string();
    assert!(error.contains("is not empty"), "{error}");
}
