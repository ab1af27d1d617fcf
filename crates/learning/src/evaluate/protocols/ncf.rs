//! MovieLens 1M by the protocol of NCF (He et al., "Neural Collaborative Filtering", WWW 2017): each user's last film is
//! ranked among itself and 99 films the user has not rated, which are given. Where the film stands among its own
//! negatives (156 users of the published file) it counts once.
//!
//! Hundred candidates are easy: numbers of this protocol say nothing of a whole catalogue, and do not always order
//! engines as a whole catalogue does (Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020).

use std::path::Path;

use rustc_hash::FxHashSet;

use super::{
    super::{
        protocol::{Candidates, Error, Measure, Options, Part, Protocol, Published, Task},
        training::{History, Training},
    },
    movielens::{Numbering, describe},
};
use crate::{datasets::numbers, progress::Progress};

const DACREMA: &str = "MaurizioFD/RecSys2019_DeepLearning_Evaluation, FULL_RESULTS.md";

/// The protocol of NCF.
pub static NCF: Protocol = Protocol {
    name: "ml-1m-ncf",
    about: "MovieLens 1M, the protocol of NCF: the last film of each user among itself and 99 given others. Validation \
            is the latest film that remains, among the same others.",
    files: "ratings_merged.csv.gz, ncf_loo_99neg_original_ids.txt; movies.dat for titles",
    measures: &[Measure::hit_rate(10), Measure::ndcg(10)],
    published: &[
        row("SLIM", &[Some(0.7161), Some(0.4470)]),
        row("NeuMF", &[Some(0.7120), Some(0.4369)]),
        row("RP3beta", &[Some(0.6715), Some(0.3991)]),
        row("UserKNN", &[Some(0.6705), Some(0.3908)]),
        row("ItemKNN", &[Some(0.6596), Some(0.3900)]),
        row("TopPop", &[Some(0.4531), Some(0.2542)]),
    ],
    read,
};

const fn row(method: &'static str, values: &'static [Option<f64>]) -> Published {
    Published { method, values, source: DACREMA }
}

fn read(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let rows =
        numbers::columns(&folder.join("ratings_merged.csv.gz"), ["user", "item", "seq_pos", "ncf_split"], progress)?;
    let path = folder.join("ncf_loo_99neg_original_ids.txt");
    let lists = numbers::lists(&path, progress)?;
    let films = Numbering::of(rows.iter().map(|[_, film, _, _]| *film as u32));
    let users = Numbering::of(rows.iter().map(|[user, _, _, _]| *user as u32));
    // Each user's films in their order, and the one that is held out.
    let mut ordered: Vec<Vec<(i64, u32)>> = vec![Vec::new(); users.len()];
    let mut test: Vec<Option<u32>> = vec![None; users.len()];
    for [user, film, place, is_test] in rows {
        let (Some(user), Some(film)) = (users.number(user as u32), films.number(film as u32)) else { continue };
        match is_test {
            1 => test[user as usize] = Some(film),
            _ => ordered[user as usize].push((place, film)),
        }
    }
    let mut learn: Vec<Vec<u32>> = Vec::with_capacity(ordered.len());
    for mut films in ordered {
        films.sort_by_key(|(place, _)| *place);
        learn.push(films.into_iter().map(|(_, film)| film).collect());
    }
    let mut held_out: Vec<Vec<u32>> = test.iter().map(|film| film.iter().copied().collect()).collect();
    if options.part == Part::Validation {
        held_out = learn.iter_mut().map(|films| films.pop().into_iter().collect()).collect();
    }
    let mut candidates: Vec<Vec<u32>> = vec![Vec::new(); users.len()];
    for (user, films_of) in lists {
        let wrong = || Error::Contents { path: path.clone(), expected: format!("user {user} is not in the ratings") };
        let user = users.number(user).ok_or_else(wrong)? as usize;
        // The first is the film of the test.
        let others = films_of.iter().skip(1).filter_map(|film| films.number(*film));
        let test: FxHashSet<u32> = test[user].into_iter().collect();
        let mut list: Vec<u32> = others.filter(|film| !test.contains(film)).chain(held_out[user].clone()).collect();
        list.sort_unstable();
        list.dedup();
        candidates[user] = list;
    }
    let mut training = Training { learn: History::of_sets(films.len(), &learn)?, ..Training::default() };
    describe(&mut training, folder, &films)?;
    let held_out = History::of_sets(films.len(), &held_out)?.seen;
    Ok(Task { training, held_out, candidates: Candidates::Each(candidates), notes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_film_stands_among_the_given_others_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer
            .write_all(b"user,item,seq_pos,ncf_split\n1,10,0,0\n1,30,2,1\n1,20,1,0\n2,40,0,0\n2,50,1,0\n2,10,2,1\n")
            .unwrap();
        std::fs::write(folder.path().join("ratings_merged.csv.gz"), packer.finish().unwrap()).unwrap();
        // User 1's film stands among its own others.
        std::fs::write(folder.path().join("ncf_loo_99neg_original_ids.txt"), "1 30 40 30 50\n2 10 20 30\n").unwrap();
        let task = read(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        assert_eq!(task.candidates, Candidates::Each(vec![vec![2, 3, 4], vec![0, 1, 2]]));
        assert_eq!((task.held_out.row(0).0, task.training.learn.seen.row(0).0), (&[2][..], &[0, 1][..]));
        let task = read(folder.path(), &Options::new(Part::Validation), &Silent).unwrap();
        assert_eq!(task.candidates, Candidates::Each(vec![vec![1, 3, 4], vec![1, 2, 4]]));
        assert_eq!((task.held_out.row(1).0, task.training.learn.seen.row(1).0), (&[4][..], &[3][..]));
    }
}
