//! Recommendation records: published after the reply, on a bounded queue, by a tracked task.
//!
//! An answer never waits for its record: where the queue is full the record is dropped and counted. Must
//! not know HTTP.

use std::{convert::Infallible, sync::Arc};

use contracts::{RecommendationRecord, records};
use event_bus::{Envelope, EventBus, Subject, subjects};
use service_runtime::{OnFailure, Runtime};
use shared_models::{Clock, UserKey};
use tokio::sync::mpsc;

use crate::metrics::Metrics;

/// How many records go to the bus together.
const BATCH: usize = 64;

/// Where records are put.
#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<RecommendationRecord>,
    metrics: Metrics,
}

impl Recorder {
    /// Starts the publishing task. One record in `complete_share` holds all candidates, the rest those shown.
    pub(crate) fn start(
        bus: Arc<dyn EventBus>,
        partitions: u16,
        queue: usize,
        complete_share: f64,
        runtime: &Runtime,
        metrics: Metrics,
    ) -> Self {
        let (tx, rx) = mpsc::channel(queue.max(1));
        let publisher =
            Publisher { bus, partitions, complete_share, clock: Arc::clone(&runtime.clock), metrics: metrics.clone() };
        let stop = runtime.tasks.observers.token();
        runtime.tasks.observers.spawn("edge-records", OnFailure::Log, async move {
            publisher.run(rx, stop).await;
            Ok::<(), Infallible>(())
        });
        Self { queue: tx, metrics }
    }

    /// Puts a record into the queue, or drops it.
    pub(crate) fn record(&self, record: RecommendationRecord) {
        if self.queue.try_send(record).is_err() {
            self.metrics.record("dropped");
        }
    }
}

struct Publisher {
    bus: Arc<dyn EventBus>,
    partitions: u16,
    complete_share: f64,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Publisher {
    async fn run(&self, mut rx: mpsc::Receiver<RecommendationRecord>, stop: service_runtime::CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = rx.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    self.publish(batch.drain(..)).await;
                }
                // What was answered before the stop is still published; nothing new comes in.
                () = stop.cancelled() => rx.close(),
            }
        }
    }

    async fn publish(&self, batch: impl Iterator<Item = RecommendationRecord>) {
        let messages: Vec<_> = batch.map(|record| self.message(record)).collect();
        let count = messages.len();
        let outcome = match self.bus.publish_many(messages).await {
            Ok(_) => "published",
            Err(error) => {
                tracing::warn!(error = %service_runtime::tasks::chain(&error), count, "recommendation records are not published");
                "failed"
            }
        };
        for _ in 0..count {
            self.metrics.record(outcome);
        }
    }

    fn message(&self, record: RecommendationRecord) -> (Subject, Envelope) {
        // The seed is a uniform draw that the request already has.
        let draw = record.context.seed.0 as f64 / u64::MAX as f64;
        let record = if draw < self.complete_share { record } else { record.shown_only() };
        let partition = record.user.as_ref().map_or(0, |user| UserKey::of(user).partition(self.partitions));
        let envelope = Envelope {
            id: record.id.to_string(),
            kind: records::KIND.to_owned(),
            version: records::VERSION,
            occurred_at: self.clock.now(),
            payload: records::encode(&record),
        };
        (subjects::recommendations(&record.tenant, partition), envelope)
    }
}
