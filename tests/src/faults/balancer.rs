//! What stands before the edges in production, in small: sends only to edges that say that they are ready, and asks
//! another where no connection can be made. This file must not know what is asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often an edge is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// How long one look may take.
const LOOK: Duration = Duration::from_millis(500);

/// Chooses an edge.
#[derive(Debug)]
pub struct Balancer {
    edges: Vec<String>,
    ready: Mutex<Vec<bool>>,
    next: AtomicUsize,
    stop: CancellationToken,
}

impl Balancer {
    /// Starts to look at the edges.
    #[must_use]
    pub fn start(edges: Vec<String>) -> Arc<Self> {
        let ready = Mutex::new(vec![true; edges.len()]);
        let balancer = Arc::new(Self { edges, ready, next: AtomicUsize::new(0), stop: CancellationToken::new() });
        let tasks = TaskTracker::new();
        for at in 0..balancer.edges.len() {
            // The task goes with the balancer: it holds it only for the time of a look.
            let (watched, stop) = (Arc::downgrade(&balancer), balancer.stop.clone());
            tasks.spawn(async move {
                let http = reqwest::Client::builder().timeout(LOOK).build().unwrap_or_default();
                while let Some(url) = watched.upgrade().map(|balancer| format!("{}/readyz", balancer.edges[at])) {
                    let ready = http.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
                    if let Some(balancer) = watched.upgrade() {
                        balancer.ready.lock()[at] = ready;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(EVERY) => {}
                        () = stop.cancelled() => return,
                    }
                }
            });
        }
        balancer
    }

    /// The edge for the next request, and another to ask where no connection to it can be made.
    #[must_use]
    pub fn choose(&self) -> [&str; 2] {
        let ready = self.ready.lock();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.edges.len();
        let mut all: Vec<usize> = (0..count).map(|step| (turn + step) % count).collect();
        all.sort_by_key(|at| !ready[*at]);
        let first = all.first().copied().unwrap_or_default();
        let second = all.get(1).copied().unwrap_or(first);
        [&self.edges[first], &self.edges[second]]
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
