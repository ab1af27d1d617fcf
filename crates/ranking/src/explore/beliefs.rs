//! What is believed of each candidate: how much better or worse than the model's word it may be, and how surely.
//!
//! # From counts to beliefs
//! The quality of an item is its *rate*: plays that follow an impression, per impression. The release knows a rate of
//! each item, which the model's score already stands on; it is worth `prior` impressions. With `shown` impressions and
//! `taken` plays since, both decayed, the rate is believed to follow `Beta(rate · prior + taken, (1 − rate) · prior +
//! shown − taken)` (the conjugate prior of Thompson sampling in Chapelle and Li, "An Empirical Evaluation of Thompson
//! Sampling", NIPS 2011). A score is taken to grow with the rate: an item whose rate is `r` times what the release says
//! is worth `score + |score| · (r − 1)`. Its mean and standard deviation, on the scale of values, are the belief, and
//! the belief is taken to be normal (as in Agrawal and Goyal, "Further Optimal Regret Bounds for Thompson Sampling",
//! AISTATS 2013): its two moments are those of the Beta distribution.
//!
//! It must never know where counts come from.

use shared_models::{candidates::CandidateTable, component::Fact};

use crate::features::gather::Crowd;

/// A value is never surer than this: so every near card keeps a chance, and chances can be computed.
pub const LEAST_DEVIATION: f32 = 0.02;
/// Nor less sure than this: the width of the whole pool.
const MOST_DEVIATION: f32 = 1.0;
/// What is believed of an item's rate where there is no release.
const UNKNOWN_RATE: f32 = 0.1;
/// Rates closer to 0 or 1 are taken for these: what the release rounds to never must not stay so for ever.
const RATES: (f32, f32) = (0.001, 0.999);
/// An item is taken to be at most so many times as good as the release says.
const MOST_RATIO: f32 = 4.0;

/// What is believed of an item's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior {
    /// Its mean.
    pub mean: f32,
    /// Its standard deviation.
    pub deviation: f32,
}

/// The belief after `shown` impressions and `taken` plays, where `prior` impressions at `rate` came before.
#[must_use]
pub fn posterior(rate: f32, prior: f32, shown: f32, taken: f32) -> Posterior {
    let shown = if shown.is_finite() { shown.max(0.0) } else { 0.0 };
    let taken = if taken.is_finite() { taken.clamp(0.0, shown) } else { 0.0 };
    let count = prior + shown;
    let mean = (rate * prior + taken) / count;
    Posterior { mean, deviation: (mean * (1.0 - mean) / (count + 1.0)).sqrt() }
}

/// What everybody does with a page's candidates, for beliefs about them.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    shown: &'a [f32],
    taken: &'a [f32],
    crowd: &'a [Crowd],
}

impl<'a> Evidence<'a> {
    /// What the page's facts and its release say.
    #[must_use]
    pub fn of(table: &'a CandidateTable, crowd: Option<&'a [Crowd]>) -> Self {
        let column = |fact| table.fact(fact).unwrap_or(&[]);
        let (shown, taken) = (column(Fact::CrowdShown), column(Fact::CrowdTaken));
        Self { shown, taken, crowd: crowd.unwrap_or(&[]) }
    }

    /// How often a row's item was shown: by the release, or of late, whichever is more.
    #[must_use]
    pub fn shown(&self, row: u32) -> f32 {
        let released = self.crowd.get(row as usize).map_or(0.0, |crowd| crowd.impressions);
        released.max(self.shown.get(row as usize).copied().unwrap_or(0.0))
    }

    /// The rate of a row's item that the release knows.
    #[must_use]
    pub fn rate(&self, row: u32) -> f32 {
        let known = self.crowd.get(row as usize).map(|crowd| crowd.all.play).filter(|rate| rate.is_finite());
        known.unwrap_or(UNKNOWN_RATE).clamp(RATES.0, RATES.1)
    }

    /// What is believed of the rate of a row's item.
    #[must_use]
    pub fn posterior(&self, row: u32, prior: f32) -> Posterior {
        let of = |column: &[f32]| column.get(row as usize).copied().unwrap_or(0.0);
        posterior(self.rate(row), prior, of(self.shown), of(self.taken))
    }

    /// What a row's score is worth by what is believed of its item, and the standard deviation of that; in scores.
    #[must_use]
    pub fn worth(&self, row: u32, score: f32, prior: f32) -> (f32, f32) {
        let rate = self.rate(row);
        let Posterior { mean, deviation } = self.posterior(row, prior);
        let ratio = (mean / rate).min(MOST_RATIO);
        (score + score.abs() * (ratio - 1.0), score.abs() * deviation / rate)
    }
}

/// A standard deviation, held to what a belief may have.
#[must_use]
pub fn held(deviation: f32) -> f32 {
    if deviation.is_finite() { deviation.clamp(LEAST_DEVIATION, MOST_DEVIATION) } else { MOST_DEVIATION }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posterior_starts_at_the_prior_and_narrows_with_impressions() {
        let none = posterior(0.2, 20.0, 0.0, 0.0);
        assert!((none.mean - 0.2).abs() < 1e-6);
        assert!((none.deviation - (0.2_f32 * 0.8 / 21.0).sqrt()).abs() < 1e-6);
        let mut before = none.deviation;
        for shown in [10.0, 100.0, 1_000.0, 10_000.0] {
            let after = posterior(0.2, 20.0, shown, shown * 0.2);
            assert!((after.mean - 0.2).abs() < 1e-5);
            assert!(after.deviation < before, "{shown}");
            before = after.deviation;
        }
        assert!(before < 0.005);
    }

    #[test]
    fn what_happens_moves_the_mean_and_nonsense_does_not() {
        assert!(posterior(0.1, 20.0, 100.0, 50.0).mean > 0.4);
        assert!(posterior(0.1, 20.0, 100.0, 0.0).mean < 0.02);
        // More plays than impressions: some impressions were not told.
        assert!(posterior(0.1, 20.0, 10.0, 50.0).mean <= 1.0);
        assert_eq!(posterior(0.1, 20.0, f32::NAN, f32::INFINITY), posterior(0.1, 20.0, 0.0, 0.0));
    }

    #[test]
    fn what_is_better_than_believed_is_worth_more_also_below_zero() {
        let crowd = [Crowd { all: releases::rates::Four { play: 0.1, ..Default::default() }, ..Crowd::default() }];
        let evidence = Evidence { shown: &[100.0], taken: &[20.0], crowd: &crowd };
        for score in [0.5, -0.5] {
            let (worth, deviation) = evidence.worth(0, score, 20.0);
            assert!(worth > score && deviation > 0.0, "{score}: {worth}");
        }
    }
}
