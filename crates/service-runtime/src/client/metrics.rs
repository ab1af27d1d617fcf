//! Every metric of a client, described once. The labels are the dependency and closed lists: addresses come and go.
//!
//! Must not know how anything is measured, only what it is called.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{breaker::State, pool::Counted};
use crate::Metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DependencyLabels {
    dependency: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    dependency: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    dependency: &'static str,
    outcome: &'static str,
}

/// The metrics of the client of one dependency: each already found, so that a call looks up none.
#[derive(Debug)]
pub(super) struct ClientMetrics {
    breaker: Gauge,
    opened: Counter,
    pub(super) refused: Counter,
    pub(super) attempts: Counter,
    pub(super) in_flight: Gauge,
    pub(super) ejections: Counter,
    known: Gauge,
    usable: Gauge,
    ejected: Gauge,
    pub(super) retried: Counter,
    pub(super) budget_exhausted: Counter,
    pub(super) no_other_endpoint: Counter,
    pub(super) no_time: Counter,
}

impl ClientMetrics {
    pub(super) fn new(registry: &Metrics, dependency: &'static str) -> Self {
        let labels = DependencyLabels { dependency };
        let counter = |name: &str, help: &str| {
            let family: Family<DependencyLabels, Counter> = registry.shared(name, help, Family::default);
            family.get_or_create_owned(&labels)
        };
        let gauge = |name: &str, help: &str| {
            let family: Family<DependencyLabels, Gauge> = registry.shared(name, help, Family::default);
            family.get_or_create_owned(&labels)
        };
        let endpoints: Family<StateLabels, Gauge> = registry.shared(
            "setlist_client_endpoints",
            "Endpoints of a dependency: known, usable (serving and not ejected), ejected",
            Family::default,
        );
        let endpoints = |state: &'static str| endpoints.get_or_create_owned(&StateLabels { dependency, state });
        let retries: Family<OutcomeLabels, Counter> = registry.shared(
            "setlist_client_retries",
            "Failed attempts that a second one could have followed, by whether it did and why not",
            Family::default,
        );
        let retries = |outcome: &'static str| retries.get_or_create_owned(&OutcomeLabels { dependency, outcome });
        Self {
            breaker: gauge(
                "setlist_client_breaker_state",
                "The circuit breaker of a dependency: 0 closed, 1 half-open, 2 open",
            ),
            opened: counter("setlist_client_breaker_opened", "How often the circuit breaker of a dependency opened"),
            refused: counter("setlist_client_calls_refused", "Calls that an open circuit breaker did not let through"),
            attempts: counter("setlist_client_attempts", "Attempts at a dependency's endpoints, retries too"),
            in_flight: gauge("setlist_client_calls_in_flight", "Calls of a dependency that have not ended"),
            ejections: counter("setlist_client_ejections", "How often an endpoint was ejected because it failed"),
            known: endpoints("known"),
            usable: endpoints("usable"),
            ejected: endpoints("ejected"),
            retried: retries("retried"),
            budget_exhausted: retries("budget_exhausted"),
            no_other_endpoint: retries("no_other_endpoint"),
            no_time: retries("no_time"),
        }
    }

    pub(super) fn breaker(&self, state: State, was_closed: bool) {
        self.breaker.set(state as i64);
        if state == State::Open && was_closed {
            self.opened.inc();
        }
    }

    pub(super) fn endpoints(&self, counted: Counted) {
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.known.set(shown(counted.known));
        self.usable.set(shown(counted.usable));
        self.ejected.set(shown(counted.ejected));
    }
}
