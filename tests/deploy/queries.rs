//! Every query that rules and dashboards ask, and the alerts. This file must not know whether they can be answered.

use serde_json::Value;
use tests::{files, relative, root};

use crate::yaml::{documents, entries, list, text};

/// A query and where it stands.
#[derive(Clone, Debug)]
pub struct Query {
    /// The file and the panel or rule.
    pub place: String,
    /// The PromQL; Grafana's variables are replaced.
    pub expression: String,
    /// The labels that the legend or the annotations show.
    pub shown: Vec<String>,
}

/// An alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// Where the runbook speaks of it.
    pub runbook: String,
}

fn rules() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for path in files(&root().join("deploy/observability/prometheus/rules"), &[".yaml"]) {
        for group in documents(&path).iter().flat_map(|file| list(file, "groups")) {
            found.extend(list(group, "rules").iter().map(|rule| (relative(&path), rule.clone())));
        }
    }
    found
}

/// What stands between `open` and `close`, each time.
fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    text.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0.trim().to_owned())).collect()
}

/// The queries of recording rules and alerts.
pub fn of_rules() -> Vec<Query> {
    let query = |(file, rule): (String, Value)| {
        let name = text(&rule, "record").to_owned() + text(&rule, "alert");
        let annotations = entries(&rule, "annotations");
        let words = annotations.iter().filter_map(|(_, annotation)| annotation.as_str());
        let shown = words.flat_map(|words| {
            let labels = between(words, "$labels.", "}}");
            labels.into_iter().filter_map(|label| Some(label.split([' ', '|']).next()?.to_owned()))
        });
        Query { place: format!("{file} {name}"), expression: text(&rule, "expr").to_owned(), shown: shown.collect() }
    };
    rules().into_iter().map(query).collect()
}

/// The series that recording rules make, with their labels.
pub fn recorded() -> Vec<(String, Vec<String>)> {
    let recording = rules().into_iter().filter(|(_, rule)| rule["record"].is_string());
    recording.map(|(_, rule)| (text(&rule, "record").to_owned(), vec!["slo".to_owned()])).collect()
}

/// The alerts.
pub fn alerts() -> Vec<Alert> {
    let alerts = rules().into_iter().filter(|(_, rule)| rule["alert"].is_string());
    let alert = |(_, rule): (String, Value)| Alert {
        name: text(&rule, "alert").to_owned(),
        severity: text(&rule, "labels.severity").to_owned(),
        runbook: text(&rule, "annotations.runbook").to_owned(),
    };
    alerts.map(alert).collect()
}

/// The objectives that the recording rules know.
pub fn objectives() -> Vec<String> {
    let budgets = rules().into_iter().filter(|(_, rule)| rule["record"] == "setlist:slo_budget:ratio");
    budgets.map(|(_, rule)| text(&rule, "labels.slo").to_owned()).collect()
}

/// The queries of all dashboards.
pub fn dashboards() -> Vec<Query> {
    let mut found = Vec::new();
    for path in files(&root().join("deploy/observability/grafana/dashboards"), &[".json"]) {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in list(&dashboard, "panels") {
            for target in list(panel, "targets") {
                found.push(Query {
                    place: format!("{} {}", relative(&path), text(panel, "title")),
                    expression: text(target, "expr").replace("$__rate_interval", "5m"),
                    shown: between(text(target, "legendFormat"), "{{", "}}"),
                });
            }
        }
    }
    found
}
