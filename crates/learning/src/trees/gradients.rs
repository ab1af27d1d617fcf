//! Derivatives of the loss of every row at its present score, and where scores begin.

use pulp::Arch;
use rayon::prelude::*;

use super::{CHUNK, ranking, settings::Objective, table::Table};

/// First and second derivatives, and what their sums are.
#[derive(Debug)]
pub(super) struct Gradients {
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    /// The sum of the first ones' magnitudes, and the sum of the second.
    pub(super) sums: (f64, f64),
}

impl Gradients {
    pub(super) fn new(rows: usize) -> Self {
        Self { first: vec![0.0; rows], second: vec![0.0; rows], sums: (0.0, 0.0) }
    }

    /// Takes the derivatives anew; where chance has a part in them, it comes from `seed`.
    pub(super) fn take(&mut self, objective: &Objective, table: &Table<'_>, scores: &[f32], seed: u32) {
        match objective {
            Objective::Logistic => self.each_row(table, scores, |score, label| {
                let probability = sigmoid(score);
                (probability - label, probability * (1.0 - probability))
            }),
            Objective::Squared => self.each_row(table, scores, |score, label| (score - label, 1.0)),
            Objective::Ranking { truncation, is_normalised, .. } => {
                ranking::each_group(table, scores, &mut self.first, &mut self.second, |group| {
                    ranking::lambdas(group, *truncation, *is_normalised);
                });
                self.weigh(table);
            }
            Objective::Disturbed { orders, decay, .. } => {
                ranking::each_group(table, scores, &mut self.first, &mut self.second, |group| {
                    ranking::disturbed(group, *orders, f64::from(*decay), seed);
                });
                self.weigh(table);
            }
        }
        self.sums = sums(&self.first, &self.second);
    }

    fn weigh(&mut self, table: &Table<'_>) {
        for ((first, second), weight) in self.first.iter_mut().zip(&mut self.second).zip(table.weights.unwrap_or(&[])) {
            (*first, *second) = (*first * weight, *second * weight);
        }
    }

    fn each_row(&mut self, table: &Table<'_>, scores: &[f32], derive: impl Fn(f32, f32) -> (f32, f32) + Sync) {
        let outs = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let ins = scores.par_chunks(CHUNK).zip(table.labels.par_chunks(CHUNK));
        outs.zip(ins).enumerate().for_each(|(chunk, ((first, second), (scores, labels)))| {
            Arch::new().dispatch(|| {
                for (((first, second), score), label) in first.iter_mut().zip(second.iter_mut()).zip(scores).zip(labels)
                {
                    (*first, *second) = derive(*score, *label);
                }
            });
            if let Some(weights) = table.weights.and_then(|weights| weights.get(chunk * CHUNK..)) {
                for ((first, second), weight) in first.iter_mut().zip(second).zip(weights) {
                    (*first, *second) = (*first * weight, *second * weight);
                }
            }
        });
    }
}

/// Sums in chunks of fixed size, added in their order: the same on however many threads.
fn sums(first: &[f32], second: &[f32]) -> (f64, f64) {
    let chunks: Vec<(f64, f64)> = first
        .par_chunks(CHUNK)
        .zip(second.par_chunks(CHUNK))
        .map(|(first, second)| {
            // Eight sums at a time: one alone would wait for itself.
            let (mut firsts, mut seconds) = ([0.0_f64; 8], [0.0_f64; 8]);
            for (first, second) in first.chunks(8).zip(second.chunks(8)) {
                for (((sum, sum_second), first), second) in firsts.iter_mut().zip(&mut seconds).zip(first).zip(second) {
                    *sum += f64::from(first.abs());
                    *sum_second += f64::from(*second);
                }
            }
            (firsts.iter().sum(), seconds.iter().sum())
        })
        .collect();
    chunks.iter().fold((0.0, 0.0), |sum, chunk| (sum.0 + chunk.0, sum.1 + chunk.1))
}

/// Where all scores begin: the best constant.
pub(super) fn start(objective: &Objective, table: &Table<'_>) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (row, label) in table.labels.iter().enumerate() {
        let weight = table.weights.and_then(|weights| weights.get(row)).map_or(1.0, |weight| f64::from(*weight));
        sum += weight * f64::from(*label);
        count += weight;
    }
    match objective {
        Objective::Logistic => {
            let rate = (sum + 0.5) / (count + 1.0);
            (rate / (1.0 - rate)).ln() as f32
        }
        Objective::Squared if count > 0.0 => (sum / count) as f32,
        Objective::Squared | Objective::Ranking { .. } | Objective::Disturbed { .. } => 0.0,
    }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^x` in plain arithmetic, which the compiler spreads over wide registers, and which is the same on all machines: a
/// power of two, and a polynomial for the rest (the coefficients of Cephes' `expf`). Exact to some 2 units of the last place.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 87.0);
    // Adding and taking away 1.5 · 2^23 rounds to the nearest whole number.
    let whole = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let rest = (x - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = sum * rest + coefficient;
    }
    let power = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    (sum * rest * rest + rest + 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for n in -8_600..8_600 {
            let x = n as f32 / 100.0;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 3e-7 * expected, "e^{x}: {found} is not {expected}");
        }
        assert_eq!((sigmoid(0.0), sigmoid(200.0)), (0.5, 1.0));
        assert!(sigmoid(-200.0) < 1e-30);
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        let (labels, weights) = ([1.0, 0.0, 0.25], [1.0, 2.0, 4.0]);
        let table = Table { columns: Vec::new(), labels: &labels, weights: Some(&weights), groups: None };
        let mut gradients = Gradients::new(3);
        gradients.take(&Objective::Squared, &table, &[0.5, 0.5, 0.5], 1);
        assert_eq!((&gradients.first[..], &gradients.second[..]), (&[-0.5, 1.0, 1.0][..], &[1.0, 2.0, 4.0][..]));
        assert_eq!(gradients.sums, (2.5, 7.0));
        gradients.take(&Objective::Logistic, &table, &[0.0; 3], 1);
        assert_eq!((&gradients.first[..], &gradients.second[..]), (&[-0.5, 1.0, 1.0][..], &[0.25, 0.5, 1.0][..]));
    }
}
