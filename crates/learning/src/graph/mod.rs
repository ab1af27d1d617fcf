//! Graph filters: scores by walking from a user's items over the users who share them, and back.
//!
//! They must not know events, catalogues or releases' files: a matrix of what users chose goes in, scores come out.
//! Nothing is trained but a basis of smooth signals.
//!
//! # The model
//! `S = D_u^-a R D_i^-b` is the matrix R of what was chosen, with the degrees of both sides taken out, and `P = Sᵀ S`
//! the filter over items. For a user with weights x over the items the scores are
//!
//! `z = D_i^(b-c) P x + β D_i^½ V Vᵀ D_i^-½ x`
//!
//! The first part is linear: items that neighbours chose, as far as one step goes. In the second, V spans the space of
//! the k smoothest signals, the leading right singular vectors of S with a = b = ½: an ideal low pass, for what is far
//! away. With a = b = c = ½ throughout it is GF-CF (Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021).
//!
//! The sum may be sharpened: what a further walk would say of an item is what everybody gets, and is taken off. That is
//! the equation `dz/dt = -P z` from 0 to T, in one step of the classical Runge-Kutta method, which makes it the polynomial
//! `1 - T P + T² P² / 2 - T³ P³ / 6 + T⁴ P⁴ / 24` (Choi et al., "Blurring-Sharpening Process Models for Collaborative
//! Filtering", SIGIR 2023).
//!
//! # Cost
//! Two sparse matrices as large as R, and `items × k` numbers for V, which takes some passes over R of k columns each.
//! A user costs two passes over R for each power of P: R is read for 16 users at a time.

mod basis;
mod walk;

use shared_models::Seed;

use crate::{
    dense::Matrix,
    evaluate::Scorer,
    factors::Interactions,
    progress::{Progress, Unit},
};

use walk::{LANES, Lanes, Walk};

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// a: how much of a user's degree is taken out; ½ is the symmetric form.
    pub user_exponent: f32,
    /// b: how much of an item's degree is taken out where a walk begins.
    pub item_exponent: f32,
    /// c: how much of an item's degree is taken out where a walk ends; less lifts popular items.
    pub end_exponent: f32,
    /// k: how many smooth signals pass; 0 leaves the low pass out.
    pub signals: usize,
    /// β: the weight of the low pass.
    pub low_pass: f32,
    /// Rounds of subspace iteration that find the signals. Few leave the edge of the low pass soft, which serves better: GF-CF
    /// on Gowalla reaches a Recall@20 of 0.1870 with 4, 0.1858 with 20, and 0.1850 with exact singular vectors.
    pub rounds: usize,
    /// T: how long scores are sharpened; 0 leaves it out.
    pub sharpening: f32,
    /// The source of the first guess of the signals.
    pub seed: Seed,
}

