//! MovieLens 1M, by two protocols that share no table.
//!
//! * Leave one out (SASRec: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018; ranked in full as
//!   by Petrov and Macdonald, "A Systematic Review and Replicability Study of BERT4Rec", RecSys 2022): each user's last
//!   film is the test, the last but one the validation; all films the user has not rated are ranked; asked with
//!   everything before. The order is SASRec's own (53 % of neighbouring ratings share a second, and another order of
//!   ties is another test set): `sasrec_sequences_original_ids.txt`.
//! * InfAE (Sachdeva et al., "Infinite Recommendation Networks: A Data-Centric Approach", NeurIPS 2022): 80/10/10 by the
//!   published index, the column `infae_split`; learned from train, asked with train and validation.

use std::{collections::BTreeMap, path::Path};

use shared_models::Seed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    super::{
        protocol::{Candidates, Error, Measure, Options, Part, Protocol, Published, Task},
        training::{History, Training},
    },
    three_parts,
};
use crate::{
    datasets::{self, numbers},
    progress::{Progress, Silent},
};

/// Leave one out, ranked in full.
pub static LEAVE_ONE_OUT: Protocol = Protocol {
    name: "ml-1m-loo",
    about: "MovieLens 1M, leave one out: the last film of each user in SASRec's order among all films the user has \
            not rated. Validation is the last but one.",
    files: "sasrec_sequences_original_ids.txt; movies.dat for titles",
    measures: &[Measure::hit_rate(10), Measure::ndcg(10), Measure::hit_rate(50), Measure::ndcg(50)],
    published: &[
        published("SASRec+ 3000 negatives", &[Some(0.3159), Some(0.1857)], TURNING_DROSS),
        published("SASRec+ (cross entropy)", &[Some(0.3152), Some(0.1821)], TURNING_DROSS),
        published("gSASRec", &[Some(0.3003), Some(0.1726)], "asash/gSASRec-pytorch, README"),
        published("BERT4Rec", &[Some(0.2843), Some(0.1537)], TURNING_DROSS),
        published(
            "GRU4Rec (cross entropy)",
            &[Some(0.2811), Some(0.1648)],
            "facebookresearch/generative-recommenders, README",
        ),
        published("SASRec (1 negative)", &[Some(0.2500), Some(0.1341)], TURNING_DROSS),
    ],
    read: leave_one_out,
};

/// The split of InfAE.
pub static INF_AE: Protocol = Protocol {
    name: "ml-1m-infae",
    about: "MovieLens 1M, the 80/10/10 split of InfAE: learned from train, asked with train and validation, every film \
            in neither. HR is hits over min(k, held out).",
    files: "ratings_merged.csv.gz; movies.dat for titles",
    measures: &[Measure::ndcg(10), Measure::hit_rate(10), Measure::ndcg(100), Measure::hit_rate(100)],
    published: &[
        published("InfAE", &[Some(0.3282)], INF_AE_README),
        published("EASE", &[Some(0.2988)], INF_AE_README),
        published("LightGCN", &[Some(0.2885)], INF_AE_README),
        published("MF", &[Some(0.2565)], INF_AE_README),
        published("NeuMF", &[Some(0.2444)], INF_AE_README),
        published("Mult-VAE", &[Some(0.2214)], INF_AE_README),
        published("PopRec", &[Some(0.1384)], INF_AE_README),
    ],
    read: inf_ae,
};

const TURNING_DROSS: &str = "antklen/sasrec-bert4rec-recsys23, README";
const INF_AE_README: &str = "noveens/infinite_ae_cf, README";

const fn published(method: &'static str, values: &'static [Option<f64>], source: &'static str) -> Published {
    Published { method, values, source }
}

fn leave_one_out(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let lines = numbers::lists(&folder.join("sasrec_sequences_original_ids.txt"), progress)?;
    let numbering = Numbering::of(lines.iter().flat_map(|(_, items)| items.iter().copied()));
    let mut held_out = Vec::with_capacity(lines.len());
    let mut learn = Vec::with_capacity(lines.len());
    for (_, items) in &lines {
        let mut items: Vec<u32> = items.iter().filter_map(|item| numbering.number(*item)).collect();
        if options.part == Part::Validation {
            items.pop();
        }
        // Whoever has one film only would be asked with nothing.
        let last = if items.len() > 1 { items.pop() } else { None };
        held_out.push(last.into_iter().collect::<Vec<u32>>());
        learn.push(items);
    }
    let items = numbering.len();
    let mut training = Training { learn: History::of_sequences(items, learn)?, ..Training::default() };
    describe(&mut training, folder, &numbering)?;
    Ok(Task {
        training,
        held_out: History::of_sets(items, &held_out)?.seen,
        candidates: Candidates::All,
        notes: Vec::new(),
    })
}

fn inf_ae(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let path = folder.join("ratings_merged.csv.gz");
    let rows = numbers::columns(&path, ["user", "item", "infae_split"], progress)?;
    let films = Numbering::of(rows.iter().map(|[_, item, _]| *item as u32));
    let users = Numbering::of(rows.iter().map(|[user, _, _]| *user as u32));
    let mut parts: [Vec<Vec<u32>>; 3] = std::array::from_fn(|_| vec![Vec::new(); users.len()]);
    for [user, film, split] in rows {
        let place = usize::try_from(split).ok().and_then(|split| parts.get_mut(split));
        let (Some(lists), Some(user), Some(film)) = (place, users.number(user as u32), films.number(film as u32))
        else {
            return Err(Error::Contents { path, expected: format!("infae_split is {split}; give 0, 1 or 2") });
        };
        lists[user as usize].push(film);
    }
    let mut task = three_parts(films.len(), parts, options.part)?;
    describe(&mut task.training, folder, &films)?;
    Ok(task)
}

