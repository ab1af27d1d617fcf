//! Recommendation records: published after the reply, on a bounded queue, by a tracked task.
//!
//! An answer never waits for its record: where the queue is full the record is dropped and counted. Must
//! not know HTTP.

mod find;
pub(crate) mod keep;

use std::{convert::Infallible, sync::Arc, time::Duration};

use contracts::{
    RecommendationRecord,
    records::{self, EncodedPlan},
};
use event_bus::{Envelope, EventBus, Subject, subjects};
use service_runtime::{
    CancellationToken, OnFailure, Runtime,
    trace::{self, TraceParent},
};
use shared_models::{Clock, Seed, UserKey};
use tokio::{sync::mpsc, time::Instant};

pub(crate) use find::Finder;

use crate::{config, metrics::Metrics};

/// How many records go to the bus together.
const BATCH: usize = 64;

/// Where records are put.
#[derive(Clone)]
pub(crate) struct Recorder {
    queue: mpsc::Sender<Waiting>,
    /// The share of records that hold all candidates.
    complete_share: f64,
    metrics: Metrics,
}

/// A record that waits for others to share a write to disk.
struct Waiting {
    record: RecommendationRecord,
    /// Its candidate plan, encoded once for all records of the surface.
    plan: EncodedPlan,
    /// The request that was answered.
    page: TraceParent,
}

impl Recorder {
    /// Starts the publishing task.
    pub(crate) fn start(
        bus: Arc<dyn EventBus>,
        partitions: u16,
        config: &config::Records,
        runtime: &Runtime,
        metrics: Metrics,
    ) -> Self {
        let (tx, rx) = mpsc::channel(config.queue.max(1));
        let publisher = Publisher {
            bus,
            partitions,
            linger: config.linger,
            clock: Arc::clone(&runtime.clock),
            metrics: metrics.clone(),
        };
        let stop = runtime.tasks.observers.token();
        runtime.tasks.observers.spawn("edge-records", OnFailure::Log, async move {
            publisher.run(rx, stop).await;
            Ok::<(), Infallible>(())
        });
        Self { queue: tx, complete_share: config.complete_share, metrics }
    }

    /// Whether the answer of this seed is recorded whole, with all candidates; the others hold what was shown.
    pub(crate) fn is_whole(&self, seed: Seed) -> bool {
        is_drawn(seed, self.complete_share)
    }

    /// Puts the record of the current request into the queue, or drops it.
    pub(crate) fn record(&self, record: RecommendationRecord, plan: &EncodedPlan) {
        let waiting = Waiting { record, plan: plan.clone(), page: trace::current() };
        if self.queue.try_send(waiting).is_err() {
            self.metrics.records("dropped", 1);
        }
    }
}

/// Whether a seed is among the share that is drawn. A seed is made of an answer's id, whose upper bits are its time: they are
/// no draw. A product with 2^64 over the golden ratio has them all in its upper bits (Knuth, TAOCP volume 3, section 6.4).
fn is_drawn(seed: Seed, share: f64) -> bool {
    let mixed = seed.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    share > 0.0 && mixed as f64 / u64::MAX as f64 <= share
}

struct Publisher {
    bus: Arc<dyn EventBus>,
    partitions: u16,
    linger: Duration,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Publisher {
    /// Publishes batch by batch. What was answered before the stop is still published; nothing new comes in, and
    /// nothing is waited for.
    async fn run(&self, mut rx: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = rx.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = stop.cancelled(), if !rx.is_closed() => {
                    rx.close();
                    continue;
                }
            }
            let end = Instant::now() + self.linger;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    count = rx.recv_many(&mut batch, room) => if count == 0 { break },
                    () = stop.cancelled() => {
                        rx.close();
                        break;
                    }
                    () = tokio::time::sleep_until(end) => break,
                }
            }
            self.publish(&mut batch).await;
        }
    }

    async fn publish(&self, batch: &mut Vec<Waiting>) {
        let pages: Vec<TraceParent> = batch.iter().map(|waiting| waiting.page.clone()).collect();
        let messages: Vec<_> = batch.drain(..).map(|waiting| self.message(waiting)).collect();
        let count = messages.len();
        let outcome = match self.bus.publish_many_linked(messages, &pages).await {
            Ok(_) => "published",
            Err(error) => {
                tracing::warn!(error = %service_runtime::tasks::chain(&error), count, "recommendation records are not published");
                "failed"
            }
        };
        self.metrics.records(outcome, count as u64);
    }

    fn message(&self, Waiting { record, plan, .. }: Waiting) -> (Subject, Envelope) {
        let record = if record.table_complete { record } else { record.shown_only() };
        let partition = record.user.as_ref().map_or(0, |user| UserKey::of(user).partition(self.partitions));
        let subject = subjects::recommendations(&record.tenant, partition);
        let envelope = Envelope {
            id: record.id.to_string(),
            kind: records::KIND.to_owned(),
            version: records::VERSION,
            occurred_at: self.clock.now(),
            payload: records::encode_with(record, &plan),
        };
        (subject, envelope)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    #[test]
    fn answers_are_drawn_as_often_as_is_said_whenever_they_are_given() {
        // Ids of version 7: 48 bits of time, then 74 drawn ones around version and variant.
        let mut drawn = Seed(1).stream("ids");
        let mut id = |ms: u64| {
            let [high, low] = [(); 2].map(|()| drawn.random::<u64>());
            let id = (u128::from(ms) << 80)
                | (7 << 76)
                | (u128::from(high & 0xfff) << 64)
                | (0b10 << 62)
                | u128::from(low >> 2);
            Seed((id ^ (id >> 64)) as u64)
        };
        for (ms, share) in [(1_795_000_000_000, 0.01), (1_795_000_000_000, 0.25), (4_000_000_000_000, 0.25)] {
            let count = (0..20_000).filter(|at| is_drawn(id(ms + at), share)).count() as f64 / 20_000.0;
            assert!((count - share).abs() < 0.02 * share.sqrt(), "{count} of {share} at {ms}");
        }
        assert!(!is_drawn(Seed(0), 0.0) && is_drawn(Seed(u64::MAX / 3), 1.0));
    }
}
