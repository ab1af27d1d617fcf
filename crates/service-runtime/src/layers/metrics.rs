//! The histograms of the layers: one per side, by route or method and status.
//!
//! This file must not know which routes and methods exist.

use std::borrow::Cow;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};

use crate::metrics::{Metrics, seconds_buckets};

/// What a duration is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    pub(super) method: Cow<'static, str>,
    pub(super) status: &'static str,
}

/// Durations by method and status.
pub(super) type Durations = Family<Labels, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(seconds_buckets())
}

fn durations() -> Durations {
    Family::new_with_constructor(histogram)
}

/// Several servers of one process share one histogram; the method tells them apart.
pub(super) fn http_server(metrics: &Metrics) -> Durations {
    metrics.shared(
        "setlist_http_server_request_duration_seconds",
        "Time from the head of a request to the end of its answer, by route and status",
        durations,
    )
}

pub(super) fn grpc_server(metrics: &Metrics) -> Durations {
    metrics.shared(
        "setlist_rpc_server_call_duration_seconds",
        "Time from the head of a call to the end of its answer, by method and status, seen by the server",
        durations,
    )
}

pub(super) fn grpc_client(metrics: &Metrics) -> Durations {
    metrics.shared(
        "setlist_rpc_client_call_duration_seconds",
        "Time from sending a call to the end of its answer, by method and status, seen by the client",
        durations,
    )
}
