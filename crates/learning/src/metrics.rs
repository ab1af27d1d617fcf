//! The metrics of learning as a process of its own.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `setlist_learning_trainings_total` | outcome | `done`, `failed` |
//! | `setlist_learning_training_seconds` | | how long the last training of a tenant took |
//! | `setlist_learning_compacted_files_total` | | files of the archive that were made part of larger ones |
//! | `setlist_learning_archived_messages_total` | table, outcome | messages that the archive was given: `written`, or `known` from before |
//! | `setlist_learning_archived_files_total` | table | files that landed in the archive |

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_runtime::metrics::Metrics;

use crate::archive::Landed;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// What learning counts.
#[derive(Clone, Debug)]
pub(crate) struct LearningMetrics {
    trainings: Family<OfOutcome, Counter>,
    training_seconds: Gauge<f64, AtomicU64>,
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
        }
    }

    pub(crate) fn learnt(&self, done: bool, took: Duration) {
        let outcome = if done { "done" } else { "failed" };
        self.trainings.get_or_create(&OfOutcome { outcome }).inc();
        self.training_seconds.set(took.as_secs_f64());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTable {
    table: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTableAndOutcome {
    table: &'static str,
    outcome: &'static str,
}

/// What the archive counts.
#[derive(Clone, Debug)]
pub struct ArchiveMetrics {
    messages: Family<OfTableAndOutcome, Counter>,
    files: Family<OfTable, Counter>,
    pub(crate) compacted: Counter,
}

impl ArchiveMetrics {
    /// The archive's counters in the process's.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            messages: metrics.shared(
                "setlist_learning_archived_messages",
                "Messages that the archive was given, by what became of them",
                Family::default,
            ),
            files: metrics.shared(
                "setlist_learning_archived_files",
                "Files that landed in the archive",
                Family::default,
            ),
            compacted: metrics.shared(
                "setlist_learning_compacted_files",
                "Files of the archive that were made part of larger ones",
                Counter::default,
            ),
        }
    }

    pub(crate) fn landed(&self, table: &'static str, landed: Landed) {
        for (outcome, count) in [("written", landed.written), ("known", landed.known)] {
            self.messages.get_or_create(&OfTableAndOutcome { table, outcome }).inc_by(count as u64);
        }
        self.files.get_or_create(&OfTable { table }).inc_by(landed.files as u64);
    }
}
