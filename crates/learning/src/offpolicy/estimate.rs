//! A number with its interval: sums of ratios of means, over rounds that belong to listeners. It must not know policies.
//!
//! Every estimator here has the form `Σ_p scale_p · mean(a_p) / mean(b_p)`: plain means have `b = 1`, self-normalised
//! ones have the weights below. The standard error is that of the delta method with listeners as the units that are
//! independent of each other: the influence of round i is `ψ_i = Σ_p scale_p (a_pi − R_p b_pi) / mean(b_p)` (Owen,
//! "Monte Carlo theory, methods and examples", section 9.2), summed within each listener before it is squared (Liang and
//! Zeger, "Longitudinal data analysis using generalized linear models", 1986).

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::Serialize;
use shared_models::Seed;

/// The quantile of the normal distribution that leaves 2.5 % above it.
const Z: f64 = 1.959_963_984_540_054;

/// How intervals are made.
///
/// Weighted rewards are skewed: many small ones and a few that are large. A normal interval is then too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intervals {
    /// Normal, with the standard error of the delta method, bent by the skewness of the influences: the cubic
    /// transformation of Hall, "On the Removal of Skewness by Transformation" (1992).
    Normal,
    /// Percentiles over listeners that are drawn again with replacement.
    Bootstrap {
        /// How often.
        rounds: usize,
        /// The source of the draws.
        seed: Seed,
    },
}

/// What a policy is worth by one estimator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The estimator.
    pub estimator: &'static str,
    /// The value.
    pub value: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The standard error.
    pub error: f64,
    /// The weights it used; `None` when it used none.
    pub weights: Option<Weights>,
}

impl Estimate {
    /// Whether the interval holds a value.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// How far the policy is from the log's: what to look at before believing an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Weights {
    /// Their mean before clipping: 1 in expectation, less where the policy does what the log's never did.
    pub mean: f64,
    /// The largest before clipping.
    pub largest: f64,
    /// The share that was clipped.
    pub clipped: f64,
    /// The effective sample size, `(Σw)² / Σw²` (Kish, "Survey Sampling", 1965): as many rounds of the policy itself
    /// would say as much.
    pub effective: f64,
}

impl Weights {
    /// What there is to say of weights, and the weights no greater than `most`.
    #[must_use]
    pub fn clip(raw: &[f64], most: Option<f64>) -> (Vec<f64>, Self) {
        let most = most.unwrap_or(f64::INFINITY);
        let clipped: Vec<f64> = raw.iter().map(|weight| weight.min(most)).collect();
        let count = raw.len().max(1) as f64;
        let (sum, squares) =
            clipped.iter().fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
        let of = Self {
            mean: raw.iter().sum::<f64>() / count,
            largest: raw.iter().copied().fold(0.0, f64::max),
            clipped: raw.iter().filter(|weight| **weight > most).count() as f64 / count,
            effective: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        };
        (clipped, of)
    }
}

/// One ratio of means.
pub(super) struct Part {
    pub(super) scale: f64,
    pub(super) above: Vec<f64>,
    /// `None` is 1 for every round.
    pub(super) below: Option<Vec<f64>>,
}

impl Part {
    pub(super) fn mean(above: Vec<f64>) -> Self {
        Self { scale: 1.0, above, below: None }
    }

    pub(super) fn ratio(above: Vec<f64>, below: Vec<f64>) -> Self {
        Self { scale: 1.0, above, below: Some(below) }
    }

    fn below(&self, round: usize) -> f64 {
        self.below.as_ref().map_or(1.0, |below| below[round])
    }
}

/// Sums of one unit: above and below of each part.
struct Sums {
    parts: usize,
    values: Vec<f64>,
}

impl Sums {
    fn of(parts: &[Part], units: &[u32]) -> Self {
        let count = units.iter().map(|unit| *unit as usize + 1).max().unwrap_or(0);
        let width = 2 * parts.len();
        let mut values = vec![0.0; count * width];
        let mut seen = vec![false; count];
        for (round, unit) in units.iter().enumerate() {
            let unit = *unit as usize;
            seen[unit] = true;
            for (at, part) in parts.iter().enumerate() {
                values[unit * width + 2 * at] += part.above[round];
                values[unit * width + 2 * at + 1] += part.below(round);
            }
        }
        // Units without rounds are none.
        let kept: Vec<f64> = values
            .chunks(width.max(1))
            .zip(&seen)
            .filter(|(_, seen)| **seen)
            .flat_map(|(values, _)| values.iter().copied())
            .collect();
        Self { parts: parts.len(), values: kept }
    }

    fn units(&self) -> usize {
        self.values.len() / (2 * self.parts).max(1)
    }

    fn of_unit(&self, unit: usize) -> &[f64] {
        let width = 2 * self.parts;
        &self.values[unit * width..(unit + 1) * width]
    }

    fn total(&self, units: impl Iterator<Item = usize>) -> Vec<f64> {
        let mut total = vec![0.0; 2 * self.parts];
        for unit in units {
            total.iter_mut().zip(self.of_unit(unit)).for_each(|(total, value)| *total += value);
        }
        total
    }
}

/// The ratio, or 0 where nothing stands below: no weight says nothing.
fn ratio(above: f64, below: f64) -> f64 {
    if below > 0.0 { above / below } else { 0.0 }
}

fn value(parts: &[Part], total: &[f64]) -> f64 {
    parts.iter().zip(total.chunks_exact(2)).map(|(part, sums)| part.scale * ratio(sums[0], sums[1])).sum()
}

