//! What a load saw: each page with the moment it was due, how long it took from then, and its answer. This file must not
//! know how pages are asked for.

use std::{collections::BTreeMap, time::Duration};

/// What came of asking for a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// A page of this rung of the ladder (`none` is a whole one).
    Page(String),
    /// Another status than 200.
    Status(u16),
    /// A page that is none: no shelf, no card, not JSON.
    Odd(String),
    /// The connection broke, or nothing came in time.
    Broken(String),
}

/// One page.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was due, from the start of the load.
    pub due: Duration,
    /// How long it took from then.
    pub took: Duration,
    /// What came.
    pub answer: Answer,
}

/// The pages of a load, or of a part of it, in the order in which they were due.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Those that were due within a time.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Self {
        Self(self.0.iter().filter(|sample| (from..to).contains(&sample.due)).cloned().collect())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The 99th percentile of how long they took.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        self.percentile(0.99)
    }

    /// A percentile of how long they took.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut times: Vec<Duration> = self.0.iter().map(|sample| sample.took).collect();
        times.sort_unstable();
        let at = (times.len() as f64 * share).ceil() as usize;
        times.get(at.saturating_sub(1)).copied()
    }

    /// How many were answered with something else than a page, by what.
    #[must_use]
    pub fn failed(&self) -> BTreeMap<&Answer, usize> {
        self.tally(|answer| !matches!(answer, Answer::Page(_)))
    }

    /// How many pages stood on each rung.
    #[must_use]
    pub fn levels(&self) -> BTreeMap<&str, usize> {
        let pages = self.tally(|answer| matches!(answer, Answer::Page(_)));
        pages
            .into_iter()
            .filter_map(|(answer, count)| match answer {
                Answer::Page(level) => Some((level.as_str(), count)),
                Answer::Status(_) | Answer::Odd(_) | Answer::Broken(_) => None,
            })
            .collect()
    }

    /// The rungs as a line of text.
    #[must_use]
    pub fn levels_text(&self) -> String {
        self.levels().iter().map(|(level, count)| format!("{level} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// How long after `moment` the pages are whole again: from then on, for a second, no larger share than `noise`
    /// stands on one of `rungs` or failed.
    #[must_use]
    pub fn recovered_after(&self, moment: Duration, rungs: &[&str], noise: f64) -> Duration {
        let suffers = |sample: &Sample| match &sample.answer {
            Answer::Page(level) => rungs.contains(&level.as_str()),
            Answer::Status(_) | Answer::Odd(_) | Answer::Broken(_) => true,
        };
        let whole = |at: &&Sample| {
            let second = self.between(at.due, at.due + Duration::from_secs(1)).0;
            let suffering = second.iter().filter(|sample| suffers(sample)).count();
            !suffers(at) && suffering as f64 <= second.len() as f64 * noise
        };
        let later: Vec<&Sample> = self.0.iter().filter(|sample| sample.due >= moment).collect();
        match later.iter().position(whole) {
            // Until the first page is due, nobody can tell.
            Some(0) => Duration::ZERO,
            Some(at) => later[at].due - moment,
            None => later.last().map_or(Duration::ZERO, |last| last.due - moment),
        }
    }

    fn tally(&self, wanted: impl Fn(&Answer) -> bool) -> BTreeMap<&Answer, usize> {
        let mut counts = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| wanted(&sample.answer)) {
            *counts.entry(&sample.answer).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(due: u64, took: u64, answer: Answer) -> Sample {
        Sample { due: Duration::from_millis(due), took: Duration::from_millis(took), answer }
    }

    #[test]
    fn the_tail_and_the_recovery_are_read_off() {
        let page = |level: &str| Answer::Page(level.to_owned());
        let samples = Samples(
            (0..100)
                .map(|n| {
                    sample(n * 10, n + 1, if (40..=60).contains(&n) { page("source_order") } else { page("none") })
                })
                .chain([sample(2_000, 1, Answer::Status(500))])
                .collect(),
        );
        assert_eq!(samples.percentile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(samples.between(Duration::ZERO, Duration::from_secs(1)).p99(), Some(Duration::from_millis(99)));
        assert_eq!(samples.levels(), BTreeMap::from([("none", 79), ("source_order", 21)]));
        assert_eq!(samples.failed(), BTreeMap::from([(&Answer::Status(500), 1)]));
        let first_second = samples.between(Duration::ZERO, Duration::from_secs(1));
        let after = first_second.recovered_after(Duration::from_millis(500), &["source_order"], 0.0);
        assert_eq!(after, Duration::from_millis(110));
        assert_eq!(first_second.recovered_after(Duration::from_millis(700), &["source_order"], 0.0), Duration::ZERO);
        // A third of the next second's pages still suffer.
        let after = first_second.recovered_after(Duration::from_millis(390), &["source_order"], 0.5);
        assert_eq!(after, Duration::ZERO);
    }
}
