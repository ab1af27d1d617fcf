//! Calibration: from logits to rates, fitted to rows that the weights have not seen. Each kind that there are enough
//! positives for is tried on parts that it was not fitted to, and the one that says best what happened is fitted to all.
//! It must not know actions or features.

use ranking::scorers::calibration::Calibration;

use super::metrics;

/// With fewer positives than this a table would follow noise.
const ENOUGH_FOR_A_TABLE: usize = 300;
/// With fewer than this a curve of three numbers would, too.
const ENOUGH_FOR_A_CURVE: usize = 60;
/// With fewer than this the logits stay as they are.
const ENOUGH_FOR_A_LINE: usize = 20;
/// Points that a table starts from, of equally many rows each.
const BINS: usize = 40;
/// How far beyond its ends, in logits, a table has points.
const TAIL: [f32; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];
/// Parts that kinds are tried on, one after another.
const FOLDS: usize = 5;
/// By how much more, in log loss over all rows, a kind must say it better than a simpler one: chance alone may give as much.
const MARGIN: f64 = 1.0;
/// Steps of Newton's method at most.
const STEPS: usize = 50;

/// A way to calibrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Platt,
    Beta,
    Isotonic,
}

impl Kind {
    /// From the simplest on: of two that do as well, the simpler is taken.
    const ALL: [Self; 3] = [Self::Platt, Self::Beta, Self::Isotonic];

    fn as_str(self) -> &'static str {
        match self {
            Self::Platt => "platt",
            Self::Beta => "beta",
            Self::Isotonic => "isotonic",
        }
    }

    fn needs(self) -> usize {
        match self {
            Self::Platt => ENOUGH_FOR_A_LINE,
            Self::Beta => ENOUGH_FOR_A_CURVE,
            Self::Isotonic => ENOUGH_FOR_A_TABLE,
        }
    }

    fn fit(self, examples: &[(f32, bool)]) -> Calibration {
        match self {
            Self::Platt => platt(examples),
            Self::Beta => beta(examples),
            Self::Isotonic => isotonic(examples.to_vec()),
        }
    }
}

/// Fits a calibration to logits with what happened; says which kind.
pub(super) fn fit(mut examples: Vec<(f32, bool)>) -> (&'static str, Calibration) {
    examples.retain(|example| example.0.is_finite());
    let positives = examples.iter().filter(|example| example.1).count();
    let fewer = positives.min(examples.len() - positives);
    let tried: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| fewer >= kind.needs()).collect();
    let mut best: Option<(Kind, f64)> = None;
    for kind in tried {
        let loss = held_out(kind, &examples);
        if best.is_none_or(|(_, least)| loss + MARGIN < least) {
            best = Some((kind, loss));
        }
    }
    let Some((kind, _)) = best else { return ("none", Calibration::default()) };
    let calibration = kind.fit(&examples);
    // What ranking would refuse is never handed on: the logits as they are always serve.
    if calibration.problem().is_some() { ("none", Calibration::default()) } else { (kind.as_str(), calibration) }
}

/// The log loss of a kind on parts that it was not fitted to: every fifth row, five times.
fn held_out(kind: Kind, examples: &[(f32, bool)]) -> f64 {
    let part = |fold: usize, is_held: bool| {
        let rows = examples.iter().enumerate().filter(move |(at, _)| (at % FOLDS == fold) == is_held);
        rows.map(|(_, example)| *example).collect::<Vec<_>>()
    };
    let losses = (0..FOLDS).map(|fold| {
        let calibration = kind.fit(&part(fold, false));
        let told: Vec<(f32, bool)> =
            part(fold, true).into_iter().map(|(logit, happened)| (calibration.apply(logit), happened)).collect();
        metrics::log_loss(&told) * told.len() as f64
    });
    losses.sum()
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
    let (logits, probabilities) = with_tails(&logits, &probabilities);
    Calibration::Isotonic { logits, probabilities }
}

/// A table is level outside its points, and its first and last point are means of many rows: left so, the best cards of
/// a page would all be as likely, and their order lost. The table goes on in log-odds as steeply as it rises on the
/// whole, and no steeper than the logits themselves.
fn with_tails(logits: &[f32], probabilities: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let ends = logits.first().zip(probabilities.first()).zip(logits.last().zip(probabilities.last()));
    let Some(((first, lowest), (last, highest))) = ends.filter(|_| logits.len() > 1) else {
        return (logits.to_vec(), probabilities.to_vec());
    };
    let odds = |probability: f32| (probability / (1.0 - probability)).ln();
    let rise = ((odds(*highest) - odds(*lowest)) / (last - first)).clamp(0.0, 1.0);
    let beyond = |from: (f32, f32), by: f32| (from.0 + by, 1.0 / (1.0 + (-(odds(from.1) + rise * by)).exp()));
    let before = TAIL.iter().rev().map(|by| beyond((*first, *lowest), -by));
    let within = logits.iter().copied().zip(probabilities.iter().copied());
    let after = TAIL.iter().map(|by| beyond((*last, *highest), *by));
    let table: Vec<(f32, f32)> = before.chain(within.clone()).chain(after).collect();
    // Logits so large that half a one more is the same number have no tails.
    if table.is_sorted_by(|a, b| a.0 < b.0) { table.into_iter().unzip() } else { within.unzip() }
}

