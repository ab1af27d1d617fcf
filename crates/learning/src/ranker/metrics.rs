//! How good probabilities are: each example is a prediction and whether it came true.

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

/// The expected calibration error over `bins` bins of equally many examples, by prediction.
#[must_use]
pub fn calibration_error(examples: &[(f32, bool)], bins: usize) -> f64 {
    if examples.is_empty() {
        return 0.0;
    }
    let mut sorted = examples.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart: f64 = sorted
        .chunks(sorted.len().div_ceil(bins.max(1)))
        .map(|bin| {
            bin.iter()
                .map(|(predicted, happened)| f64::from(*predicted) - f64::from(u8::from(*happened)))
                .sum::<f64>()
                .abs()
        })
        .sum();
    apart / sorted.len() as f64
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
}
