//! Logistic regression with an L2 penalty, by Newton's method (iteratively reweighted least squares)
//! in `f64`. It must not know what the columns mean.

use ranking::features::COLUMNS;
use rayon::prelude::*;

/// The bias is the last column of the system.
const SIZE: usize = COLUMNS + 1;
/// Rows that are summed together; fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 4_096;
const ITERATIONS: usize = 50;

/// Rows with mean 0 and deviation 1, with a column of ones at the end.
pub(super) fn standardise(features: &[f32], means: &[f32], scales: &[f32]) -> Vec<[f64; SIZE]> {
    features
        .chunks_exact(COLUMNS)
        .map(|row| {
            let mut out = [1.0_f64; SIZE];
            for (((place, value), mean), scale) in out.iter_mut().zip(row).zip(means).zip(scales) {
                *place = f64::from(value - mean) / f64::from(*scale);
            }
            out
        })
        .collect()
}

/// The logit of a rate, kept away from never and always.
pub(super) fn logit_of_rate(positives: usize, rows: usize) -> f64 {
    let rate = (positives as f64 + 0.5) / (rows as f64 + 1.0);
    (rate / (1.0 - rate)).ln()
}

/// The bias and weights that lower `Σ log loss + λ/2 |w|²` the most; the bias is not penalised.
/// `None` when a system cannot be solved.
pub(super) fn fit(rows: &[[f64; SIZE]], labels: &[bool], l2: f64) -> Option<(f64, Vec<f64>)> {
    let mut weights = [0.0_f64; SIZE];
    weights[COLUMNS] = logit_of_rate(labels.iter().filter(|label| **label).count(), labels.len());
    let mut loss = objective(rows, labels, &weights, l2);
    for _ in 0..ITERATIONS {
        let system = system(rows, labels, &weights, l2);
        let step = solve(system.hessian, system.gradient)?;
        // Newton's step may overshoot far from the optimum: halve it until the loss falls.
        let mut size = 1.0;
        let (next, next_loss) = loop {
            let next: [f64; SIZE] = std::array::from_fn(|at| weights[at] - size * step[at]);
            let next_loss = objective(rows, labels, &next, l2);
            if next_loss <= loss || size < 1e-6 {
                break (next, next_loss);
            }
            size *= 0.5;
        };
        let fell = loss - next_loss;
        if fell > 0.0 {
            weights = next;
            loss = next_loss;
        }
        if fell <= 1e-9 * loss.abs() {
            break;
        }
    }
    weights.iter().all(|weight| weight.is_finite()).then(|| (weights[COLUMNS], weights[..COLUMNS].to_vec()))
}

