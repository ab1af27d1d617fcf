//! Lists of neighbours as a recommender: an item's score is what the user's items say of it.

use releases::Neighbours;

use crate::{evaluate::Scorer, factors::Interactions};

/// `Σ_i w_i s_ij` over the items of a user, by the neighbours that were kept.
#[derive(Clone, Debug)]
pub struct NeighbourScorer<'a> {
    /// The neighbours of every item.
    pub neighbours: Neighbours,
    /// What each user chose, with weights.
    pub given: std::borrow::Cow<'a, Interactions>,
}

impl Scorer for NeighbourScorer<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(self.neighbours.rows().max(1))) {
            let (items, weights) = self.given.row(*user as usize);
            for (item, weight) in items.iter().zip(weights) {
                let (others, similarities) = self.neighbours.of(*item);
                for (other, similarity) in others.iter().zip(similarities) {
                    row[*other as usize] += weight * similarity;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn scores_are_sums_over_the_users_items() {
        let neighbours = Neighbours { offsets: vec![0, 2, 3, 3], items: vec![1, 2, 2], scores: vec![0.5, 0.25, 1.0] };
        let given = Interactions::from_entries(2, 3, &[(0, 0, 2.0), (0, 1, 1.0), (1, 2, 1.0)]).unwrap();
        let mut scores = [9.0; 6];
        NeighbourScorer { neighbours, given: Cow::Owned(given) }.score(&[0, 1], &mut scores);
        assert_eq!(scores, [0.0, 1.0, 1.5, 0.0, 0.0, 0.0]);
    }
}
