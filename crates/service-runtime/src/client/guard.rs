//! The circuit breaker around a dependency that is not called over gRPC, such as a database: while it is away, nobody
//! waits for it. This file must not know what the dependency is.

use std::{sync::Arc, time::Duration};

use super::{Outcome, breaker::Pass, circuit::Circuit, config::Config, metrics::ClientMetrics};
use crate::{Runtime, health};

/// The breaker is open: the dependency was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: circuit open, next probe in {} ms", retry_after.as_millis())]
pub struct Open {
    /// Which dependency.
    pub name: &'static str,
    /// When it is asked next.
    pub retry_after: Duration,
}

/// A circuit breaker around a dependency. Clones share it.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    circuit: Circuit,
    health: health::Component,
}

/// A call that counts as failed unless it is ended: whoever waited for it gave up.
struct Pending<'a> {
    of: &'a Inner,
    pass: Pass,
    outcome: Outcome,
}

impl Guard {
    /// A closed breaker around the dependency `name`. `/readyz` shows it as `client.<name>`, which is always ready.
    #[must_use]
    pub fn new(name: &'static str, config: &Config, runtime: &Runtime) -> Self {
        let health = runtime.health.component(format!("client.{name}"));
        health.ready();
        let metrics = ClientMetrics::new(&runtime.metrics, name);
        Self(Arc::new(Inner { circuit: Circuit::new(name, config, metrics), health }))
    }

    /// Does `work`, unless the dependency is known to be away. An error that `blames` the dependency counts against it,
    /// and so does work that is dropped before it is done.
    ///
    /// # Errors
    /// [`Open`] when the work was not begun.
    pub async fn run<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        blames: impl Fn(&E) -> bool,
    ) -> Result<Result<T, E>, Open> {
        let inner = &*self.0;
        let name = inner.circuit.name;
        let pass = inner.circuit.admit().map_err(|retry_after| Open { name, retry_after })?;
        let mut pending = Pending { of: inner, pass, outcome: Outcome::Failed };
        let done = work.await;
        if !done.as_ref().is_err_and(blames) {
            pending.outcome = Outcome::Answered;
        }
        Ok(done)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Inner { circuit, health } = self.of;
        if circuit.ended(self.pass, self.outcome) {
            health.detail(format!("circuit {}", circuit.breaker.state().as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_models::SystemClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_is_away_and_it_is_found_again() {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let guard = Guard::new("store", &Config::default(), &runtime);
        let hang = async || {
            let work = guard.run(std::future::pending::<Result<(), ()>>(), |()| true);
            tokio::time::timeout(Duration::from_millis(200), work).await
        };
        let mut asked = 0;
        while let Err(_gave_up) = hang().await {
            asked += 1;
            assert!(asked < 50, "the breaker never opens");
        }
        let refused = guard.run(async { Ok::<_, ()>(1) }, |()| true).await.unwrap_err();
        assert!(refused.to_string().starts_with("store: circuit open"), "{refused}");
        assert!(runtime.metrics.encode().contains("setlist_client_breaker_state{dependency=\"store\"} 2"));
        // What is the caller's own fault is an answer; a few answers close it.
        let mut closed = false;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _refused = guard.run(async { Err::<(), _>("wrong") }, |_| false).await;
            closed = runtime.metrics.encode().contains("setlist_client_breaker_state{dependency=\"store\"} 0");
            if closed {
                break;
            }
        }
        assert!(closed);
        assert_eq!(guard.run(async { Ok::<_, ()>(1) }, |()| true).await, Ok(Ok(1)));
    }
}
