//! Groups of tasks that are stopped together, in order, under one grace period.
//!
//! Every member says what its failure means. This file must not know what the tasks do.

use std::{
    error::Error as StdError,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the failure of a task means for the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is logged; the process goes on without the task.
    Log,
    /// The process cannot do its work without the task: it drains and ends with an error.
    Stop,
}

/// The one place where a process is told to stop, and why.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    token: CancellationToken,
    failure: Arc<OnceLock<String>>,
}

impl StopSignal {
    /// Asks the process to stop because `reason`; the first reason is kept.
    pub fn fail(&self, reason: String) {
        // A second failure during the drain is a consequence, not a cause.
        let _already_failed = self.failure.set(reason);
        self.token.cancel();
    }

    /// Asks the process to stop in good order.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Waits until somebody asks the process to stop.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Why the process must stop, when a task failed.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

/// Tasks that are stopped together. Clones share the same group.
#[derive(Clone, Debug)]
pub struct TaskGroup {
    name: &'static str,
    tracker: TaskTracker,
    /// Asks the members to finish.
    token: CancellationToken,
    /// Drops the members that did not finish in time.
    abort: CancellationToken,
    stop: StopSignal,
}

impl TaskGroup {
    /// An empty group that stops nobody but itself: for tests and tools.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::stopping(name, StopSignal::default())
    }

    /// An empty group whose [`OnFailure::Stop`] members end the process through `stop`.
    #[must_use]
    pub fn stopping(name: &'static str, stop: StopSignal) -> Self {
        Self {
            name,
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            abort: CancellationToken::new(),
            stop,
        }
    }

    /// Starts `task`. It sees no span of its starter: a task that belongs to a request instruments itself.
    pub fn spawn<F, E>(&self, name: &'static str, on_failure: OnFailure, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + Send + 'static,
    {
        let group = self.name;
        let stop = self.stop.clone();
        let abort = self.abort.clone();
        self.tracker.spawn(async move {
            let outcome = abort.run_until_cancelled(AssertUnwindSafe(task).catch_unwind()).await;
            let reason = match outcome {
                Some(Ok(Ok(()))) => return,
                Some(Ok(Err(error))) => chain(error.into().as_ref()),
                Some(Err(panic)) => panic_text(panic.as_ref()),
                None => {
                    tracing::warn!(group, task = name, "task was dropped at the end of the grace period");
                    return;
                }
            };
            tracing::error!(group, task = name, error = reason, "task failed");
            if on_failure == OnFailure::Stop {
                stop.fail(format!("task {name} of group {group} failed: {reason}"));
            }
        });
    }

    /// Runs blocking `work` on the blocking pool as a member of the group, and waits for its result.
    ///
    /// `None` when the work panicked; the panic is logged.
    pub async fn blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self.tracker.spawn_blocking(work).await {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::error!(group = self.name, task = name, %error, "blocking task failed");
                None
            }
        }
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Cancelled when the group is asked to finish.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// How many members run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no member runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Asks the members to finish, waits for them at most `grace`, then drops the rest. Gives how many were dropped.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_ok() {
            return 0;
        }
        let left = self.tracker.len();
        tracing::warn!(group = self.name, left, "tasks did not finish within the grace period");
        self.abort.cancel();
        left
    }
}

/// An error with all its sources, on one line.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn a_failed_task_that_matters_stops_the_process() {
        let stop = StopSignal::default();
        let group = TaskGroup::stopping("intake", stop.clone());
        group.spawn("reader", OnFailure::Stop, async { Err(io::Error::other("gone")) });
        stop.stopped().await;
        assert_eq!(stop.failure(), Some("task reader of group intake failed: gone"));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let stop = StopSignal::default();
        let group = TaskGroup::stopping("intake", stop.clone());
        group.spawn("reader", OnFailure::Stop, async { if true { panic!("boom") } else { Ok::<(), io::Error>(()) } });
        stop.stopped().await;
        assert_eq!(stop.failure(), Some("task reader of group intake failed: panicked: boom"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_logged_failure_does_not_stop_the_process() {
        let stop = StopSignal::default();
        let group = TaskGroup::stopping("observers", stop.clone());
        group.spawn("recorder", OnFailure::Log, async { Err("gone") });
        assert_eq!(group.drain(Duration::from_secs(1)).await, 0);
        assert_eq!(stop.failure(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_the_token_is_dropped_after_the_grace() {
        let group = TaskGroup::new("work");
        group.spawn("deaf", OnFailure::Log, async { std::future::pending::<Result<(), io::Error>>().await });
        assert_eq!(group.drain(Duration::from_secs(5)).await, 1);
        group.tracker.wait().await;
        assert!(group.is_empty());
    }
}