/// Slope and offset (Platt 1999, with the targets kept off 0 and 1 as there).
fn platt(examples: &[(f32, bool)]) -> Calibration {
    let [slope, offset] = newton(examples, |logit| [logit, 1.0], [1.0, 0.0], [0.0; 2]);
    Calibration::Platt { slope: slope.max(0.0) as f32, offset: offset as f32 }
}

/// Two slopes and an offset; a slope that comes out below 0 is left out and the rest fitted again (Kull, Silva Filho and
/// Flach 2017, algorithm 1). Where nearly all probabilities are small, the second slope hardly speaks: one row's weight
/// holds each at 1.
fn beta(examples: &[(f32, bool)]) -> Calibration {
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let drawn = [1.0, 1.0, 0.0];
    let mut slopes = newton(examples, |logit| [-softplus(-logit), softplus(logit), 1.0], drawn, drawn);
    if slopes[0] < 0.0 {
        let [down, offset] = newton(examples, |logit| [softplus(logit), 1.0], [1.0, 0.0], [1.0, 0.0]);
        slopes = [0.0, down.max(0.0), offset];
    } else if slopes[1] < 0.0 {
        let [up, offset] = newton(examples, |logit| [-softplus(-logit), 1.0], [1.0, 0.0], [1.0, 0.0]);
        slopes = [up.max(0.0), 0.0, offset];
    }
    Calibration::Beta { up: slopes[0] as f32, down: slopes[1] as f32, offset: slopes[2] as f32 }
}

/// Logistic regression on a few numbers of each logit by Newton's method, from a start; `held` says how strongly each
/// weight is held at its start. Targets are kept off 0 and 1 as Platt's are.
fn newton<const N: usize>(
    examples: &[(f32, bool)],
    columns: impl Fn(f64) -> [f64; N],
    start: [f64; N],
    held: [f64; N],
) -> [f64; N] {
    let positives = examples.iter().filter(|example| example.1).count() as f64;
    let negatives = examples.len() as f64 - positives;
    let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let objective = |weights: &[f64; N]| {
        let loss = |(logit, label): &(f32, bool)| {
            let sum: f64 = columns(f64::from(*logit)).iter().zip(weights).map(|(x, weight)| x * weight).sum();
            sum.max(0.0) + (-sum.abs()).exp().ln_1p() - sum * if *label { high } else { low }
        };
        let penalty = |at: usize| 0.5 * held[at] * (weights[at] - start[at]).powi(2);
        examples.iter().map(loss).sum::<f64>() + (0..N).map(penalty).sum::<f64>()
    };
    let mut weights = start;
    let mut least = objective(&weights);
    for _ in 0..STEPS {
        let mut gradient: [f64; N] = std::array::from_fn(|at| held[at] * (weights[at] - start[at]));
        let mut hessian = [[0.0_f64; N]; N];
        hessian.iter_mut().enumerate().for_each(|(at, line)| line[at] = held[at] + 1e-9);
        for (logit, label) in examples {
            let x = columns(f64::from(*logit));
            let sum: f64 = x.iter().zip(&weights).map(|(x, weight)| x * weight).sum();
            let probability = 1.0 / (1.0 + (-sum).exp());
            let error = probability - if *label { high } else { low };
            let weight = probability * (1.0 - probability);
            for ((gradient, line), one) in gradient.iter_mut().zip(&mut hessian).zip(&x) {
                *gradient += error * one;
                line.iter_mut().zip(&x).for_each(|(cell, other)| *cell += weight * one * other);
            }
        }
        let Some(step) = solved(hessian, gradient) else { break };
        // Newton's step may overshoot far from the optimum: halve it until the loss falls.
        let mut size = 1.0;
        let (next, loss) = loop {
            let next: [f64; N] = std::array::from_fn(|at| weights[at] - size * step[at]);
            let loss = objective(&next);
            if loss <= least || size < 1e-6 {
                break (next, loss);
            }
            size *= 0.5;
        };
        let fell = least - loss;
        if fell > 0.0 {
            (weights, least) = (next, loss);
        }
        if fell <= 1e-9 * least.abs() {
            break;
        }
    }
    weights
}

