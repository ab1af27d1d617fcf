//! The circuit breaker around a dependency that is not called over gRPC, such as a database: while it is away, nobody
//! waits for it. This file must not know what the dependency is.

use std::{sync::Arc, time::Duration};

use super::{Outcome, attempt::fair, breaker::Pass, circuit::Circuit, config::Config, metrics::ClientMetrics};
use crate::{Deadline, Runtime, deadline, health};

/// The breaker is open: the dependency was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: circuit open, next probe in {} ms", retry_after.as_millis())]
pub struct Open {
    /// Which dependency.
    pub name: &'static str,
    /// When it is asked next.
    pub retry_after: Duration,
}

/// Why a guarded dependency gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was not asked.
    #[error(transparent)]
    Open(#[from] Open),
    /// It took too long.
    #[error(transparent)]
    Elapsed(#[from] deadline::Elapsed),
}

/// A circuit breaker around a dependency. Clones share it.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    circuit: Circuit,
    health: health::Component,
}

/// A call in flight. When it is dropped its caller has gone, which says nothing.
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

    /// Does `work` until `deadline`, unless the dependency is known to be away. An error that `blames` the dependency
    /// counts against it, and so does taking too long.
    ///
    /// # Errors
    /// [`Unanswered`] when the work was not begun, or not done in time.
    pub async fn run<T, E>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, E>>,
        blames: impl Fn(&E) -> bool,
    ) -> Result<Result<T, E>, Unanswered> {
        let inner = &*self.0;
        let name = inner.circuit.name;
        let pass = inner.circuit.admit().map_err(|retry_after| Open { name, retry_after })?;
        let mut pending = Pending { of: inner, pass, outcome: Outcome::Unsaid };
        let judged = fair(Some(deadline)).is_some();
        let done = deadline::run(deadline, work).await;
        pending.outcome = match &done {
            Ok(Err(error)) if blames(error) => Outcome::Failed,
            Ok(_) => Outcome::Answered,
            Err(deadline::Elapsed) if judged => Outcome::Failed,
            Err(deadline::Elapsed) => Outcome::Unsaid,
        };
        Ok(done?)
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
        let soon = || Deadline::within(Duration::from_millis(200));
        let hang = |deadline| guard.run(deadline, std::future::pending::<Result<(), ()>>(), |()| true);
        // Callers who leave say nothing.
        for _ in 0..50 {
            let left = tokio::time::timeout(Duration::from_millis(200), hang(Deadline::within(Duration::MAX))).await;
            assert!(left.is_err());
        }
        let mut asked = 0;
        while let Err(Unanswered::Elapsed(_)) = hang(soon()).await {
            asked += 1;
            assert!(asked < 50, "the breaker never opens");
        }
        assert!(asked > 1);
        let refused = guard.run(soon(), async { Ok::<_, ()>(1) }, |()| true).await.unwrap_err();
        assert!(refused.to_string().starts_with("store: circuit open"), "{refused}");
        assert!(runtime.metrics.encode().contains("setlist_client_breaker_state{dependency=\"store\"} 2"));
        // What is the caller's own fault is an answer; a few answers close it.
        let mut closed = false;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _refused = guard.run(soon(), async { Err::<(), _>("wrong") }, |_| false).await;
            closed = runtime.metrics.encode().contains("setlist_client_breaker_state{dependency=\"store\"} 0");
            if closed {
                break;
            }
        }
        assert!(closed);
        assert_eq!(guard.run(soon(), async { Ok::<_, ()>(1) }, |()| true).await, Ok(Ok(1)));
    }
}
