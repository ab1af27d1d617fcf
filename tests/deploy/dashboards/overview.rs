//! The first look: promises, pages, events, services.

use super::{Dashboard, Row, lines, numbers, slowest, spread};

pub(super) fn dashboard() -> Dashboard {
    Dashboard { name: "overview", title: "Setlist: overview", rows: vec![promises(), pages(), product(), services()] }
}

fn promises() -> Row {
    Row {
        title: "Promises",
        panels: vec![
            numbers(
                "Left of the month's budget",
                "percentunit",
                "Of what may be bad in 30 days, how much is left. At nothing, features wait and reliability is worked on.",
                &[("1 - setlist:slo_burn:rate30d", "{{slo}}")],
            ),
            lines(
                "How fast the budget burns",
                "short",
                "One hour. 1 spends the budget in just the time it is for; 14.4 wakes somebody.",
                &[("setlist:slo_burn:rate1h", "{{slo}}")],
            ),
            lines(
                "Not good",
                "percentunit",
                "The share of answers, events and batches that missed their promise, over five minutes.",
                &[("setlist:slo_errors:rate5m / (setlist:slo_requests:rate5m > 0)", "{{slo}}")],
            ),
        ],
    }
}

fn pages() -> Row {
    Row {
        title: "Pages and events, as callers see them",
        panels: vec![
            lines(
                "Requests",
                "reqps",
                "By route.",
                &[("sum by (route) (rate(setlist_edge_request_seconds_count[$__rate_interval]))", "{{route}}")],
            ),
            lines(
                "Refused and failed",
                "reqps",
                "4xx are callers' mistakes, quotas and shedding; 5xx are ours.",
                &[(
                    "sum by (route, status) (rate(setlist_edge_request_seconds_count{status=~\"4xx|5xx\"}[$__rate_interval]))",
                    "{{route}} {{status}}",
                )],
            ),
            spread(
                "Time of a page",
                "From the request to its answer; the promise is 100 ms.",
                "setlist_edge_request_seconds_bucket{route=~\"/v1/surfaces/.+\", status=\"2xx\"}",
            ),
        ],
    }
}

fn product() -> Row {
    Row {
        title: "What listeners get",
        panels: vec![
            lines(
                "Pages by rung of the ladder",
                "reqps",
                "none is whole; source_order is without ranking; last_good, popular and empty are without candidates.",
                &[("sum by (level) (rate(setlist_edge_answers_total[$__rate_interval]))", "{{level}}")],
            ),
            spread(
                "From a play to the next page",
                "From an event's receipt to its effect in serving memory; the promise is 5 s.",
                "setlist_candidates_intake_freshness_seconds_bucket",
            ),
            lines(
                "Reasons of cards",
                "percentunit",
                "The share of each reason: a shift without a release is worth a look.",
                &[(
                    "sum by (reason) (rate(setlist_ranking_cards_total[$__rate_interval])) / ignoring (reason) group_left () sum(rate(setlist_ranking_cards_total[$__rate_interval]))",
                    "{{reason}}",
                )],
            ),
        ],
    }
}

fn services() -> Row {
    Row {
        title: "Services",
        panels: vec![
            lines("Instances", "short", "How many answer Prometheus.", &[("sum by (job) (up)", "{{job}}")]),
            lines(
                "CPU",
                "short",
                "Cores in use, by service.",
                &[("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}}")],
            ),
            lines(
                "CPU of a page",
                "s",
                "CPU time of all three serving services for one answer: the number to hold against the last release.",
                &[(
                    "sum(rate(process_cpu_seconds_total{job=~\"edge-api|candidate-generation|ranking\"}[$__rate_interval])) / sum(rate(setlist_edge_answers_total[$__rate_interval]))",
                    "each page",
                )],
            ),
            slowest(
                "Calls between services",
                "The slowest of a hundred, as the caller sees it.",
                "setlist_rpc_client_call_duration_seconds_bucket",
                "method",
                "{{method}}",
            ),
        ],
    }
}