/// Solves a small system by elimination with pivots; `None` where it has no one solution.
fn solved<const N: usize>(mut system: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for at in 0..N {
        let pivot = (at..N).max_by(|a, b| system[*a][at].abs().total_cmp(&system[*b][at].abs()))?;
        system.swap(at, pivot);
        right.swap(at, pivot);
        if system[at][at].abs() < 1e-12 {
            return None;
        }
        for row in at + 1..N {
            let (above, factor) = (system[at], system[row][at] / system[at][at]);
            system[row].iter_mut().zip(above).for_each(|(cell, above)| *cell -= factor * above);
            right[row] -= factor * right[at];
        }
    }
    let mut solution = [0.0; N];
    for at in (0..N).rev() {
        let known: f64 = (at + 1..N).map(|column| system[at][column] * solution[column]).sum();
        solution[at] = (right[at] - known) / system[at][at];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    /// Logits, and what happens at a rate that is some curve of them.
    fn sample(rows: usize, rate: fn(f32) -> f32) -> Vec<(f32, bool)> {
        let mut rng = SmallRng::seed_from_u64(3);
        (0..rows)
            .map(|_| {
                let logit: f32 = rng.random_range(-4.0..4.0);
                (logit, rng.random::<f32>() < rate(logit))
            })
            .collect()
    }

    fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn each_kind_is_taken_where_it_fits_and_undoes_the_distortion() {
        let line = |logit: f32| sigmoid(0.5 * logit - 2.5);
        let curve = |logit: f32| {
            let p = sigmoid(logit);
            let odds = 0.5 * p.powf(0.25) / (1.0 - p).powf(1.6);
            odds / (1.0 + odds)
        };
        let steps = |logit: f32| {
            if logit < -1.0 {
                0.05
            } else if logit < 2.0 {
                0.4
            } else {
                0.9
            }
        };
        let cases: [(usize, fn(f32) -> f32, &str); 3] =
            [(1_500, line, "platt"), (40_000, curve, "beta"), (40_000, steps, "isotonic")];
        for (rows, rate, kind) in cases {
            let (found, calibration) = fit(sample(rows, rate));
            assert_eq!(found, kind);
            assert_eq!(calibration.problem(), None);
            for logit in [-3.0_f32, -1.5, 0.0, 1.0, 3.0] {
                let (told, truth) = (calibration.apply(logit), rate(logit));
                assert!((told - truth).abs() < 0.06, "{kind} at {logit}: {told} is not {truth}");
            }
        }
    }

    #[test]
    fn logits_that_are_far_off_are_brought_back() {
        // A model that was fitted to other rows, where what happens is far rarer, and is far too sure of itself.
        let far: Vec<(f32, bool)> =
            sample(600, |logit| sigmoid(0.3 * logit - 1.0)).into_iter().map(|(x, y)| (8.0 * x - 25.0, y)).collect();
        for kind in Kind::ALL {
            let calibration = kind.fit(&far);
            let told: Vec<(f32, bool)> = far.iter().map(|(logit, label)| (calibration.apply(*logit), *label)).collect();
            assert!(metrics::calibration_error(&told, 5) < 0.05, "{kind:?}: {calibration:?}");
        }
    }

    #[test]
    fn what_falls_with_the_logit_is_never_fitted_as_rising() {
        for kind in Kind::ALL {
            let calibration = kind.fit(&sample(4_000, |logit| sigmoid(-logit)));
            assert_eq!(calibration.problem(), None, "{kind:?}: {calibration:?}");
            assert!(calibration.apply(3.0) >= calibration.apply(-3.0));
        }
    }

    #[test]
    fn the_best_and_the_worst_keep_their_order_in_a_table() {
        let examples = sample(40_000, |logit| sigmoid(0.8 * logit - 1.0));
        let calibration = isotonic(examples.clone());
        assert_eq!(calibration.problem(), None);
        let told: Vec<f32> = (-100..100).map(|step| calibration.apply(step as f32 / 10.0)).collect();
        assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
        let told: Vec<(f32, bool)> = examples.iter().map(|(logit, y)| (calibration.apply(*logit), *y)).collect();
        assert!(metrics::calibration_error(&told, 10) < 0.02, "{calibration:?}");
        // One that rises nowhere, and one of logits too large for tails.
        assert_eq!(isotonic(sample(4_000, |logit| sigmoid(-logit))).problem(), None);
        assert_eq!(isotonic(examples.iter().map(|(logit, y)| (logit * 1e9, *y)).collect()).problem(), None);
    }

    #[test]
    fn with_hardly_a_positive_the_logits_stay() {
        assert_eq!(fit(vec![(0.0, true), (1.0, false)]), ("none", Calibration::default()));
    }
}
