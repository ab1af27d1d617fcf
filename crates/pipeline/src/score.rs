//! A score that is always finite, so that no selector defends itself against NaN.

use std::cmp::Ordering;

/// A finite real number; larger is better.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score(f32);

impl Score {
    /// A score, unless the number is NaN or infinite.
    #[must_use]
    pub fn new(value: f32) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f32 {
        self.0
    }
}

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
