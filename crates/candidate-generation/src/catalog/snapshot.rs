//! One state of a catalogue, persistent: the next state shares every chunk and shard it does not touch.

use std::{cmp::Reverse, sync::Arc};

use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp,
    item::{DisplayItem, Item},
};

use super::{
    Change,
    newest::Newest,
    row::{Handle, NOWHERE, Row},
};

/// Slots in a chunk: small enough to copy for one item, large enough to keep the table of chunks short.
const CHUNK: usize = 256;
/// Shards of a map, by the high bits of the key.
const SHARDS: usize = 256;

type Shards<V> = Vec<Arc<FxHashMap<ItemKey, V>>>;

/// One state of a catalogue. Slots are given once and never again, also when an item is deleted and
/// comes back, so that whatever knows an item by its slot stays right.
#[derive(Clone, Debug)]
pub struct Snapshot {
    chunks: Vec<Arc<Vec<Row>>>,
    slots: Shards<u32>,
    /// The slots of each artist's live items, newest first, those without a date last, ties by slot.
    artists: Shards<Vec<u32>>,
    newest: Newest,
    used: u32,
    live: usize,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            slots: vec![Arc::default(); SHARDS],
            artists: vec![Arc::default(); SHARDS],
            newest: Newest::default(),
            used: 0,
            live: 0,
        }
    }
}

fn shard_of(key: ItemKey) -> usize {
    (key.0 >> 56) as usize
}

impl Snapshot {
    /// A catalogue of these items.
    pub fn of(items: impl IntoIterator<Item = Item>) -> Self {
        let mut snapshot = Self::default();
        snapshot.apply(items.into_iter().map(|item| Change::Put(Arc::new(item))).collect());
        snapshot
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many slots have been given.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.used as usize
    }

    /// The slot of a key, deleted or not.
    #[inline]
    #[must_use]
    pub fn slot_of(&self, key: ItemKey) -> u32 {
        self.slots.get(shard_of(key)).and_then(|shard| shard.get(&key)).copied().unwrap_or(NOWHERE)
    }

    /// The handle of a key, whether or not the catalogue holds it.
    #[inline]
    #[must_use]
    pub fn handle(&self, key: ItemKey) -> Handle {
        Handle { key, slot: self.slot_of(key) }
    }

    /// The handle of a slot that holds a live item.
    #[inline]
    #[must_use]
    pub fn handle_of(&self, slot: u32) -> Option<Handle> {
        self.row(slot).map(|row| Handle { key: row.key, slot })
    }

    /// The live item in a slot.
    #[inline]
    #[must_use]
    pub fn row(&self, slot: u32) -> Option<&Row> {
        self.any_row(slot).filter(|row| row.live)
    }

    fn any_row(&self, slot: u32) -> Option<&Row> {
        self.chunks.get(slot as usize / CHUNK).and_then(|chunk| chunk.get(slot as usize % CHUNK))
    }

    /// The live item of a key.
    #[must_use]
    pub fn find(&self, key: ItemKey) -> Option<&Row> {
        self.row(self.slot_of(key))
    }

    /// What an answer needs to draw an item.
    #[must_use]
    pub fn display(&self, key: ItemKey) -> Option<DisplayItem> {
        self.find(key).map(Row::display)
    }

    /// The slots of an artist's live items, newest first, those without a date last.
    #[must_use]
    pub fn by_artist(&self, artist: ItemKey) -> &[u32] {
        self.artists.get(shard_of(artist)).and_then(|shard| shard.get(&artist)).map_or(&[], Vec::as_slice)
    }

    /// When the newest of an artist's items came out that is out at `now`.
    #[must_use]
    pub fn newest_of(&self, artist: ItemKey, now: Timestamp) -> Option<Timestamp> {
        // The newest come first, those that are announced before them, those without a date last.
        let dates = self.by_artist(artist).iter().map_while(|slot| self.row(*slot)?.released_at);
        dates.into_iter().find(|at| *at <= now)
    }

    /// Release date and slot of the live items that have one, newest first.
    #[must_use]
    pub fn newest(&self) -> &Newest {
        &self.newest
    }

