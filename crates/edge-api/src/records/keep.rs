//! From the stream into the store: what questions about answers are answered from.
//!
//! Must not know what a record says beyond its head.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use contracts::records;
use event_bus::{ConsumerMetrics, Delivery, EventBus, Handler, Outcome, consume, subjects};
use service_runtime::{OnFailure, Runtime, tasks::chain};
use shared_models::{ErrorCode, Timestamp, UserKey};
use tokio::time::MissedTickBehavior;

use crate::store::{Kept, Store};

/// How often old records are forgotten.
const PRUNE: Duration = Duration::from_secs(600);

/// Starts what keeps records, and what forgets them after `keep`.
pub(crate) fn start(bus: Arc<dyn EventBus>, store: &Arc<dyn Store>, keep: Duration, runtime: &Runtime) {
    let intake = &runtime.tasks.intake;
    let keeper = Arc::new(Keeper { store: Arc::clone(store) });
    let metrics = ConsumerMetrics::new(&runtime.metrics);
    intake.spawn(
        "keep-records",
        OnFailure::Stop,
        consume(bus, subjects::EDGE_RECORDER.clone(), keeper, metrics, intake.token()),
    );
    let (store, clock, stop) = (Arc::clone(store), Arc::clone(&runtime.clock), intake.token());
    intake.spawn("forget-records", OnFailure::Log, async move {
        let mut tick = tokio::time::interval(PRUNE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let before = Timestamp(clock.now().0 - i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
            match store.prune(before).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "old recommendation records are forgotten"),
                Err(error) => tracing::warn!(error = chain(&error), "old recommendation records stay for now"),
            }
        }
        Ok::<(), Infallible>(())
    });
}

struct Keeper {
    store: Arc<dyn Store>,
}

#[async_trait]
impl Handler for Keeper {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let mut kept = Vec::with_capacity(batch.len());
        let mut outcomes: Vec<Outcome> = batch
            .iter()
            .map(|delivery| match filed(delivery) {
                Ok(record) => {
                    kept.push(record);
                    Outcome::Done
                }
                Err(error) => Outcome::Reject { reason: chain(&error) },
            })
            .collect();
        if let Err(error) = self.store.put(&kept).await {
            let reason = chain(&error);
            let after = Duration::from_secs(1);
            for outcome in outcomes.iter_mut().filter(|outcome| **outcome == Outcome::Done) {
                *outcome = match error.code() {
                    ErrorCode::Unavailable => Outcome::Pause { reason: reason.clone() },
                    _ => Outcome::Retry { after, reason: reason.clone() },
                };
            }
        }
        outcomes
    }
}

fn filed(delivery: &Delivery) -> Result<Kept, records::Error> {
    let envelope = &delivery.envelope;
    let head = records::head(&envelope.kind, envelope.version, &envelope.payload)?;
    Ok(Kept {
        user: head.user.as_ref().map(UserKey::of),
        tenant: head.tenant,
        id: head.id,
        made_at: head.made_at,
        surface: head.surface,
        whole: head.whole,
        version: envelope.version,
        payload: envelope.payload.clone(),
    })
}
