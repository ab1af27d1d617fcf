//! The protocols, a file for each data set. Each says in its head where the protocol was published and what of it
//! changes the numbers.

pub mod cold;
pub mod gowalla;
pub mod lastfm;
pub mod movielens;
pub mod ncf;
pub mod quest;
pub mod time;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shared_models::Seed;

use super::{
    protocol::{Candidates, Error, Part, Task},
    training::{History, Training},
};

/// Lists by user, from lines in any order; users without a line have an empty list.
fn by_user(lines: Vec<(u32, Vec<u32>)>, users: usize) -> Vec<Vec<u32>> {
    let mut lists = vec![Vec::new(); users];
    for (user, mut items) in lines {
        if let Some(list) = lists.get_mut(user as usize) {
            if list.is_empty() {
                *list = items;
            } else {
                list.append(&mut items);
            }
        }
    }
    lists
}

/// Users and items that lines name: one more than the highest number.
fn size(lines: &[&[(u32, Vec<u32>)]]) -> (usize, usize) {
    let all = || lines.iter().flat_map(|lines| lines.iter());
    let users = all().map(|(user, _)| *user as usize + 1).max().unwrap_or(0);
    let items = all().flat_map(|(_, items)| items).map(|item| *item as usize + 1).max().unwrap_or(0);
    (users, items)
}

/// Three parts as InfAE and TKGAT split them: learned from `train`; for the test, shown train and validation, which
/// both stand on no list, without being trained again.
fn three_parts(items: usize, [train, validation, test]: [Vec<Vec<u32>>; 3], part: Part) -> Result<Task, Error> {
    let learn = History::of_sets(items, &train)?;
    let (later, held_out) = match part {
        Part::Validation => (None, validation),
        Part::Test => {
            let both: Vec<Vec<u32>> =
                train.iter().zip(&validation).map(|(train, validation)| [&train[..], validation].concat()).collect();
            (Some(History::of_sets(items, &both)?), test)
        }
    };
    Ok(Task {
        training: Training { learn, later, ..Training::default() },
        held_out: History::of_sets(items, &held_out)?.seen,
        candidates: Candidates::All,
        notes: Vec::new(),
    })
}

/// Holds out a random share of each list, rounded up; a list of one item is kept whole. What remains keeps its order.
fn random_share(lists: &[Vec<u32>], share: f64, seed: Seed) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed.0);
    lists
        .iter()
        .map(|list| {
            let out = ((list.len() as f64 * share).ceil() as usize).min(list.len().saturating_sub(1));
            let mut places: Vec<usize> = (0..list.len()).collect();
            for at in 0..out {
                places.swap(at, random.random_range(at..list.len()));
            }
            let mut chosen = vec![false; list.len()];
            places[..out].iter().for_each(|place| chosen[*place] = true);
            let (held_out, kept): (Vec<_>, Vec<_>) = list.iter().zip(chosen).partition(|(_, chosen)| *chosen);
            let items = |pairs: Vec<(&u32, bool)>| pairs.into_iter().map(|(item, _)| *item).collect::<Vec<u32>>();
            (items(kept), items(held_out))
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_shows_train_and_validation_and_tuning_reads_no_test() {
        let parts = || [vec![vec![0, 1]], vec![vec![2]], vec![vec![3]]];
        let tuning = three_parts(4, parts(), Part::Validation).unwrap();
        assert_eq!(tuning.training.given().seen.row(0).0, [0, 1]);
        assert_eq!(tuning.held_out.row(0).0, [2]);
        let test = three_parts(4, parts(), Part::Test).unwrap();
        assert_eq!(test.training.learn.seen.row(0).0, [0, 1]);
        assert_eq!(test.training.given().seen.row(0).0, [0, 1, 2]);
        assert_eq!(test.held_out.row(0).0, [3]);
    }

    #[test]
    fn lines_in_any_order_become_lists_by_user() {
        let lines = vec![(2, vec![5]), (0, vec![1]), (2, vec![3])];
        assert_eq!(size(&[&lines]), (3, 6));
        assert_eq!(by_user(lines, 3), [vec![1], vec![], vec![5, 3]]);
    }

    #[test]
    fn a_random_share_is_held_out_once_and_the_same_for_the_same_seed() {
        let lists = vec![(0..10).collect::<Vec<u32>>(), vec![7], vec![]];
        let (kept, held_out) = random_share(&lists, 0.25, Seed(4));
        assert_eq!((kept[0].len(), held_out[0].len(), kept[1].len(), held_out[1].len()), (7, 3, 1, 0));
        let mut all = [&kept[0][..], &held_out[0]].concat();
        all.sort_unstable();
        assert_eq!(all, lists[0]);
        assert!(kept[0].is_sorted());
        assert_eq!(random_share(&lists, 0.25, Seed(4)), (kept, held_out));
    }
}
