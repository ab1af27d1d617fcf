//! The moment by which an answer must stand, carried from hop to hop.
//!
//! A deadline is an absolute moment of this process, so that it can be handed on without arithmetic; on the wire it is
//! the remaining time (`grpc-timeout`). This file must not know which protocol carries it.

use std::{future::Future, time::Duration};

use shared_models::ErrorCode;
use tokio::time::Instant;

/// The moment by which an answer must stand.
///
/// It is measured with tokio's clock, so that tests run with paused time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline exceeded")]
pub struct Elapsed;

impl Elapsed {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::DeadlineExceeded
    }
}

impl Deadline {
    /// A moment far enough away never to matter, and near enough never to overflow a sum.
    const NEVER: Duration = Duration::from_secs(86_400 * 365);

    /// The moment `budget` from now.
    #[must_use]
    pub fn within(budget: Duration) -> Self {
        Self(Instant::now() + budget.min(Self::NEVER))
    }

    /// The deadline at `moment`.
    #[must_use]
    pub fn from_instant(moment: Instant) -> Self {
        Self(moment)
    }

    /// The time that is left; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the moment has passed.
    #[must_use]
    pub fn is_past(self) -> bool {
        self.remaining().is_zero()
    }

    /// The nearer of two deadlines.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        self.min(other)
    }

    /// This deadline, but at most `budget` from now.
    #[must_use]
    pub fn capped(self, budget: Duration) -> Self {
        self.earliest(Self::within(budget))
    }

    /// This deadline, `margin` sooner: what a callee gets so that its answer still has time to come back.
    #[must_use]
    pub fn sooner(self, margin: Duration) -> Self {
        Self(self.0.checked_sub(margin).unwrap_or(self.0))
    }

    /// The moment itself.
    #[must_use]
    pub fn at(self) -> Instant {
        self.0
    }
}

/// Runs `work` until `deadline`, then drops it. Work that is given no time at all is not started.
///
/// # Errors
/// [`Elapsed`] when the deadline came first.
pub async fn run<T>(deadline: Deadline, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    if deadline.is_past() {
        return Err(Elapsed);
    }
    tokio::time::timeout_at(deadline.0, work).await.map_err(|_| Elapsed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_past_the_deadline_is_dropped() {
        let deadline = Deadline::within(Duration::from_millis(50));
        let outcome = run(deadline, tokio::time::sleep(Duration::from_secs(9))).await;
        assert_eq!(outcome, Err(Elapsed));
        assert!(deadline.is_past());
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_time_is_not_started() {
        let started = AtomicBool::new(false);
        let outcome = run(Deadline::within(Duration::ZERO), async { started.store(true, Ordering::Relaxed) }).await;
        assert_eq!(outcome, Err(Elapsed));
        assert!(!started.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_nearer_deadline_wins() {
        let near = Deadline::within(Duration::from_millis(10));
        let far = Deadline::within(Duration::MAX);
        assert_eq!(near.earliest(far), near);
        assert_eq!(far.capped(Duration::from_millis(10)), near);
        assert_eq!(far.capped(Duration::from_millis(12)).sooner(Duration::from_millis(2)), near);
    }
}
