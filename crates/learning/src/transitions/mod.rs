//! What follows what: transitions between items that stand near each other in time, for catalogues of any size.
//!
//! It must not know events, catalogues or releases' files: lists of items in time order go in, scores come out.
//!
//! # The model
//! `T_ij = Σ δ^(gap-1)` over all places where j follows i within a window, the gap being 1 for the next item, and
//!
//! `s_ij = T_ij / (T_i+^a T_+j^b)`
//!
//! with the sums of T's rows and columns: a = 1 makes rows shares of what followed, and b takes back some of the advantage
//! of popular items. A user's scores are `Σ_n γ^n s(item n from the end)`. It is a Markov chain of several steps back
//! (Shani, Heckerman and Brafman, "An MDP-Based Recommender System", JMLR 2005, skipping and similarity weighting).
//!
//! # Cost
//! Time by pairs within the window; the best [`Settings::kept`] of each item stay.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use releases::Neighbours;

use crate::{
    evaluate::Scorer,
    neighbours::{best, joined},
    sequential::Places,
};

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many items back a transition may begin.
    pub window: usize,
    /// δ: how much less each further step counts.
    pub gap_decay: f32,
    /// a: how much of how often an item is followed is taken out.
    pub begin_exponent: f32,
    /// b: how much of how often an item follows is taken out.
    pub end_exponent: f32,
    /// The most items that are kept as followers of one.
    pub kept: usize,
    /// How many of a user's last items speak.
    pub last: usize,
    /// γ: how much less each earlier of them says.
    pub decay: f32,
}

impl Default for Settings {
    /// Chosen on the validation items of MovieLens 1M (leave one out).
    fn default() -> Self {
        Self { window: 10, gap_decay: 0.8, begin_exponent: 0.8, end_exponent: 0.2, kept: 1_000, last: 10, decay: 0.7 }
    }
}

/// The followers of every item.
#[derive(Clone, Debug)]
pub struct Model {
    followers: Neighbours,
    last: usize,
    decay: f32,
}

/// Counts.
#[must_use]
pub fn count(sequences: &[Vec<u32>], items: usize, settings: &Settings) -> Model {
    let places = Places::of(sequences, items);
    let count = |item: usize, sums: &mut [f32], touched: &mut Vec<u32>| {
        for (list, place) in places.of_item(item) {
            let mut weight = 1.0;
            for other in sequences[*list as usize][*place as usize + 1..].iter().take(settings.window) {
                if let Some(sum) = sums.get_mut(*other as usize) {
                    if *sum == 0.0 {
                        touched.push(*other);
                    }
                    *sum += weight;
                }
                weight *= settings.gap_decay;
            }
        }
    };
    let mut ends = vec![0.0_f32; items];
    for sequence in sequences {
        for (place, item) in sequence.iter().enumerate().filter(|(_, item)| (**item as usize) < items) {
            let steps = place.min(settings.window) as i32;
            let all = if settings.gap_decay < 1.0 {
                (1.0 - settings.gap_decay.powi(steps)) / (1.0 - settings.gap_decay)
            } else {
                steps as f32
            };
            ends[*item as usize] += all;
        }
    }
    let ends: Vec<f32> = ends.into_iter().map(|end| end.max(1.0).powf(-settings.end_exponent)).collect();
    let lists = (0..items)
        .into_par_iter()
        .map_init(
            || (vec![0.0_f32; items], Vec::new()),
            |(sums, touched), item| {
                count(item, sums, touched);
                let total: f32 = touched.iter().map(|other| sums[*other as usize]).sum();
                let begin = total.max(1.0).powf(-settings.begin_exponent);
                let list = touched.iter().map(|other| (*other, begin * ends[*other as usize] * sums[*other as usize]));
                let list = list.collect();
                for other in touched.drain(..) {
                    sums[other as usize] = 0.0;
                }
                best(list, settings.kept)
            },
        )
        .collect();
    Model { followers: joined(lists), last: settings.last, decay: settings.decay }
}

impl Model {
    /// Adds the scores of all items after a list.
    pub fn score(&self, sequence: &[u32], scores: &mut [f32]) {
        let mut weight = 1.0;
        for item in sequence.iter().rev().take(self.last) {
            let (others, shares) = self.followers.of(*item);
            for (other, share) in others.iter().zip(shares) {
                scores[*other as usize] += weight * share;
            }
            weight *= self.decay;
        }
    }
}

/// A model with the lists it is asked about.
#[derive(Clone, Debug)]
pub struct TransitionScorer<'a> {
    /// What was counted.
    pub model: Model,
    /// Each user's items, oldest first.
    pub given: &'a [Vec<u32>],
}

impl Scorer for TransitionScorer<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(self.model.followers.rows().max(1))) {
            self.model.score(self.given.get(*user as usize).map_or(&[][..], Vec::as_slice), row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_scores_by_hand() {
        // T: 0→1 1, 0→2 ½, 1→2 1 from the first list; 0→2 1 from the second. Rows sum to 2½ and 1, columns to 1 and 2½.
        let settings =
            Settings { window: 2, gap_decay: 0.5, begin_exponent: 1.0, end_exponent: 0.0, ..Settings::default() };
        let lists = [vec![0, 1, 2], vec![0, 2]];
        let model = count(&lists, 4, &settings);
        assert_eq!(model.followers.of(0).0, [2, 1]);
        let close = |found: &[f32], expected: &[f32]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        close(model.followers.of(0).1, &[0.6, 0.4]);
        close(model.followers.of(1).1, &[1.0]);
        let mut scores = [0.0; 8];
        TransitionScorer { model, given: &lists }.score(&[0, 1], &mut scores);
        // After [0, 1, 2]: 2 leads nowhere, 1 to 2 at 0.7, 0 at 0.49.
        close(&scores, &[0.0, 0.49 * 0.4, 0.7 + 0.49 * 0.6, 0.0, 0.0, 0.7 * 0.4, 0.7 * 0.6, 0.0]);
        let damped = count(&lists, 4, &Settings { end_exponent: 1.0, ..settings });
        close(damped.followers.of(0).1, &[0.4, 0.6 / 2.5]);
    }

    #[test]
    fn only_the_best_followers_are_kept_and_none_past_the_window() {
        let lists = [vec![0, 1, 2, 3, 4]];
        let model = count(&lists, 5, &Settings { window: 3, kept: 2, end_exponent: 0.0, ..Settings::default() });
        assert_eq!(model.followers.of(0).0, [1, 2]);
        assert!(model.followers.of(4).0.is_empty());
    }
}
