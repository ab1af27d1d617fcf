//! Makes items findable that a release has no factors of, and hides rows whose items left the catalogue.
//!
//! An item that nobody has played is expected to be what the release's mapping says of its content, and of its artist by the
//! artist's other items ([`releases::content`]). Where a release has no mapping, or the mapping knows nothing of the
//! item, it is what its artist's items are on average, and without any of those what its genres' items are. It must not
//! know who searches.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use releases::{Factors, Release, vectors::axpy};
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemKey,
    item::{Item, ItemKind},
};

use super::added::{Added, MOST, mean};
use crate::{
    catalog::{Row, Snapshot, described},
    profiles::GenreKey,
};

/// Of an artist's items, the newest that an unknown one is compared with.
const OF_ARTIST: usize = 100;

/// What an item's expected vector was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// What it is, by the release's mapping.
    Content,
    /// Its artist's other items.
    Artist,
    /// Its genres' items.
    Genre,
}

impl Basis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Content, Self::Artist, Self::Genre];

    /// The basis as metrics call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Artist => "artist",
            Self::Genre => "genre",
        }
    }
}

/// Items of a catalogue whose embedding a release does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// How many that the release has no factors of have an embedding of another length than it takes.
    pub items: usize,
    /// How many numbers it takes; 0 for none at all.
    pub takes: usize,
}

/// Of the artists met in one go, what a mapping says of each by the artist's other items.
type Ways = FxHashMap<ItemKey, Option<Vec<f32>>>;

/// What came and went since a release was made, kept up with the catalogue.
#[derive(Debug)]
pub(super) struct Newcomers {
    current: ArcSwap<Added>,
    /// The rows of the added items, and what their vectors are made from; held through a change.
    rows: Mutex<FxHashMap<ItemKey, (u32, Basis)>>,
    /// Items that are expected to be something else than their embedding says: it has another length than the release's.
    passed_over: Mutex<FxHashSet<ItemKey>>,
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
        let this = Self { current, rows: Mutex::default(), passed_over: Mutex::default(), genres, kinds };
        this.look_through(release, factors, catalogue);
        this
    }

    /// What came and went, as it is now.
    #[must_use]
    pub(super) fn added(&self) -> Arc<Added> {
        self.current.load_full()
    }

    /// How many items have an expected vector, by what it is made from.
    #[must_use]
    pub(super) fn expectations(&self) -> BTreeMap<Basis, usize> {
        let mut counts: BTreeMap<Basis, usize> = Basis::ALL.map(|basis| (basis, 0)).into();
        for (_, basis) in self.rows.lock().values() {
            *counts.entry(*basis).or_default() += 1;
        }
        counts
    }

    /// How many of the items that were looked at have an embedding that is passed over.
    #[must_use]
    pub(super) fn passed_over(&self, release: &Release) -> PassedOver {
        let takes = release.content.as_ref().map_or(0, |mapping| mapping.features.embedding());
        PassedOver { items: self.passed_over.lock().len(), takes }
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
        let mut ways = Ways::default();
        let mut passed_over = self.passed_over.lock();
        for key in keys {
            let of_release = release.index_of(*key);
            passed_over.remove(key);
            match catalogue.find(*key) {
                None => {
                    let added = rows.remove(key).map(|(row, _)| row);
                    of_release.into_iter().chain(added).for_each(|row| next.hide(row));
                }
                Some(item) => {
                    of_release.iter().for_each(|row| next.show(*row));
                    if vector_of(release, factors, *key).is_none() {
                        if is_passed_over(release, &item.item) {
                            passed_over.insert(*key);
                        }
                        let expected = self.expected(release, factors, catalogue, item, &mut ways);
                        replace(&mut next, &mut rows, *key, expected, of_release.is_none());
                    }
                }
            }
        }
        self.current.store(Arc::new(next));
    }

    /// What an item that nobody has played is expected to be, and why.
    fn expected(
        &self,
        release: &Release,
        factors: &Factors,
        catalogue: &Snapshot,
        item: &Row,
        ways: &mut Ways,
    ) -> Option<(Vec<f32>, Basis)> {
        if !self.kinds.contains(&item.item.kind) {
            return None;
        }
        let of_artist = || {
            let slots = catalogue.by_artist(item.artist).iter().take(OF_ARTIST);
            let others = slots.filter_map(|slot| catalogue.row(*slot));
            others.filter_map(|other| Some((other, vector_of(release, factors, other.key)?)))
        };
        if let Some(mapping) = &release.content {
            let content = described(&item.item);
            let way = ways
                .entry(item.artist)
                .or_insert_with(|| mapping.maker(of_artist().map(|(row, vector)| (described(&row.item), vector))));
            if way.is_some() || mapping.tells_of(&content) {
                let mut vector = mapping.vector(&content);
                way.iter().for_each(|way| axpy(1.0, way, &mut vector));
                return Some((vector, Basis::Content));
            }
        }
        let by_artist = mean(of_artist().map(|(_, vector)| vector), factors.stride());
        by_artist.map(|vector| (vector, Basis::Artist)).or_else(|| {
            let genres = item.genres.iter().filter_map(|genre| self.genres.get(genre)).map(Vec::as_slice);
            mean(genres, factors.stride()).map(|vector| (vector, Basis::Genre))
        })
    }
}

