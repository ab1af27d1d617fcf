//! Lists for everybody who has something held out, from the scores of a [`Scorer`].

use rayon::{iter::ParallelIterator, slice::ParallelSlice};

use super::{Scorer, protocol::Candidates, top};
use crate::{factors::Interactions, progress::Stage};

/// Users that are scored together.
const BATCH: usize = 16;

/// The measured users and their lists, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lists {
    /// The users, ascending.
    pub users: Vec<u32>,
    /// A list for each of them.
    pub lists: Vec<Vec<u32>>,
}

/// Ranks the candidates for every user who has something held out. Items of `given` stand on no list unless
/// candidates are given by user. Items of equal score stand by row. `stage` counts users.
#[must_use]
pub fn rank(
    scorer: &dyn Scorer,
    given: &Interactions,
    held_out: &Interactions,
    candidates: &Candidates,
    longest: usize,
    stage: &dyn Stage,
) -> Lists {
    let users: Vec<u32> =
        (0..held_out.rows() as u32).filter(|user| !held_out.row(*user as usize).0.is_empty()).collect();
    let items = held_out.columns();
    let excluded = match candidates {
        Candidates::Items(those) => (0..items as u32).filter(|item| those.binary_search(item).is_err()).collect(),
        Candidates::All | Candidates::Each(_) => Vec::new(),
    };
    let lists = users
        .par_chunks(BATCH)
        .map_init(
            || vec![0.0_f32; BATCH * items],
            |scores, users| {
                let scores = &mut scores[..users.len() * items];
                scorer.score(users, scores);
                let list = |(user, scores): (&u32, &mut [f32])| match candidates {
                    Candidates::Each(by_user) => {
                        among(scores, by_user.get(*user as usize).map_or(&[][..], Vec::as_slice), longest)
                    }
                    Candidates::All | Candidates::Items(_) => {
                        for item in &excluded {
                            scores[*item as usize] = f32::NEG_INFINITY;
                        }
                        top::best(scores, given.row(*user as usize).0, longest)
                    }
                };
                let lists: Vec<Vec<u32>> = users.iter().zip(scores.chunks_exact_mut(items.max(1))).map(list).collect();
                stage.advance(users.len() as u64);
                lists
            },
        )
        .flat_map_iter(|lists| lists)
        .collect();
    Lists { users, lists }
}

/// The best of some items, which ascend.
fn among(scores: &[f32], those: &[u32], longest: usize) -> Vec<u32> {
    let mut theirs: Vec<f32> =
        those.iter().map(|item| scores.get(*item as usize).copied().unwrap_or(f32::NAN)).collect();
    top::best(&mut theirs, &[], longest).into_iter().map(|at| those[at as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

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
    fn candidates_bound_the_lists() {
        let given = Interactions::from_entries(2, 5, &[(0, 1, 1.0)]).unwrap();
        let held_out = Interactions::from_entries(2, 5, &[(0, 4, 1.0)]).unwrap();
        let check = |candidates: &Candidates, expected: &[u32]| {
            let lists = rank(&ByRow, &given, &held_out, candidates, 3, &Silent);
            assert_eq!((lists.users, lists.lists), (vec![0], vec![expected.to_vec()]));
        };
        check(&Candidates::All, &[0, 2, 3]);
        check(&Candidates::Items(vec![1, 3, 4]), &[3, 4]);
        check(&Candidates::Each(vec![vec![1, 4], vec![]]), &[1, 4]);
    }
}
