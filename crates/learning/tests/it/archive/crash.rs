//! Crashes: at every question that is put to the store, and of a whole process at any moment. Whatever was lost is
//! delivered again, in other batches; afterwards every row is there once.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path as FilePath,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use learning::{
    archive::{Archive, EventRow, Message, Span, cells},
    progress::Silent,
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, local::LocalFileSystem, path::Path,
};
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus as Draw;
use shared_models::Timestamp;

use super::{DAY, NOW, message, tenant};

/// A store whose process dies: after so many writes and removals nothing happens any more.
#[derive(Debug)]
struct Dying {
    inner: LocalFileSystem,
    left: AtomicUsize,
    /// Whether the last one still takes effect, and only its answer is lost.
    last_takes_effect: bool,
}

impl Dying {
    fn over(root: &FilePath, left: usize, last_takes_effect: bool) -> Arc<Self> {
        let inner = LocalFileSystem::new_with_prefix(root).unwrap();
        Arc::new(Self { inner, left: AtomicUsize::new(left), last_takes_effect })
    }

    /// Whether a change takes effect, and whether its answer comes.
    fn change(&self) -> (bool, Result<()>) {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match before {
            Ok(1) => (self.last_takes_effect, Err(dead())),
            Ok(_) => (true, Ok(())),
            Err(_) => (false, Err(dead())),
        }
    }

    fn alive(&self) -> Result<()> {
        if self.left.load(Ordering::SeqCst) == 0 { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> Error {
    Error::Generic { store: "Dying", source: "the process is dead".into() }
}

impl fmt::Display for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dying({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Dying {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (takes_effect, answer) = self.change();
        if takes_effect {
            let put = self.inner.put_opts(location, payload, options).await;
            answer.and(put)
        } else {
            Err(dead())
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("the archive puts whole files")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (takes_effect, answer) = self.change();
        match (takes_effect, answer) {
            (true, Ok(())) => self.inner.delete_stream(locations),
            (true, Err(_)) => {
                use futures_util::StreamExt as _;
                let deleted = self.inner.delete_stream(locations);
                deleted.map(|_| Err(dead())).boxed()
            }
            (false, _) => {
                use futures_util::StreamExt as _;
                futures_util::stream::once(async { Err(dead()) }).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unreachable!("the archive copies nothing")
    }
}

/// The messages of a stream: some events each.
fn stream(count: u64) -> Vec<Message<EventRow>> {
    (0..count).map(|n| message(n + 1, &format!("m{n}"), n * 3..n * 3 + 3)).collect()
}

/// Lands messages in batches of drawn sizes.
fn land(archive: &Archive, messages: &[Message<EventRow>], draw: &mut Draw) -> bool {
    let mut rest = messages;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(draw.random_range(1..=rest.len().min(5)));
        if archive.land(batch).is_err() {
            return false;
        }
        rest = after;
    }
    true
}

/// How often each row stands in the files, whoever reads them: nothing is left out.
fn rows_in_files(root: &FilePath) -> BTreeMap<(String, u32), usize> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let bytes = Bytes::from(std::fs::read(&path).unwrap());
                for row in cells::read::<EventRow>(&path.display().to_string(), bytes, Span::ALL).unwrap() {
                    *found.entry((row.origin.message.to_string(), row.origin.index)).or_default() += 1;
                }
            }
        }
    }
    found
}

fn expect_each_once(root: &FilePath, messages: u64, what: &str) {
    let found = rows_in_files(root);
    assert_eq!(found.len() as u64, messages * 3, "{what}: rows are missing");
    assert!(found.values().all(|times| *times == 1), "{what}: {found:?}");
}

#[test]
fn a_crash_at_any_write_loses_and_doubles_nothing() {
    let mut crashes = 0;
    for last_takes_effect in [false, true] {
        for after in 1..40 {
            let mut draw = Draw::seed_from_u64(after as u64);
            let folder = tempfile::tempdir().unwrap();
            let messages = stream(20);
            let dying = Archive::over(Dying::over(folder.path(), after, last_takes_effect), None, NOW).unwrap();
            let finished = land(&dying, &messages, &mut draw);
            crashes += usize::from(!finished);
            drop(dying);
            // The stream delivers again whatever was not answered, and some that was, in other batches and order.
            let archive = Archive::open(folder.path(), NOW).unwrap();
            let mut again = messages.clone();
            again.shuffle(&mut draw);
            assert!(land(&archive, &again, &mut draw));
            expect_each_once(folder.path(), 20, &format!("crash after {after} writes"));
        }
    }
    assert!(crashes >= 10, "{crashes} crashes are too few to tell");
}

#[test]
fn a_compaction_cut_short_at_any_change_loses_and_doubles_nothing() {
    let tomorrow = Timestamp(NOW.0 + DAY);
    let mut crashes = 0;
    for last_takes_effect in [false, true] {
        for after in 1..24 {
            let mut draw = Draw::seed_from_u64(after as u64);
            let folder = tempfile::tempdir().unwrap();
            let messages = stream(20);
            let archive = Archive::open(folder.path(), NOW).unwrap();
            assert!(land(&archive, &messages, &mut draw));
            let dying = Archive::over(Dying::over(folder.path(), after, last_takes_effect), None, tomorrow).unwrap();
            crashes += usize::from(dying.compact(tomorrow).is_err());
            // Between the crash and the next compaction, the readers here see each row once.
            let archive = Archive::open(folder.path(), tomorrow).unwrap();
            assert_eq!(archive.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 60, "after {after} changes");
            assert!(land(&archive, &messages, &mut draw), "what is delivered again is known");
            archive.compact(tomorrow).unwrap();
            expect_each_once(folder.path(), 20, &format!("compaction crashed after {after} changes"));
        }
    }
    assert!(crashes >= 10, "{crashes} crashes are too few to tell");
}

#[test]
fn two_writers_at_once_are_mended_by_readers_and_by_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Archive::open(folder.path(), NOW).unwrap(), Archive::open(folder.path(), NOW).unwrap());
    let messages = stream(6);
    first.land(&messages[..4]).unwrap();
    second.land(&messages[2..]).unwrap();
    assert_eq!(first.read(&tenant(), Span::ALL, &Silent).unwrap().len(), 18);
    first.compact(Timestamp(NOW.0 + DAY)).unwrap();
    expect_each_once(folder.path(), 6, "after compaction");
}

/// The folder in which the child lands, and nothing in any other process.
const CHILD: &str = "SETLIST_TEST_ARCHIVE_CHILD";
/// Messages that the child lands.
const MESSAGES: u64 = 400;

/// What the child of the next test does; by itself it is nothing.
#[test]
fn a_process_that_lands_until_it_is_killed() {
    let Some(root) = std::env::var_os(CHILD) else { return };
    let archive = Archive::open(root, NOW).unwrap();
    let mut draw = Draw::seed_from_u64(u64::from(std::process::id()));
    assert!(land(&archive, &stream(MESSAGES), &mut draw));
}

#[cfg(unix)]
#[test]
fn a_process_killed_at_any_moment_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "archive::crash::a_process_that_lands_until_it_is_killed"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + round * 37 % 300));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    let archive = Archive::open(folder.path(), NOW).unwrap();
    let before = rows_in_files(folder.path()).len();
    assert!(land(&archive, &stream(MESSAGES), &mut Draw::seed_from_u64(1)));
    expect_each_once(folder.path(), MESSAGES, "after the kills");
    println!("{killed} of 12 processes were killed at work; {before} rows were there before the last landing");
}
