//! Incremental reading: what training gets is the same as from everything, and only new files are read.

use std::path::{Path, PathBuf};

use learning::{
    archive::{Archive, Config, Span},
    progress::Silent,
    train::{self, train},
    world::{self, generate},
};
use releases::Store;
use shared_models::{Seed, Timestamp};

use super::{DAY, NOW, files, message, tenant};

fn open(root: &Path, history: &Path, now: Timestamp) -> Archive {
    let config = Config { history: history.to_owned(), ..Config::folder(root) };
    Archive::connect(&config, now).unwrap()
}

fn kept(folder: &Path) -> PathBuf {
    folder.join("demo.parquet")
}

#[test]
fn only_new_files_are_read_and_the_events_are_those_of_everything() {
    let (root, kept_in) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tomorrow = Timestamp(NOW.0 + DAY);
    let archive = open(root.path(), kept_in.path(), NOW);
    let check = |read: usize, known: usize, what: &str| {
        let history = archive.history(&tenant(), &Silent).unwrap();
        assert_eq!((history.files_read, history.files_known), (read, known), "{what}");
        assert_eq!(history.events, archive.read(&tenant(), Span::ALL, &Silent).unwrap(), "{what}");
        history.position
    };
    check(0, 0, "nothing yet");
    archive.land(&[message(1, "a", 5..20), message(2, "b", 0..8)]).unwrap();
    archive.land(&[message(3, "c", 20..30)]).unwrap();
    assert_eq!(check(2, 0, "everything is new"), 3);
    check(0, 2, "nothing is new");
    // Older events that come later, one of them for the second time.
    archive.land(&[message(4, "d", 2..4), message(5, "e", 40..41)]).unwrap();
    archive.keep(&tenant(), &[super::event(1), super::event(60)], NOW).unwrap();
    check(2, 2, "two files are new");
    archive.compact(tomorrow).unwrap();
    assert_eq!(files(root.path()), 1);
    check(0, 1, "a merged file is known by those it stands for");
    archive.land(&[message(6, "f", 41..45)]).unwrap();
    archive.compact(tomorrow).unwrap();
    check(1, 0, "a merged file with something new in it is read");
    assert_eq!(check(0, 1, "once"), 6);
}

#[test]
fn a_history_that_does_not_fit_is_read_anew() {
    let (root, kept_in) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = open(root.path(), kept_in.path(), NOW);
    archive.land(&[message(1, "a", 0..5)]).unwrap();
    archive.land(&[message(2, "b", 5..9)]).unwrap();
    let read = || archive.history(&tenant(), &Silent).unwrap();
    assert_eq!(read().events.len(), 9);
    // Cut short, as by a full disk.
    let whole = std::fs::read(kept(kept_in.path())).unwrap();
    std::fs::write(kept(kept_in.path()), &whole[..whole.len() / 2]).unwrap();
    assert_eq!((read().files_read, read().files_read), (2, 0));
    // What is taken out of the archive does not live on in what was kept of it.
    let day = super::partition(root.path(), "events");
    let first = std::fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    std::fs::remove_file(first).unwrap();
    let history = read();
    assert_eq!((history.files_read, history.events.len()), (1, 4));
}

#[test]
fn a_release_trained_incrementally_is_the_release_trained_from_everything() {
    let (root, kept_in) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = generate(&world::Config::small(Seed(6), NOW), &Silent).unwrap();
    let archive = open(root.path(), kept_in.path(), NOW);
    let mut config = train::Config::new(NOW);
    (config.factors.epochs, config.factors.dimensions) = (3, 8);
    let release = |archive: &Archive| {
        let folder = tempfile::tempdir().unwrap();
        let history = archive.history(&tenant(), &Silent).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let report = train(&tenant(), &world.items, &history.events, &store, &config, &Silent).unwrap();
        (report.release.unwrap(), history.files_read)
    };
    let (most, rest) = world.events.split_at(world.events.len() * 3 / 4);
    archive.keep(&tenant(), most, NOW).unwrap();
    let (before, _) = release(&archive);
    archive.keep(&tenant(), rest, NOW).unwrap();
    let (incremental, read) = release(&archive);
    assert_eq!(read, 1, "only the new file is read");
    let nothing_kept = Archive::open(root.path(), NOW).unwrap();
    let (from_everything, read) = release(&nothing_kept);
    assert_eq!(read, 2);
    assert_eq!(incremental, from_everything);
    assert_ne!(incremental, before);
}
