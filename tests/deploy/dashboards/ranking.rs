//! ranking: pages, stages, what the cards are.

use super::{Dashboard, Row, lines, machine, slowest, spread};

pub(super) fn dashboard() -> Dashboard {
    Dashboard { name: "ranking", title: "Setlist: ranking", rows: vec![pages(), stages(), cards(), machine("ranking")] }
}

fn pages() -> Row {
    Row {
        title: "Pages",
        panels: vec![
            lines(
                "Rate",
                "reqps",
                "By outcome.",
                &[("sum by (outcome) (rate(setlist_ranking_pages_total[$__rate_interval]))", "{{outcome}}")],
            ),
            spread("Time of a page", "To rank all shelves of one page.", "setlist_ranking_page_seconds_bucket"),
            lines(
                "Pages in hand",
                "short",
                "On average, by instance.",
                &[("sum by (instance) (rate(setlist_ranking_page_seconds_sum[$__rate_interval]))", "{{instance}}")],
            ),
            lines(
                "Calls by status",
                "reqps",
                "Of all methods, as the servers of the platform see them.",
                &[(
                    "sum by (method, status) (rate(setlist_rpc_server_call_duration_seconds_count[$__rate_interval]))",
                    "{{method}} {{status}}",
                )],
            ),
        ],
    }
}

fn stages() -> Row {
    Row {
        title: "Stages",
        panels: vec![
            slowest(
                "Time of stages",
                "The slowest of a hundred.",
                "setlist_ranking_pipeline_stage_seconds_bucket",
                "kind, stage",
                "{{kind}} {{stage}}",
            ),
            lines(
                "Stages that did not end well",
                "short",
                "A second: failed, out of time, skipped.",
                &[(
                    "sum by (kind, stage, outcome) (rate(setlist_ranking_pipeline_stage_runs_total{outcome!=\"ok\"}[$__rate_interval]))",
                    "{{kind}} {{stage}} {{outcome}}",
                )],
            ),
            lines(
                "Rows of a page",
                "short",
                "Candidates that each stage dealt with.",
                &[(
                    "sum by (kind, stage) (rate(setlist_ranking_pipeline_candidates_total[$__rate_interval])) / ignoring (kind, stage) group_left () sum(rate(setlist_ranking_pages_total[$__rate_interval]))",
                    "{{kind}} {{stage}}",
                )],
            ),
            lines(
                "Rows without a score",
                "short",
                "A second; they stand at the end of their shelf.",
                &[("sum(rate(setlist_ranking_unscored_rows_total[$__rate_interval]))", "unscored")],
            ),
        ],
    }
}

fn cards() -> Row {
    Row {
        title: "Cards and releases",
        panels: vec![
            lines(
                "Reasons",
                "short",
                "Cards a second, by reason.",
                &[("sum by (reason) (rate(setlist_ranking_cards_total[$__rate_interval]))", "{{reason}}")],
            ),
            lines(
                "Explored",
                "percentunit",
                "The share of cards that a random draw chose.",
                &[(
                    "sum(rate(setlist_ranking_explored_cards_total[$__rate_interval])) / sum(rate(setlist_ranking_cards_total[$__rate_interval]))",
                    "explored",
                )],
            ),
            lines(
                "New items",
                "short",
                "Kept positions a second: those that new items got, and those they got none of because an item had its hourly share already or is known to be worse than the rest.",
                &[("sum by (outcome) (rate(setlist_ranking_new_items_total[$__rate_interval]))", "{{outcome}}")],
            ),
            lines(
                "Questions about pages",
                "reqps",
                "Pages ranked again to explain or replay them, by outcome.",
                &[("sum by (outcome) (rate(setlist_ranking_explanations_total[$__rate_interval]))", "{{outcome}}")],
            ),
            lines(
                "Cold pages",
                "percentunit",
                "The share of pages scored without a trained scorer.",
                &[(
                    "sum(rate(setlist_ranking_cold_pages_total[$__rate_interval])) / sum(rate(setlist_ranking_pages_total[$__rate_interval]))",
                    "cold",
                )],
            ),
            lines(
                "Releases",
                "short",
                "Taken into service and refused, since each instance started.",
                &[("sum by (instance, outcome) (setlist_ranking_releases_total)", "{{instance}} {{outcome}}")],
            ),
        ],
    }
}