/// Whether an item's embedding is none that the release's mapping takes. A release without a mapping takes none.
fn is_passed_over(release: &Release, item: &Item) -> bool {
    let length = item.numbers.as_ref().map_or(0, |numbers| numbers.embedding().len());
    let takes = release.content.as_ref().map_or(0, |mapping| mapping.features.embedding());
    length > 0 && length != takes
}

/// The factors of an item, where somebody has played it.
fn vector_of<'a>(release: &Release, factors: &'a Factors, key: ItemKey) -> Option<&'a [f32]> {
    let vector = factors.row(release.index_of(key)?);
    vector.iter().any(|value| *value != 0.0).then_some(vector)
}

/// Puts an item's vector in place of the one it had, if that is another.
fn replace(
    added: &mut Added,
    rows: &mut FxHashMap<ItemKey, (u32, Basis)>,
    key: ItemKey,
    expected: Option<(Vec<f32>, Basis)>,
    is_new: bool,
) {
    let before = rows.remove(&key);
    if let (Some((row, _)), Some((vector, basis))) = (before, &expected)
        && added.vector(row) == Some(vector)
    {
        rows.insert(key, (row, *basis));
        return;
    }
    before.iter().for_each(|(row, _)| added.hide(*row));
    if let Some((vector, basis)) = expected
        && let Some(row) = added.add(key, &vector, is_new)
    {
        rows.insert(key, (row, basis));
    }
}

#[cfg(test)]
mod tests {
    use releases::{Meta, Parts};
    use shared_models::{ItemId, TenantId, Timestamp, numbers::Numbers};

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
            numbers: None,
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

    #[test]
    fn with_a_mapping_an_item_is_expected_to_be_what_it_is_and_what_its_artist_makes_of_it() {
        // Pop lies along the first axis and jazz along the second; what artist a makes lies one further along both.
        let of = [("t1", "a", "pop", [2.0, 1.0]), ("t2", "b", "jazz", [0.0, 1.0])];
        let mut known: Vec<(ItemKey, [f32; 2])> = of.iter().map(|(id, _, _, vector)| (key(id), *vector)).collect();
        known.sort_unstable_by_key(|entry| entry.0);
        let mut words =
            [(releases::content::word("genre:pop"), [1.0, 0.0]), (releases::content::word("genre:jazz"), [0.0, 1.0])];
        words.sort_unstable_by_key(|entry| entry.0);
        let features: Vec<(u64, f32)> = words.iter().map(|(word, _)| (*word, 1.0)).collect();
        // The one number of an embedding moves an item along the second axis.
        let features = releases::content::Features::new(features, Vec::new(), vec![[0.0, 1.0]]);
        let weights: Vec<f32> = words.iter().flat_map(|entry| entry.1).chain([0.0, 4.0]).chain([0.0, 0.0]).collect();
        let values: Vec<f32> = known.iter().flat_map(|entry| entry.1).collect();
        let parts = Parts {
            items: known.iter().map(|entry| entry.0).collect(),
            factors: Some(Factors::new(2, &values, 1.0, 0.1, 0.0).unwrap()),
            content: Some(releases::Mapping::new(features, 2, &weights, 1.0).unwrap()),
            ..Parts::default()
        };
        let release = Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap();
        let items = of.iter().map(|(id, artist, genre, _)| item(id, ItemKind::Track, artist, genre));
        let dated = |id: &str, artist: &str, genre: &str| Item {
            released_at: None,
            ..item(id, ItemKind::Track, artist, genre)
        };
        let embedded = |id: &str, embedding: &[f32]| Item {
            numbers: Numbers::new([], embedding.to_vec()).unwrap(),
            ..dated(id, "c", "polka")
        };
        let new =
            [dated("n1", "a", "jazz"), dated("n2", "c", "pop"), dated("n3", "c", "polka"), dated("n4", "a", "polka")];
        let catalogue = crate::catalog::Catalogue::new(Snapshot::of(
            items.chain(new).chain([embedded("n5", &[0.5]), embedded("n6", &[0.5, 0.5])]),
        ));
        let factors = release.factors.as_ref().unwrap();
        let newcomers = Newcomers::of(&release, factors, &catalogue.snapshot());
        let found: std::collections::BTreeMap<ItemKey, Vec<f32>> =
            vectors(&newcomers.added(), Wanted::New).into_iter().collect();
        let expected = [("n1", vec![0.5, 1.5]), ("n2", vec![1.0, 0.0]), ("n4", vec![0.5, 0.5]), ("n5", vec![0.0, 2.0])];
        assert_eq!(found, expected.map(|(id, vector)| (key(id), vector)).into());
        let counts = newcomers.expectations();
        assert_eq!(counts, [(Basis::Content, 4), (Basis::Artist, 0), (Basis::Genre, 0)].into());
        // An embedding of another length says nothing of its item, and that is said.
        assert_eq!(newcomers.passed_over(&release), PassedOver { items: 1, takes: 1 });
        catalogue.apply(vec![Change::Put(Arc::new(embedded("n6", &[1.0])))]);
        newcomers.follow(&release, factors, &catalogue.snapshot(), &[key("n6")]);
        assert_eq!(newcomers.passed_over(&release), PassedOver { items: 0, takes: 1 });
        assert!(vectors(&newcomers.added(), Wanted::New).contains(&(key("n6"), vec![0.0, 4.0])));
    }
}
