//! Worlds of any size, and trainings that are cut short, as a person meets them: the real binary, killed and started
//! again.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{check, setlist, words};

/// Puts a world into a folder.
fn world(folder: &Path, tracks: &str, events: &str) {
    let into = folder.to_str().unwrap();
    let output = setlist(&[
        "world",
        "--into",
        into,
        "--tracks",
        tracks,
        "--listeners",
        "400",
        "--events",
        events,
        "--profiles",
        "3",
    ]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("setlist learn --once"), "{}", words(&output));
}

/// The files of the live release with their hashes.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let releases = folder.join("releases").join("demo");
    let live = std::fs::read_to_string(releases.join("LIVE")).unwrap();
    let manifest = std::fs::read(releases.join(live.trim()).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_object().unwrap();
    files.iter().map(|(name, file)| (name.clone(), file["blake3"].as_str().unwrap().to_owned())).collect()
}

fn checkpoints(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("history").join("demo")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".checkpoint")).collect()
}

#[test]
fn a_world_goes_straight_into_a_folder_that_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    world(&data, "500", "20000");
    check(&["world", "--into", data.to_str().unwrap()], 1, &["holds data already"]);
    let learnt = setlist(&["learn", "--once", "--data", data.to_str().unwrap(), "--ops", "127.0.0.1:0"]);
    let said = words(&learnt);
    assert!(learnt.status.success(), "{said}");
    for part in ["live", "users 400", "peak memory: index"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_training_that_is_killed_goes_on_where_it_stood_and_comes_to_the_same_factors() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    world(&data, "30000", "300000");
    let arguments = ["learn", "--once", "--data", data.to_str().unwrap(), "--ops", "127.0.0.1:0"];
    let mut training = Command::new(env!("CARGO_BIN_EXE_setlist"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    while checkpoints(&data).is_empty() {
        assert!(Instant::now() < until && training.try_wait().unwrap().is_none(), "there is no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    training.kill().unwrap();
    training.wait().unwrap();
    assert!(!data.join("releases").join("demo").join("LIVE").exists(), "it was killed too late");
    let resumed = setlist(&arguments);
    assert!(resumed.status.success() && words(&resumed).contains("resumed after epoch"), "{}", words(&resumed));
    assert_eq!(checkpoints(&data), Vec::<String>::new(), "a training that is over leaves none");
    let after_the_kill = files(&data);
    let uninterrupted = setlist(&arguments);
    assert!(uninterrupted.status.success() && !words(&uninterrupted).contains("resumed"), "{}", words(&uninterrupted));
    assert_eq!(files(&data), after_the_kill);
}
