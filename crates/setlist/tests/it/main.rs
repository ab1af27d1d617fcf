//! The command line as a person meets it: the real binary, its words and its exit codes.

mod export;
mod measures;
mod operators;
mod releases;
mod scale;
mod simulate;

use std::{
    path::Path,
    process::{Command, Output},
};

pub(crate) fn setlist(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_setlist")).args(arguments).output().unwrap()
}

pub(crate) fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The exit code, and what must be said.
pub(crate) fn check(arguments: &[&str], code: i32, said: &[&str]) {
    let output = setlist(arguments);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
    for part in said {
        assert!(words.contains(part), "{arguments:?} does not say {part:?}: {words}");
    }
}

#[test]
fn a_wrong_configuration_exits_64_and_says_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("setlist.toml");
    std::fs::write(
        &file,
        "[edge.http]\nlisten = \"127.0.0.1:0\"\nlisen = \"x\"\n\n[ranking.pages]\nmax_candidates = 0\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    check(&["serve", "--config", file], 64, &["setlist.toml:3", "lisen", "listen", "max_candidates"]);
    for service in ["edge", "candidates", "ranking", "learning"] {
        check(&[service, "--set", "telemetry.lod=info", "--check-config"], 64, &["telemetry.lod", "log"]);
        check(&[service, "--check-config"], 0, &["good"]);
        check(&[service, "--dump-config"], 0, &["[telemetry]"]);
    }
}

/// Every key of a configuration with its value.
fn leaves(section: &str, table: &toml::Table, into: &mut Vec<(String, String, toml::Value)>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let section = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
                leaves(&section, inner, into);
            }
            value => into.push((section.to_owned(), key.clone(), value.clone())),
        }
    }
}

/// What is wrong with a value of this kind: another type, and what no number or duration may be.
fn mutations(value: &toml::Value) -> Vec<&'static str> {
    let mut wrong = vec!["{ a = 1 }"];
    match value {
        toml::Value::Integer(_) => wrong.extend(["-1", "\"many\"", "1.5"]),
        toml::Value::Float(_) => wrong.extend(["-1.0", "nan", "\"half\""]),
        toml::Value::Boolean(_) => wrong.extend(["\"perhaps\"", "7"]),
        toml::Value::String(text) if humantime_like(text) => wrong.extend(["\"soon\"", "-5"]),
        _ => wrong.push("[[1]]"),
    }
    wrong
}

fn humantime_like(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_alphabetic())
}

#[test]
fn no_field_of_any_service_can_be_wrong_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    for service in ["edge", "candidates", "ranking"] {
        let dump = setlist(&[service, "--dump-config"]);
        let mut fields = Vec::new();
        leaves("", &words(&dump).parse().unwrap(), &mut fields);
        assert!(fields.len() > 10, "{service} has {} fields", fields.len());
        let file = folder.path().join(format!("{service}.toml"));
        let path = file.to_str().unwrap();
        for (section, key, value) in fields {
            let unknown = (format!("{key}x"), "1");
            for (key, wrong) in mutations(&value).into_iter().map(|wrong| (key.clone(), wrong)).chain([unknown]) {
                std::fs::write(&file, format!("# wrong\n[{section}]\n{key} = {wrong}\n")).unwrap();
                let at = format!("{service}.toml:3");
                check(&[service, "--config", path, "--check-config"], 64, &[&at, &key]);
            }
        }
    }
}

#[test]
fn commands_that_are_not_there_name_those_that_are() {
    check(&["sevre"], 2, &["serve"]);
    check(&["import", "movielense", "x"], 2, &["movielens"]);
}

#[test]
fn a_key_is_shown_once_with_what_the_edge_needs_of_it() {
    check(&["key", "--tenant", "demo", "--scopes", "serve"], 0, &["setlist_", "[[auth.keys]]", "sha256"]);
    check(&["key", "--scopes", "serv"], 64, &["serv", "serve, events, catalog, admin"]);
}

#[test]
fn an_import_of_nothing_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, source) = (folder.path().join("data"), folder.path().join("empty"));
    std::fs::create_dir(&source).unwrap();
    check(&["import", "lastfm", source.to_str().unwrap(), "--data", data.to_str().unwrap()], 1, &["artists.dat"]);
    assert!(!data.join("events.db").exists(), "nothing is opened for an import that cannot be read");
}

#[test]
fn a_folder_that_cannot_be_written_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file where a folder should be").unwrap();
    let inside: &Path = &taken.join("demo");
    check(&["demo", "--once", "--port", "0", "--data", inside.to_str().unwrap()], 1, &["taken"]);
}

#[test]
fn a_demo_never_takes_the_folder_of_an_import() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.db");
    std::fs::write(&events, "somebody's events").unwrap();
    // Serving an import makes a development key as well.
    std::fs::write(folder.path().join("dev-key"), "a key").unwrap();
    let fresh = ["demo", "--once", "--fresh", "--port", "0", "--data", folder.path().to_str().unwrap()];
    check(&fresh, 1, &["--data"]);
    check(&["demo", "--once", "--port", "0", "--data", folder.path().to_str().unwrap()], 1, &["--data"]);
    assert_eq!(std::fs::read_to_string(&events).unwrap(), "somebody's events");
}

#[test]
fn a_taken_port_is_named_before_any_work_starts() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = format!("edge.http.listen={address}");
    let data = folder.path().to_str().unwrap();
    check(&["serve", "--data", data, "--set", &listen, "--set", "ops.listen=127.0.0.1:0"], 1, &[&address]);
}

#[test]
fn the_doctor_says_what_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("edge.http.listen={}", taken.local_addr().unwrap());
    let data = folder.path().to_str().unwrap();
    let free = ["--set", "ops.listen=127.0.0.1:0"];
    check(&["doctor", "--data", data, free[0], free[1], "--set", &listen], 1, &["mend", "stop what listens there"]);
    check(
        &["doctor", "--data", data, free[0], free[1], "--set", "edge.http.listen=127.0.0.1:0"],
        0,
        &["setlist train makes one", "setlist key", "home"],
    );
    std::fs::write(folder.path().join("candidates.db"), "no database at all").unwrap();
    check(
        &["doctor", "--data", data, free[0], free[1], "--set", "edge.http.listen=127.0.0.1:0"],
        1,
        &["is no SQLite database", "restore it from a backup"],
    );
}
