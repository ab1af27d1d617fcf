//! Makes items findable that a release has no factors of, and hides rows whose items left the catalogue.
//!
//! An item that nobody has played is expected to be what its artist's items are on average, and without any of those
//! what its genres' items are. It must not know who searches.

use std::{cmp::Reverse, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use releases::{Factors, Release, vectors::axpy};
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{ItemKey, item::ItemKind};

use super::added::{Added, MOST, mean};
use crate::{
    catalog::{Row, Snapshot},
    profiles::GenreKey,
};

/// Of an artist's items, the newest that an unknown one is compared with.
const OF_ARTIST: usize = 100;

/// What came and went since a release was made, kept up with the catalogue.
#[derive(Debug)]
pub(super) struct Newcomers {
    current: ArcSwap<Added>,
    /// The rows of the added items; held through a change.
    rows: Mutex<FxHashMap<ItemKey, u32>>,
    /// The mean of each genre's items.
    genres: FxHashMap<GenreKey, Vec<f32>>,
    /// Kinds that are played: an artist's page is in the catalogue too, and is nobody's next track.
    kinds: FxHashSet<ItemKind>,
}

impl Newcomers {
    /// Of a release over a catalogue. Takes well under a second for a million items.
    #[must_use]
    pub(super) fn of(release: &Release, factors: &Factors, catalogue: &Snapshot) -> Self {
        let mut kinds = FxHashSet::default();
        let mut sums: FxHashMap<GenreKey, (Vec<f32>, f32)> = FxHashMap::default();
        for row in catalogue.rows() {
            let Some(vector) = vector_of(release, factors, row.key) else { continue };
            if !kinds.contains(&row.item.kind) {
                kinds.insert(row.item.kind.clone());
            }
            for genre in &row.genres {
                let (sum, count) = sums.entry(*genre).or_insert_with(|| (vec![0.0; factors.stride()], 0.0));
                axpy(1.0, vector, sum);
                *count += 1.0;
            }
        }
        let genres = sums
            .into_iter()
            .map(|(genre, (sum, count))| (genre, sum.into_iter().map(|value| value / count).collect()))
            .collect();
        let current = ArcSwap::from_pointee(Added::to(factors.rows, factors.stride()));
        let this = Self { current, rows: Mutex::default(), genres, kinds };
        this.look_through(release, factors, catalogue);
        this
    }

    /// What came and went, as it is now.
    #[must_use]
    pub(super) fn added(&self) -> Arc<Added> {
        self.current.load_full()
    }

    /// Looks the whole catalogue through: the newest items first, and half of the room is left for those to come.
    pub(super) fn look_through(&self, release: &Release, factors: &Factors, catalogue: &Snapshot) {
        let mut unknown: Vec<&Row> =
            catalogue.rows().filter(|row| vector_of(release, factors, row.key).is_none()).collect();
        unknown.sort_by_key(|row| (release.index_of(row.key).is_some(), Reverse(row.released_at)));
        unknown.truncate(MOST / 2);
        let gone = release.items.iter().filter(|key| catalogue.find(**key).is_none()).copied();
        let keys: Vec<ItemKey> = unknown.into_iter().map(|row| row.key).chain(gone).collect();
        self.follow(release, factors, catalogue, &keys);
    }

    /// Takes in what became of these items.
    pub(super) fn follow(&self, release: &Release, factors: &Factors, catalogue: &Snapshot, keys: &[ItemKey]) {
        let mut rows = self.rows.lock();
        let mut next = Added::clone(&self.current.load());
        for key in keys {
            let of_release = release.index_of(*key);
            match catalogue.find(*key) {
                None => of_release.into_iter().chain(rows.remove(key)).for_each(|row| next.hide(row)),
                Some(item) => {
                    of_release.iter().for_each(|row| next.show(*row));
                    if vector_of(release, factors, *key).is_none() {
                        let vector = self.expected(release, factors, catalogue, item);
                        replace(&mut next, &mut rows, *key, vector.as_deref(), of_release.is_none());
                    }
                }
            }
        }
        self.current.store(Arc::new(next));
    }

    /// What an item that nobody has played is expected to be.
    fn expected(&self, release: &Release, factors: &Factors, catalogue: &Snapshot, item: &Row) -> Option<Vec<f32>> {
        if !self.kinds.contains(&item.item.kind) {
            return None;
        }
        let others = catalogue.by_artist(item.artist).iter().take(OF_ARTIST).filter_map(|slot| catalogue.row(*slot));
        let others = others.filter_map(|other| vector_of(release, factors, other.key));
        mean(others, factors.stride()).or_else(|| {
            mean(item.genres.iter().filter_map(|genre| self.genres.get(genre)).map(Vec::as_slice), factors.stride())
        })
    }
}

/// The factors of an item, where somebody has played it.
fn vector_of<'a>(release: &Release, factors: &'a Factors, key: ItemKey) -> Option<&'a [f32]> {
    let vector = factors.row(release.index_of(key)?);
    vector.iter().any(|value| *value != 0.0).then_some(vector)
}

