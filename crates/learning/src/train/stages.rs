//! How long the stages of a training take, and how much memory the process holds at most in each.

use std::time::Instant;

use crate::evaluate::memory;

/// The stages that are over, in order.
pub(super) struct Stages {
    started: Instant,
    since: Instant,
    pub(super) seconds: Vec<(&'static str, f64)>,
    pub(super) peaks: Vec<(&'static str, u64)>,
}

impl Stages {
    /// The first stage begins.
    pub(super) fn begin() -> Self {
        memory::reset_peak();
        let now = Instant::now();
        Self { started: now, since: now, seconds: Vec::new(), peaks: Vec::new() }
    }

    /// A stage is over, and the next one begins.
    pub(super) fn over(&mut self, name: &'static str) {
        self.seconds.push((name, self.since.elapsed().as_secs_f64()));
        self.peaks.extend(memory::peak().map(|peak| (name, peak)));
        memory::reset_peak();
        self.since = Instant::now();
    }

    /// All are over.
    pub(super) fn end(&mut self) {
        let most = self.peaks.iter().map(|(_, peak)| *peak).max();
        self.seconds.push(("all", self.started.elapsed().as_secs_f64()));
        self.peaks.extend(most.map(|most| ("all", most)));
    }
}
