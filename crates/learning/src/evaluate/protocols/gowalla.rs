//! Gowalla check-ins in the split of NGCF and LightGCN (He et al., "LightGCN: Simplifying and Powering Graph
//! Convolution Network for Recommendation", SIGIR 2020): all users, all items but those of the training part, Recall as
//! hits over all that was held out, NDCG with binary gains.
//!
//! The split has no validation part, and published rows were tuned on the test part. Ours are not: tuning holds out
//! the last tenth of each training list, which stands in for the test part better than a random tenth does
//! ([`crate::datasets::gowalla`] says why).

use std::path::Path;

use super::{
    super::{
        protocol::{Candidates, Error, Measure, Options, Part, Protocol, Published, Task},
        training::{History, Training},
    },
    by_user, size,
};
use crate::{datasets::numbers, progress::Progress};

const BARS: &str = "reczoo/BARS, docs/Matching/leaderboard/gowalla_m1.csv";

/// The split of NGCF and LightGCN.
pub static LIGHTGCN: Protocol = Protocol {
    name: "gowalla-lightgcn",
    about: "Gowalla check-ins, the split of NGCF and LightGCN: 80/20 by user, every user, every item not in train. \
            Validation is the last tenth of each train list.",
    files: "train.txt, test.txt",
    measures: &[Measure::recall(20), Measure::ndcg(20), Measure::recall(50), Measure::ndcg(50)],
    published: &[
        row("SimpleX", &[Some(0.1872), Some(0.1557), Some(0.2874), Some(0.1868)]),
        row("UltraGCN", &[Some(0.1862), Some(0.1580)]),
        row("GF-CF", &[Some(0.1849), Some(0.1518)]),
        row("MF-CCL", &[Some(0.1837), Some(0.1493), Some(0.2871), Some(0.1816)]),
        row("LightGCN", &[Some(0.1820), Some(0.1547), Some(0.2821), Some(0.1859)]),
        row("EASE", &[Some(0.1765), Some(0.1467), Some(0.2701), Some(0.1760)]),
        row("ItemCF", &[Some(0.1570), Some(0.1214), Some(0.2549), Some(0.1527)]),
    ],
    read,
};

const fn row(method: &'static str, values: &'static [Option<f64>]) -> Published {
    Published { method, values, source: BARS }
}

fn read(folder: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let train = numbers::lists(&folder.join("train.txt"), progress)?;
    let (learn, held_out, items) = match options.part {
        Part::Test => {
            let test = numbers::lists(&folder.join("test.txt"), progress)?;
            let (users, items) = size(&[&train, &test]);
            (by_user(train, users), by_user(test, users), items)
        }
        Part::Validation => {
            let (users, items) = size(&[&train]);
            let (learn, held_out) = without_ends(by_user(train, users), 0.1);
            (learn, held_out, items)
        }
    };
    Ok(Task {
        training: Training { learn: History::of_sequences(items, learn)?, ..Training::default() },
        held_out: History::of_sets(items, &held_out)?.seen,
        candidates: Candidates::All,
        notes: vec!["the lists of train.txt are taken to be in the order of time, oldest first".to_owned()],
    })
}

/// The lists, and their ends, `share` of each rounded up. A list of one item is kept whole.
pub(super) fn without_ends(mut lists: Vec<Vec<u32>>, share: f64) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let ends = lists
        .iter_mut()
        .map(|list| {
            let end = (list.len() as f64 * share).ceil() as usize;
            list.split_off(list.len().saturating_sub(end).max(1).min(list.len()))
        })
        .collect();
    (lists, ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_test_part_stays_unread_when_tuning() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.txt"), "0 3 1 9 2\n1 0\n2\n").unwrap();
        let task = read(folder.path(), &Options::new(Part::Validation), &Silent).unwrap();
        assert_eq!(task.training.learn.sequences.as_ref().unwrap()[..2], [vec![3, 1, 9], vec![0]]);
        assert_eq!(task.held_out.row(0).0, [2]);
        assert!(read(folder.path(), &Options::new(Part::Test), &Silent).is_err());
        std::fs::write(folder.path().join("test.txt"), "0 5\n3 11\n").unwrap();
        let task = read(folder.path(), &Options::new(Part::Test), &Silent).unwrap();
        assert_eq!((task.training.users(), task.training.items()), (4, 12));
        assert_eq!((task.training.learn.seen.row(0).0, task.held_out.row(3).0), (&[1, 2, 3, 9][..], &[11][..]));
    }
}
