//! candidate-generation: pages, sources, profiles, intake.

use super::{Dashboard, Row, lines, machine, slowest, spread};

pub(super) fn dashboard() -> Dashboard {
    let rows = vec![pages(), sources(), intake(), memory(), machine("candidate-generation")];
    Dashboard { name: "candidates", title: "Setlist: candidate generation", rows }
}

fn pages() -> Row {
    Row {
        title: "Pages",
        panels: vec![
            lines(
                "Rate",
                "reqps",
                "By outcome.",
                &[("sum by (outcome) (rate(setlist_candidates_pages_total[$__rate_interval]))", "{{outcome}}")],
            ),
            spread("Time of a page", "To gather all candidates of one page.", "setlist_candidates_page_seconds_bucket"),
            lines(
                "Pages in hand",
                "short",
                "On average, by instance.",
                &[("sum by (instance) (rate(setlist_candidates_page_seconds_sum[$__rate_interval]))", "{{instance}}")],
            ),
        ],
    }
}

fn sources() -> Row {
    Row {
        title: "Stages",
        panels: vec![
            slowest(
                "Time of stages",
                "The slowest of a hundred.",
                "setlist_candidates_pipeline_stage_seconds_bucket",
                "kind, stage",
                "{{kind}} {{stage}}",
            ),
            lines(
                "Stages that did not end well",
                "short",
                "A second: failed, out of time, skipped.",
                &[(
                    "sum by (kind, stage, outcome) (rate(setlist_candidates_pipeline_stage_runs_total{outcome!=\"ok\"}[$__rate_interval]))",
                    "{{kind}} {{stage}} {{outcome}}",
                )],
            ),
            lines(
                "Candidates of a page, by source",
                "short",
                "A source that falls silent shows here first.",
                &[(
                    "sum by (stage) (rate(setlist_candidates_pipeline_candidates_total{kind=\"source\"}[$__rate_interval])) / ignoring (stage) group_left () sum(rate(setlist_candidates_pages_total[$__rate_interval]))",
                    "{{stage}}",
                )],
            ),
            lines(
                "Kept of what a source gives",
                "percentunit",
                "The share that some shelf keeps: a source whose candidates are all dropped works for nothing.",
                &[(
                    "sum by (stage) (rate(setlist_candidates_pipeline_candidates_kept_total{kind=\"source\"}[$__rate_interval])) / sum by (stage) (rate(setlist_candidates_pipeline_candidates_total{kind=\"source\"}[$__rate_interval]))",
                    "{{stage}}",
                )],
            ),
            lines(
                "Age of the data, by source",
                "s",
                "Of the release, or of the latest play that was counted.",
                &[("max by (stage) (setlist_candidates_pipeline_data_age_seconds{kind=\"source\"})", "{{stage}}")],
            ),
            lines(
                "Dropped of a page, by reason",
                "short",
                "What filters took away.",
                &[(
                    "sum by (reason) (rate(setlist_candidates_pipeline_drops_total[$__rate_interval])) / ignoring (reason) group_left () sum(rate(setlist_candidates_pages_total[$__rate_interval]))",
                    "{{reason}}",
                )],
            ),
        ],
    }
}

fn intake() -> Row {
    Row {
        title: "Intake",
        panels: vec![
            lines(
                "Events",
                "short",
                "A second: folded into profiles, repeated and counted once, set aside.",
                &[("sum by (outcome) (rate(setlist_candidates_intake_events_total[$__rate_interval]))", "{{outcome}}")],
            ),
            spread(
                "Time of a batch",
                "To fold one batch, its commit included: the store's own time.",
                "setlist_candidates_intake_batch_seconds_bucket",
            ),
            spread(
                "Freshness",
                "From an event's receipt at the edge to its effect in serving memory.",
                "setlist_candidates_intake_freshness_seconds_bucket",
            ),
            lines(
                "Behind",
                "s",
                "The age of the oldest event that is not folded yet, by consumer.",
                &[("max by (consumer) (setlist_bus_lag_seconds{consumer=~\"candidates-.*\"})", "{{consumer}}")],
            ),
        ],
    }
}

fn memory() -> Row {
    Row {
        title: "In memory",
        panels: vec![
            lines(
                "Profiles read",
                "reqps",
                "From memory, from the store, or not at all: a failed read makes a cold page.",
                &[("sum by (outcome) (rate(setlist_candidates_profile_reads_total[$__rate_interval]))", "{{outcome}}")],
            ),
            lines(
                "Profiles",
                "short",
                "In serving memory, by instance.",
                &[("setlist_candidates_profiles_in_memory", "{{instance}}")],
            ),
            lines(
                "Items",
                "short",
                "In the catalogues in memory; instances that differ have not heard the same.",
                &[("setlist_candidates_catalogue_items", "{{instance}}")],
            ),
            lines(
                "Releases",
                "short",
                "Taken into service and refused, since each instance started.",
                &[("sum by (instance, outcome) (setlist_candidates_releases_total)", "{{instance}} {{outcome}}")],
            ),
        ],
    }
}
