//! The bus: what is published, what is consumed, how far behind, and whether it would survive.

use super::{Dashboard, Row, lines, machine, numbers, slowest};

pub(super) fn dashboard() -> Dashboard {
    let rows = vec![published(), consumed(), behind(), kept(), machine("learning")];
    Dashboard { name: "bus", title: "Setlist: intake and bus", rows }
}

fn published() -> Row {
    Row {
        title: "Published",
        panels: vec![
            lines(
                "Messages",
                "short",
                "A second, by stream and what became of them; failed is a timeout or a refusal.",
                &[(
                    "sum by (stream, outcome) (rate(setlist_bus_published_messages_total[$__rate_interval]))",
                    "{{stream}} {{outcome}}",
                )],
            ),
            slowest(
                "Time until kept",
                "The slowest of a hundred, by stream: the disk's time, mostly.",
                "setlist_bus_publish_seconds_bucket",
                "stream",
                "{{stream}}",
            ),
            lines(
                "Events of one message",
                "short",
                "On average: one message is one write to disk.",
                &[(
                    "sum by (stream) (rate(setlist_bus_group_items_sum[$__rate_interval])) / sum by (stream) (rate(setlist_bus_group_items_count[$__rate_interval]))",
                    "{{stream}}",
                )],
            ),
        ],
    }
}

fn consumed() -> Row {
    Row {
        title: "Consumed",
        panels: vec![
            lines(
                "Messages",
                "short",
                "A second, by consumer and answer; paused waits for a store, retry comes again, rejected goes to the dead letters.",
                &[(
                    "sum by (consumer, outcome) (rate(setlist_bus_consumed_messages_total[$__rate_interval]))",
                    "{{consumer}} {{outcome}}",
                )],
            ),
            slowest(
                "Time of a batch",
                "The slowest of a hundred, by consumer.",
                "setlist_bus_handle_seconds_bucket",
                "consumer",
                "{{consumer}}",
            ),
            lines(
                "Busy",
                "percentunit",
                "The share of its time that a consumer works on a batch; near one, it is the limit.",
                &[(
                    "sum by (instance, consumer) (rate(setlist_bus_handle_seconds_sum[$__rate_interval]))",
                    "{{instance}} {{consumer}}",
                )],
            ),
        ],
    }
}

fn behind() -> Row {
    Row {
        title: "Behind",
        panels: vec![
            lines(
                "Age of the oldest message",
                "s",
                "Not answered yet, by consumer.",
                &[("max by (consumer) (setlist_bus_lag_seconds)", "{{consumer}}")],
            ),
            lines(
                "Messages not answered",
                "short",
                "By consumer.",
                &[("max by (consumer) (setlist_bus_lag_messages)", "{{consumer}}")],
            ),
            lines(
                "Delivered again",
                "short",
                "A second, by consumer: a handler that fails, or one that died with messages in hand.",
                &[(
                    "sum by (consumer) (rate(setlist_bus_redelivered_messages_total[$__rate_interval]))",
                    "{{consumer}}",
                )],
            ),
            numbers(
                "Dead letters of the last day",
                "short",
                "What no consumer could take. Each one has its reason in the stream DEAD.",
                &[(
                    "sum by (stream, consumer) (increase(setlist_bus_consumed_messages_total{outcome=\"rejected\"}[1d]))",
                    "{{stream}} {{consumer}}",
                )],
            ),
        ],
    }
}

fn kept() -> Row {
    Row {
        title: "Kept",
        panels: vec![
            numbers(
                "Strong",
                "bool_yes_no",
                "Whether what is acknowledged survives a power loss, as each process sees it.",
                &[("min by (job) (setlist_bus_durability_strong)", "{{job}}")],
            ),
            lines(
                "Store of NATS",
                "percentunit",
                "How full, by server.",
                &[(
                    "gnatsd_varz_jetstream_stats_storage / gnatsd_varz_jetstream_config_max_storage",
                    "{{instance}} {{server_id}}",
                )],
            ),
            lines(
                "Messages of one commit",
                "short",
                "On average, of the embedded log; nothing where NATS is the bus.",
                &[(
                    "sum(rate(setlist_bus_commit_messages_sum[$__rate_interval])) / sum(rate(setlist_bus_commit_messages_count[$__rate_interval]))",
                    "messages",
                )],
            ),
        ],
    }
}
