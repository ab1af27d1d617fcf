//! Whoever is told finds what to do: every alert has a section of the runbook, and every section an alert.

use std::{collections::BTreeSet, fs};

use tests::root;

use crate::queries;

const RUNBOOK: &str = "deploy/README.md";

/// The anchors of the runbook's headings, as a reader's browser makes them.
fn anchors() -> Vec<String> {
    let text = fs::read_to_string(root().join(RUNBOOK)).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
    };
    headings.map(anchor).collect()
}

/// Where each alert sends its reader; one that speaks of every objective sends to a section of each.
fn sent() -> BTreeSet<String> {
    let objectives = queries::objectives();
    assert_eq!(objectives.len(), 4);
    let mut sent = BTreeSet::new();
    for alert in queries::alerts() {
        let anchor = alert.runbook.strip_prefix(&format!("{RUNBOOK}#")).unwrap_or_else(|| panic!("{alert:?}"));
        match anchor.split_once("{{ $labels.slo }}") {
            Some((before, _)) => sent.extend(objectives.iter().map(|objective| format!("{before}{objective}"))),
            None => {
                sent.insert(anchor.to_owned());
            }
        }
    }
    sent
}

#[test]
fn every_alert_has_a_section_and_a_severity() {
    let anchors = anchors();
    let missing: Vec<_> = sent().into_iter().filter(|anchor| !anchors.contains(anchor)).collect();
    assert!(missing.is_empty(), "{RUNBOOK} has no section {missing:?}");
    for alert in queries::alerts() {
        assert!(["page", "ticket"].contains(&alert.severity.as_str()), "{alert:?}");
    }
}

#[test]
fn every_section_about_an_alert_belongs_to_one() {
    let text = fs::read_to_string(root().join(RUNBOOK)).unwrap();
    let alerts = text.split("\n## ").find(|part| part.starts_with("Alerts")).expect("a part about alerts");
    let sections = alerts.lines().filter_map(|line| line.strip_prefix("### "));
    let sent = sent();
    let idle: Vec<_> = sections.filter(|section| !sent.contains(&section.to_lowercase().replace(' ', "-"))).collect();
    assert!(idle.is_empty(), "no alert sends to {idle:?}");
}

#[test]
fn what_a_runbook_is_for_is_there() {
    let anchors = anchors();
    for part in ["install", "upgrade", "roll-back", "back-up", "restore", "alerts", "three-processes-by-hand"] {
        assert!(anchors.iter().any(|anchor| anchor == part), "{RUNBOOK} has no part {part}");
    }
}
