//! How good probabilities are: each example is a prediction and whether it came true.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use shared_models::Seed;

use crate::{evaluate::Interval, trees::Bin};

/// How often rows are drawn again for an interval.
const ROUNDS: usize = 200;

/// Mean log loss; 0 of nothing.
#[must_use]
pub fn log_loss(examples: &[(f32, bool)]) -> f64 {
    mean(examples.iter().map(|(predicted, happened)| loss(f64::from(*predicted), *happened)), examples.len())
}

/// The log loss of saying the same rate of everything.
#[must_use]
pub fn log_loss_of_rate(examples: &[(f32, bool)], rate: f64) -> f64 {
    mean(examples.iter().map(|(_, happened)| loss(rate, *happened)), examples.len())
}

fn loss(predicted: f64, happened: bool) -> f64 {
    let predicted = predicted.clamp(1e-7, 1.0 - 1e-7);
    if happened { -predicted.ln() } else { -(1.0 - predicted).ln() }
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

/// The area under the ROC curve; ties count half. 0.5 when all or none came true.
#[must_use]
pub fn auc(examples: &[(f32, bool)]) -> f64 {
    let mut sorted = examples.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = sorted.iter().filter(|example| example.1).count() as f64;
    let negatives = sorted.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 0.5;
    }
    let (mut above, mut below) = (0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let ups = tied.iter().filter(|example| example.1).count() as f64;
        let downs = tied.len() as f64 - ups;
        above += ups * (below + 0.5 * downs);
        below += downs;
    }
    above / (positives * negatives)
}

/// Examples in bins of equally many, by ascending prediction: what was predicted and what came true.
#[must_use]
pub fn reliability(examples: &[(f32, bool)], bins: usize) -> Vec<Bin> {
    let of = |rows: &[(f32, bool)]| Bin {
        predicted: mean(rows.iter().map(|row| f64::from(row.0)), rows.len()),
        happened: mean(rows.iter().map(|row| f64::from(u8::from(row.1))), rows.len()),
        rows: rows.len(),
    };
    binned(examples, bins).iter().map(|rows| of(rows)).collect()
}

/// The expected calibration error over `bins` bins of equally many examples, by prediction (Naeini, Cooper and
/// Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015).
#[must_use]
pub fn calibration_error(examples: &[(f32, bool)], bins: usize) -> f64 {
    let apart = |bin: &Bin| (bin.predicted - bin.happened).abs() * bin.rows as f64;
    reliability(examples, bins).iter().map(apart).sum::<f64>() / examples.len().max(1) as f64
}

/// The same with the interval that holds it with 95 % confidence: rows are drawn again within their bins. Chance alone
/// makes an error above 0, so the interval may lie above the mean where there are few rows.
#[must_use]
pub fn calibration_interval(examples: &[(f32, bool)], bins: usize, seed: Seed) -> Interval {
    let mean = calibration_error(examples, bins);
    if examples.is_empty() {
        return Interval::default();
    }
    let mut random = SmallRng::seed_from_u64(seed.0);
    let binned = binned(examples, bins);
    let mut errors: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let apart = |rows: &Vec<(f32, bool)>| {
                let drawn = (0..rows.len()).map(|_| rows[random.random_range(0..rows.len())]);
                drawn.map(|(predicted, happened)| f64::from(predicted) - f64::from(u8::from(happened))).sum::<f64>()
            };
            binned.iter().map(apart).map(f64::abs).sum::<f64>() / examples.len() as f64
        })
        .collect();
    errors.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| errors[((ROUNDS - 1) as f64 * share).round() as usize];
    Interval { mean, low: at(0.025), high: at(0.975) }
}

fn binned(examples: &[(f32, bool)], bins: usize) -> Vec<Vec<(f32, bool)>> {
    let mut sorted = examples.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.chunks(sorted.len().div_ceil(bins.max(1)).max(1)).map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        check(auc(&[(0.1, false), (0.4, true), (0.35, false), (0.8, true)]), 1.0);
        check(auc(&[(0.5, false), (0.5, true)]), 0.5);
        check(auc(&[(0.9, false), (0.1, true)]), 0.0);
        check(auc(&[(0.9, true)]), 0.5);
        check(log_loss(&[(0.5, true), (0.5, false)]), std::f64::consts::LN_2);
        check(calibration_error(&[(0.25, true), (0.25, false), (0.25, false), (0.25, false)], 1), 0.0);
        check(calibration_error(&[(0.75, true), (0.75, false), (0.75, false), (0.75, false)], 1), 0.5);
    }

    #[test]
    fn an_interval_holds_the_error_that_is_there() {
        // Predicted 0.3 of what happens half of the time: the error is 0.2.
        let examples: Vec<(f32, bool)> = (0..2_000).map(|n| (0.3, n % 2 == 0)).collect();
        let Interval { mean, low, high } = calibration_interval(&examples, 1, Seed(1));
        assert!((mean - 0.2).abs() < 1e-6 && (0.15..0.2).contains(&low) && (0.2..0.25).contains(&high), "{low} {high}");
    }
}