/// Puts an item's vector in place of the one it had, if that is another.
fn replace(added: &mut Added, rows: &mut FxHashMap<ItemKey, u32>, key: ItemKey, vector: Option<&[f32]>, is_new: bool) {
    let before = rows.get(&key).copied();
    if before.and_then(|row| added.vector(row)) == vector {
        return;
    }
    before.iter().for_each(|row| added.hide(*row));
    match vector.and_then(|vector| added.add(key, vector, is_new)) {
        Some(row) => rows.insert(key, row),
        None => rows.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use releases::{Meta, Parts};
    use shared_models::{ItemId, TenantId, Timestamp, item::Item};

    use super::*;
    use crate::{catalog::Change, index::Wanted};

    fn item(id: &str, kind: ItemKind, artist: &str, genre: &str) -> Item {
        Item {
            id: ItemId::new(id).unwrap(),
            kind,
            title: id.to_owned(),
            artist_id: (!artist.is_empty()).then(|| ItemId::new(artist).unwrap()),
            artist_name: None,
            genres: vec![genre.to_owned()],
            released_at: Some(Timestamp(1)),
            duration_ms: None,
            explicit: false,
            markets: smallvec::SmallVec::new(),
        }
    }

    fn key(id: &str) -> ItemKey {
        ItemKey::of(&ItemId::new(id).unwrap())
    }

    fn vectors(added: &Added, wanted: Wanted) -> Vec<(ItemKey, Vec<f32>)> {
        added.rows(wanted).map(|row| (added.key(row).unwrap(), added.vector(row).unwrap()[..2].to_vec())).collect()
    }

    #[test]
    fn an_unknown_item_is_expected_to_be_like_its_artists_and_else_like_its_genres() {
        let of = [("t1", "a", "pop", [1.0, 0.0]), ("t2", "a", "pop", [0.0, 1.0]), ("t3", "b", "jazz", [0.0, 3.0])];
        let mut known: Vec<(ItemKey, [f32; 2])> = of.iter().map(|(id, _, _, vector)| (key(id), *vector)).collect();
        known.push((key("unplayed"), [0.0, 0.0]));
        known.sort_unstable_by_key(|entry| entry.0);
        let parts = Parts {
            items: known.iter().map(|entry| entry.0).collect(),
            factors: Some(
                Factors::new(2, known.iter().flat_map(|entry| entry.1).collect::<Vec<_>>().as_slice(), 1.0, 0.1, 0.0)
                    .unwrap(),
            ),
            ..Parts::default()
        };
        let release = Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap();
        let factors = release.factors.as_ref().unwrap();
        let items: Vec<Item> =
            of.iter().map(|(id, artist, genre, _)| item(id, ItemKind::Track, artist, genre)).collect();
        let unplayed = item("unplayed", ItemKind::Track, "b", "jazz");
        let catalogue = crate::catalog::Catalogue::new(Snapshot::of(
            items.into_iter().chain([unplayed, item("a", ItemKind::Artist, "", "pop")]),
        ));
        let newcomers = Newcomers::of(&release, factors, &catalogue.snapshot());
        let follow = |keys: &[ItemKey]| newcomers.follow(&release, factors, &catalogue.snapshot(), keys);
        let unplayed = (key("unplayed"), vec![0.0, 3.0]);
        assert_eq!(vectors(&newcomers.added(), Wanted::All), [unplayed], "an artist is nobody's next track");
        assert!(vectors(&newcomers.added(), Wanted::New).is_empty());

        let put = |item: Item| Change::Put(Arc::new(item));
        catalogue.apply(vec![
            put(item("n1", ItemKind::Track, "a", "jazz")),
            put(item("n2", ItemKind::Track, "c", "pop")),
            put(item("n3", ItemKind::Track, "c", "polka")),
            Change::Delete(key("t3")),
        ]);
        follow(&[key("n1"), key("n2"), key("n3"), key("t3")]);
        let new = [(key("n1"), vec![0.5, 0.5]), (key("n2"), vec![0.5, 0.5])];
        assert_eq!(vectors(&newcomers.added(), Wanted::New), new, "of polka nothing is known");
        assert!(newcomers.added().is_gone(release.index_of(key("t3")).unwrap()));

        let before = newcomers.added();
        catalogue.apply(vec![
            put(item("n1", ItemKind::Track, "a", "pop")),
            put(item("n2", ItemKind::Track, "c", "jazz")),
            Change::Delete(key("n1")),
            put(item("t3", ItemKind::Track, "b", "jazz")),
        ]);
        follow(&[key("n1"), key("n2"), key("t3")]);
        assert_eq!(vectors(&newcomers.added(), Wanted::New), [(key("n2"), vec![0.0, 3.0])]);
        assert!(!newcomers.added().is_gone(release.index_of(key("t3")).unwrap()));
        assert_eq!(vectors(&before, Wanted::New), new, "who searches keeps the state they began with");
    }
}