fn dot(a: &[f64; SIZE], b: &[f64; SIZE]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn objective(rows: &[[f64; SIZE]], labels: &[bool], weights: &[f64; SIZE], l2: f64) -> f64 {
    let blocks: Vec<f64> = rows
        .par_chunks(BLOCK)
        .zip(labels.par_chunks(BLOCK))
        .map(|(rows, labels)| {
            rows.iter()
                .zip(labels)
                .map(|(row, label)| {
                    let logit = dot(row, weights);
                    softplus(if *label { -logit } else { logit })
                })
                .sum()
        })
        .collect();
    blocks.iter().sum::<f64>() + 0.5 * l2 * weights[..COLUMNS].iter().map(|weight| weight * weight).sum::<f64>()
}

struct System {
    hessian: Vec<f64>,
    gradient: [f64; SIZE],
}

fn system(rows: &[[f64; SIZE]], labels: &[bool], weights: &[f64; SIZE], l2: f64) -> System {
    let blocks: Vec<System> = rows
        .par_chunks(BLOCK)
        .zip(labels.par_chunks(BLOCK))
        .map(|(rows, labels)| block(rows, labels, weights))
        .collect();
    let mut sum = System { hessian: vec![0.0; SIZE * SIZE], gradient: [0.0; SIZE] };
    for block in blocks {
        sum.hessian.iter_mut().zip(&block.hessian).for_each(|(sum, part)| *sum += part);
        sum.gradient.iter_mut().zip(&block.gradient).for_each(|(sum, part)| *sum += part);
    }
    for (at, weight) in weights.iter().enumerate().take(COLUMNS) {
        sum.hessian[at * SIZE + at] += l2;
        sum.gradient[at] += l2 * weight;
    }
    // A bias that no row constrains would make the system singular.
    sum.hessian[COLUMNS * SIZE + COLUMNS] += 1e-9;
    sum
}

fn block(rows: &[[f64; SIZE]], labels: &[bool], weights: &[f64; SIZE]) -> System {
    let mut system = System { hessian: vec![0.0; SIZE * SIZE], gradient: [0.0; SIZE] };
    for (row, label) in rows.iter().zip(labels) {
        let probability = 1.0 / (1.0 + (-dot(row, weights)).exp());
        let error = probability - f64::from(u8::from(*label));
        let weight = (probability * (1.0 - probability)).max(1e-12);
        for (at, value) in row.iter().enumerate() {
            system.gradient[at] += error * value;
            let scaled = weight * value;
            // The lower triangle is enough: the matrix is symmetric.
            for (place, other) in system.hessian[at * SIZE..=at * SIZE + at].iter_mut().zip(row) {
                *place += scaled * other;
            }
        }
    }
    system
}

/// Solves a symmetric positive definite system, given by its lower triangle, by Cholesky's method.
fn solve(mut matrix: Vec<f64>, right: [f64; SIZE]) -> Option<[f64; SIZE]> {
    for row in 0..SIZE {
        for column in 0..=row {
            let mut value = matrix[row * SIZE + column];
            for k in 0..column {
                value -= matrix[row * SIZE + k] * matrix[column * SIZE + k];
            }
            if row == column {
                if !value.is_finite() || value <= 0.0 {
                    return None;
                }
                matrix[row * SIZE + row] = value.sqrt();
            } else {
                matrix[row * SIZE + column] = value / matrix[column * SIZE + column];
            }
        }
    }
    let mut solution = right;
    for row in 0..SIZE {
        for k in 0..row {
            solution[row] -= matrix[row * SIZE + k] * solution[k];
        }
        solution[row] /= matrix[row * SIZE + row];
    }
    for row in (0..SIZE).rev() {
        for k in row + 1..SIZE {
            solution[row] -= matrix[k * SIZE + row] * solution[k];
        }
        solution[row] /= matrix[row * SIZE + row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn the_weights_that_made_the_labels_are_found() {
        let mut rng = SmallRng::seed_from_u64(1);
        let rows: Vec<[f64; SIZE]> = (0..40_000)
            .map(|_| std::array::from_fn(|at| if at == COLUMNS { 1.0 } else { rng.random_range(-1.7..1.7) }))
            .collect();
        let labels: Vec<bool> = rows
            .iter()
            .map(|row| rng.random::<f64>() < 1.0 / (1.0 + (-(0.8 * row[0] - 0.5 * row[3] - 1.0)).exp()))
            .collect();
        let (bias, weights) = fit(&rows, &labels, 1.0).unwrap();
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 0.06, "{found} is not {expected}");
        check(bias, -1.0);
        check(weights[0], 0.8);
        check(weights[3], -0.5);
        check(weights[1], 0.0);
    }

    #[test]
    fn a_column_that_tells_all_stays_finite_under_the_penalty() {
        let rows: Vec<[f64; SIZE]> = (0..1_000)
            .map(|n| {
                std::array::from_fn(|at| {
                    if at == COLUMNS {
                        1.0
                    } else if at == 0 {
                        f64::from(n % 2) * 2.0 - 1.0
                    } else {
                        0.0
                    }
                })
            })
            .collect();
        let labels: Vec<bool> = (0..1_000).map(|n| n % 2 == 1).collect();
        let (_, weights) = fit(&rows, &labels, 1.0).unwrap();
        assert!(weights[0] > 2.0 && weights[0] < 10.0);
    }
}
