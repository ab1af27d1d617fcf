//! What the items of a record are called.

use std::sync::Arc;

use contracts::{Deadline, RecommendationRecord};
use shared_models::{ItemKey, item::DisplayItem};

use super::answer::Named;
use crate::page::DisplayCache;

/// Items by key, for one answer.
pub(super) struct Names(crate::page::Displayed);

impl Names {
    /// Reads what a record's cards, evidence and seeds are called, and some more. What cannot be read has its key alone.
    pub(super) async fn read(
        display: &Arc<DisplayCache>,
        record: &RecommendationRecord,
        more: &[ItemKey],
        until: Deadline,
    ) -> Self {
        let mut keys = more.to_vec();
        keys.extend(&record.seed_items);
        for card in record.slates.iter().flat_map(|slate| &slate.cards) {
            let row = card.row as usize;
            keys.extend(record.table.items.get(row));
            keys.extend(&card.reason.evidence);
            keys.extend(record.table.evidence_of(row).iter().map(|word| word.seed));
        }
        Self::of(display, record, keys, until).await
    }

    /// Reads what some items are called.
    pub(super) async fn of(
        display: &Arc<DisplayCache>,
        record: &RecommendationRecord,
        mut keys: Vec<ItemKey>,
        until: Deadline,
    ) -> Self {
        keys.retain(|key| key.is_some());
        keys.sort_unstable();
        keys.dedup();
        let (found, failure) = display.read(&record.tenant, &keys, until).await;
        if let Some(failure) = failure {
            tracing::warn!(error.reason = %failure.reason, "items of an explanation go by their keys");
        }
        Self(found)
    }

    pub(super) fn get(&self, key: ItemKey) -> Option<&Arc<DisplayItem>> {
        self.0.get(&key)
    }

    pub(super) fn name(&self, key: ItemKey) -> Named {
        match self.get(key) {
            Some(item) => Named {
                item_id: Some(item.id.to_string()),
                title: Some(item.title.clone()),
                artist_name: item.artist_name.clone(),
                key: None,
            },
            None => Named { item_id: None, title: None, artist_name: None, key: Some(format!("{:016x}", key.0)) },
        }
    }

    /// The title of an item, in quotes; for sentences.
    pub(super) fn title(&self, key: ItemKey) -> String {
        self.get(key).map_or_else(|| "an item that is gone".to_owned(), |item| format!("“{}”", item.title))
    }
}
