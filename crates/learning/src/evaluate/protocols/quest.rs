//! MovieLens 1M in the folds of "Top-N Recommendation Algorithms: A Quest for the State-of-the-Art" (Anelli et al., UMAP
//! 2022): ratings of 4 and 5, cut again and again until every user and every film has ten; five hold-outs of a fifth of
//! each user, which are published. All films of the cut but those of the training part are ranked; NDCG with binary
//! gains, HR here as hits over min(k, held out).

use std::path::Path;

use rustc_hash::FxHashSet;

use super::{
    super::{
        protocol::{Candidates, Error, Measure, Options, Part, Protocol, Task},
        training::{History, Training},
    },
    movielens::{Numbering, describe},
    random_share,
};
use crate::{datasets::numbers, progress::Progress};

/// How many folds there are.
const FOLDS: usize = 5;
/// How many ratings a user and a film have at least.
const CORE: usize = 10;

/// The folds of the Quest.
pub static QUEST: Protocol = Protocol {
    name: "ml-1m-quest",
    about: "MovieLens 1M, the folds of \"Top-N … A Quest\": ratings of 4 and up, 10-core, a fifth of each user held out \
            (--fold 0 to 4). Validation is a random tenth of each train list.",
    files: "ratings_merged.csv.gz, topn-quest/fold0_test.tsv to fold4_test.tsv; movies.dat for titles",
    measures: &[Measure::ndcg(10), Measure::recall(10), Measure::ndcg(20), Measure::ndcg(50)],
    published: &[],
    read,
};

fn read(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    if options.fold >= FOLDS {
        return Err(Error::Fold { given: options.fold, last: FOLDS - 1 });
    }
    let rows = numbers::columns(&folder.join("ratings_merged.csv.gz"), ["user", "item", "rating"], progress)?;
    let liked =
        rows.into_iter().filter(|[_, _, rating]| *rating >= 4).map(|[user, film, _]| (user as u32, film as u32));
    let pairs = core(liked.collect(), CORE);
    let path = folder.join("topn-quest").join(format!("fold{}_test.tsv", options.fold));
    let test: FxHashSet<(u32, u32)> =
        numbers::rows::<2>(&path, progress)?.into_iter().map(|[user, film]| (user as u32, film as u32)).collect();
    let films = Numbering::of(pairs.iter().map(|(_, film)| *film));
    let users = Numbering::of(pairs.iter().map(|(user, _)| *user));
    let (mut learn, mut held_out) = (vec![Vec::new(); users.len()], vec![Vec::new(); users.len()]);
    let mut found = 0;
    for pair in &pairs {
        let (Some(user), Some(film)) = (users.number(pair.0), films.number(pair.1)) else { continue };
        if test.contains(pair) {
            found += 1;
            held_out[user as usize].push(film);
        } else {
            learn[user as usize].push(film);
        }
    }
    if found != test.len() {
        let expected = format!("{} of its {} pairs are not in the cut", test.len() - found, test.len());
        return Err(Error::Contents { path, expected });
    }
    if options.part == Part::Validation {
        (learn, held_out) = random_share(&learn, 0.1, options.seed);
    }
    let mut training = Training { learn: History::of_sets(films.len(), &learn)?, ..Training::default() };
    describe(&mut training, folder, &films)?;
    let held_out = History::of_sets(films.len(), &held_out)?.seen;
    let notes = vec![format!("fold {}", options.fold)];
    Ok(Task { training, held_out, candidates: Candidates::All, notes })
}

/// What is left when users and items of fewer than `least` pairs are dropped until there are none.
fn core(mut pairs: Vec<(u32, u32)>, least: usize) -> Vec<(u32, u32)> {
    loop {
        let before = pairs.len();
        for by_user in [true, false] {
            let of = |pair: &(u32, u32)| if by_user { pair.0 } else { pair.1 };
            let mut counts: rustc_hash::FxHashMap<u32, usize> = rustc_hash::FxHashMap::default();
            for pair in &pairs {
                *counts.entry(of(pair)).or_default() += 1;
            }
            pairs.retain(|pair| counts.get(&of(pair)).is_some_and(|count| *count >= least));
        }
        if pairs.len() == before {
            return pairs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_is_cut_until_nothing_more_falls_out() {
        // Item 3 has one user; without it user 2 has one item, and without user 2 nothing else falls below two.
        let pairs = vec![(0, 1), (0, 2), (1, 1), (1, 2), (2, 2), (2, 3)];
        assert_eq!(core(pairs, 2), [(0, 1), (0, 2), (1, 1), (1, 2)]);
        assert!(core(vec![(0, 1)], 2).is_empty());
    }
}
