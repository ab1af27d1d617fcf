//! Turns at the processors: as many requests begin their work at once as there are threads to do it.
//!
//! Work that never waits for anything keeps its thread to the end. Were all that have a seat in the runtime's queue,
//! whoever comes would stand behind them, to be refused or not. So they wait here, where they are counted and timed, and
//! between two pages the runtime looks at what has come. Work that waits for a service gives its turn back with its first
//! wait. Must not know requests.

use std::{
    future::poll_fn,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Semaphore};

/// The turns of this process.
pub(super) struct Turns(Semaphore);

impl Turns {
    /// One for each thread of the runtime.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())))
    }

    /// Waits for a turn and begins the work, which is told how long that took.
    pub(super) async fn begin<F: Future>(&self, work: impl FnOnce(Duration) -> F) -> F::Output {
        let since = Instant::now();
        // Nobody closes it.
        let turn = self.0.acquire().await.ok();
        // What has come meanwhile goes first: most of it costs nothing.
        tokio::task::yield_now().await;
        let mut work = pin!(work(since.elapsed()));
        let begun = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
        drop(turn);
        match begun {
            Poll::Ready(done) => done,
            Poll::Pending => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_only_comes_by_does_not_stand_behind_the_work() {
        let turns = Arc::new(Turns::new());
        let mut work = JoinSet::new();
        for _ in 0..40 {
            let turns = Arc::clone(&turns);
            let busy = |waited| async move {
                std::thread::sleep(Duration::from_millis(20));
                waited
            };
            work.spawn(async move { turns.begin(busy).await });
        }
        let mut others = JoinSet::new();
        others.spawn(async {
            let began = Instant::now();
            let mut by = JoinSet::new();
            for _ in 0..5 {
                by.spawn(async {});
                by.join_next().await;
            }
            began.elapsed()
        });
        // Behind all of it they would stand for 400 ms each time.
        let took = others.join_next().await.unwrap().unwrap();
        assert!(took < Duration::from_millis(350), "{took:?}");
        let longest = work.join_all().await.into_iter().max().unwrap();
        assert!(longest > Duration::from_millis(300), "{longest:?}");
    }

    #[tokio::test]
    async fn who_waits_for_a_service_keeps_nobody() {
        let (turns, begun) = (Turns::new(), AtomicUsize::new(0));
        let wait = || {
            turns.begin(|_| async {
                begun.fetch_add(1, Ordering::Relaxed);
                while begun.load(Ordering::Relaxed) < 3 {
                    tokio::task::yield_now().await;
                }
            })
        };
        tokio::join!(wait(), wait(), wait());
    }
}
