//! Which partitions of the events this process takes in, where several share a store: each partition has one worker,
//! which holds its lease.
//!
//! Every process says every so often that it is there, takes its fair share of what is free, and gives back what is
//! more than that. A process that dies says nothing any more: its leases lapse and others take them. One that was
//! only held up finds its folds refused by their token. It must not know how events are folded.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use event_bus::{ConsumerMetrics, EventBus, StreamName, consume, subjects};
use serde::{Deserialize, Serialize};
use service_runtime::{OnFailure, TaskGroup, health::Component};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Intake;
use crate::{
    metrics::CandidatesMetrics,
    store::{Lease, Shared, Shares, Store},
};

const STREAM: StreamName = StreamName::Events;

/// How partitions are shared between processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// After this long without a sign of life a process's partitions go to the others.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often a process gives a sign of life.
    #[serde(with = "humantime_serde")]
    pub renew: Duration,
}

/// What shares the partitions.
pub struct Partitions {
    /// Where the leases are kept.
    pub store: Arc<dyn Store>,
    /// What takes in.
    pub intake: Intake,
    /// Where events come from.
    pub bus: Arc<dyn EventBus>,
    /// How many partitions there are.
    pub partitions: u16,
    /// How they are shared.
    pub config: Config,
    /// This process, among all that ever were.
    pub holder: String,
    /// Where workers run.
    pub group: TaskGroup,
    /// What workers count.
    pub consumers: ConsumerMetrics,
    /// What this counts.
    pub metrics: CandidatesMetrics,
    /// What operators read.
    pub health: Component,
}

/// The consumer of one partition.
struct Worker {
    lease: Lease,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Asks it to stop, and waits until what it has in hand is answered.
    async fn end(self) -> Lease {
        self.stop.cancel();
        // An error says that it is gone, which is what is waited for.
        let _gone = self.ended.await;
        self.lease
    }
}

impl Partitions {
    /// Takes in this process's share until `stop`, and then leaves the partitions to the others.
    ///
    /// # Errors
    /// Never: a store that is away is waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut workers: BTreeMap<u16, Worker> = BTreeMap::new();
        let mut away = false;
        let mut tick = tokio::time::interval(self.config.renew);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let Some(shared) = self.store.shared() else { break };
            match shared.shares(STREAM.as_str(), self.partitions, &self.holder, self.config.lease).await {
                Ok(shares) => {
                    away = false;
                    self.settle(shared, &mut workers, shares).await;
                }
                Err(error) => {
                    // Workers go on: each fold asks for its lease by itself.
                    if !std::mem::replace(&mut away, true) {
                        let error = service_runtime::tasks::chain(&error);
                        tracing::warn!(error, "leases cannot be renewed; tried again until the store is back");
                    }
                    self.health.detail(format!("takes in {} partitions; the leases' store is away", workers.len()));
                }
            }
        }
        for (_, worker) in std::mem::take(&mut workers) {
            worker.end().await;
        }
        self.metrics.partitions(0);
        if let Some(shared) = self.store.shared()
            && let Err(error) = shared.leave(STREAM.as_str(), &self.holder).await
        {
            let error = service_runtime::tasks::chain(&error);
            tracing::warn!(error, "partitions could not be given back; others take them when the leases lapse");
        }
        Ok(())
    }

    /// Brings the workers in line with the leases, and the leases with the fair share.
    async fn settle(&self, shared: &dyn Shared, workers: &mut BTreeMap<u16, Worker>, shares: Shares) {
        let mut held: BTreeMap<u16, Lease> = shares.held.into_iter().map(|lease| (lease.partition, lease)).collect();
        let lost: Vec<u16> =
            workers.iter().filter(|(at, worker)| held.get(at) != Some(&worker.lease)).map(|(at, _)| *at).collect();
        for partition in lost {
            tracing::warn!(partition, "partition was taken over by another process");
            self.metrics.lease("lost");
            if let Some(worker) = workers.remove(&partition) {
                worker.end().await;
            }
        }
        let fair = usize::from(self.partitions.div_ceil(shares.workers.max(1)));
        while held.len() > fair
            && let Some((partition, lease)) = held.pop_last()
        {
            if let Some(worker) = workers.remove(&partition) {
                worker.end().await;
            }
            match shared.give_back(&lease, &self.holder).await {
                Ok(()) => self.metrics.lease("given_back"),
                // It is given back at the next look.
                Err(error) => tracing::warn!(
                    partition,
                    error = service_runtime::tasks::chain(&error),
                    "partition could not be given back"
                ),
            }
        }
        for partition in self.in_own_order(&shares.free) {
            if held.len() >= fair {
                break;
            }
            match shared.take(STREAM.as_str(), partition, &self.holder, self.config.lease).await {
                Ok(Some(lease)) => {
                    self.metrics.lease("taken");
                    held.insert(partition, lease);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        partition,
                        error = service_runtime::tasks::chain(&error),
                        "partition could not be taken"
                    );
                    break;
                }
            }
        }
        for (partition, lease) in &held {
            if !workers.contains_key(partition) {
                workers.insert(*partition, self.start(lease.clone()));
            }
        }
        self.metrics.partitions(workers.len());
        let numbers: Vec<String> = workers.keys().map(u16::to_string).collect();
        self.health.detail(format!(
            "takes in partitions {} of {}, shared by {} processes",
            if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") },
            self.partitions,
            shares.workers
        ));
    }

    /// Free partitions in an order of this process's own, so that several take different ones.
    fn in_own_order(&self, free: &[u16]) -> Vec<u16> {
        let mut order = free.to_vec();
        if !order.is_empty() {
            let first = xxhash_rust::xxh3::xxh3_64(self.holder.as_bytes()) % order.len() as u64;
            order.rotate_left(first as usize);
        }
        order
    }

    fn start(&self, lease: Lease) -> Worker {
        let spec = subjects::CANDIDATES_INTAKE.for_partition(lease.partition);
        let stop = self.group.token().child_token();
        let (over, ended) = oneshot::channel();
        let handler = Arc::new(self.intake.under(lease.clone()));
        let work = consume(Arc::clone(&self.bus), spec, handler, self.consumers.clone(), stop.clone());
        self.group.spawn("events", OnFailure::Stop, async move {
            let outcome = work.await;
            drop(over);
            outcome
        });
        Worker { lease, stop, ended }
    }
}