/// Original numbers as columns.
pub(super) struct Numbering {
    columns: BTreeMap<u32, u32>,
    len: usize,
}

impl Numbering {
    /// Originals by columns that are given; those of `len` and past it have none.
    pub(super) fn pairs(pairs: impl Iterator<Item = (u32, u32)>, len: usize) -> Self {
        Self { columns: pairs.filter(|(_, column)| (*column as usize) < len).collect(), len }
    }

    /// Columns in an order that means nothing: where the original numbers tell age or fame, an engine that scores all
    /// items alike would else be lucky.
    pub(super) fn shuffled(self, seed: Seed) -> Self {
        let mut order: Vec<u32> = (0..self.len as u32).collect();
        order.sort_by_key(|column| (xxh3_64_with_seed(&column.to_le_bytes(), seed.0), *column));
        let mut place = vec![0_u32; order.len()];
        for (at, column) in order.into_iter().enumerate() {
            place[column as usize] = at as u32;
        }
        let columns = self.columns.into_iter().map(|(original, column)| (original, place[column as usize])).collect();
        Self { columns, len: self.len }
    }

    /// Columns ascend with the originals.
    pub(super) fn of(originals: impl Iterator<Item = u32>) -> Self {
        let mut columns: BTreeMap<u32, u32> = originals.map(|original| (original, 0)).collect();
        for (at, number) in columns.values_mut().enumerate() {
            *number = at as u32;
        }
        let len = columns.len();
        Self { columns, len }
    }

    pub(super) fn number(&self, original: u32) -> Option<u32> {
        self.columns.get(&original).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Adds titles, genres and decades when `movies.dat` is there.
pub(super) fn describe(training: &mut Training, folder: &Path, films: &Numbering) -> Result<(), Error> {
    if !folder.join("movies.dat").exists() {
        return Ok(());
    }
    let items = datasets::movielens::films(folder, &Silent)?;
    let (mut titles, mut words) = (vec![String::new(); films.len()], vec![Vec::new(); films.len()]);
    for item in items {
        let original = item.id.as_str().strip_prefix("movie-").and_then(|id| id.parse().ok());
        let Some(number) = original.and_then(|original| films.number(original)) else { continue };
        let of = &mut words[number as usize];
        of.extend(item.genres.iter().map(|genre| format!("genre:{genre}")));
        if let Some(released) = item.released_at {
            let year = released.to_string().chars().take(4).collect::<String>();
            of.extend([format!("decade:{}0", &year[..3]), format!("year:{year}")]);
        }
        titles[number as usize] = item.title;
    }
    (training.titles, training.words) = (Some(titles), Some(words));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("sasrec_sequences_original_ids.txt", "7 30 10 20 40\n3 10 40 30\n"),
            ("movies.dat", "10::Toy Story (1995)::Animation|Comedy\n40::Heat (1995)::Crime\n99::X (1950)::War\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_last_film_is_the_test_and_the_last_but_one_the_validation() {
        let folder = folder();
        let task = leave_one_out(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        // Films 10, 20, 30, 40 are columns 0 to 3.
        assert_eq!(task.training.learn.sequences.as_ref().unwrap()[..], [vec![2, 0, 1], vec![0, 3]]);
        assert_eq!((task.held_out.row(0).0, task.held_out.row(1).0), (&[3][..], &[2][..]));
        assert_eq!(task.training.titles.as_ref().unwrap()[0], "Toy Story (1995)");
        assert_eq!(task.training.words.as_ref().unwrap()[3], ["genre:crime", "decade:1990", "year:1995"]);
        let task = leave_one_out(folder.path(), &Options::new(Part::Validation), &Silent).unwrap();
        assert_eq!(task.training.learn.sequences.as_ref().unwrap()[..], [vec![2, 0], vec![0]]);
        assert_eq!((task.held_out.row(0).0, task.held_out.row(1).0), (&[1][..], &[3][..]));
    }

    #[test]
    fn shuffled_columns_are_the_same_columns() {
        let numbering = || Numbering::of([30, 10, 20, 40, 50].into_iter());
        let shuffled = numbering().shuffled(Seed(0));
        let of = |numbering: &Numbering| [10, 20, 30, 40, 50].map(|film| numbering.number(film).unwrap());
        let (plain, mut mixed) = (of(&numbering()), of(&shuffled));
        assert_ne!(plain, mixed);
        mixed.sort_unstable();
        assert_eq!((plain, shuffled.len()), (mixed, 5));
    }

    #[test]
    fn the_index_of_infae_says_what_is_learned_from() {
        use std::io::Write;
        let folder = folder();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer
            .write_all(b"user,item,rating,infae_split,seq_pos\n7,10,5,0,1\n7,40,1,1,2\n7,20,3,2,0\n9,20,3,0,0\n")
            .unwrap();
        let path = folder.path().join("ratings_merged.csv.gz");
        std::fs::write(&path, packer.finish().unwrap()).unwrap();
        let task = inf_ae(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        assert_eq!(task.training.learn.seen.entries().collect::<Vec<_>>(), [(0, 0, 1.0), (1, 1, 1.0)]);
        assert_eq!(task.training.given().seen.row(0).0, [0, 2]);
        assert_eq!(task.held_out.row(0).0, [1]);
    }
}
