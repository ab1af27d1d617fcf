//! A release made ready to serve: its indexes, and the way between its rows and the catalogue's slots.

use std::sync::Arc;

use releases::Release;
use shared_models::{ItemKey, ReleaseId};

use super::{embedding, embedding::EmbeddingIndex, popularity::PopularityIndex};
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
    /// The slot of each row at the time of building, and the row of each slot.
    slot_of_row: Vec<u32>,
    row_of_slot: Vec<u32>,
}

impl Serving {
    /// Builds the indexes. Uses all processors for up to seconds: call it where that harms nobody.
    #[must_use]
    pub fn build(release: Arc<Release>, catalogue: &Snapshot, config: &embedding::Config) -> Self {
        let embedding = release.factors.as_ref().map(|factors| EmbeddingIndex::build(factors, config));
        let popularity = release.popularity.as_ref().map(PopularityIndex::build);
        let slot_of_row: Vec<u32> = release.items.iter().map(|key| catalogue.slot_of(*key)).collect();
        let mut row_of_slot = vec![NOWHERE; catalogue.slots()];
        for (row, slot) in slot_of_row.iter().enumerate() {
            if let Some(place) = row_of_slot.get_mut(*slot as usize) {
                *place = row as u32;
            }
        }
        Self { release, embedding, popularity, slot_of_row, row_of_slot }
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
