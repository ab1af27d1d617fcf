//! One attempt at one endpoint: counted from its start to its end, however it ends.
//!
//! This file must not know what follows from an attempt.

use std::{sync::Arc, time::Duration};

use tonic::Code;

use super::{Dependency, Outcome, endpoint::Endpoint};
use crate::Deadline;

/// Who gets less time than this is not to blame for taking longer.
const FAIR: Duration = Duration::from_millis(10);

/// The deadline, when the time up to it is enough to judge by.
pub(super) fn fair(deadline: Option<Deadline>) -> Option<Deadline> {
    deadline.filter(|deadline| deadline.remaining() >= FAIR)
}

/// An attempt in flight. When it is dropped its caller has gone, or its time is up: the deadline tells which.
#[derive(Debug)]
pub(super) struct Attempt {
    dependency: Arc<Dependency>,
    endpoint: Arc<Endpoint>,
    fair: Option<Deadline>,
    ended: bool,
}

impl Attempt {
    pub(super) fn begin(dependency: &Arc<Dependency>, endpoint: Arc<Endpoint>, deadline: Option<Deadline>) -> Self {
        endpoint.begin();
        dependency.circuit.metrics.attempts.inc();
        Self { dependency: Arc::clone(dependency), endpoint, fair: fair(deadline), ended: false }
    }

    /// It ended with `code`. Gives what that says of the endpoint.
    pub(super) fn end(mut self, code: Code) -> Outcome {
        let outcome = match code {
            Code::Unavailable | Code::Internal | Code::Unknown => Outcome::Failed,
            // Whoever was given too little time has not failed; without a deadline the server's own has passed.
            Code::DeadlineExceeded if self.fair.is_some() => Outcome::Failed,
            Code::DeadlineExceeded => Outcome::Unsaid,
            _ => Outcome::Answered,
        };
        self.close(outcome);
        outcome
    }

    /// It ended without a word about the endpoint.
    pub(super) fn forget(mut self) {
        self.close(Outcome::Unsaid);
    }

    fn close(&mut self, outcome: Outcome) {
        self.ended = true;
        self.endpoint.end();
        self.dependency.attempted(&self.endpoint, outcome);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            let overdue = self.fair.is_some_and(Deadline::is_past);
            self.close(if overdue { Outcome::Failed } else { Outcome::Unsaid });
        }
    }
}
