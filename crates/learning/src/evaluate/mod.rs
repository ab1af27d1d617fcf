//! Measuring recommendations against what happened: metrics, hold-outs, intervals, baselines.
//!
//! It must not know how anything was trained: it asks a [`Scorer`] for scores.
//!
//! A [`protocol`] reads a data set and says what is learned from and what is measured on; an [`engine`] learns; [`run`]
//! brings them together and gives a [`report`].

pub mod beyond;
pub mod engine;
pub mod engines;
pub mod interval;
pub mod lightgcn;
pub mod memory;
pub mod metrics;
pub mod projection;
pub mod protocol;
pub mod protocols;
pub mod rank;
pub mod recipes;
pub mod report;
pub mod run;
pub mod scorers;
pub mod split;
pub mod top;
pub mod training;
pub mod tune;

use crate::{factors::Interactions, progress::Silent};

pub use engine::Engine;
pub use interval::{Interval, bootstrap};
pub use scorers::{FactorScorer, PopularityScorer, Scorer};
pub use training::{History, Training};

/// What was measured at one list length.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// The length of the lists.
    pub k: usize,
    /// Each measured user's recall.
    pub recall: Vec<f32>,
    /// Each measured user's NDCG.
    pub ndcg: Vec<f32>,
    /// The share of all items that stand on at least one list.
    pub coverage: f64,
}

impl At {
    /// Mean recall over the measured users.
    #[must_use]
    pub fn mean_recall(&self) -> f64 {
        metrics::mean(&self.recall)
    }

    /// Mean NDCG over the measured users.
    #[must_use]
    pub fn mean_ndcg(&self) -> f64 {
        metrics::mean(&self.ndcg)
    }
}

/// Ranks all items but those of `seen` for every user who has something held out, and measures the
/// first k of them, for each of `lengths`. Items of equal score stand by row.
#[must_use]
pub fn measure(scorer: &dyn Scorer, seen: &Interactions, held_out: &Interactions, lengths: &[usize]) -> Vec<At> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let rank::Lists { users, lists } = rank::rank(scorer, seen, held_out, &protocol::Candidates::All, longest, &Silent);
    let items = held_out.columns();
    lengths
        .iter()
        .map(|&k| {
            let judge = |metric: fn(&[u32], &[u32], usize) -> f32| -> Vec<f32> {
                users.iter().zip(&lists).map(|(user, list)| metric(list, held_out.row(*user as usize).0, k)).collect()
            };
            At {
                k,
                recall: judge(metrics::recall),
                ndcg: judge(metrics::ndcg),
                coverage: metrics::coverage(&lists, k, items),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores item i with -i for everybody.
    struct ByRow;
    impl Scorer for ByRow {
        fn score(&self, users: &[u32], scores: &mut [f32]) {
            let items = scores.len() / users.len();
            for (at, score) in scores.iter_mut().enumerate() {
                *score = -((at % items) as f32);
            }
        }
    }

    #[test]
    fn seen_items_stand_on_no_list_and_users_with_nothing_held_out_are_left_out() {
        // Lists of two: user 0 has seen item 0, so 1 and 2; user 1 gets 0 and 1; user 2 has no test.
        let seen = Interactions::from_entries(3, 5, &[(0, 0, 1.0)]).unwrap();
        let held_out = Interactions::from_entries(3, 5, &[(0, 1, 1.0), (0, 4, 1.0), (1, 1, 1.0)]).unwrap();
        let [at] = &measure(&ByRow, &seen, &held_out, &[2])[..] else { panic!("one length, one result") };
        assert_eq!(at.recall, [0.5, 1.0]);
        let ideal_of_two = 1.0 + 1.0 / 3.0_f32.log2();
        assert!((at.ndcg[0] - 1.0 / ideal_of_two).abs() < 1e-6);
        assert!((at.ndcg[1] - 1.0 / 3.0_f32.log2()).abs() < 1e-6);
        assert_eq!(at.coverage, 0.6);
        assert_eq!(at.mean_recall(), 0.75);
    }

    #[test]
    fn popularity_ranks_by_weight_and_then_by_row() {
        let seen = Interactions::from_entries(3, 4, &[(0, 2, 1.0), (1, 2, 1.0), (1, 3, 1.0)]).unwrap();
        let mut scores = vec![0.0; 4];
        PopularityScorer::new(&seen).score(&[2], &mut scores);
        assert_eq!(top::best(&mut scores, &[], 4), [2, 3, 0, 1]);
    }
}
