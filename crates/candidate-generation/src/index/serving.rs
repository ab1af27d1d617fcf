//! A release made ready to serve: its indexes, and the way between its rows and the catalogue's slots.

use std::{collections::BTreeMap, sync::Arc};

use releases::Release;
use rustc_hash::FxHashMap;
use shared_models::{ItemKey, ReleaseId, Timestamp, item::Market};

use super::{
    added::Added,
    embedding,
    embedding::EmbeddingIndex,
    newcomers::{Basis, Newcomers, PassedOver},
    popularity::PopularityIndex,
    row_set::RowSet,
};
use crate::catalog::{Handle, NOWHERE, Snapshot};

/// A release with its indexes. Built whole before anybody sees it.
#[derive(Debug)]
pub struct Serving {
    /// The release.
    pub release: Arc<Release>,
    /// Nearest rows to a vector, when the release has factors.
    pub embedding: Option<EmbeddingIndex>,
    /// Orders by popularity, when the release has one.
    pub popularity: Option<PopularityIndex>,
    /// What the release has no factors of, and what it has that left the catalogue.
    newcomers: Option<Newcomers>,
    /// Of the rows that somebody played, about the half that was played least.
    rare: RowSet,
    /// The slot of each row at the time of building, and the row of each slot.
    slot_of_row: Vec<u32>,
    row_of_slot: Vec<u32>,
    /// The slots of each artist's played items, most played first, at the time of building.
    most_played: FxHashMap<ItemKey, Box<[u32]>>,
}

/// Items kept in order of each artist: more than any page takes.
const OF_ARTIST: usize = 500;

impl Serving {
    /// Builds the indexes, on the processors of the rayon pool that this is called in, for up to seconds.
    #[must_use]
    pub fn build(release: Arc<Release>, catalogue: &Snapshot, config: &embedding::Config) -> Self {
        let embedding = EmbeddingIndex::of(&release, config);
        Self::with_embedding(release, embedding, catalogue)
    }

    /// The same with an index of embeddings that has been built from the release.
    #[must_use]
    pub fn with_embedding(release: Arc<Release>, embedding: Option<EmbeddingIndex>, catalogue: &Snapshot) -> Self {
        let popularity = release.popularity.as_ref().map(PopularityIndex::build);
        let slot_of_row: Vec<u32> = release.items.iter().map(|key| catalogue.slot_of(*key)).collect();
        let mut row_of_slot = vec![NOWHERE; catalogue.slots()];
        for (row, slot) in slot_of_row.iter().enumerate() {
            if let Some(place) = row_of_slot.get_mut(*slot as usize) {
                *place = row as u32;
            }
        }
        let most_played = release.popularity.as_ref().map(|popularity| {
            let played = slot_of_row.iter().enumerate().map(|(row, slot)| (*slot, popularity.of(row as u32)));
            by_artist(played, catalogue)
        });
        let most_played = most_played.unwrap_or_default();
        let newcomers = release.factors.as_ref().map(|factors| Newcomers::of(&release, factors, catalogue));
        let rare = rare(&release);
        Self { release, embedding, popularity, newcomers, rare, slot_of_row, row_of_slot, most_played }
    }

    /// What came and went since the release was made. A search keeps the state that it began with.
    #[must_use]
    pub fn added(&self) -> Option<Arc<Added>> {
        self.newcomers.as_ref().map(Newcomers::added)
    }

    /// How many items have no factors yet and an expected vector, by what it is made from.
    #[must_use]
    pub fn expectations(&self) -> BTreeMap<Basis, usize> {
        self.newcomers.as_ref().map(Newcomers::expectations).unwrap_or_default()
    }

    /// How many items have an embedding that the release does not take.
    #[must_use]
    pub fn passed_over(&self) -> PassedOver {
        self.newcomers.as_ref().map(|newcomers| newcomers.passed_over(&self.release)).unwrap_or_default()
    }

    /// The most played items of the narrowest segment that the release knows, best first: of a market at a quarter of the day,
    /// of the market, of everybody. A release without segments has lists of markets, and of everybody.
    #[must_use]
    pub fn most_played_in(&self, market: Market, quarter: Option<usize>) -> &[(u32, f32)] {
        if let Some(segments) = &self.release.segments {
            return segments.nearest(market, quarter);
        }
        let here = self.release.popularity.as_ref().map_or(&[][..], |popularity| popularity.top(market));
        let everywhere = || self.popularity.as_ref().map_or(&[][..], PopularityIndex::top);
        if here.is_empty() { everywhere() } else { here }
    }

