//! Rules, their tests and every query of the dashboards, by Prometheus's own checker.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use testkit::{folder::Folder, tools};
use tests::{files, root};

use crate::queries;

/// The environment variable that names the program.
const VARIABLE: &str = "SETLIST_PROMTOOL";

fn promtool() -> PathBuf {
    let found = tools::find("promtool", VARIABLE).into_iter().next();
    found.unwrap_or_else(|| {
        panic!(
            "promtool is needed: run scripts/promtool, which puts one at target/tools/promtool from Debian's package \
             prometheus, or install Prometheus, or set {VARIABLE}"
        )
    })
}

fn run(arguments: &[&str], paths: &[PathBuf]) -> Output {
    Command::new(promtool()).args(arguments).args(paths).output().expect("promtool runs")
}

fn passes(arguments: &[&str], paths: &[PathBuf]) {
    let output = run(arguments, paths);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{}{}", said(&output.stdout), said(&output.stderr));
}

fn prometheus(folder: &str) -> Vec<PathBuf> {
    files(&root().join("deploy/observability/prometheus").join(folder), &[".yaml"])
}

#[test]
fn rules_and_configuration_are_sound() {
    passes(&["check", "rules", "--lint-fatal"], &prometheus("rules"));
    let configuration = root().join("deploy/observability/prometheus/prometheus.yaml");
    passes(&["check", "config", "--syntax-only"], &[configuration]);
}

#[test]
fn alerts_tell_when_they_should() {
    passes(&["test", "rules"], &prometheus("tests"));
}

/// An alert that no test sees telling might never tell.
#[test]
fn every_alert_is_seen_telling_by_a_test() {
    let tests: Vec<_> = prometheus("tests").iter().flat_map(|path| crate::yaml::documents(path)).collect();
    let told = |name: &str| {
        tests
            .iter()
            .flat_map(|file| crate::yaml::list(file, "tests"))
            .flat_map(|test| crate::yaml::list(test, "alert_rule_test"))
            .any(|expected| expected["alertname"] == name && !crate::yaml::list(expected, "exp_alerts").is_empty())
    };
    let silent: Vec<_> = queries::alerts().into_iter().map(|alert| alert.name).filter(|name| !told(name)).collect();
    assert!(silent.is_empty(), "no test sees {silent:?} tell");
}

/// A rule that is wrong is found: the checker is really asked.
#[test]
fn a_wrong_rule_is_refused() {
    let folder = Folder::new().unwrap();
    let path = folder.join("wrong.yaml");
    std::fs::write(&path, "groups: [{ name: a, rules: [{ record: b, expr: 'sum by (c (d)' }] }]\n").unwrap();
    assert!(!run(&["check", "rules"], &[path]).status.success());
}

#[test]
fn every_query_of_the_dashboards_is_well_formed() {
    let mut rules = String::from("groups:\n  - name: dashboards\n    rules:\n");
    for (index, query) in queries::dashboards().iter().enumerate() {
        let expression = serde_json::to_string(&query.expression).unwrap();
        rules.push_str(&format!("      - {{ record: \"dashboard:query:{index}\", expr: {expression} }}\n"));
    }
    let folder = Folder::new().unwrap();
    let path = folder.join("dashboards.yaml");
    std::fs::write(&path, rules).unwrap();
    passes(&["check", "rules"], &[path]);
}
