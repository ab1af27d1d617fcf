//! Every metric of the edge, described once. Labels come from closed lists.
//!
//! Must not know how anything is measured, only what it is called.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_runtime::metrics::seconds_buckets;
use shared_models::degraded::{DegradedLevel, DegradedStage};

use crate::limits::Class;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLabels {
    of: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhoseLabels {
    whose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    class: &'static str,
    reason: &'static str,
}

/// The edge's metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RouteLabels, Histogram>,
    answers: Family<LevelLabels, Counter>,
    degraded: Family<StageLabels, Counter>,
    events: Family<OutcomeLabels, Counter>,
    records: Family<OutcomeLabels, Counter>,
    display: Family<OutcomeLabels, Counter>,
    shed: Family<OfLabels, Counter>,
    limit: Gauge,
    in_hand: Family<ClassLabels, Gauge>,
    refused: Family<RefusedLabels, Counter>,
    wait: Gauge<f64, AtomicU64>,
    best: Gauge<f64, AtomicU64>,
    snapshots: Family<OutcomeLabels, Counter>,
    quota_exceeded: Family<WhoseLabels, Counter>,
    bodies_refused: Family<OutcomeLabels, Counter>,
    connections: Gauge,
    connections_refused: Counter,
    connections_abusive: Family<OfLabels, Counter>,
}

impl Metrics {
    /// The metrics of this process, made on first use.
    #[must_use]
    pub fn new(registry: &service_runtime::Metrics) -> Self {
        Self {
            requests: registry.shared(
                "setlist_edge_request_seconds",
                "Time from a request to its answer, by route and class of status",
                || Family::new_with_constructor((|| Histogram::new(seconds_buckets())) as fn() -> Histogram),
            ),
            answers: registry.shared(
                "setlist_edge_answers",
                "Pages and slates, by their rung of the brown-out ladder",
                Family::default,
            ),
            degraded: registry.shared(
                "setlist_edge_degraded_stages",
                "Stages that gave less than they should, by cause",
                Family::default,
            ),
            events: registry.shared(
                "setlist_edge_events",
                "Events that were accepted, refused as wrong, or not stored",
                Family::default,
            ),
            records: registry.shared(
                "setlist_edge_records",
                "Recommendation records that were published, failed or dropped",
                Family::default,
            ),
            display: registry.shared(
                "setlist_edge_display_lookups",
                "Look-ups of display items, by cache hit or miss",
                Family::default,
            ),
            shed: registry.shared(
                "setlist_edge_requests_shed",
                "Requests refused because too much was in hand: requests of all, requests of one tenant, or bodies",
                Family::default,
            ),
            limit: registry.shared("setlist_edge_limit", "How many requests may be in hand, events apart", Gauge::default),
            in_hand: registry.shared("setlist_edge_in_flight", "Requests in hand, by class", Family::default),
            refused: registry.shared(
                "setlist_edge_refused",
                "Requests refused because too much was in hand, by class: for the limit, the class's share of it, the tenant's share, or because the answer would come after its deadline",
                Family::default,
            ),
            wait: registry.shared(
                "setlist_edge_wait_seconds",
                "How long ready work waited for a processor in the last tenth of a second",
                Gauge::default,
            ),
            best: registry.shared(
                "setlist_edge_best_latency_seconds",
                "The best known time of the pages and slates that were answered last",
                Gauge::default,
            ),
            snapshots: registry.shared(
                "setlist_edge_snapshots",
                "Snapshots of popular items on disk that were read, ignored, written, or not written",
                Family::default,
            ),
            quota_exceeded: registry.shared(
                "setlist_edge_quota_exceeded",
                "Requests refused because a key or a tenant asked more often than it may",
                Family::default,
            ),
            bodies_refused: registry.shared(
                "setlist_edge_bodies_refused",
                "Bodies refused as too slow or too large",
                Family::default,
            ),
            connections: registry.shared("setlist_edge_connections", "Open connections", Gauge::default),
            connections_refused: registry.shared(
                "setlist_edge_connections_refused",
                "Connections closed at once because too many were open",
                Counter::default,
            ),
            connections_abusive: registry.shared(
                "setlist_edge_connections_abusive",
                "Connections closed for what they did: a flood of frames, or answers that were not taken",
                Family::default,
            ),
        }
    }

    pub(crate) fn request(&self, route: &'static str, status: http::StatusCode, took: Duration) {
        let status = match status.as_u16() {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RouteLabels { route, status }).observe(took.as_secs_f64());
    }

    pub(crate) fn answer(&self, level: DegradedLevel, stages: &[DegradedStage]) {
        self.answers.get_or_create(&LevelLabels { level: level.as_str() }).inc();
        for stage in stages {
            self.degraded.get_or_create(&StageLabels { stage: stage.stage.clone(), cause: stage.cause.as_str() }).inc();
        }
    }

    pub(crate) fn events(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.events.get_or_create(&OutcomeLabels { outcome }).inc_by(count);
        }
    }

    pub(crate) fn records(&self, outcome: &'static str, count: u64) {
        self.records.get_or_create(&OutcomeLabels { outcome }).inc_by(count);
    }

    pub(crate) fn display_lookups(&self, hits: u64, misses: u64) {
        self.display.get_or_create(&OutcomeLabels { outcome: "hit" }).inc_by(hits);
        if misses > 0 {
            self.display.get_or_create(&OutcomeLabels { outcome: "miss" }).inc_by(misses);
        }
    }

    pub(crate) fn shed(&self, of: &'static str) {
        self.shed.get_or_create(&OfLabels { of }).inc();
    }

    pub(crate) fn limit(&self, limit: usize) {
        self.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    pub(crate) fn pace(&self, wait: Duration, best: Option<f64>) {
        self.wait.set(wait.as_secs_f64());
        if let Some(best) = best {
            self.best.set(best);
        }
    }

    pub(crate) fn seat_taken(&self, class: Class) {
        self.in_hand.get_or_create(&ClassLabels { class: class.as_str() }).inc();
    }

    pub(crate) fn seat_left(&self, class: Class) {
        self.in_hand.get_or_create(&ClassLabels { class: class.as_str() }).dec();
    }

    pub(crate) fn refused(&self, class: Class, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { class: class.as_str(), reason }).inc();
    }

    pub(crate) fn snapshot(&self, outcome: &'static str) {
        self.snapshots.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn connection_abusive(&self, of: &'static str) {
        self.connections_abusive.get_or_create(&OfLabels { of }).inc();
    }

    pub(crate) fn quota_exceeded(&self, whose: &'static str) {
        self.quota_exceeded.get_or_create(&WhoseLabels { whose }).inc();
    }

    pub(crate) fn body_refused(&self, outcome: &'static str) {
        self.bodies_refused.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.dec();
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }
}
