//! The metrics of learning as a process of its own.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `setlist_learning_trainings_total` | outcome | `done`, `held_back` by a gate, `nothing` to train on, `failed` |
//! | `setlist_learning_training_seconds` | | how long the last training of a tenant took |
//! | `setlist_learning_held_back_total` | gate | releases that a gate held back |
//! | `setlist_learning_pruned_releases_total` | | old releases that were removed |
//! | `setlist_learning_failures_in_a_row` | | rounds of training since one went well |
//! | `setlist_learning_promoted_timestamp_seconds` | | when this process last promoted a release |
//! | `setlist_learning_next_timestamp_seconds` | | when it trains next |
//! | `setlist_learning_compacted_files_total` | | files of the archive that were made part of larger ones |
//! | `setlist_learning_archived_messages_total` | table, outcome | messages that the archive was given: `written`, or `known` from before |
//! | `setlist_learning_archived_files_total` | table | files that landed in the archive |

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use service_runtime::metrics::Metrics;
use shared_models::Timestamp;

use crate::{archive::Landed, gates::Gate};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGate {
    gate: &'static str,
}

/// What learning counts.
#[derive(Clone, Debug)]
pub struct LearningMetrics {
    trainings: Family<OfOutcome, Counter>,
    training_seconds: Gauge<f64, AtomicU64>,
    held_back: Family<OfGate, Counter>,
    pruned: Counter,
    failures: Gauge,
    promoted: Gauge<f64, AtomicU64>,
    next: Gauge<f64, AtomicU64>,
}

impl LearningMetrics {
    /// Metrics registered under `setlist_learning_…`.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
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
            held_back: metrics.shared(
                "setlist_learning_held_back",
                "Releases that a gate held back, by gate",
                Family::default,
            ),
            pruned: metrics.shared(
                "setlist_learning_pruned_releases",
                "Old releases that were removed",
                Counter::default,
            ),
            failures: metrics.shared(
                "setlist_learning_failures_in_a_row",
                "Rounds of training since one went well",
                Gauge::default,
            ),
            promoted: metrics.shared(
                "setlist_learning_promoted_timestamp_seconds",
                "When this process last promoted a release",
                Gauge::default,
            ),
            next: metrics.shared(
                "setlist_learning_next_timestamp_seconds",
                "When this process trains next",
                Gauge::default,
            ),
        }
    }

    pub(crate) fn learnt(&self, outcome: &'static str, took: Duration) {
        self.trainings.get_or_create(&OfOutcome { outcome }).inc();
        self.training_seconds.set(took.as_secs_f64());
    }

    pub(crate) fn held_back(&self, gate: Gate) {
        self.held_back.get_or_create(&OfGate { gate: gate.as_str() }).inc();
    }

    pub(crate) fn pruned(&self, releases: usize) {
        self.pruned.inc_by(releases as u64);
    }

    pub(crate) fn promoted(&self, at: Timestamp) {
        self.promoted.set(seconds(at));
    }

    pub(crate) fn waits_until(&self, next: Timestamp, failures: u32) {
        self.next.set(seconds(next));
        self.failures.set(failures.into());
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e3
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
