//! The pulse of the runtime: how long ready work waits before it runs, felt a hundred times a second.
//!
//! The wait in the middle counts: one long task makes one wait long, a queue makes most of them long. Must not know
//! requests.

use std::{convert::Infallible, sync::Arc, time::Duration};

use service_runtime::{OnFailure, Runtime};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Admission;
use crate::config::Limits;

/// How often the pulse is felt.
const BEAT: Duration = Duration::from_millis(10);
/// How long a window is.
const WINDOW: Duration = Duration::from_millis(100);
/// Timers are as fine as this: so much later than it was set, one is on time.
const GRAIN: Duration = Duration::from_millis(1);

impl Admission {
    /// Adapts the limit from now on, until the process stops.
    pub(crate) fn start(self: &Arc<Self>, limits: &Limits, runtime: &Runtime) {
        let mut rule = self.rule(limits);
        let admission = Arc::clone(self);
        let stop = runtime.tasks.intake.token();
        runtime.tasks.intake.spawn("edge-pulse", OnFailure::Log, async move {
            let beats = async {
                loop {
                    let wait = usual_wait().await;
                    admission.adapt(&mut rule, wait);
                }
            };
            let _stopped: Option<Infallible> = stop.run_until_cancelled(beats).await;
            Ok::<(), Infallible>(())
        });
    }
}

/// Feels the pulse for a window.
async fn usual_wait() -> Duration {
    let began = Instant::now();
    let mut waits: SmallVec<[Duration; 16]> = SmallVec::new();
    while began.elapsed() < WINDOW {
        let due = Instant::now() + BEAT;
        tokio::time::sleep_until(due).await;
        waits.push(due.elapsed().saturating_sub(GRAIN));
    }
    waits.sort_unstable();
    waits.get(waits.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_felt_and_a_single_long_task_is_not() {
        let hog = |times: usize| async move {
            for _ in 0..times {
                std::thread::sleep(Duration::from_millis(30));
                tokio::task::yield_now().await;
            }
        };
        let (queue, ()) = tokio::join!(usual_wait(), hog(8));
        assert!(queue >= Duration::from_millis(10), "{queue:?}");
        // The first beats after it are on time, unless the machine itself is not.
        let mut calm = Duration::MAX;
        for _ in 0..20 {
            let (wait, ()) = tokio::join!(usual_wait(), hog(1));
            calm = calm.min(wait);
        }
        assert!(calm < Duration::from_millis(10), "{calm:?}");
    }
}
