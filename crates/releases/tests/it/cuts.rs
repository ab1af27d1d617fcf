//! Files that end too early, at every 4 KB, and manifests that read as JSON and are wrong: each is refused with its
//! reason while the old release serves.

use std::{fs, path::Path, sync::Arc};

use releases::{
    Error, Watch,
    manifest::MANIFEST,
    watch::{Checked, Requirements},
};
use shared_models::{ReleaseId, SystemClock};

use crate::world::{SCHEMA, World, meta, parts, world};

/// Enough that the largest file has some fifty pages.
const ROWS: usize = 3_000;
const PAGE: usize = 4_096;

struct Serving {
    world: World,
    good: ReleaseId,
}

impl Serving {
    fn new(rows: usize) -> (Self, ReleaseId) {
        let world = world();
        let good = world.store.write(&world.tenant, &parts(30, 7), meta(1)).unwrap();
        let bad = world.store.write(&world.tenant, &parts(rows, 8), meta(2)).unwrap();
        world.store.promote(&world.tenant, &good).unwrap();
        (Self { world, good }, bad)
    }

    fn folder(&self, id: &ReleaseId) -> std::path::PathBuf {
        self.world.folder.path().join("demo").join(id.as_str())
    }

    /// The release is refused by the store and by a process that serves another one, for one of these reasons.
    fn refuses(&self, bad: &ReleaseId, name: &str, reasons: &[&str]) {
        let World { store, tenant, folder } = &self.world;
        let requirements = Requirements { feature_schema: Some(SCHEMA), check: None };
        let watch = Watch::new(store.clone(), tenant.clone(), requirements, Arc::new(SystemClock));
        let live = folder.path().join("demo/LIVE");
        fs::write(&live, self.good.as_str()).unwrap();
        watch.check_now().unwrap();
        let refusal = store.promote(tenant, bad).unwrap_err();
        assert!(matches!(refusal, Error::Refused { .. }) && reasons.contains(&refusal.reason()), "{name}: {refusal:?}");
        fs::write(&live, bad.as_str()).unwrap();
        assert_eq!(watch.check_now().unwrap_err().reason(), refusal.reason(), "{name}");
        assert_eq!(watch.check_now().unwrap(), Checked::StillRefused { id: bad.clone() }, "{name}");
        assert_eq!(watch.current().unwrap().id(), &self.good, "{name}");
    }
}