impl Settings {
    /// GF-CF, with the numbers of its authors.
    #[must_use]
    pub fn gf_cf() -> Self {
        let half = 0.5;
        Self {
            user_exponent: half,
            item_exponent: half,
            end_exponent: half,
            signals: 256,
            low_pass: 0.3,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    /// Chosen on the validation part of Gowalla's training data. GF-CF has ½ for the three exponents, 256 signals and a
    /// low pass of 0.3.
    fn default() -> Self {
        Self {
            user_exponent: 0.4,
            item_exponent: 0.5,
            end_exponent: 0.4,
            signals: 512,
            low_pass: 1.5,
            rounds: 3,
            sharpening: 0.0,
            seed: Seed(1),
        }
    }
}

/// A filter over the items of a matrix.
#[derive(Clone, Debug)]
pub struct Filter {
    walk: Walk,
    /// V, a row for each item; no columns without low pass.
    basis: Matrix,
    /// What an item is multiplied by behind the linear part, before the low pass and behind it.
    behind: Vec<f32>,
    narrow: Vec<f32>,
    widen: Vec<f32>,
    settings: Settings,
}

impl Filter {
    /// The filter of what was chosen, whatever the weights.
    #[must_use]
    pub fn of(chosen: &Interactions, settings: &Settings, progress: &dyn Progress) -> Self {
        let by_item = chosen.transpose();
        let (of_users, of_items) = (degrees(chosen), degrees(&by_item));
        let (a, b) = (settings.user_exponent, settings.item_exponent);
        let walk = Walk::new(chosen, &by_item, &powers(&of_users, -a), &powers(&of_items, -b));
        let stage = progress.stage("smooth signals", Unit::Steps, Some(settings.rounds as u64));
        let basis = signals(chosen, settings.signals, settings.rounds, settings.seed, &mut || stage.advance(1));
        stage.finish(&format!("{} signals of {} items", basis.columns, basis.rows));
        Self {
            walk,
            basis,
            behind: powers(&of_items, b - settings.end_exponent),
            narrow: powers(&of_items, -0.5),
            widen: powers(&of_items, 0.5),
            settings: settings.clone(),
        }
    }

    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.behind.len()
    }

    /// The scores of users whose rows of `given` say what they chose and how much each weighs.
    #[must_use]
    pub fn scorer(self, given: Interactions) -> FilterScorer {
        FilterScorer { filter: self, given }
    }

    /// The scores of up to 16 users.
    fn apply(&self, given: &[(&[u32], &[f32])]) -> Vec<Lanes> {
        let mut start = vec![[0.0; LANES]; self.items()];
        let mut smooth = vec![[0.0; LANES]; self.basis.columns];
        for (lane, (items, weights)) in given.iter().enumerate() {
            for (item, weight) in items.iter().zip(*weights) {
                let item = *item as usize;
                start[item][lane] = *weight;
                let narrow = weight * self.narrow[item];
                for (sum, value) in smooth.iter_mut().zip(self.basis.row(item)) {
                    sum[lane] += narrow * value;
                }
            }
        }
        let mut scores = self.walk.step(&start);
        walk::finish(&mut scores, &self.behind, self.settings.low_pass, &self.basis, &smooth, &self.widen);
        if self.settings.sharpening > 0.0 {
            self.sharpen(&mut scores);
        }
        scores
    }

    /// One step of Runge and Kutta's method along `dz/dt = -P z`.
    fn sharpen(&self, scores: &mut [Lanes]) {
        let mut power = scores.to_vec();
        let mut weight = 1.0;
        for order in 1..=4_u8 {
            weight *= -self.settings.sharpening / f32::from(order);
            power = self.walk.step(&power);
            for (score, power) in scores.iter_mut().zip(&power) {
                for (score, power) in score.iter_mut().zip(power) {
                    *score += weight * power;
                }
            }
        }
    }
}

/// About the `count` smoothest signals of the symmetric graph (a = b = ½), orthonormal, a row for each item; columns past
/// the rank are zero.
#[must_use]
pub fn smooth_signals(chosen: &Interactions, count: usize, rounds: usize, seed: Seed) -> Matrix {
    signals(chosen, count, rounds, seed, &mut || ())
}

fn signals(chosen: &Interactions, count: usize, rounds: usize, seed: Seed, on_round: &mut dyn FnMut()) -> Matrix {
    let by_item = chosen.transpose();
    let walk = Walk::new(chosen, &by_item, &powers(&degrees(chosen), -0.5), &powers(&degrees(&by_item), -0.5));
    basis::leading(&walk, count, rounds, seed, on_round)
}

/// A filter with the users it is asked about.
#[derive(Clone, Debug)]
pub struct FilterScorer {
    filter: Filter,
    given: Interactions,
}

impl Scorer for FilterScorer {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let items = self.filter.items();
        for (users, scores) in users.chunks(LANES).zip(scores.chunks_mut(LANES * items.max(1))) {
            let rows: Vec<_> = users.iter().map(|user| self.given.row(*user as usize)).collect();
            let found = self.filter.apply(&rows);
            for (lane, row) in scores.chunks_exact_mut(items.max(1)).enumerate() {
                for (score, found) in row.iter_mut().zip(&found) {
                    *score = found[lane];
                }
            }
        }
    }
}

fn degrees(of: &Interactions) -> Vec<f32> {
    (0..of.rows()).map(|row| of.row(row).0.len() as f32).collect()
}

/// `degree^exponent`; 0 where nobody is.
fn powers(degrees: &[f32], exponent: f32) -> Vec<f32> {
    degrees.iter().map(|degree| if *degree > 0.0 { degree.powf(exponent) } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests;
