//! A split by time, on whatever can be imported, on an archive, or on a generated world: the only split that a live
//! system can fail by. Learned from what came before a moment, measured on what the same users then came to choose for
//! the first time. Validation is the same split of what came before the moment of the test, so tuning reads nothing of
//! the test.
//!
//! A choice is an event of positive weight (a play, a like, …); a pair weighs the sum of its events' weights. Users who
//! are not known before the moment are not measured, and the notes count them.

use std::path::{Path, PathBuf};

use candidate_generation::{catalog, profiles::counted_at};
use rustc_hash::FxHashMap;
use shared_models::{ItemKey, Seed, TenantId, Timestamp, UserId, event::Event, item::Item};

use super::super::{
    protocol::{Candidates, Error, Measure, Options, Part, Protocol, Task},
    split::{self, Timed},
    training::{History, Training},
};
use crate::{
    archive::{Archive, Span},
    datasets::{self, Import},
    factors::Interactions,
    progress::Progress,
    world,
};

const MEASURES: &[Measure] = &[Measure::recall(20), Measure::ndcg(20), Measure::recall(50), Measure::ndcg(50)];

/// A split by time of whatever can be imported.
pub static BY_TIME: Protocol = Protocol {
    name: "time",
    about: "Any data that can be imported, or an archive, split by time: learned from the earlier four fifths, measured \
            on what the same users chose for the first time in the latest fifth. Validation is the same split again of \
            the earlier part.",
    files: "those of `setlist import` (--format, --map), or a platform's data folder with an archive",
    measures: MEASURES,
    published: &[],
    read,
};

/// A split by time of a generated world.
pub static WORLD: Protocol = Protocol {
    name: "world",
    about: "The generated world of the demo, split by time like `time`. Needs no data set; nobody in it is real.",
    files: "none",
    measures: MEASURES,
    published: &[],
    read: read_world,
};

/// How files become events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A MovieLens folder.
    Movielens,
    /// A Last.fm HetRec folder.
    Lastfm,
    /// A file of ListenBrainz listens.
    Listenbrainz,
    /// A Spotify history.
    Spotify,
    /// A table, with its mapping.
    Table(String),
    /// A tenant's archive.
    Archive(TenantId),
}

impl Source {
    /// What a folder looks like it holds.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).exists();
        if has("movies.dat") {
            Some(Self::Movielens)
        } else if has("user_artists.dat") {
            Some(Self::Lastfm)
        } else if has("archive") {
            TenantId::new("demo").ok().map(Self::Archive)
        } else {
            None
        }
    }

    fn import(&self, path: &Path, progress: &dyn Progress) -> Result<Import, Error> {
        // Every event of a data set is in the past of this moment; formats without times spread theirs before it.
        let options = datasets::Options { now: Timestamp(4_102_444_800_000) };
        let files: [PathBuf; 1] = [path.to_owned()];
        let whose = || {
            UserId::new("me").map_err(|_| Error::Contents { path: path.to_owned(), expected: "name a user".to_owned() })
        };
        Ok(match self {
            Self::Movielens => datasets::movielens::import(path, options, progress)?,
            Self::Lastfm => datasets::lastfm::import(path, options, progress)?,
            Self::Listenbrainz => datasets::listenbrainz::import(&files, &whose()?, options, progress)?,
            Self::Spotify => datasets::spotify::import(path, &whose()?, options, progress)?,
            Self::Table(mapping) => datasets::table::import(&files, &mapping.parse()?, options, progress)?,
            Self::Archive(tenant) => {
                let root = if path.join("archive").exists() { path.join("archive") } else { path.to_owned() };
                let events = Archive::open(root, options.now)?.read(tenant, Span::ALL, progress)?;
                Import { items: Vec::new(), users: Vec::new(), events, report: datasets::Report::default() }
            }
        })
    }
}

fn read(path: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    let source = options.source.clone().or_else(|| Source::of(path)).ok_or_else(|| Error::Contents {
        path: path.to_owned(),
        expected: "say what it holds with --format".to_owned(),
    })?;
    let Import { items, events, report, .. } = source.import(path, progress)?;
    let mut task = split(path, &items, &events, options)?;
    task.notes.extend(report.notes);
    Ok(task)
}

fn read_world(path: &Path, options: &Options, progress: &dyn Progress) -> Result<Task, Error> {
    // The world's end only names the days: the split looks at the order.
    let config = world::Config::demo(Seed(7), Timestamp(1_750_000_000_000));
    let world = world::generate(&config, progress).map_err(|source| Error::World { source })?;
    let mut task = split(path, &world.items, &world.events, options)?;
    task.notes.push("the world is the demo's, seed 7; nobody in it is real".to_owned());
    Ok(task)
}

fn split(path: &Path, items: &[Item], events: &[Event], options: &Options) -> Result<Task, Error> {
    let nothing = |expected: &str| Error::Contents { path: path.to_owned(), expected: expected.to_owned() };
    let table = Table::of(items, events);
    let share = options.share;
    let test_from = split::moment_for_share(&table.choices, share).ok_or_else(|| nothing("it has no choices"))?;
    let (choices, from) = match options.part {
        Part::Test => (&table.choices[..], test_from),
        Part::Validation => {
            let before = &table.choices[..table.choices.partition_point(|choice| choice.at < test_from)];
            let from =
                split::moment_for_share(before, share).ok_or_else(|| nothing("too little comes before the test"))?;
            (before, from)
        }
    };
    let (users, columns) = (table.users, table.items.len());
    let parts = split::by_time(users, columns, choices, from)?;
    let known = |user: u32| !parts.seen.row(user as usize).0.is_empty();
    let entries: Vec<_> =
        parts.held_out.entries().filter(|(user, _, _)| known(*user)).map(|(user, item, _)| (user, item, 1.0)).collect();
    let held_out = Interactions::from_entries(users, columns, &entries)?;
    let strangers = (0..users as u32).filter(|user| !known(*user) && !parts.held_out.row(*user as usize).0.is_empty());
    let notes = vec![format!(
        "learned from what came before {from}; {} users who were not known before it are not measured",
        strangers.count()
    )];
    let earlier = &choices[..choices.partition_point(|choice| choice.at < from)];
    let learn = History { seen: parts.seen, sequences: Some(sequences(users, earlier)) };
    let (titles, words) = (Some(table.titles), Some(table.words));
    let training = Training { learn, titles, words, choices: Some(earlier.to_vec()), ..Training::default() };
    Ok(Task { training, held_out, candidates: Candidates::All, notes })
}

