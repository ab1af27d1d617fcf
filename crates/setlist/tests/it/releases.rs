//! The commands of releases on a folder of data: learn, list, show, verify, promote, roll back, compare.

use std::{fmt::Write as _, path::Path};

use crate::{check, setlist, words};

/// Sixty listeners of three tastes, over thirty days.
fn plays(path: &Path) {
    let mut text = "user,item,time,title,artist\n".to_owned();
    for listener in 0..60 {
        for n in 0..25 {
            let taste = if n % 5 == 4 { (listener + 1) % 3 } else { listener % 3 };
            let item = taste * 20 + (listener * 7 + n * 3) % 20;
            let day = 1 + (n + listener) % 28;
            let time = format!("2026-01-{day:02}T{:02}:00:00Z", n % 24);
            writeln!(text, "listener-{listener},track-{item},{time},Track {item},Artist {taste}").unwrap();
        }
    }
    std::fs::write(path, text).unwrap();
}

fn said(arguments: &[&str]) -> String {
    let output = setlist(arguments);
    let words = words(&output);
    assert!(output.status.success(), "{arguments:?}: {words}");
    words
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = setlist(arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", words(&output)))
}

#[test]
fn releases_are_learnt_judged_promoted_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, data) = (folder.path().join("plays.csv"), folder.path().join("data"));
    plays(&csv);
    let (csv, data) = (csv.to_str().unwrap(), data.to_str().unwrap());
    check(&["release", "list", "--data", data], 1, &["there are no releases", "setlist train"]);
    check(&["learn", "--once", "--data", data, "--ops", "127.0.0.1:0"], 1, &["there is no archive"]);
    check(&["learn", "--data", data], 64, &["--every 6h", "--once"]);
    let free = ["--set", "ops.listen=127.0.0.1:0", "--set", "edge.http.listen=127.0.0.1:0"];
    let map = "user=user,item=item,time=time,title=title,artist=artist";
    said(&["import", "csv", csv, "--map", map, "--data", data, free[0], free[1]]);

    let learn = ["learn", "--once", "--data", data, "--ops", "127.0.0.1:0"];
    let first = said(&learn);
    assert!(first.contains("files") && first.contains("passed") && first.contains(", live"), "{first}");
    said(&learn);
    let listed = json(&["release", "list", "--json", "--data", data]);
    let (live, previous) = (listed["live"].as_str().unwrap(), listed["previous"].as_str().unwrap());
    assert_eq!(listed["releases"].as_array().unwrap().len(), 2);
    assert_eq!(listed["releases"][0]["lineage"]["parent"], previous);
    assert_eq!(listed["promotions"].as_array().unwrap().len(), 2);

    check(&["release", "list", "--data", data], 0, &["live", "previous", "promote", "passed", "recall@20"]);
    check(&["release", "show", "--data", data], 0, &[live, "factors.bin", "golden.json", "recall@20", "parent"]);
    check(&["release", "verify", "--data", data], 0, &["feature_schema", "latency", "would be promoted"]);
    check(&["release", "verify", &previous[..8], "--data", data], 0, &[previous, "recall@20"]);
    check(&["release", "diff", previous, "--data", data], 0, &["0 gone, 0 new", "100 % the same", "recall@20"]);
    let back = ["release", "rollback", "--by", "ada", "--why", "a listener complained", "--data", data];
    check(&back, 0, &[previous, "is live again after"]);
    check(&["release", "list", "--data", data], 0, &["roll_back", "ada", "a listener complained"]);
    check(&["release", "promote", "--by", "ada", "--data", data], 0, &[live, "is live", "quality"]);

    // One bit of a file: the release is refused with the reason, whatever anybody says, and the live one stays.
    let path = Path::new(data).join("releases/demo").join(previous).join("factors.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let forced = ["release", "promote", previous, "--force", "I know better", "--data", data];
    check(&forced, 1, &["factors.bin", "wrong_hash", "is not promoted"]);
    check(&["release", "rollback", "--data", data], 1, &["factors.bin", "hash"]);
    assert_eq!(json(&["release", "list", "--json", "--data", data])["live"], live);
    let strict = ["release", "verify", "--data", data, "--set", "gates.max_bytes=10"];
    check(&strict, 1, &["size", "failed", "would not be promoted"]);
    check(&["release", "verify", "nothing", "--data", data], 1, &["no release nothing"]);
}
