//! Intake: batches of events from the bus become profiles, each event exactly once.
//!
//! One transaction holds the stream positions, the event ids and the profiles of many messages; they
//! are acknowledged after it has committed. A message that comes again finds its position taken, an
//! event that comes again its id. After the commit the new profiles stand in serving memory at once. What
//! becomes of a profile that does not read back, `aside.rs` says.

mod aside;
mod batch;
mod fold;
pub mod partitions;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use event_bus::{Delivery, Handler, Outcome};
use service_runtime::TaskGroup;
use shared_models::{Clock, ErrorCode};

use crate::{
    metrics::CandidatesMetrics,
    profiles::memory::ProfileMemory,
    store::{self, Lease, Store},
    worlds::Worlds,
};
use aside::{Aside, Reports};
use batch::{Message, read};
use fold::Dropped;

/// When to try again after the store failed.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// How often a batch is folded anew after another writer changed one of its profiles.
const CONFLICTS: usize = 3;

/// Folds events into profiles.
#[derive(Clone)]
pub struct Intake {
    store: Arc<dyn Store>,
    worlds: Arc<Worlds>,
    memory: ProfileMemory,
    tasks: TaskGroup,
    clock: Arc<dyn Clock>,
    metrics: CandidatesMetrics,
    reports: Arc<Reports>,
    /// Under which lease; `None` where no other process takes in.
    lease: Option<Lease>,
}

impl Intake {
    /// Intake into `store` and `memory`, with heavy work in `tasks`.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        worlds: Arc<Worlds>,
        memory: ProfileMemory,
        tasks: TaskGroup,
        clock: Arc<dyn Clock>,
        metrics: CandidatesMetrics,
    ) -> Self {
        Self { store, worlds, memory, tasks, clock, metrics, reports: Arc::default(), lease: None }
    }

    /// The same for one partition, as long as the lease is this process's.
    #[must_use]
    pub fn under(&self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self.clone() }
    }

    /// Folds messages in one transaction, anew while other writers get in between, and without the
    /// profiles that do not read back; gives those.
    async fn fold(&self, messages: &[&Message]) -> Result<Aside, store::Error> {
        let started = Instant::now();
        let mut conflicts = 0;
        let mut aside = Aside::default();
        loop {
            match fold::fold(self, messages, &aside).await {
                Ok(folded) => {
                    let left = messages.iter().map(|message| aside.events_of(message)).sum();
                    self.metrics.folded(folded.fresh, folded.repeated, left, started.elapsed());
                    return Ok(aside);
                }
                Err(Dropped::Unreadable(users)) => {
                    self.reports.report(&users);
                    aside.extend(users);
                }
                Err(Dropped::Store(store::Error::Conflict)) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    for message in messages {
                        let world = self.worlds.of(&message.tenant).number;
                        message
                            .events
                            .iter()
                            .for_each(|event| self.memory.forget(world, shared_models::UserKey::of(&event.user)));
                    }
                }
                Err(Dropped::Store(error)) => return Err(error),
            }
        }
    }

    /// What became of each message: all together, or, when one of them spoils the batch, each for itself.
    async fn outcomes(&self, messages: &[&Message]) -> Vec<Outcome> {
        match self.fold(messages).await {
            Ok(aside) => messages.iter().map(|message| folded(&aside, message)).collect(),
            Err(error) if messages.len() > 1 && error.code() != ErrorCode::Unavailable => {
                let mut outcomes = Vec::with_capacity(messages.len());
                for message in messages {
                    outcomes.push(
                        self.fold(&[message])
                            .await
                            .map_or_else(|error| outcome_of(&error), |aside| folded(&aside, message)),
                    );
                }
                outcomes
            }
            Err(error) => vec![outcome_of(&error); messages.len()],
        }
    }
}

/// What became of a message whose fold was committed.
fn folded(aside: &Aside, message: &Message) -> Outcome {
    aside.reason(message).map_or(Outcome::Done, |reason| Outcome::Reject { reason })
}

fn outcome_of(error: &store::Error) -> Outcome {
    let reason = service_runtime::tasks::chain(error);
    match error.code() {
        ErrorCode::Internal | ErrorCode::InvalidArgument => Outcome::Reject { reason },
        ErrorCode::Unavailable => Outcome::Pause { reason },
        _ => Outcome::Retry { after: AFTER_FAILURE, reason },
    }
}

#[async_trait]
impl Handler for Intake {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let read: Vec<Result<Message, String>> = batch.iter().map(read).collect();
        let messages: Vec<&Message> = read.iter().filter_map(|message| message.as_ref().ok()).collect();
        let mut outcomes = if messages.is_empty() { Vec::new() } else { self.outcomes(&messages).await }.into_iter();
        read.iter()
            .map(|message| match message {
                // There is one outcome for each message that could be read.
                Ok(_) => outcomes
                    .next()
                    .unwrap_or_else(|| Outcome::Retry { after: AFTER_FAILURE, reason: "no outcome".to_owned() }),
                Err(reason) => {
                    self.metrics.rejected();
                    Outcome::Reject { reason: reason.clone() }
                }
            })
            .collect()
    }
}
