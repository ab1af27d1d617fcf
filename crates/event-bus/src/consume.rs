//! Consuming as a layer: batches in, answers out, and nothing acknowledged by accident.
//!
//! A handler says what became of each message; this file acknowledges, puts off and rejects accordingly, counts,
//! opens the CONSUMER span, and keeps slow work alive. It must not know what handlers do.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    bus::{Delivery, EventBus, Subscription},
    error::Error,
    metrics::{ConsumerMetrics, OneConsumer},
    spans,
    subjects::ConsumerSpec,
};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effects are on disk.
    Done,
    /// It could not be dealt with now. After as many deliveries as the consumer allows it goes to the dead letters.
    Retry {
        /// When to deliver it again.
        after: Duration,
        /// Why; it stands on the dead letter when this was the last delivery.
        reason: String,
    },
    /// Nothing can be dealt with at the moment: a dependency of the handler is away, and the message is not to blame.
    /// It stays in hand and is tried again until it can, however long that takes, at the cost of no delivery.
    Pause {
        /// What is away.
        reason: String,
    },
    /// It can never be dealt with: it goes to the dead letters.
    Reject {
        /// Why.
        reason: String,
    },
}

/// Deals with messages.
///
/// A message may come more than once: its effects and its number belong in one transaction, so that they happen
/// once.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Deals with a batch, and says what became of each message, in the same order.
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome>;
}

/// How often the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before trying again after the bus failed: doubling between these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// When to deliver a message again after its handler panicked or forgot it.
const AFTER_DEFECT: Duration = Duration::from_secs(1);

/// Consumes until `stop` is cancelled; the batch in hand is finished and answered first.
///
/// While the bus is away it waits and tries again.
///
/// # Errors
/// When the consumer cannot ever work: the bus is misconfigured or closed.
pub async fn consume(
    bus: Arc<dyn EventBus>,
    spec: ConsumerSpec,
    handler: Arc<dyn Handler>,
    metrics: ConsumerMetrics,
    stop: CancellationToken,
) -> Result<(), Error> {
    let consumer = Consumer { metrics: metrics.of(&spec), bus, spec, handler };
    let mut pause = BACKOFF.0;
    loop {
        let started = Instant::now();
        let failure = match consumer.sit(&stop).await {
            Ok(()) => return Ok(()),
            Err(failure @ (Error::Misconfigured { .. } | Error::Closed)) => return Err(failure),
            Err(failure) => failure,
        };
        if started.elapsed() > BACKOFF.1 {
            pause = BACKOFF.0;
        }
        tracing::warn!(
            stream = consumer.spec.stream.as_str(),
            consumer = consumer.spec.name.as_ref(),
            error.code = failure.code().as_str(),
            error = %chain(&failure),
            "consumer lost its bus and tries again"
        );
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
        }
    }
}

struct Consumer {
    bus: Arc<dyn EventBus>,
    spec: ConsumerSpec,
    handler: Arc<dyn Handler>,
    metrics: OneConsumer,
}

