//! What was missing, slow or skipped in an answer. No fallback is silent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far down the brown-out ladder an answer stands; later is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedLevel {
    /// Everything asked for is there.
    #[default]
    None,
    /// A best-effort part is missing: one source, one hydrator.
    Partial,
    /// Ranking is missing: cards stand in source order.
    SourceOrder,
    /// The listener's last good page.
    LastGood,
    /// What is popular in the market, from the edge's own snapshot.
    Popular,
    /// Not even a snapshot: the shelves are empty.
    Empty,
}

impl DegradedLevel {
    /// The level as it stands in answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::SourceOrder => "source_order",
            Self::LastGood => "last_good",
            Self::Popular => "popular",
            Self::Empty => "empty",
        }
    }
}

/// Why a stage gave less than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DegradedCause {
    /// It did not answer within its budget.
    Timeout,
    /// It failed.
    Failed,
    /// It is not reachable, or its breaker is open.
    Unavailable,
    /// There is no live release yet, or it holds no such artefact.
    NoRelease,
    /// The budget was spent before it could start.
    Skipped,
}

impl DegradedCause {
    /// The cause as it stands in answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::NoRelease => "no_release",
            Self::Skipped => "skipped",
        }
    }
}

/// One stage that gave less than it should.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DegradedStage {
    /// The stage, such as `source.trending` or `ranking`.
    pub stage: String,
    /// Why.
    pub cause: DegradedCause,
}

impl DegradedStage {
    /// A stage that gave less than it should.
    #[must_use]
    pub fn new(stage: impl Into<String>, cause: DegradedCause) -> Self {
        Self { stage: stage.into(), cause }
    }
}

/// How one source of a page fared.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    /// Which source.
    pub name: crate::component::SourceName,
    /// How many candidates it returned.
    pub returned: u32,
    /// What went wrong, when something did.
    pub degraded: Option<DegradedCause>,
    /// How long it took.
    pub elapsed: Duration,
}
