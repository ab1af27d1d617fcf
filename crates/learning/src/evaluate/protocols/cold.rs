//! Items nobody has chosen yet: a fifth of all items is taken out of the training data whole, and only those are
//! ranked. What an engine knows of them is what they are ([`Training::words`]); one that learns from choices alone
//! ranks them by chance. Validation takes out another fifth, and keeps what the test takes out.

use std::path::Path;

use shared_models::Seed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    super::{
        protocol::{Candidates, Error, Measure, Options, Part, Protocol, Task},
        training::{History, Training},
    },
    lastfm,
    movielens::{Numbering, describe},
};
use crate::{datasets::numbers, progress::Progress};

/// The order of items that none of their numbers tells.
const SHUFFLE: Seed = Seed(0);
/// An item in so many is taken out.
const OF: u64 = 5;

/// New items.
pub static COLD: Protocol = Protocol {
    name: "cold",
    about: "Items without a play, on MovieLens 1M (genres, years) or Last.fm HetRec (tags): a fifth of the items is taken \
            out of the training data whole, and only those are ranked. Validation takes out another fifth.",
    files: "ratings_merged.csv.gz with movies.dat, or user_artists.dat with artists.dat and the tags",
    measures: &[Measure::recall(20), Measure::ndcg(20), Measure::recall(50), Measure::ndcg(50)],
    published: &[],
    read,
};

fn read(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let films = folder.join("ratings_merged.csv.gz");
    let artists = folder.join("user_artists.dat");
    let (pairs, is_film) = if films.exists() {
        (numbers::columns(&films, ["user", "item"], progress)?, true)
    } else {
        (numbers::columns(&artists, ["userID", "artistID"], progress)?, false)
    };
    let items = Numbering::of(pairs.iter().map(|[_, item]| *item as u32)).shuffled(SHUFFLE);
    let users = Numbering::of(pairs.iter().map(|[user, _]| *user as u32));
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); users.len()];
    for [user, item] in pairs {
        if let (Some(user), Some(item)) = (users.number(user as u32), items.number(item as u32)) {
            lists[user as usize].push(item);
        }
    }
    let mut training = Training::default();
    if is_film {
        describe(&mut training, folder, &items)?;
    } else {
        lastfm::describe(&mut training, folder, &items)?;
    }
    let task = take_out(&lists, items.len(), options)?;
    training.learn = task.training.learn;
    Ok(Task { training, ..task })
}

fn take_out(lists: &[Vec<u32>], items: usize, options: &Options) -> Result<Task, Error> {
    let place: Vec<u64> = (0..items as u32).map(|item| place(item, options.seed)).collect();
    // The test's items are not learned from either way; when tuning they are not ranked, as if they were not there.
    let out = match options.part {
        Part::Test => 0,
        Part::Validation => 1,
    };
    let of = |keep: &dyn Fn(u64) -> bool| -> Vec<Vec<u32>> {
        lists.iter().map(|list| list.iter().copied().filter(|item| keep(place[*item as usize])).collect()).collect()
    };
    let candidates: Vec<u32> = (0..items as u32).filter(|item| place[*item as usize] == out).collect();
    let learn = History::of_sets(items, &of(&|place| place > out))?;
    let held_out = History::of_sets(items, &of(&|place| place == out))?.seen;
    let notes = vec![format!(
        "{} items are ranked; a list of 20 of them drawn at random has a recall of {:.4}",
        candidates.len(),
        20.0 / candidates.len().max(20) as f64
    )];
    let training = Training { learn, ..Training::default() };
    Ok(Task { training, held_out, candidates: Candidates::Items(candidates), notes })
}

/// 0: taken out for the test, 1: for validation, and so on.
fn place(item: u32, seed: Seed) -> u64 {
    xxh3_64_with_seed(&item.to_le_bytes(), seed.0) % OF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_that_is_ranked_was_ever_chosen() {
        let lists: Vec<Vec<u32>> = (0..30).map(|user| (0..40).filter(|item| (item + user) % 3 > 0).collect()).collect();
        let (mut ranked, mut learned) = (Vec::new(), Vec::new());
        for part in [Part::Test, Part::Validation] {
            let task = take_out(&lists, 40, &Options::new(part)).unwrap();
            let Candidates::Items(candidates) = task.candidates else { panic!("some items are ranked") };
            let sums = task.training.learn.seen.column_sums();
            assert!(!candidates.is_empty() && candidates.iter().all(|item| sums[*item as usize] == 0.0));
            assert!(task.held_out.entries().all(|(_, item, _)| candidates.contains(&item)));
            ranked.push(candidates);
            learned.push(sums);
        }
        assert!(ranked[0].iter().all(|item| !ranked[1].contains(item)), "validation ranks none of the test's items");
        assert!(ranked[0].iter().all(|item| learned[1][*item as usize] == 0.0), "and learns from none");
    }
}
