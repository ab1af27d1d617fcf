//! One call of a dependency, over one attempt or more: admitted by the breaker, told to it, and told in its span.
//!
//! This file must not know how attempts are made.

use std::sync::Arc;

use tracing::Span;

use super::{Dependency, Outcome, attempt::fair, breaker::Pass, endpoint::Endpoint};
use crate::Deadline;

/// A call in flight. When it is dropped its caller has gone, or its time is up: the deadline tells which.
#[derive(Debug)]
pub(super) struct Call {
    dependency: Arc<Dependency>,
    pass: Pass,
    span: Span,
    fair: Option<Deadline>,
    attempts: u64,
    last: Option<Arc<Endpoint>>,
    ended: bool,
}

impl Call {
    /// A call that the breaker has let in, in the span that is open now.
    pub(super) fn begin(dependency: &Arc<Dependency>, pass: Pass, deadline: Option<Deadline>) -> Self {
        dependency.circuit.metrics.in_flight.inc();
        Self {
            dependency: Arc::clone(dependency),
            pass,
            span: Span::current(),
            fair: fair(deadline),
            attempts: 0,
            last: None,
            ended: false,
        }
    }

    /// The next attempt goes to `endpoint`.
    pub(super) fn attempt(&mut self, endpoint: &Arc<Endpoint>) {
        self.attempts += 1;
        self.last = Some(Arc::clone(endpoint));
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Outcome) {
        self.ended = true;
        self.dependency.circuit.metrics.in_flight.dec();
        // Written once, at the end: a span's field that is written twice stands in it twice.
        self.span.record("setlist.attempts", self.attempts);
        if let Some(endpoint) = &self.last {
            self.span.record("server.address", endpoint.host.as_str());
            self.span.record("server.port", endpoint.port);
        }
        self.dependency.called(self.pass, outcome);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            let overdue = self.fair.is_some_and(Deadline::is_past);
            self.close(if overdue { Outcome::Failed } else { Outcome::Unsaid });
        }
    }
}
