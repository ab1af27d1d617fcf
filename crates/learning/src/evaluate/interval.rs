//! How sure a mean is: the bootstrap.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use shared_models::Seed;

/// A mean with the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The mean of the sample.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The percentile interval: users are drawn again with replacement `rounds` times, and the interval
/// runs from the 2.5th to the 97.5th percentile of their means (Efron and Tibshirani, "An Introduction
/// to the Bootstrap", 1993, section 13.3). The same seed gives the same interval.
#[must_use]
pub fn bootstrap(values: &[f32], rounds: usize, seed: Seed) -> Interval {
    let mean = super::metrics::mean(values);
    if values.is_empty() || rounds == 0 {
        return Interval { mean, low: mean, high: mean };
    }
    let mut means: Vec<f64> = (0..rounds as u64)
        .into_par_iter()
        .map(|round| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed.0.wrapping_add(round));
            let sum: f64 = (0..values.len()).map(|_| f64::from(values[random.random_range(0..values.len())])).sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means[((rounds - 1) as f64 * share).round() as usize];
    Interval { mean, low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        // 400 zeros and 600 ones: the standard error is sqrt(0.24 / 1000) = 0.01549.
        let values: Vec<f32> = (0..1_000).map(|n| f32::from(u8::from(n % 10 < 6))).collect();
        let interval = bootstrap(&values, 2_000, Seed(3));
        assert!((interval.mean - 0.6).abs() < 1e-9);
        assert!((interval.low - (0.6 - 1.96 * 0.01549)).abs() < 0.003, "{interval:?}");
        assert!((interval.high - (0.6 + 1.96 * 0.01549)).abs() < 0.003, "{interval:?}");
        assert_eq!(interval, bootstrap(&values, 2_000, Seed(3)));
    }

    #[test]
    fn nothing_and_constants_have_no_width() {
        assert_eq!(bootstrap(&[], 100, Seed(1)), Interval { mean: 0.0, low: 0.0, high: 0.0 });
        assert_eq!(bootstrap(&[0.5; 9], 100, Seed(1)), Interval { mean: 0.5, low: 0.5, high: 0.5 });
    }
}
