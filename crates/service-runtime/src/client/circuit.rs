//! What every dependency has: a breaker, what is counted, and what operators are told when the breaker changes. This
//! file must not know how the dependency is called.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Outcome,
    breaker::{Breaker, Pass, State},
    config::Config,
    metrics::ClientMetrics,
};

/// The circuit to one dependency.
#[derive(Debug)]
pub(super) struct Circuit {
    pub(super) name: &'static str,
    pub(super) metrics: ClientMetrics,
    pub(super) breaker: Breaker,
    /// Moments are milliseconds since then, so that they fit into a word.
    began: Instant,
}

impl Circuit {
    pub(super) fn new(name: &'static str, config: &Config, metrics: ClientMetrics) -> Self {
        Self { name, metrics, breaker: Breaker::new(config), began: Instant::now() }
    }

    /// Lets a call in, or says how long it is until the next probe.
    pub(super) fn admit(&self) -> Result<Pass, Duration> {
        let pass = self.breaker.admit(self.now()).inspect_err(|_| {
            self.metrics.refused.inc();
        })?;
        if pass == Pass::Probe {
            self.metrics.breaker(State::HalfOpen, false);
        }
        Ok(pass)
    }

    /// A call ended; whether that changed the breaker.
    pub(super) fn ended(&self, pass: Pass, outcome: Outcome) -> bool {
        let Some(state) = self.breaker.record(pass, outcome, self.now()) else { return false };
        self.metrics.breaker(state, pass == Pass::Usual);
        match (state, pass) {
            (State::Open, Pass::Usual) => tracing::warn!(dependency = self.name, "circuit is open"),
            (State::Closed, _) => tracing::info!(dependency = self.name, "circuit is closed"),
            _ => {}
        }
        true
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
