//! Last.fm HetRec 2011 in the split of TKGAT (70/10/20 by user; folder `tkgat` of the data set): learned from `train`;
//! for the test, a user is shown as train and validation together, and neither stands on a list. All other artists are
//! ranked; Recall as hits over all that was held out.

use std::path::Path;

use super::{
    super::{
        protocol::{Error, Measure, Options, Part, Protocol, Published, Task},
        training::{History, Training},
    },
    by_user,
    movielens::Numbering,
    random_share, size, three_parts,
};
use crate::{
    datasets::{self, numbers},
    progress::{Progress, Silent},
};

/// The split that LightGCN's authors ship.
pub static LIGHTGCN: Protocol = Protocol {
    name: "lastfm-lightgcn",
    about: "Last.fm HetRec artists, the split in LightGCN's repository: 80/20 by user, every artist not in train. \
            Validation is a random tenth of each train list.",
    files: "data1.txt, test1.txt (folder lightgcn-split)",
    measures: &[Measure::recall(20), Measure::ndcg(20), Measure::recall(10), Measure::ndcg(10)],
    published: &[],
    read: read_lightgcn,
};

/// Events without times are placed before this moment; only their items are of use here.
const LONG_AFTER: shared_models::Timestamp = shared_models::Timestamp(4_102_444_800_000);
const TKGAT_RESULTS: &str = "SuikaXhq/TKGAT, results/";

/// The split of TKGAT.
pub static TKGAT: Protocol = Protocol {
    name: "lastfm-tkgat",
    about: "Last.fm HetRec artists, the split of TKGAT: 70/10/20 by user, learned from train, asked with train and \
            validation, every artist not in either.",
    files: "train.txt, valid.txt, test.txt (folder tkgat); artists.dat beside it for names",
    measures: &[Measure::recall(10), Measure::ndcg(10), Measure::recall(20), Measure::ndcg(20)],
    published: &[
        row("TKGAT", &[Some(0.1596), Some(0.1833)]),
        row("FM", &[Some(0.1554), Some(0.1365)]),
        row("NFM", &[Some(0.1374), Some(0.1226)]),
        row("ECFKG", &[Some(0.0785), Some(0.0853)]),
        row("KGAT", &[Some(0.0743), Some(0.0815)]),
    ],
    read,
};

const fn row(method: &'static str, values: &'static [Option<f64>]) -> Published {
    Published { method, values, source: TKGAT_RESULTS }
}

fn read(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    // The data set's own folder is understood as well as the split's.
    let split = if folder.join("train.txt").exists() { folder.to_owned() } else { folder.join("tkgat") };
    let train = numbers::lists(&split.join("train.txt"), progress)?;
    let valid = numbers::lists(&split.join("valid.txt"), progress)?;
    // The number of artists is that of all three files; the test part's lists are dropped when tuning.
    let test = numbers::lists(&split.join("test.txt"), progress)?;
    let (users, items) = size(&[&train, &valid, &test]);
    let test = if options.part == Part::Test { test } else { Vec::new() };
    let parts = [by_user(train, users), by_user(valid, users), by_user(test, users)];
    let mut task = three_parts(items, parts, options.part)?;
    describe_split(&mut task.training, &split, items, progress)?;
    Ok(task)
}

fn read_lightgcn(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let split = if folder.join("data1.txt").exists() { folder.to_owned() } else { folder.join("lightgcn-split") };
    // Users and artists are numbered from 1.
    let pairs = |name: &str| -> Result<Vec<(u32, Vec<u32>)>, Error> {
        let rows = numbers::rows::<2>(&split.join(name), progress)?;
        let number = |value: i64| u32::try_from(value - 1).ok();
        let pair = |[user, item]: [i64; 2]| Some((number(user)?, vec![number(item)?]));
        rows.into_iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(|| Error::Contents {
            path: split.join(name),
            expected: "number users and artists from 1".to_owned(),
        })
    };
    let (train, test) = (pairs("data1.txt")?, pairs("test1.txt")?);
    let (users, items) = size(&[&train, &test]);
    let (learn, held_out) = match options.part {
        Part::Test => (by_user(train, users), by_user(test, users)),
        Part::Validation => random_share(&by_user(train, users), 0.1, options.seed),
    };
    Ok(Task {
        training: Training { learn: History::of_sets(items, &learn)?, ..Training::default() },
        held_out: History::of_sets(items, &held_out)?.seen,
        ..Task::default()
    })
}

