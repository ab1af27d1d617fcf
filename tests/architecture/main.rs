//! The arrows between crates are the allowed ones, and one-door libraries have one door.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};
use tests::{files, relative, root};

/// What each crate may depend on (normal dependencies). A new arrow is a decision: it gets its own
/// commit and a line in docs/architecture.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("shared-models", &[]),
    ("service-runtime", &["shared-models"]),
    ("pipeline", &["shared-models", "service-runtime"]),
    ("contracts", &["shared-models", "service-runtime"]),
    ("event-bus", &["shared-models", "service-runtime"]),
    ("releases", &["shared-models"]),
    ("edge-api", &["shared-models", "pipeline", "contracts", "event-bus", "service-runtime"]),
    ("candidate-generation", &["shared-models", "pipeline", "contracts", "event-bus", "service-runtime", "releases"]),
    ("ranking", &["shared-models", "pipeline", "contracts", "event-bus", "service-runtime", "releases"]),
    (
        "learning",
        &[
            "shared-models",
            "contracts",
            "event-bus",
            "service-runtime",
            "releases",
            "candidate-generation",
            "ranking",
            "pipeline",
        ],
    ),
    ("testkit", &["shared-models", "contracts", "event-bus", "service-runtime", "releases"]),
    (
        "setlist",
        &[
            "shared-models",
            "pipeline",
            "contracts",
            "event-bus",
            "service-runtime",
            "releases",
            "edge-api",
            "candidate-generation",
            "ranking",
            "learning",
        ],
    ),
];

/// Libraries with one door: only these crates may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("sqlx", &["candidate-generation", "edge-api", "event-bus", "testkit"]),
    ("async-nats", &["event-bus", "testkit"]),
    ("opentelemetry", &["service-runtime"]),
    ("opentelemetry_sdk", &["service-runtime"]),
    ("opentelemetry-otlp", &["service-runtime"]),
    ("tracing-opentelemetry", &["service-runtime"]),
    ("opentelemetry-proto", &["testkit"]),
    ("axum", &["edge-api", "service-runtime"]),
    ("parquet", &["learning"]),
    ("object_store", &["learning"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata =
        MetadataCommand::new().current_dir(root()).no_deps().other_options(["--offline".to_owned()]).exec().unwrap();
    metadata
        .packages
        .iter()
        .map(|package| {
            let normal = package
                .dependencies
                .iter()
                .filter(|d| d.kind == DependencyKind::Normal)
                .map(|d| d.name.clone())
                .collect();
            (package.name.to_string(), normal)
        })
        .collect()
}

#[test]
fn arrows_are_the_allowed_ones() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for (name, depends_on) in &dependencies {
        if name == "tests" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| crate_name == name) else {
            wrong.push(format!("{name} is not in the table of arrows"));
            continue;
        };
        for other in depends_on.iter().filter(|d| ours.contains(d.as_str()) && !allowed.contains(&d.as_str())) {
            wrong.push(format!("{name} -> {other} is not an allowed arrow"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_door_libraries_have_one_door() {
    let mut wrong = Vec::new();
    for (name, depends_on) in dependencies() {
        for (library, doors) in DOORS {
            if depends_on.contains(*library) && !doors.contains(&name.as_str()) {
                wrong.push(format!("{name} names {library}; its doors are {doors:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_is_spoken_only_in_the_stores() {
    let mut wrong = Vec::new();
    for file in files(&root().join("crates"), &[".rs"]) {
        let path = relative(&file);
        let allowed = path.starts_with("crates/candidate-generation/src/store")
            || path.starts_with("crates/edge-api/src/store")
            || path.starts_with("crates/event-bus/src/embedded")
            || path.starts_with("crates/testkit/src/postgres.rs")
            || path.contains("/tests/");
        if !allowed && std::fs::read_to_string(&file).unwrap().contains("sqlx::") {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "sqlx outside a store: {wrong:?}");
}

#[test]
fn every_dependency_is_declared_in_the_root() {
    let mut wrong = Vec::new();
    for manifest in files(&root().join("crates"), &["Cargo.toml"]) {
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
                wrong.push(format!("{}: {line}", relative(&manifest)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