#[test]
fn a_file_cut_at_any_page_is_refused() {
    let (serving, bad) = Serving::new(ROWS);
    let folder = serving.folder(&bad);
    let mut cases = 0;
    for file in [
        "items.bin",
        "factors.bin",
        "neighbours.bin",
        "popularity.bin",
        "rates.bin",
        "scorer.json",
        "notes.txt",
        MANIFEST,
    ] {
        let path = folder.join(file);
        let whole = fs::read(&path).unwrap();
        let reason = if file == MANIFEST { "wrong_hash" } else { "wrong_size" };
        for end in (0..whole.len()).step_by(PAGE) {
            fs::write(&path, &whole[..end]).unwrap();
            serving.refuses(&bad, &format!("{file} cut at {end}"), &[reason]);
            cases += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    println!("{cases} cuts refused");
    assert!(cases > 70, "{cases} cuts");
    serving.world.store.promote(&serving.world.tenant, &bad).unwrap();
}

/// A manifest with a true id and untrue content.
fn forge(serving: &Serving, from: &ReleaseId, text: &str) -> ReleaseId {
    let id = ReleaseId::new(&blake3::hash(text.as_bytes()).to_hex()[..32]).unwrap();
    let (source, folder) = (serving.folder(from), serving.folder(&id));
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        copy(&path, &folder);
    }
    fs::write(folder.join(MANIFEST), text).unwrap();
    id
}

fn copy(path: &Path, folder: &Path) {
    fs::copy(path, folder.join(path.file_name().unwrap())).unwrap();
}

type Change = Box<dyn Fn(&mut serde_json::Value)>;

/// What is wrong with each manifest, and the reason with which it is refused.
fn wrong_manifests() -> Vec<(String, &'static str, Change)> {
    let mut cases: Vec<(String, &'static str, Change)> = Vec::new();
    let mut add = |name: String, reason, change: Change| cases.push((name, reason, change));
    let fields =
        ["tenant", "created_at", "schema", "window", "counts", "metrics", "lineage", "code_version", "notes", "files"];
    for field in fields {
        add(format!("no {field}"), "unreadable", Box::new(move |m| drop(m.as_object_mut().unwrap().remove(field))));
        add(format!("{field} null"), "unreadable", Box::new(move |m| m[field] = serde_json::Value::Null));
        add(format!("{field} a list of lists"), "unreadable", Box::new(move |m| m[field] = serde_json::json!([[1]])));
    }
    for (format, reason) in [(0, "wrong_header"), (2, "wrong_header"), (u64::MAX, "unreadable")] {
        add(format!("format {format}"), reason, Box::new(move |m| m["schema"]["format"] = format.into()));
    }
    add("a format in words".into(), "unreadable", Box::new(|m| m["schema"]["format"] = "one".into()));
    add("a schema that is no hash".into(), "unreadable", Box::new(|m| m["schema"]["feature_schema"] = "green".into()));
    add("another tenant".into(), "check_failed", Box::new(|m| m["tenant"] = "other".into()));
    add("a tenant of no name".into(), "unreadable", Box::new(|m| m["tenant"] = "".into()));
    for name in ["../LIVE", "a/b.bin", ".hidden", "manifest.json", "Upper.bin", "nul\0.bin", ""] {
        let listed = serde_json::json!({ "blake3": "00", "bytes": 1 });
        add(format!("a file {name:?}"), "check_failed", Box::new(move |m| m["files"][name] = listed.clone()));
    }
    for (name, field, value, reason) in [
        ("another hash", "blake3", serde_json::json!("00".repeat(32)), "wrong_hash"),
        ("half a hash", "blake3", serde_json::json!("00"), "wrong_hash"),
        ("one byte more", "bytes", serde_json::json!(1_u64 << 40), "wrong_size"),
        ("no bytes", "bytes", serde_json::json!(0), "wrong_size"),
        ("less than nothing", "bytes", serde_json::json!(-1), "unreadable"),
        ("half a byte", "bytes", serde_json::json!(0.5), "unreadable"),
        ("a hash that is a number", "blake3", serde_json::json!(7), "unreadable"),
    ] {
        let change = move |m: &mut serde_json::Value| m["files"]["factors.bin"][field] = value.clone();
        add(format!("factors.bin with {name}"), reason, Box::new(change));
    }
    add("no items".into(), "file_missing", Box::new(|m| drop(m["files"].as_object_mut().unwrap().remove("items.bin"))));
    let listed = serde_json::json!({ "blake3": "00".repeat(32), "bytes": 1 });
    add("a file that is not there".into(), "file_missing", Box::new(move |m| m["files"]["gone.bin"] = listed.clone()));
    add("words for a measurement".into(), "unreadable", Box::new(|m| m["metrics"]["recall@20"] = "good".into()));
    add(
        "another schema".into(),
        "wrong_feature_schema",
        Box::new(|m| {
            m["schema"]["feature_schema"] = format!("{:016x}", SCHEMA + 1).into();
        }),
    );
    cases
}

#[test]
fn a_manifest_that_reads_as_json_and_is_wrong_is_refused() {
    let (serving, sound) = Serving::new(40);
    let manifest = fs::read(serving.folder(&sound).join(MANIFEST)).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let mut cases = 0;
    for (name, reason, change) in wrong_manifests() {
        let mut wrong = manifest.clone();
        change(&mut wrong);
        let bad = forge(&serving, &sound, &serde_json::to_string_pretty(&wrong).unwrap());
        if reason == "wrong_feature_schema" {
            // The store does not know what its readers compute; the process that serves does.
            serving.world.store.load(&serving.world.tenant, &bad).unwrap();
        } else {
            serving.refuses(&bad, &name, &[reason]);
        }
        cases += 1;
    }
    let deep = "[".repeat(10_000);
    for text in ["{}", "[]", "null", "\"release\"", "7", "", deep.as_str(), "{\"tenant\": NaN}"] {
        let bad = forge(&serving, &sound, text);
        serving.refuses(&bad, text.get(..20).unwrap_or(text), &["unreadable"]);
        cases += 1;
    }
    println!("{cases} manifests refused");
    assert!(cases > 55, "{cases} manifests");
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    let (serving, bad) = Serving::new(40);
    let path = serving.folder(&bad).join("notes.txt");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(serving.world.store.load(&serving.world.tenant, &bad).is_err());
    assert_eq!(serving.world.store.live(&serving.world.tenant).unwrap(), Some(serving.good));
}
