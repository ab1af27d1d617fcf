//! The edge: requests, the ladder, limits, and the calls it makes.

use super::{Dashboard, Row, lines, machine, slowest};

pub(super) fn dashboard() -> Dashboard {
    let rows = vec![requests(), ladder(), limits(), calls(), machine("edge-api")];
    Dashboard { name: "edge", title: "Setlist: edge", rows }
}

fn requests() -> Row {
    Row {
        title: "Requests",
        panels: vec![
            lines(
                "Rate",
                "reqps",
                "By route and class of status.",
                &[(
                    "sum by (route, status) (rate(setlist_edge_request_seconds_count[$__rate_interval]))",
                    "{{route}} {{status}}",
                )],
            ),
            lines(
                "Failures",
                "percentunit",
                "The share of 5xx, by route.",
                &[(
                    "sum by (route) (rate(setlist_edge_request_seconds_count{status=\"5xx\"}[$__rate_interval])) / sum by (route) (rate(setlist_edge_request_seconds_count[$__rate_interval]))",
                    "{{route}}",
                )],
            ),
            slowest(
                "Time",
                "The slowest of a hundred, by route.",
                "setlist_edge_request_seconds_bucket",
                "route",
                "{{route}}",
            ),
        ],
    }
}

fn ladder() -> Row {
    Row {
        title: "The ladder",
        panels: vec![
            lines(
                "Answers by rung",
                "percentunit",
                "The share of each rung of the brown-out ladder.",
                &[(
                    "sum by (level) (rate(setlist_edge_answers_total[$__rate_interval])) / ignoring (level) group_left () sum(rate(setlist_edge_answers_total[$__rate_interval]))",
                    "{{level}}",
                )],
            ),
            lines(
                "What was missing",
                "short",
                "Stages that gave less than they should, a second, by cause. unavailable: not reachable, or its breaker is open.",
                &[(
                    "sum by (stage, cause) (rate(setlist_edge_degraded_stages_total[$__rate_interval]))",
                    "{{stage}} {{cause}}",
                )],
            ),
            lines(
                "Titles from memory",
                "percentunit",
                "The share of cards whose title needed no call.",
                &[(
                    "sum(rate(setlist_edge_display_lookups_total{outcome=\"hit\"}[$__rate_interval])) / sum(rate(setlist_edge_display_lookups_total[$__rate_interval]))",
                    "from memory",
                )],
            ),
        ],
    }
}

fn limits() -> Row {
    Row {
        title: "Limits",
        panels: vec![
            lines(
                "Requests in hand",
                "short",
                "On average, by instance; limits.concurrency refuses what is above it.",
                &[("sum by (instance) (rate(setlist_edge_request_seconds_sum[$__rate_interval]))", "{{instance}}")],
            ),
            lines(
                "Refused",
                "reqps",
                "Shed because too much was in hand (of all, of one tenant, of bodies), and quotas of keys and tenants.",
                &[
                    ("sum by (of) (rate(setlist_edge_requests_shed_total[$__rate_interval]))", "shed: {{of}}"),
                    (
                        "sum by (whose) (rate(setlist_edge_quota_exceeded_total[$__rate_interval]))",
                        "quota of a {{whose}}",
                    ),
                    (
                        "sum by (outcome) (rate(setlist_edge_bodies_refused_total[$__rate_interval]))",
                        "bodies: {{outcome}}",
                    ),
                ],
            ),
            lines(
                "Connections",
                "short",
                "Open, by instance, and refused a second.",
                &[
                    ("setlist_edge_connections", "{{instance}}"),
                    ("sum(rate(setlist_edge_connections_refused_total[$__rate_interval]))", "refused"),
                ],
            ),
        ],
    }
}

fn calls() -> Row {
    Row {
        title: "Calls, events, records",
        panels: vec![
            lines(
                "Calls that did not answer OK",
                "reqps",
                "By method and gRPC status, as the edge sees them.",
                &[(
                    "sum by (method, status) (rate(setlist_rpc_client_call_duration_seconds_count{status!=\"OK\"}[$__rate_interval]))",
                    "{{method}} {{status}}",
                )],
            ),
            slowest(
                "Time of calls",
                "The slowest of a hundred, by method, as the edge sees it.",
                "setlist_rpc_client_call_duration_seconds_bucket",
                "method",
                "{{method}}",
            ),
            lines(
                "Events",
                "short",
                "A second: accepted is kept on disk; refused was wrong; not_stored was told to the client with 503.",
                &[("sum by (outcome) (rate(setlist_edge_events_total[$__rate_interval]))", "{{outcome}}")],
            ),
            lines(
                "Records of decisions",
                "short",
                "A second. dropped and failed are lost for training.",
                &[("sum by (outcome) (rate(setlist_edge_records_total[$__rate_interval]))", "{{outcome}}")],
            ),
        ],
    }
}
