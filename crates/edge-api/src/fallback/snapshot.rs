//! What is popular, on disk: for an edge that starts while every service is away.
//!
//! One file, replaced whole: a line that names the form, its version and the SHA-256 of the rest, and then JSON. What
//! cannot be trusted is told and ignored; it never keeps the edge from starting. Must not know who asks, and holds no
//! listener's data.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use service_runtime::{Runtime, tasks::chain};
use sha2::{Digest as _, Sha256};
use shared_models::{
    Clock, ItemId, ItemKey, TenantId, Timestamp,
    item::{DisplayItem, ItemKind, Market},
};

use crate::metrics::Metrics;

const FILE: &str = "popular.json";
const FORM: &str = "setlist-popular";
const VERSION: u32 = 1;
/// More than any edge writes: a larger file is not ours.
const MOST_BYTES: u64 = 256 << 20;

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is no snapshot of popular items")]
    Foreign,
    #[error("it is of version {0}; this edge reads version 1")]
    Newer(u32),
    #[error("its checksum is wrong")]
    Damaged,
    #[error("its items cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("it is from {0}, older than serving.snapshot_ttl")]
    Old(Timestamp),
}

/// What is popular in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) market: Market,
    items: Vec<Kept>,
}

/// An item as it is drawn; its key follows from its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    id: ItemId,
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artist_name: Option<String>,
}

impl Place {
    pub(super) fn new<'a>(tenant: TenantId, market: Market, items: impl Iterator<Item = &'a DisplayItem>) -> Self {
        let kept = |item: &DisplayItem| Kept {
            id: item.id.clone(),
            kind: item.kind.as_str().to_owned(),
            title: item.title.clone(),
            artist_name: item.artist_name.clone(),
        };
        Self { tenant, market, items: items.map(kept).collect() }
    }

    pub(super) fn into_items(self) -> Arc<[Arc<DisplayItem>]> {
        let items = self.items.into_iter().map(|item| {
            Arc::new(DisplayItem {
                key: ItemKey::of(&item.id),
                id: item.id,
                kind: ItemKind::from(item.kind.as_str()),
                title: item.title,
                artist_name: item.artist_name,
            })
        });
        items.collect()
    }
}

#[derive(Deserialize)]
struct Body {
    as_of: Timestamp,
    places: Vec<Place>,
}

/// The snapshot of one edge.
pub(crate) struct Snapshot {
    folder: PathBuf,
    time_to_live: Duration,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// What the file holds, as a digest, and when it was true.
    written: Mutex<Option<([u8; 32], Timestamp)>>,
}

impl Snapshot {
    /// The snapshot in a folder; none where the folder has no name.
    pub(crate) fn at(folder: &Path, time_to_live: Duration, runtime: &Runtime, metrics: Metrics) -> Option<Self> {
        let clock = Arc::clone(&runtime.clock);
        let named = !folder.as_os_str().is_empty();
        named.then(|| Self { folder: folder.to_owned(), time_to_live, clock, metrics, written: Mutex::new(None) })
    }