/// Adds names and tags when `artists.dat` is there; `artists` numbers the data set's own ids.
pub(super) fn describe(training: &mut Training, folder: &Path, artists: &Numbering) -> Result<(), Error> {
    if !folder.join("artists.dat").exists() || !folder.join("user_artists.dat").exists() {
        return Ok(());
    }
    let import = datasets::lastfm::import(folder, datasets::Options { now: LONG_AFTER }, &Silent)?;
    let (mut titles, mut words) = (vec![String::new(); artists.len()], vec![Vec::new(); artists.len()]);
    for item in import.items {
        let original = item.id.as_str().strip_prefix("artist-").and_then(|id| id.parse().ok());
        let Some(number) = original.and_then(|original| artists.number(original)) else { continue };
        words[number as usize] = item.genres.iter().map(|genre| format!("genre:{genre}")).collect();
        titles[number as usize] = item.title;
    }
    (training.titles, training.words) = (Some(titles), Some(words));
    Ok(())
}

/// Names and tags by the split's own numbers, which `item_list.txt` beside it translates, when `artists.dat` is in its
/// folder or the one above.
fn describe_split(training: &mut Training, split: &Path, items: usize, progress: &dyn Progress) -> Result<(), Error> {
    let numbering = split.join("item_list.txt");
    let above = split.parent().unwrap_or(split);
    let Some(folder) = [split, above].into_iter().find(|folder| folder.join("artists.dat").exists()) else {
        return Ok(());
    };
    if !numbering.exists() {
        return Ok(());
    }
    let rows = numbers::columns(&numbering, ["org_id", "remap_id"], progress)?;
    let of_original = Numbering::pairs(rows.iter().map(|[original, number]| (*original as u32, *number as u32)), items);
    describe(training, folder, &of_original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_data_set_is_understood_and_names_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let split = folder.path().join("tkgat");
        std::fs::create_dir(&split).unwrap();
        for (name, text) in [
            ("tkgat/train.txt", "0 0 1\n1 2\n"),
            ("tkgat/valid.txt", "0 2\n1 0\n"),
            ("tkgat/test.txt", "0 3\n1 1\n"),
            ("tkgat/item_list.txt", "org_id remap_id\n10 0\n11 1\n12 2\n13 3\n"),
            ("artists.dat", "id\tname\turl\tpictureURL\n10\tA\tx\ty\n13\tD d\tx\ty\n"),
            ("user_artists.dat", "userID\tartistID\tweight\n"),
            ("tags.dat", "tagID\ttagValue\n1\trock\n"),
            ("user_taggedartists.dat", "userID\tartistID\ttagID\tday\tmonth\tyear\n2\t13\t1\t1\t4\t2009\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let task = read(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        assert_eq!(task.training.titles.unwrap(), ["A", "", "", "D d"]);
        assert_eq!(task.training.words.unwrap()[3], ["genre:rock"]);
        assert_eq!(task.training.later.unwrap().seen.row(0).0, [0, 1, 2]);
        assert_eq!(task.held_out.row(1).0, [1]);
        let task = read(&split, &Options::new(Part::Validation), &Silent).unwrap();
        assert_eq!((task.training.learn.seen.row(1).0, task.held_out.row(1).0), (&[2][..], &[0][..]));
    }

    #[test]
    fn users_and_artists_of_lightgcns_split_are_numbered_from_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data1.txt"), "1\t3\t99\n2\t1\t5\n1\t1\t2\n").unwrap();
        std::fs::write(folder.path().join("test1.txt"), "2\t2\t7\n").unwrap();
        let task = read_lightgcn(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        assert_eq!((task.training.learn.seen.row(0).0, task.held_out.row(1).0), (&[0, 2][..], &[1][..]));
        let task = read_lightgcn(folder.path(), &Options::new(Part::Validation), &Silent).unwrap();
        assert_eq!((task.training.learn.seen.len(), task.held_out.len()), (2, 1));
        std::fs::write(folder.path().join("test1.txt"), "0\t2\t7\n").unwrap();
        assert!(read_lightgcn(folder.path(), &Options::new(Part::Test), &Silent).is_err());
    }
}
