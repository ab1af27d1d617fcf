//! The archive as a consumer of the stream of events (`LEARNING_ARCHIVE`): a message is answered when
//! it is on disk. It must not know files.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event_bus::{Delivery, Handler, Outcome};

use super::{Archive, Message};

/// When a batch is tried again whose landing broke off.
const AFTER_DEFECT: Duration = Duration::from_secs(2);

/// Lands what the stream of events delivers.
pub struct ArchiveHandler {
    archive: Arc<Archive>,
}

impl ArchiveHandler {
    /// A handler that lands into this archive.
    #[must_use]
    pub fn new(archive: Arc<Archive>) -> Self {
        Self { archive }
    }
}

#[async_trait]
impl Handler for ArchiveHandler {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let (archive, batch) = (Arc::clone(&self.archive), batch.to_vec());
        let count = batch.len();
        // Decoding, compressing and syncing take milliseconds to seconds: not on the runtime's threads.
        let landed = tokio::task::spawn_blocking(move || land(&archive, &batch)).await;
        landed.unwrap_or_else(|error| vec![Outcome::Retry { after: AFTER_DEFECT, reason: error.to_string() }; count])
    }
}

fn land(archive: &Archive, batch: &[Delivery]) -> Vec<Outcome> {
    let mut messages = Vec::with_capacity(batch.len());
    let mut outcomes: Vec<Outcome> = batch
        .iter()
        .map(|delivery| {
            let envelope = &delivery.envelope;
            match contracts::events::decode(&envelope.kind, envelope.version, &envelope.payload) {
                Ok((tenant, events)) => {
                    messages.push(Message {
                        sequence: delivery.sequence,
                        id: envelope.id.clone(),
                        published_at: delivery.published_at,
                        tenant,
                        events,
                    });
                    Outcome::Done
                }
                Err(error) => Outcome::Reject { reason: releases::error::chain(&error) },
            }
        })
        .collect();
    if let Err(error) = archive.land(&messages) {
        let reason = releases::error::chain(&error);
        for outcome in &mut outcomes {
            if *outcome == Outcome::Done {
                *outcome = Outcome::Pause { reason: reason.clone() };
            }
        }
    }
    outcomes
}
