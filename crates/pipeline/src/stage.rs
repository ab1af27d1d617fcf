//! What stages have in common: how they fail, whether they are needed, how long they may take.

use std::time::Duration;

use shared_models::degraded::DegradedCause;

/// Why a stage gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("stage gave nothing ({})", cause.as_str())]
pub struct Failure {
    /// The kind of failure, as `degraded` shows it.
    pub cause: DegradedCause,
    /// What lies under it, for the log.
    #[source]
    pub source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure with nothing under it.
    #[must_use]
    pub fn of(cause: DegradedCause) -> Self {
        Self { cause, source: None }
    }

    /// A stage that failed because of `source`.
    pub fn because(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { cause: DegradedCause::Failed, source: Some(std::sync::Arc::new(source)) }
    }
}

/// What a stage gives.
pub type StageResult<T> = Result<T, Failure>;

/// A hydrator's contribution: applied by the runner, in the order of the list.
pub type Patch<F> = Box<dyn FnOnce(&mut F) + Send>;

/// Whether a run can do without a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its failure fails the run.
    Required,
    /// Its failure shows in `degraded`.
    BestEffort,
}

/// How a stage is hung up in a pipeline.
pub struct Step<T: ?Sized> {
    /// Whether the run can do without it.
    pub need: Need,
    /// The most time it may take; what remains of the run's deadline caps it.
    pub budget: Duration,
    /// The stage.
    pub stage: Box<T>,
}

impl<T: ?Sized> Step<T> {
    /// A stage the run cannot do without.
    pub fn required(budget: Duration, stage: Box<T>) -> Self {
        Self { need: Need::Required, budget, stage }
    }

    /// A stage whose failure shows in `degraded`.
    pub fn best_effort(budget: Duration, stage: Box<T>) -> Self {
        Self { need: Need::BestEffort, budget, stage }
    }
}
