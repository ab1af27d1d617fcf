//! The metrics of learning as a process of its own.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `setlist_learning_trainings_total` | outcome | `done`, `failed` |
//! | `setlist_learning_training_seconds` | | how long the last training of a tenant took |
//! | `setlist_learning_compacted_files_total` | | files of the archive that were made part of a day's one |

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_runtime::metrics::Metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// What learning counts.
#[derive(Clone, Debug)]
pub(crate) struct LearningMetrics {
    trainings: Family<OfOutcome, Counter>,
    training_seconds: Gauge<f64, AtomicU64>,
    pub(crate) compacted: Counter,
}

impl LearningMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            trainings: metrics.shared(
                "setlist_learning_trainings",
                "Trainings, by what became of them",
                Family::default,
            ),
            training_seconds: metrics.shared(
                "setlist_learning_training_seconds",
                "How long the last training of a tenant took",
                Gauge::default,
            ),
            compacted: metrics.shared(
                "setlist_learning_compacted_files",
                "Files of the archive that were made part of a day's one",
                Counter::default,
            ),
        }
    }

    pub(crate) fn learnt(&self, done: bool, took: Duration) {
        let outcome = if done { "done" } else { "failed" };
        self.trainings.get_or_create(&OfOutcome { outcome }).inc();
        self.training_seconds.set(took.as_secs_f64());
    }
}
