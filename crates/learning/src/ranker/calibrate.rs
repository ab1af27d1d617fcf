//! Calibration: from logits to rates, fitted to rows that the weights have not seen. It must not know
//! actions or features.

use ranking::scorers::calibration::Calibration;

/// With fewer positives than this a table would follow noise: two numbers are fitted instead.
const ENOUGH_FOR_A_TABLE: usize = 300;
/// With fewer than this the logits stay as they are.
const ENOUGH_FOR_A_LINE: usize = 20;
/// Points that a table starts from, of equally many rows each.
const BINS: usize = 40;

/// Fits a calibration to logits with what happened; says which kind.
pub(super) fn fit(mut examples: Vec<(f32, bool)>) -> (&'static str, Calibration) {
    examples.retain(|example| example.0.is_finite());
    let positives = examples.iter().filter(|example| example.1).count();
    if positives.min(examples.len() - positives) < ENOUGH_FOR_A_LINE {
        return ("none", Calibration::default());
    }
    let calibration = if positives >= ENOUGH_FOR_A_TABLE { isotonic(examples) } else { platt(&examples) };
    let kind = match calibration {
        Calibration::Isotonic { .. } => "isotonic",
        Calibration::Platt { .. } => "platt",
    };
    // What ranking would refuse is never handed on: the logits as they are always serve.
    if calibration.problem().is_some() { ("none", Calibration::default()) } else { (kind, calibration) }
}

struct Point {
    logits: f64,
    positives: f64,
    rows: f64,
}

impl Point {
    fn rate(&self) -> f64 {
        self.positives / self.rows
    }
}

/// Isotonic regression over bins of equally many rows, by pooling adjacent violators (Ayer, Brunk,
/// Ewing, Reid and Silverman, "An Empirical Distribution Function for Sampling with Incomplete
/// Information", 1955). Half a row of the overall rate in each bin keeps rates off 0 and 1.
fn isotonic(mut examples: Vec<(f32, bool)>) -> Calibration {
    examples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let overall = examples.iter().filter(|example| example.1).count() as f64 / examples.len() as f64;
    let mut pooled: Vec<Point> = Vec::with_capacity(BINS);
    for bin in examples.chunks(examples.len().div_ceil(BINS)) {
        let mut point = Point {
            logits: bin.iter().map(|example| f64::from(example.0)).sum(),
            positives: bin.iter().filter(|example| example.1).count() as f64 + 0.5 * overall,
            rows: bin.len() as f64 + 0.5,
        };
        while let Some(before) = pooled.pop_if(|before| before.rate() >= point.rate()) {
            point = Point {
                logits: before.logits + point.logits,
                positives: before.positives + point.positives,
                rows: before.rows + point.rows,
            };
        }
        pooled.push(point);
    }
    let (mut logits, mut probabilities): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    for point in &pooled {
        // Each bin has half a row too many for the mean of its logits, which shifts none of them by
        // more than a hundredth of a bin.
        let logit = (point.logits / point.rows) as f32;
        if logits.last().is_none_or(|last| logit > *last) {
            logits.push(logit);
            probabilities.push(point.rate() as f32);
        }
    }
    Calibration::Isotonic { logits, probabilities }
}

/// Slope and offset by Newton's method (Platt 1999, with the targets kept off 0 and 1 as there).
fn platt(examples: &[(f32, bool)]) -> Calibration {
    let positives = examples.iter().filter(|example| example.1).count() as f64;
    let negatives = examples.len() as f64 - positives;
    let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let (mut slope, mut offset) = (1.0_f64, 0.0_f64);
    for _ in 0..50 {
        let (mut gradient, mut hessian) = ([0.0_f64; 2], [1e-9_f64, 0.0, 1e-9]);
        for (logit, label) in examples {
            let x = f64::from(*logit);
            let probability = 1.0 / (1.0 + (-(slope * x + offset)).exp());
            let error = probability - if *label { high } else { low };
            let weight = probability * (1.0 - probability);
            gradient[0] += error * x;
            gradient[1] += error;
            hessian[0] += weight * x * x;
            hessian[1] += weight * x;
            hessian[2] += weight;
        }
        let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
        if determinant.abs() < 1e-12 {
            break;
        }
        let steps = [
            (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant,
            (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant,
        ];
        slope -= steps[0].clamp(-1.0, 1.0);
        offset -= steps[1].clamp(-2.0, 2.0);
        if steps[0].abs() + steps[1].abs() < 1e-9 {
            break;
        }
    }
    Calibration::Platt { slope: slope.max(0.0) as f32, offset: offset as f32 }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    fn sample(rows: usize, bias: f32) -> Vec<(f32, bool)> {
        let mut rng = SmallRng::seed_from_u64(3);
        (0..rows)
            .map(|_| {
                let logit: f32 = rng.random_range(-4.0..4.0);
                (logit, rng.random::<f32>() < 1.0 / (1.0 + (-(0.5 * logit + bias)).exp()))
            })
            .collect()
    }

    #[test]
    fn both_kinds_undo_a_known_distortion() {
        for (rows, bias, kind) in [(20_000, -1.0, "isotonic"), (1_500, -2.5, "platt")] {
            let (found, calibration) = fit(sample(rows, bias));
            assert_eq!(found, kind);
            assert_eq!(calibration.problem(), None);
            for logit in [-3.0_f32, -1.0, 0.0, 1.0, 3.0] {
                let truth = 1.0 / (1.0 + (-(0.5 * logit + bias)).exp());
                assert!(
                    (calibration.apply(logit) - truth).abs() < 0.06,
                    "{kind} at {logit}: {} is not {truth}",
                    calibration.apply(logit)
                );
            }
        }
    }

    #[test]
    fn with_hardly_a_positive_the_logits_stay() {
        assert_eq!(fit(vec![(0.0, true), (1.0, false)]), ("none", Calibration::default()));
    }
}
