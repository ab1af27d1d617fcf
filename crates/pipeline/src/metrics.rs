//! Metrics of the runners: seconds, outcomes and drops by stage. Components record none themselves.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_runtime::metrics::{Metrics, seconds_buckets};
use shared_models::component::DropReason;

/// Which stage; labels come from closed lists only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    kind: &'static str,
    stage: &'static str,
}

/// Which stage, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: &'static str,
    stage: &'static str,
    outcome: &'static str,
}

/// Which reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    reason: &'static str,
}

/// The metrics of one service's pipelines.
#[derive(Clone, Debug)]
pub struct StageMetrics {
    seconds: Family<StageLabels, Histogram>,
    runs: Family<OutcomeLabels, Counter>,
    candidates: Family<StageLabels, Counter>,
    kept: Family<StageLabels, Counter>,
    data_age: Family<StageLabels, Gauge<f64, AtomicU64>>,
    drops: Family<DropLabels, Counter>,
}

impl StageMetrics {
    /// Metrics registered under `setlist_<service>_pipeline_…`.
    #[must_use]
    pub fn register(metrics: &Metrics, service: &str) -> Self {
        let this = Self {
            seconds: Family::new_with_constructor(|| Histogram::new(seconds_buckets())),
            runs: Family::default(),
            candidates: Family::default(),
            kept: Family::default(),
            data_age: Family::default(),
            drops: Family::default(),
        };
        metrics.register(
            format!("setlist_{service}_pipeline_stage_seconds"),
            "Time one stage of a run took",
            this.seconds.clone(),
        );
        metrics.register(format!("setlist_{service}_pipeline_stage_runs"), "Stages run, by outcome", this.runs.clone());
        metrics.register(
            format!("setlist_{service}_pipeline_candidates"),
            "Candidates a stage gave",
            this.candidates.clone(),
        );
        metrics.register(
            format!("setlist_{service}_pipeline_candidates_kept"),
            "Candidates of a source that some shelf kept",
            this.kept.clone(),
        );
        metrics.register(
            format!("setlist_{service}_pipeline_data_age_seconds"),
            "How old the data was that a source answered from last",
            this.data_age.clone(),
        );
        metrics.register(
            format!("setlist_{service}_pipeline_drops"),
            "Candidates dropped, by reason",
            this.drops.clone(),
        );
        this
    }

    pub(crate) fn ran(
        &self,
        kind: &'static str,
        stage: &'static str,
        outcome: &'static str,
        elapsed: Duration,
        given: usize,
    ) {
        let labels = StageLabels { kind, stage };
        self.seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
        self.candidates.get_or_create(&labels).inc_by(given as u64);
        self.runs.get_or_create(&OutcomeLabels { kind, stage, outcome }).inc();
    }

    pub(crate) fn kept(&self, source: &'static str, kept: u32) {
        self.kept.get_or_create(&StageLabels { kind: "source", stage: source }).inc_by(u64::from(kept));
    }

    pub(crate) fn data_age(&self, source: &'static str, age: Duration) {
        self.data_age.get_or_create(&StageLabels { kind: "source", stage: source }).set(age.as_secs_f64());
    }

    pub(crate) fn dropped(&self, reason: DropReason, count: u32) {
        self.drops.get_or_create(&DropLabels { reason: reason.as_str() }).inc_by(u64::from(count));
    }
}