    /// What the file holds, and when it was true; nothing when there is none that can be trusted.
    pub(super) fn read(&self) -> Option<(Vec<Place>, Timestamp)> {
        match self.load() {
            Ok(Body { as_of, places }) => {
                tracing::info!(places = places.len(), %as_of, "popular items are read from disk");
                self.metrics.snapshot("read");
                Some((places, as_of))
            }
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let file = self.folder.join(FILE);
                tracing::warn!(file = %file.display(), error = chain(&error), "snapshot is ignored");
                self.metrics.snapshot("ignored");
                None
            }
        }
    }

    fn load(&self) -> Result<Body, Unusable> {
        let path = self.folder.join(FILE);
        if fs::metadata(&path)?.len() > MOST_BYTES {
            return Err(Unusable::Foreign);
        }
        let bytes = fs::read(path)?;
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(Unusable::Foreign)?;
        let (head, body) = bytes.split_at(end);
        let body = body.get(1..).unwrap_or_default();
        let head = str::from_utf8(head).map_err(|_| Unusable::Foreign)?;
        let mut words = head.split(' ');
        if words.next() != Some(FORM) {
            return Err(Unusable::Foreign);
        }
        match words.next().and_then(|version| version.parse().ok()) {
            Some(VERSION) => {}
            Some(other) => return Err(Unusable::Newer(other)),
            None => return Err(Unusable::Foreign),
        }
        if words.next() != Some(hex::encode(Sha256::digest(body)).as_str()) {
            return Err(Unusable::Damaged);
        }
        let body: Body = serde_json::from_slice(body)?;
        if self.clock.now().since(body.as_of) > self.time_to_live {
            return Err(Unusable::Old(body.as_of));
        }
        Ok(body)
    }

    /// Replaces the file by what was true at a moment, when it holds something else or grows old. Blocks.
    pub(super) fn write(&self, places: &[Place], as_of: Timestamp) {
        match self.replace(places, as_of) {
            Ok(false) => {}
            Ok(true) => self.metrics.snapshot("written"),
            Err(error) => {
                tracing::warn!(folder = %self.folder.display(), %error, "snapshot is not written");
                self.metrics.snapshot("not_written");
            }
        }
    }

    fn replace(&self, places: &[Place], as_of: Timestamp) -> io::Result<bool> {
        let mut written = self.written.lock();
        let places = serde_json::to_string(places)?;
        let digest: [u8; 32] = Sha256::digest(&places).into();
        let fresh = |at: Timestamp| as_of.since(at) < self.time_to_live / 4;
        if written.is_some_and(|(known, at)| known == digest && fresh(at)) {
            return Ok(false);
        }
        let body = format!("{{\"as_of\":{},\"places\":{places}}}", serde_json::to_string(&as_of)?);
        let head = format!("{FORM} {VERSION} {}\n", hex::encode(Sha256::digest(&body)));
        fs::create_dir_all(&self.folder)?;
        let (path, new) = (self.folder.join(FILE), self.folder.join(format!("{FILE}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(head.as_bytes())?;
        file.write_all(body.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(&self.folder)?.sync_all()?;
        *written = Some((digest, as_of));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use shared_models::clock::ManualClock;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn place(title: &str) -> Place {
        let id = ItemId::new("track-1").unwrap();
        let item = DisplayItem {
            key: ItemKey::of(&id),
            id,
            kind: ItemKind::Track,
            title: title.to_owned(),
            artist_name: Some("Ada".to_owned()),
        };
        Place::new(TenantId::new("demo").unwrap(), Market::parse("SE").unwrap(), std::iter::once(&item))
    }

    fn snapshot(folder: &Path) -> (Snapshot, Arc<ManualClock>, service_runtime::Metrics) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
        let runtime = Runtime::new(Arc::<ManualClock>::clone(&clock));
        let snapshot = Snapshot::at(folder, DAY, &runtime, Metrics::new(&runtime.metrics)).unwrap();
        (snapshot, clock, runtime.metrics)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshot, clock, metrics) = snapshot(&folder.path().join("new"));
        assert!(snapshot.read().is_none());
        assert!(!metrics.encode().contains("snapshots_total{"), "no file is no mistake");
        let places = [place("Tango \"now\"\n")];
        snapshot.write(&places, clock.now());
        assert_eq!(snapshot.read(), Some((places.to_vec(), clock.now())));
        let item = snapshot.read().unwrap().0.remove(0).into_items()[0].clone();
        assert_eq!((item.key, item.title.as_str()), (ItemKey::of(&item.id), "Tango \"now\"\n"));
        snapshot.write(&places, clock.now());
        assert!(
            metrics.encode().contains("setlist_edge_snapshots_total{outcome=\"written\"} 1"),
            "nothing has changed"
        );
        // What stays true is written anew before it grows old.
        clock.advance(DAY / 2);
        snapshot.write(&places, clock.now());
        snapshot.write(&[place("Waltz")], clock.now());
        assert!(metrics.encode().contains("setlist_edge_snapshots_total{outcome=\"written\"} 3"));
        assert_eq!(snapshot.read().unwrap().0, [place("Waltz")]);
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(folder.path().join("new").join(FILE)).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_trusted_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshot, clock, metrics) = snapshot(folder.path());
        let file = folder.path().join(FILE);
        snapshot.write(&[place("Tango")], clock.now());
        let good = fs::read(&file).unwrap();
        let mut cases: Vec<(Vec<u8>, &str)> = vec![
            (Vec::new(), "no snapshot"),
            (b"{\"places\": []}\n".to_vec(), "no snapshot"),
            (vec![0xff; 1_000], "no snapshot"),
            (b"setlist-popular 2 abc\n{}".to_vec(), "of version 2"),
            (b"setlist-popular 1 abc\n{}".to_vec(), "checksum"),
            (format!("setlist-popular 1 {}\n{{}}", hex::encode(Sha256::digest("{}"))).into_bytes(), "cannot be read"),
            (good[..good.len() - 1].to_vec(), "checksum"),
        ];
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        cases.push((flipped, "checksum"));
        let count = cases.len();
        for (bytes, expected) in cases {
            fs::write(&file, bytes).unwrap();
            let told = snapshot.load().err().unwrap().to_string();
            assert!(told.contains(expected), "{told}, not {expected}");
            assert!(snapshot.read().is_none());
        }
        assert!(metrics.encode().contains(&format!("setlist_edge_snapshots_total{{outcome=\"ignored\"}} {count}")));
        fs::write(&file, good).unwrap();
        assert_eq!(snapshot.read().unwrap().0, [place("Tango")]);
        clock.advance(DAY + Duration::from_secs(1));
        assert!(snapshot.read().is_none(), "too old");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("file");
        fs::write(&taken, "").unwrap();
        let (snapshot, clock, metrics) = snapshot(&taken);
        snapshot.write(&[place("Tango")], clock.now());
        assert!(metrics.encode().contains("setlist_edge_snapshots_total{outcome=\"not_written\"} 1"));
        assert!(snapshot.read().is_none());
    }
}