impl Consumer {
    /// Takes a seat and consumes from it, until the bus fails or the end.
    async fn sit(&self, stop: &CancellationToken) -> Result<(), Error> {
        let mut seat = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            seat = self.bus.subscribe(&self.spec) => seat?,
        };
        let outcome = self.consume_from(seat.as_mut(), stop).await;
        seat.close().await;
        outcome
    }

    async fn consume_from(&self, seat: &mut dyn Subscription, stop: &CancellationToken) -> Result<(), Error> {
        let mut measure = tokio::time::interval(LAG_EVERY);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = measure.tick() => {
                    self.metrics.lag(self.bus.lag(&self.spec).await?);
                    continue;
                }
                batch = seat.next_batch(self.spec.max_batch) => batch?,
            };
            let span = spans::consumer(self.bus.name(), &self.spec, &batch);
            self.process(seat, &batch, &span, stop).instrument(span.clone()).await?;
        }
    }

    async fn process(
        &self,
        seat: &mut dyn Subscription,
        batch: &[Delivery],
        span: &tracing::Span,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let again = batch.iter().filter(|delivery| delivery.attempt > 1).count();
        self.metrics.redelivered.inc_by(again as u64);
        let started = Instant::now();
        let outcomes = self.outlast(seat, batch, stop).await?;
        self.metrics.handle_seconds.observe(started.elapsed().as_secs_f64());
        let answered = self.answer(seat, batch, outcomes, span).await;
        if let Err(failure) = &answered {
            spans::failed(span, failure);
        }
        answered
    }

    /// Runs the handler until no message has to wait for a dependency, or the consumer is stopped.
    async fn outlast(
        &self,
        seat: &mut dyn Subscription,
        batch: &[Delivery],
        stop: &CancellationToken,
    ) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = self.handle(seat, batch).await?;
        let mut pause = BACKOFF.0;
        loop {
            let paused: Vec<usize> =
                (0..batch.len().min(outcomes.len())).filter(|at| is_pause(&outcomes[*at])).collect();
            let Some(Outcome::Pause { reason }) = paused.first().map(|at| &outcomes[*at]) else {
                return Ok(outcomes);
            };
            self.metrics.paused.inc_by(paused.len() as u64);
            tracing::warn!(
                stream = self.spec.stream.as_str(),
                consumer = self.spec.name.as_ref(),
                messages = paused.len(),
                reason,
                "consumer waits for a dependency"
            );
            if !self.rest(seat, batch, pause, stop).await? {
                return Ok(outcomes);
            }
            pause = (pause * 2).min(BACKOFF.1);
            let again: Vec<Delivery> = paused.iter().map(|at| batch[*at].clone()).collect();
            let mut answers = self.handle(seat, &again).await?.into_iter();
            for at in paused {
                outcomes[at] = answers.next().unwrap_or_else(forgotten);
            }
        }
    }

    /// Waits, and keeps the batch in hand meanwhile. Whether there is time to try again.
    async fn rest(
        &self,
        seat: &mut dyn Subscription,
        batch: &[Delivery],
        pause: Duration,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let sequences: Vec<u64> = batch.iter().map(|delivery| delivery.sequence).collect();
        let end = Instant::now() + pause;
        loop {
            seat.extend(&sequences).await?;
            let step = end.min(Instant::now() + self.spec.ack_wait / 3);
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep_until(step) => {}
            }
            if Instant::now() >= end {
                return Ok(true);
            }
        }
    }

    /// Runs the handler; a batch whose handler panicked is tried message by message, so that one bad message does
    /// not hold up its neighbours.
    async fn handle(&self, seat: &mut dyn Subscription, batch: &[Delivery]) -> Result<Vec<Outcome>, Error> {
        match self.guarded(seat, batch).await? {
            Ok(outcomes) => Ok(outcomes),
            Err(panic) if batch.len() == 1 => Ok(vec![Outcome::Retry { after: AFTER_DEFECT, reason: panic }]),
            Err(_) => {
                let mut outcomes = Vec::with_capacity(batch.len());
                for delivery in batch {
                    match self.guarded(seat, std::slice::from_ref(delivery)).await? {
                        Ok(mut outcome) => outcomes.push(outcome.pop().unwrap_or_else(forgotten)),
                        Err(panic) => outcomes.push(Outcome::Retry { after: AFTER_DEFECT, reason: panic }),
                    }
                }
                Ok(outcomes)
            }
        }
    }

    /// Runs the handler, and tells the bus meanwhile that the messages are being worked on. A panic comes back as
    /// its text.
    async fn guarded(
        &self,
        seat: &mut dyn Subscription,
        batch: &[Delivery],
    ) -> Result<Result<Vec<Outcome>, String>, Error> {
        let mut work = std::pin::pin!(AssertUnwindSafe(self.handler.handle(batch)).catch_unwind());
        let period = (self.spec.ack_wait / 3).max(Duration::from_millis(1));
        let mut alive = tokio::time::interval_at(Instant::now() + period, period);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outcomes = &mut work => return Ok(outcomes.map_err(|panic| panic_text(panic.as_ref()))),
                _ = alive.tick() => {
                    let sequences: Vec<u64> = batch.iter().map(|delivery| delivery.sequence).collect();
                    seat.extend(&sequences).await?;
                }
            }
        }
    }

    async fn answer(
        &self,
        seat: &mut dyn Subscription,
        batch: &[Delivery],
        outcomes: Vec<Outcome>,
        span: &tracing::Span,
    ) -> Result<(), Error> {
        if outcomes.len() != batch.len() {
            tracing::error!(
                consumer = self.spec.name.as_ref(),
                messages = batch.len(),
                outcomes = outcomes.len(),
                "handler did not say what became of each message; the rest is delivered again"
            );
        }
        let mut done = Vec::with_capacity(batch.len());
        let mut outcomes = outcomes.into_iter();
        for delivery in batch {
            let outcome = outcomes.next().unwrap_or_else(forgotten);
            match outcome {
                Outcome::Done => done.push(delivery.sequence),
                // Only when the consumer stops: unanswered, it is delivered again to whoever comes next.
                Outcome::Pause { .. } => {}
                Outcome::Retry { after, .. } if delivery.attempt < self.spec.max_deliver => {
                    self.metrics.retry.inc();
                    seat.retry(delivery.sequence, after).await?;
                }
                Outcome::Retry { reason, .. } => {
                    let reason = format!("given up after {} deliveries: {reason}", delivery.attempt);
                    self.reject(seat, delivery, &reason, span).await?;
                }
                Outcome::Reject { reason } => self.reject(seat, delivery, &reason, span).await?,
            }
        }
        if !done.is_empty() {
            seat.ack(&done).await?;
            self.metrics.done.inc_by(done.len() as u64);
        }
        Ok(())
    }

    async fn reject(
        &self,
        seat: &mut dyn Subscription,
        delivery: &Delivery,
        reason: &str,
        span: &tracing::Span,
    ) -> Result<(), Error> {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", "rejected");
        tracing::error!(
            stream = self.spec.stream.as_str(),
            consumer = self.spec.name.as_ref(),
            sequence = delivery.sequence,
            attempt = delivery.attempt,
            reason,
            "message goes to the dead letters"
        );
        self.metrics.rejected.inc();
        seat.reject(delivery, reason).await
    }
}

fn is_pause(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Pause { .. })
}

fn forgotten() -> Outcome {
    Outcome::Retry { after: AFTER_DEFECT, reason: "handler did not say what became of it".to_owned() }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("handler panicked: {}", text.unwrap_or("without a message"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