/// Where a quantile of the normal distribution lies for the studentised mean of values whose skewness, over the root of
/// their number, is `skew`.
fn straight(quantile: f64, skew: f64) -> f64 {
    if skew.abs() < 1e-6 {
        return quantile;
    }
    3.0 / skew * ((1.0 + skew * (quantile - skew / 6.0)).cbrt() - 1.0)
}

/// The value of parts with its interval; `units` says whose each round is.
pub(super) fn estimate(
    estimator: &'static str,
    parts: &[Part],
    units: &[u32],
    weights: Option<Weights>,
    intervals: Intervals,
) -> Estimate {
    let sums = Sums::of(parts, units);
    let count = sums.units();
    let total = sums.total(0..count);
    let value_of = |total: &[f64]| value(parts, total);
    let middle = value_of(&total);
    let (mut variance, mut cubes) = (0.0, 0.0);
    for unit in 0..count {
        let influence: f64 = parts
            .iter()
            .zip(sums.of_unit(unit).chunks_exact(2))
            .zip(total.chunks_exact(2))
            .map(|((part, own), all)| part.scale * ratio(own[0] - ratio(all[0], all[1]) * own[1], all[1]))
            .sum();
        variance += influence * influence;
        cubes += influence * influence * influence;
    }
    let correction = if count > 1 { count as f64 / (count as f64 - 1.0) } else { 1.0 };
    let error = (variance * correction).sqrt();
    let (low, high) = match intervals {
        Intervals::Normal => {
            let skew = if variance > 0.0 { cubes / variance.powf(1.5) } else { 0.0 };
            (middle - error * straight(Z, skew), middle - error * straight(-Z, skew))
        }
        Intervals::Bootstrap { rounds, seed } if rounds > 0 && count > 0 => {
            let mut values: Vec<f64> = (0..rounds as u64)
                .into_par_iter()
                .map(|round| {
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed.0.wrapping_add(round));
                    value_of(&sums.total((0..count).map(|_| random.random_range(0..count))))
                })
                .collect();
            values.sort_unstable_by(f64::total_cmp);
            let at = |share: f64| values[((rounds - 1) as f64 * share).round() as usize];
            (at(0.025), at(0.975))
        }
        Intervals::Bootstrap { .. } => (middle, middle),
    };
    Estimate { estimator, value: middle, low, high, error, weights }
}

/// The mean of what was seen, with its interval: what the log's own policy brought.
#[must_use]
pub fn mean(estimator: &'static str, values: &[f64], units: &[u32], intervals: Intervals) -> Estimate {
    estimate(estimator, &[Part::mean(values.to_vec())], units, None, intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_textbook() {
        // 1000 independent coins with 6 heads of 10: sqrt(0.24 / 999).
        let values: Vec<f64> = (0..1_000).map(|n| f64::from(u8::from(n % 10 < 6))).collect();
        let alone: Vec<u32> = (0..1_000).collect();
        let single = mean("mean", &values, &alone, Intervals::Normal);
        assert!((single.value - 0.6).abs() < 1e-12);
        assert!((single.error - (0.24_f64 / 999.0).sqrt()).abs() < 1e-12, "{single:?}");
        let drawn = mean("mean", &values, &alone, Intervals::Bootstrap { rounds: 2_000, seed: Seed(3) });
        assert!((drawn.low - single.low).abs() < 0.003 && (drawn.high - single.high).abs() < 0.003, "{drawn:?}");
        // Ten rounds of one listener that are all alike say as much as one.
        let alike: Vec<f64> = (0..1_000).map(|n| f64::from(u8::from((n / 10) % 10 < 6))).collect();
        let ten: Vec<u32> = (0..1_000).map(|n| n / 10).collect();
        let grouped = mean("mean", &alike, &ten, Intervals::Normal);
        assert!((grouped.error - (0.24_f64 / 99.0).sqrt()).abs() < 1e-12, "{grouped:?}");
    }

    #[test]
    fn intervals_lean_to_where_the_tail_is() {
        // One round in a hundred brings a hundred.
        let values: Vec<f64> = (0..1_000).map(|n| if n % 100 == 0 { 100.0 } else { 0.0 }).collect();
        let units: Vec<u32> = (0..1_000).collect();
        let found = mean("mean", &values, &units, Intervals::Normal);
        let (below, above) = (found.value - found.low, found.high - found.value);
        assert!(below < Z * found.error && Z * found.error < above, "{found:?}");
        assert!((straight(Z, 1e-5) - Z).abs() < 1e-4 && straight(1.0, 0.0) == 1.0);
    }

    #[test]
    fn a_ratio_knows_that_both_its_means_are_drawn() {
        // What is twice its divisor in every round has no error at all.
        let below: Vec<f64> = (0..100).map(|n| 1.0 + f64::from(n % 7)).collect();
        let above: Vec<f64> = below.iter().map(|x| 2.0 * x).collect();
        let units: Vec<u32> = (0..100).collect();
        let ratio = estimate("ratio", &[Part::ratio(above, below)], &units, None, Intervals::Normal);
        assert!((ratio.value - 2.0).abs() < 1e-12 && ratio.error < 1e-12, "{ratio:?}");
    }

    #[test]
    fn weights_are_described_before_they_are_clipped() {
        let (clipped, of) = Weights::clip(&[0.0, 1.0, 1.0, 6.0], Some(3.0));
        assert_eq!(clipped, [0.0, 1.0, 1.0, 3.0]);
        assert_eq!((of.mean, of.largest, of.clipped), (2.0, 6.0, 0.25));
        assert!((of.effective - 25.0 / 11.0).abs() < 1e-12);
        assert_eq!(Weights::clip(&[], None).1.effective, 0.0);
    }
}
