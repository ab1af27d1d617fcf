//! candidate-generation's own metrics: pages, the listener's memory, intake. Stage times and counts are
//! the runner's; lag and deliveries are the bus's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_runtime::metrics::{Metrics, seconds_buckets};
use shared_models::{ErrorCode, ReleaseId};

use crate::index::Basis;

/// Only releases that are live have a series: as many as there are tenants, at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    release: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BasisLabels {
    by: &'static str,
}

/// Where a listener's profile came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProfileRead {
    /// From memory.
    Memory,
    /// From the store.
    Store,
    /// From memory, while the store that others write to did not answer.
    Unchecked,
    /// The store did not answer.
    Failed,
}

/// The metrics of candidate-generation.
#[derive(Clone, Debug)]
pub struct CandidatesMetrics {
    pages: Family<OutcomeLabels, Counter>,
    page_seconds: Histogram,
    profile_reads: Family<OutcomeLabels, Counter>,
    events: Family<OutcomeLabels, Counter>,
    intake_seconds: Histogram,
    freshness_seconds: Histogram,
    releases: Family<OutcomeLabels, Counter>,
    live: Family<ReleaseLabels, Gauge>,
    /// What `live` shows, so that it changes only when it must.
    shown: Arc<Mutex<BTreeMap<String, i64>>>,
    partitions: Gauge,
    leases: Family<OutcomeLabels, Counter>,
    items: Gauge,
    profiles: Gauge,
    expected: Family<BasisLabels, Gauge>,
    passed_over: Gauge,
}

impl CandidatesMetrics {
    /// Metrics registered under `setlist_candidates_…`.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let this = Self {
            pages: Family::default(),
            page_seconds: Histogram::new(seconds_buckets()),
            profile_reads: Family::default(),
            events: Family::default(),
            intake_seconds: Histogram::new(seconds_buckets()),
            freshness_seconds: Histogram::new(seconds_buckets()),
            releases: Family::default(),
            live: Family::default(),
            shown: Arc::default(),
            partitions: Gauge::default(),
            leases: Family::default(),
            items: Gauge::default(),
            profiles: Gauge::default(),
            expected: Family::default(),
            passed_over: Gauge::default(),
        };
        metrics.register("setlist_candidates_pages", "Pages gathered, by outcome", this.pages.clone());
        metrics.register("setlist_candidates_page_seconds", "Time to gather one page", this.page_seconds.clone());
        metrics.register(
            "setlist_candidates_profile_reads",
            "Profiles read for pages, by where from",
            this.profile_reads.clone(),
        );
        metrics.register("setlist_candidates_intake_events", "Events taken in, by outcome", this.events.clone());
        metrics.register(
            "setlist_candidates_intake_batch_seconds",
            "Time to fold one batch, commit included",
            this.intake_seconds.clone(),
        );
        metrics.register(
            "setlist_candidates_intake_freshness_seconds",
            "From an event's receipt at the edge to its effect in serving memory",
            this.freshness_seconds.clone(),
        );
        metrics.register(
            "setlist_candidates_intake_partitions",
            "Partitions of the events that this process takes in, where several share them",
            this.partitions.clone(),
        );
        metrics.register(
            "setlist_candidates_intake_leases",
            "Leases of partitions, by what became of them",
            this.leases.clone(),
        );
        metrics.register("setlist_candidates_releases", "Releases looked at, by outcome", this.releases.clone());
        metrics.register(
            "setlist_candidates_live_release",
            "Tenants that are served from a release, by release",
            this.live.clone(),
        );
        metrics.register("setlist_candidates_catalogue_items", "Items in the catalogues in memory", this.items.clone());
        metrics.register(
            "setlist_candidates_profiles_in_memory",
            "Profiles in serving memory, about",
            this.profiles.clone(),
        );
        metrics.register(
            "setlist_candidates_expected_items",
            "Items that the release has no factors of and that are found by an expected vector, by what it is made from",
            this.expected.clone(),
        );
        metrics.register(
            "setlist_candidates_embeddings_passed_over",
            "Items that the release has no factors of and whose embedding has another length than the release takes",
            this.passed_over.clone(),
        );
        this
    }

    pub(crate) fn page(&self, outcome: Result<(), ErrorCode>, elapsed: Duration) {
        let outcome = outcome.map_or_else(ErrorCode::as_str, |()| "ok");
        self.pages.get_or_create(&OutcomeLabels { outcome }).inc();
        self.page_seconds.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn profile_read(&self, read: ProfileRead) {
        let outcome = match read {
            ProfileRead::Memory => "memory",
            ProfileRead::Store => "store",
            ProfileRead::Unchecked => "unchecked",
            ProfileRead::Failed => "failed",
        };
        self.profile_reads.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn folded(&self, folded: usize, repeated: usize, set_aside: usize, elapsed: Duration) {
        self.events.get_or_create(&OutcomeLabels { outcome: "folded" }).inc_by(folded as u64);
        self.events.get_or_create(&OutcomeLabels { outcome: "repeated" }).inc_by(repeated as u64);
        if set_aside > 0 {
            self.events.get_or_create(&OutcomeLabels { outcome: "set_aside" }).inc_by(set_aside as u64);
        }
        self.intake_seconds.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn fresh(&self, age: Duration) {
        self.freshness_seconds.observe(age.as_secs_f64());
    }

    pub(crate) fn rejected(&self) {
        self.events.get_or_create(&OutcomeLabels { outcome: "rejected_batch" }).inc();
    }

    pub(crate) fn partitions(&self, held: usize) {
        self.partitions.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    pub(crate) fn lease(&self, outcome: &'static str) {
        self.leases.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn release(&self, outcome: &'static str) {
        self.releases.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn sizes(&self, items: usize, profiles: u64) {
        self.items.set(i64::try_from(items).unwrap_or(i64::MAX));
        self.profiles.set(i64::try_from(profiles).unwrap_or(i64::MAX));
    }

    /// Shows how many items are found by an expected vector.
    pub(crate) fn expected(&self, counts: impl Iterator<Item = (Basis, usize)>) {
        let mut sums: BTreeMap<Basis, usize> = Basis::ALL.map(|basis| (basis, 0)).into();
        counts.for_each(|(basis, count)| *sums.entry(basis).or_default() += count);
        for (basis, count) in sums {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.expected.get_or_create(&BasisLabels { by: basis.as_str() }).set(count);
        }
    }

    /// Shows how many items have an embedding that their release does not take.
    pub(crate) fn passed_over(&self, items: usize) {
        self.passed_over.set(i64::try_from(items).unwrap_or(i64::MAX));
    }

    /// Shows which releases serve: one for each tenant.
    pub(crate) fn live(&self, releases: impl Iterator<Item = ReleaseId>) {
        let mut next: BTreeMap<String, i64> = BTreeMap::new();
        for release in releases {
            *next.entry(release.to_string()).or_default() += 1;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown == next {
            return;
        }
        for (release, tenants) in &next {
            self.live.get_or_create(&ReleaseLabels { release: release.clone() }).set(*tenants);
        }
        for release in shown.keys().filter(|release| !next.contains_key(*release)) {
            self.live.remove(&ReleaseLabels { release: release.clone() });
        }
        *shown = next;
    }
}
