//! What every `App::build` is given: clock, metrics, health and task groups.
//!
//! This file must not know who uses them.

use std::{fmt, sync::Arc, time::Duration};

use shared_models::Clock;
use tokio::time::Instant;

use crate::{
    health::Health,
    metrics::Metrics,
    reload::Reloads,
    tasks::{StopSignal, TaskGroup},
    usage,
};

/// The task groups of a process, in the order in which they are stopped.
#[derive(Clone, Debug)]
pub struct TaskGroups {
    /// Servers and what they answer: stops accepting, finishes what is in hand.
    pub work: TaskGroup,
    /// Consumers of streams and watchers of releases.
    pub intake: TaskGroup,
    /// What happens after the answer: recorders, publishers, statistics.
    pub observers: TaskGroup,
}

/// What every part of a process is given. Clones share everything.
#[derive(Clone)]
pub struct Runtime {
    /// Where the time is read.
    pub clock: Arc<dyn Clock>,
    /// The registry of metrics.
    pub metrics: Metrics,
    /// Whether the process should get traffic.
    pub health: Health,
    /// The running tasks.
    pub tasks: TaskGroups,
    /// The configuration, where it is read again.
    pub reloads: Reloads,
    stop: StopSignal,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("health", &self.health).field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl Runtime {
    /// A runtime without tasks that reads the time from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let stop = StopSignal::default();
        let metrics = Metrics::new();
        usage::show(&metrics);
        Self {
            clock,
            metrics,
            health: Health::new(),
            tasks: TaskGroups {
                work: TaskGroup::stopping("work", stop.clone()),
                intake: TaskGroup::stopping("intake", stop.clone()),
                observers: TaskGroup::stopping("observers", stop.clone()),
            },
            reloads: Reloads::default(),
            stop,
        }
    }

    /// How a part asks the whole process to stop.
    #[must_use]
    pub fn stop_signal(&self) -> &StopSignal {
        &self.stop
    }

    /// Not ready any more; then work, intake and observers are drained in this order, within one `grace` for all.
    ///
    /// A group that is stuck leaves a tenth of the grace to each group after it. Gives how many tasks were dropped.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.health.drain();
        let end = Instant::now() + grace;
        let mut dropped = 0;
        for (group, after) in [(&self.tasks.work, 2), (&self.tasks.intake, 1), (&self.tasks.observers, 0)] {
            let left = end.saturating_duration_since(Instant::now());
            dropped += group.drain(left.saturating_sub(grace / 10 * after)).await;
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use shared_models::SystemClock;

    use super::*;
    use crate::tasks::OnFailure;

    #[tokio::test(start_paused = true)]
    async fn groups_are_drained_in_order() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let order = Arc::new(Mutex::new(Vec::new()));
        for group in [&runtime.tasks.observers, &runtime.tasks.work, &runtime.tasks.intake] {
            let (token, order, name) = (group.token(), Arc::clone(&order), group.name());
            group.spawn("member", OnFailure::Stop, async move {
                token.cancelled().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                order.lock().expect("not poisoned").push(name);
                Ok::<(), std::io::Error>(())
            });
        }
        assert_eq!(runtime.drain(Duration::from_secs(1)).await, 0);
        assert_eq!(*order.lock().expect("not poisoned"), ["work", "intake", "observers"]);
        assert!(!runtime.health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_group_does_not_keep_the_next_ones_from_stopping() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        runtime.tasks.work.spawn("stuck", OnFailure::Log, std::future::pending::<Result<(), std::io::Error>>());
        let token = runtime.tasks.observers.token();
        runtime.tasks.observers.spawn("polite", OnFailure::Log, async move {
            token.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
        assert_eq!(runtime.drain(Duration::from_secs(2)).await, 1);
        assert!(runtime.tasks.observers.token().is_cancelled());
    }
}