/// Each user's choices in their order; one item in a row, such as played, heard to its end and liked, stands once.
fn sequences(users: usize, choices: &[Timed]) -> Vec<Vec<u32>> {
    let mut sequences: Vec<Vec<u32>> = vec![Vec::new(); users];
    for choice in choices {
        let sequence = &mut sequences[choice.user as usize];
        if sequence.last() != Some(&choice.item) {
            sequence.push(choice.item);
        }
    }
    sequences
}

/// The choices, in time order, with users and items by number.
struct Table {
    users: usize,
    items: Vec<ItemKey>,
    titles: Vec<String>,
    words: Vec<Vec<String>>,
    choices: Vec<Timed>,
}

impl Table {
    fn of(items: &[Item], events: &[Event]) -> Self {
        let mut chosen: Vec<&Event> = events.iter().filter(|event| event.kind.weight() > 0.0).collect();
        chosen.sort_by_key(|event| counted_at(event));
        let known: FxHashMap<ItemKey, &Item> = items.iter().map(|item| (item.key(), item)).collect();
        // Items nobody ever chose, in either part, are no candidates: the importer of a set without a catalogue would
        // not know them.
        let mut keys: Vec<ItemKey> = chosen.iter().map(|event| event.item_key()).collect();
        keys.sort_unstable();
        keys.dedup();
        let numbers: FxHashMap<ItemKey, u32> = keys.iter().enumerate().map(|(at, key)| (*key, at as u32)).collect();
        let mut users: FxHashMap<&UserId, u32> = FxHashMap::default();
        let mut choices = Vec::with_capacity(chosen.len());
        for event in chosen {
            let next = users.len() as u32;
            let user = *users.entry(&event.user).or_insert(next);
            let item = numbers.get(&event.item_key()).copied().unwrap_or_default();
            choices.push(Timed {
                user,
                item,
                weight: event.kind.weight(),
                at: counted_at(event),
                market: event.market.unwrap_or_default(),
            });
        }
        let of = |key: &ItemKey| known.get(key).copied();
        let titles = keys.iter().map(|key| of(key).map(|item| item.title.clone()).unwrap_or_default()).collect();
        let words = keys.iter().map(|key| of(key).map(words).unwrap_or_default()).collect();
        Self { users: users.len(), items: keys, titles, words, choices }
    }
}

/// What an item is, in words, its maker among them.
fn words(item: &Item) -> Vec<String> {
    let mut words = catalog::words(item);
    words.extend(item.artist_id.iter().map(|artist| format!("artist:{artist}")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("movies.dat"),
            "1::A (1990)::Drama\n2::B (1991)::War\n3::C (1992)::War\n4::D (1993)::War\n5::E (1993)::War\n",
        )
        .unwrap();
        // Ten ratings of one second each: user 1 rates 1 2 3 4, user 2 rates 2 3 5 1, user 3 comes last.
        let ratings: String = [(1, 1), (2, 2), (1, 2), (2, 3), (1, 3), (2, 5), (1, 4), (2, 1), (3, 1), (3, 2)]
            .iter()
            .enumerate()
            .map(|(at, (user, film))| format!("{user}::{film}::3::{}\n", 1_000 + at))
            .collect();
        std::fs::write(folder.path().join("ratings.dat"), ratings).unwrap();
        folder
    }

    #[test]
    fn what_comes_later_is_measured_and_strangers_are_counted() {
        let folder = folder();
        let options = Options { share: 0.4, ..Options::new(Part::Test) };
        let task = read(folder.path(), &options, &Silent).unwrap();
        let titles = task.training.titles.as_ref().unwrap();
        let names = |items: &[u32]| items.iter().map(|item| titles[*item as usize].clone()).collect::<Vec<_>>();
        let sequences = task.training.learn.sequences.as_ref().unwrap();
        assert_eq!(names(&sequences[0]), ["A (1990)", "B (1991)", "C (1992)"]);
        assert_eq!(names(task.held_out.row(0).0), ["D (1993)"]);
        assert_eq!(names(task.held_out.row(1).0), ["A (1990)"]);
        assert!(task.held_out.row(2).0.is_empty(), "user 3 is not known before");
        assert!(task.notes[0].contains("1 users who were not known"), "{:?}", task.notes);
        assert!(task.training.words.unwrap().iter().any(|words| words == &["genre:drama", "year:1990"]));
    }

    #[test]
    fn tuning_reads_nothing_of_the_test_part() {
        let folder = folder();
        let options = Options { share: 0.4, ..Options::new(Part::Validation) };
        let task = read(folder.path(), &options, &Silent).unwrap();
        // Before the test there are six choices; the latest of them, from the fourth on, are held out.
        assert_eq!(task.training.learn.seen.len(), 3);
        assert_eq!(task.held_out.len(), 3);
        assert!(read(tempfile::tempdir().unwrap().path(), &options, &Silent).is_err());
    }
}