    /// Of the rows that somebody played, about the half that was played least.
    #[must_use]
    pub fn rare(&self) -> &RowSet {
        &self.rare
    }

    /// Takes in what became of these items of the catalogue.
    pub fn follow(&self, catalogue: &Snapshot, keys: &[ItemKey]) {
        if let (Some(newcomers), Some(factors)) = (&self.newcomers, &self.release.factors) {
            newcomers.follow(&self.release, factors, catalogue, keys);
        }
    }

    /// Takes in a whole catalogue, which may have changed while this was built.
    pub fn look_through(&self, catalogue: &Snapshot) {
        if let (Some(newcomers), Some(factors)) = (&self.newcomers, &self.release.factors) {
            newcomers.look_through(&self.release, factors, catalogue);
        }
    }

    /// The item of a row that a search found, added since or not.
    #[must_use]
    pub fn found(&self, added: Option<&Added>, row: u32, catalogue: &Snapshot) -> Option<Handle> {
        match added.and_then(|added| added.key(row)) {
            Some(key) => Some(catalogue.handle(key)),
            None => self.handle(row, catalogue),
        }
    }

    /// The slots of an artist's most played items by the release, most played first, then newest. Items
    /// that nobody played, or that came into the catalogue after building, are not among them.
    #[must_use]
    pub fn most_played_of(&self, artist: ItemKey) -> &[u32] {
        self.most_played.get(&artist).map_or(&[], |slots| slots)
    }

    /// The release's id.
    #[must_use]
    pub fn id(&self) -> &ReleaseId {
        self.release.id()
    }

    /// The item of a row. An item that came into the catalogue after building is looked up.
    #[inline]
    #[must_use]
    pub fn handle(&self, row: u32, catalogue: &Snapshot) -> Option<Handle> {
        let key = *self.release.items.get(row as usize)?;
        match self.slot_of_row.get(row as usize) {
            Some(slot) if *slot != NOWHERE => Some(Handle { key, slot: *slot }),
            _ => Some(catalogue.handle(key)),
        }
    }

    /// The row of an item; `None` when the release does not know it.
    #[inline]
    #[must_use]
    pub fn row(&self, item: Handle) -> Option<u32> {
        match self.row_of_slot.get(item.slot as usize) {
            Some(row) if *row != NOWHERE => Some(*row),
            // A slot that was taken when the indexes were built, and not by an item of the release.
            Some(_) => None,
            None => self.release.index_of(item.key),
        }
    }

    /// The popularity of an item everywhere; 0 when unknown.
    #[must_use]
    pub fn popularity_of(&self, key: ItemKey) -> f32 {
        match (&self.release.popularity, self.release.index_of(key)) {
            (Some(popularity), Some(row)) => popularity.of(row),
            _ => 0.0,
        }
    }
}

/// Of the rows that somebody played, about the half that was played least.
fn rare(release: &Release) -> RowSet {
    let Some(popularity) = &release.popularity else { return RowSet::default() };
    let mut played: Vec<f32> = popularity.global.iter().copied().filter(|plays| *plays > 0.0).collect();
    if played.is_empty() {
        return RowSet::default();
    }
    let half = played.len() / 2;
    let middle = *played.select_nth_unstable_by(half, f32::total_cmp).1;
    let rare = |plays: f32| plays > 0.0 && plays <= middle;
    popularity.global.iter().enumerate().filter(|(_, plays)| rare(**plays)).map(|(row, _)| row as u32).collect()
}

/// An item as it is ordered among its artist's: plays, release date, key; and its slot.
type Played = (f32, Option<Timestamp>, ItemKey, u32);

/// Orders each artist's played items.
fn by_artist(played: impl Iterator<Item = (u32, f32)>, catalogue: &Snapshot) -> FxHashMap<ItemKey, Box<[u32]>> {
    let mut of_artists: FxHashMap<ItemKey, Vec<Played>> = FxHashMap::default();
    for (slot, plays) in played.filter(|(_, plays)| *plays > 0.0) {
        if let Some(row) = catalogue.row(slot).filter(|row| row.artist.is_some()) {
            of_artists.entry(row.artist).or_default().push((plays, row.released_at, row.key, slot));
        }
    }
    let sorted = |mut items: Vec<Played>| {
        items.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
        items.into_iter().map(|item| item.3).take(OF_ARTIST).collect()
    };
    of_artists.into_iter().map(|(artist, items)| (artist, sorted(items))).collect()
}