    /// All live items, by slot.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.live)
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        let mut gone: Vec<(Timestamp, u32)> = Vec::new();
        let mut come: Vec<(Timestamp, u32)> = Vec::new();
        for change in changes {
            match change {
                Change::Put(item) => self.put(Row::of(item), &mut gone, &mut come),
                Change::Delete(key) => self.delete(key, &mut gone),
            }
        }
        // An item that was put twice, or put and deleted, in one batch stands only where it is now.
        come.retain(|(at, slot)| self.row(*slot).is_some_and(|row| row.released_at == Some(*at)));
        self.newest.change(gone, come);
    }

    fn put(&mut self, row: Row, gone: &mut Vec<(Timestamp, u32)>, come: &mut Vec<(Timestamp, u32)>) {
        let (key, artist, released_at) = (row.key, row.artist, row.released_at);
        let mut slot = self.slot_of(key);
        if slot == NOWHERE {
            slot = self.used;
            self.used += 1;
            if (slot as usize).is_multiple_of(CHUNK) {
                self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
            }
            if let Some(chunk) = self.chunks.last_mut() {
                Arc::make_mut(chunk).push(row);
            }
            if let Some(shard) = self.slots.get_mut(shard_of(key)) {
                Arc::make_mut(shard).insert(key, slot);
            }
        } else {
            self.take_out(slot, gone);
            if let Some(place) = self.row_mut(slot) {
                *place = row;
            }
        }
        self.live += 1;
        if artist.is_some() {
            let order = |slot: u32| (Reverse(self.row(slot).and_then(|row| row.released_at)), slot);
            let place = self.by_artist(artist).partition_point(|other| order(*other) < order(slot));
            if let Some(shard) = self.artists.get_mut(shard_of(artist)) {
                Arc::make_mut(shard).entry(artist).or_default().insert(place, slot);
            }
        }
        come.extend(released_at.map(|at| (at, slot)));
    }

    fn delete(&mut self, key: ItemKey, gone: &mut Vec<(Timestamp, u32)>) {
        let slot = self.slot_of(key);
        self.take_out(slot, gone);
        if let Some(row) = self.row_mut(slot) {
            row.live = false;
        }
    }

    fn row_mut(&mut self, slot: u32) -> Option<&mut Row> {
        self.chunks.get_mut(slot as usize / CHUNK).and_then(|chunk| Arc::make_mut(chunk).get_mut(slot as usize % CHUNK))
    }

    /// Takes a live item out of the counts and orders; its row stays.
    fn take_out(&mut self, slot: u32, gone: &mut Vec<(Timestamp, u32)>) {
        let Some((artist, released_at)) = self.row(slot).map(|row| (row.artist, row.released_at)) else {
            return;
        };
        self.live -= 1;
        gone.extend(released_at.map(|at| (at, slot)));
        if artist.is_some()
            && let Some(shard) = self.artists.get_mut(shard_of(artist))
        {
            let shard = Arc::make_mut(shard);
            if let Some(items) = shard.get_mut(&artist) {
                items.retain(|item| *item != slot);
                if items.is_empty() {
                    shard.remove(&artist);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared_models::{ItemId, item::ItemKind};

    use super::*;

    fn item(n: u32, artist: u32, released: Option<i64>) -> Item {
        Item {
            id: ItemId::new(format!("t{n}")).unwrap(),
            kind: ItemKind::Track,
            title: format!("Track {n}"),
            artist_id: (artist > 0).then(|| ItemId::new(format!("a{artist}")).unwrap()),
            artist_name: None,
            genres: vec![],
            released_at: released.map(Timestamp),
            duration_ms: None,
            explicit: false,
            markets: smallvec::SmallVec::new(),
            numbers: None,
        }
    }

    fn key(n: u32) -> ItemKey {
        ItemKey::of(&ItemId::new(format!("t{n}")).unwrap())
    }

    proptest! {
        #[test]
        fn any_history_of_changes_leaves_what_a_plain_map_holds(batches in prop::collection::vec(
            prop::collection::vec((0_u32..40, 0_u32..5, prop::option::of(0_i64..9), prop::bool::weighted(0.7)), 0..30), 0..12)) {
            let mut plain: std::collections::BTreeMap<u32, Item> = std::collections::BTreeMap::new();
            let mut snapshot = Snapshot::default();
            for batch in batches {
                let mut changes = Vec::new();
                for (n, artist, released, put) in batch {
                    if put {
                        let item = item(n, artist, released);
                        plain.insert(n, item.clone());
                        changes.push(Change::Put(Arc::new(item)));
                    } else {
                        plain.remove(&n);
                        changes.push(Change::Delete(key(n)));
                    }
                }
                let mut next = snapshot.clone();
                next.apply(changes);
                snapshot = next;
            }
            prop_assert_eq!(snapshot.len(), plain.len());
            prop_assert_eq!(snapshot.rows().count(), plain.len());
            for n in 0..40 {
                prop_assert_eq!(snapshot.find(key(n)).map(|row| &*row.item), plain.get(&n));
            }
            let newest: Vec<_> = snapshot.newest().iter().map(|(at, slot)| (at, snapshot.row(slot).unwrap().key)).collect();
            prop_assert!(newest.windows(2).all(|pair| pair[0].0 >= pair[1].0));
            let mut expected: Vec<_> = plain.values().filter_map(|item| item.released_at.map(|at| (at, item.key()))).collect();
            let mut found = newest;
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
            for artist in 1..5 {
                let id = ItemKey::of(&ItemId::new(format!("a{artist}")).unwrap());
                let mut found: Vec<_> = snapshot.by_artist(id).iter().map(|slot| snapshot.row(*slot).unwrap().key).collect();
                let mut expected: Vec<_> = plain.values().filter(|item| item.artist_key() == id).map(Item::key).collect();
                let dates: Vec<_> = found.iter().map(|key| snapshot.find(*key).unwrap().released_at).collect();
                prop_assert!(dates.windows(2).all(|pair| pair[0] >= pair[1]), "newest first, undated last: {dates:?}");
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_page_keeps_its_snapshot_while_the_catalogue_moves_on() {
        let catalogue = super::super::Catalogue::new(Snapshot::of([item(1, 1, None)]));
        let page = catalogue.snapshot();
        catalogue.apply(vec![Change::Delete(key(1)), Change::Put(Arc::new(item(2, 1, None)))]);
        assert!(page.find(key(1)).is_some() && page.find(key(2)).is_none());
        let next = catalogue.snapshot();
        assert!(next.find(key(1)).is_none() && next.find(key(2)).is_some());
        assert_eq!(next.slot_of(key(1)), page.slot_of(key(1)));
    }
}
