//! The archive as a consumer of the streams (`LEARNING_ARCHIVE`, `LEARNING_RECOMMENDATIONS`): a message is answered when
//! it is on disk. It must not know files.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use event_bus::{Delivery, Handler, Outcome, subjects};
use tokio::time::Instant;

use super::{Archive, CandidateRow, Error, EventRow, Landed, Message, Row, ShownRow};
use crate::metrics::ArchiveMetrics;

/// When a batch is tried again whose landing broke off.
const AFTER_DEFECT: Duration = Duration::from_secs(2);

/// Lands what the stream of events delivers.
pub type ArchiveHandler = Landing<EventRow>;
/// Lands what the stream of decision records delivers.
pub type RecordHandler = Landing<ShownRow>;

/// Rows that a stream carries.
pub trait Carried: Row {
    /// The message of a delivery, with what it brings to the table of candidates; or why it can never be one.
    ///
    /// # Errors
    /// When its payload breaks the contract.
    fn message(delivery: &Delivery) -> Result<(Message<Self>, Option<Message<CandidateRow>>), String>;
}

impl Carried for EventRow {
    fn message(delivery: &Delivery) -> Result<(Message<Self>, Option<Message<CandidateRow>>), String> {
        let envelope = &delivery.envelope;
        let (tenant, events) = contracts::events::decode(&envelope.kind, envelope.version, &envelope.payload)
            .map_err(|error| releases::error::chain(&error))?;
        Ok((Message::of_events(delivery.sequence, &envelope.id, delivery.published_at, tenant, events), None))
    }
}

impl Carried for ShownRow {
    fn message(delivery: &Delivery) -> Result<(Message<Self>, Option<Message<CandidateRow>>), String> {
        let envelope = &delivery.envelope;
        let record = contracts::records::decode(&envelope.kind, envelope.version, &envelope.payload)
            .map_err(|error| releases::error::chain(&error))?;
        let (sequence, at) = (delivery.sequence, delivery.published_at);
        let candidates = Message::of_candidates(sequence, &envelope.id, at, &record);
        Ok((Message::of_record(sequence, &envelope.id, at, &record), candidates))
    }
}

/// Lands what a stream delivers.
pub struct Landing<R> {
    archive: Arc<Archive>,
    linger: Duration,
    metrics: Option<ArchiveMetrics>,
    landed_at: parking_lot::Mutex<Option<Instant>>,
    rows: PhantomData<fn() -> R>,
}

impl<R: Carried> Landing<R> {
    /// A handler that lands into this archive at once.
    #[must_use]
    pub fn new(archive: Arc<Archive>) -> Self {
        Self {
            archive,
            linger: Duration::ZERO,
            metrics: None,
            landed_at: parking_lot::Mutex::default(),
            rows: PhantomData,
        }
    }

    /// The same, but a batch that is not full waits until so long after the one before, so that the next one finds more
    /// messages and there are fewer files.
    #[must_use]
    pub fn lingering(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// The same, counted.
    #[must_use]
    pub fn counted(self, metrics: ArchiveMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    async fn pace(&self, batch: usize) {
        let landed_at = *self.landed_at.lock();
        if let Some(at) = landed_at.filter(|_| batch < subjects::LEARNING_ARCHIVE.max_batch) {
            tokio::time::sleep_until(at + self.linger).await;
        }
        *self.landed_at.lock() = Some(Instant::now());
    }
}

#[async_trait]
impl<R: Carried> Handler for Landing<R> {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        self.pace(batch.len()).await;
        let (archive, batch) = (Arc::clone(&self.archive), batch.to_vec());
        let count = batch.len();
        // Decoding, compressing and syncing take milliseconds to seconds: not on the runtime's threads.
        match tokio::task::spawn_blocking(move || land::<R>(&archive, &batch)).await {
            Ok((outcomes, landed)) => {
                if let (Some(metrics), Ok((landed, candidates))) = (&self.metrics, landed) {
                    metrics.landed(R::TABLE.name, landed);
                    if candidates != Landed::default() {
                        metrics.landed(CandidateRow::TABLE.name, candidates);
                    }
                }
                outcomes
            }
            Err(error) => vec![Outcome::Retry { after: AFTER_DEFECT, reason: error.to_string() }; count],
        }
    }
}

/// What became of the messages, and what was landed of them in their own table and in that of candidates. A message is done
/// when it stands in both; each knows by itself what it has.
fn land<R: Carried>(archive: &Archive, batch: &[Delivery]) -> (Vec<Outcome>, Result<(Landed, Landed), Error>) {
    let (mut messages, mut candidates) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut outcomes: Vec<Outcome> = batch
        .iter()
        .map(|delivery| match R::message(delivery) {
            Ok((message, of_candidates)) => {
                messages.push(message);
                candidates.extend(of_candidates);
                Outcome::Done
            }
            Err(reason) => Outcome::Reject { reason },
        })
        .collect();
    let landed = archive.land(&messages).and_then(|landed| Ok((landed, archive.land(&candidates)?)));
    if let Err(error) = &landed {
        let reason = releases::error::chain(error);
        for outcome in &mut outcomes {
            if *outcome == Outcome::Done {
                *outcome = Outcome::Pause { reason: reason.clone() };
            }
        }
    }
    (outcomes, landed)
}
