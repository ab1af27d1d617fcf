//! Neighbours of the items the page is about, else of the listener's recent items. Evidence: of the items
//! the page is about, or of those the listener played, the one that speaks most for the candidate. A recent
//! item that was liked, saved or shared and never played leads to candidates, and is no evidence.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::{
    StageResult,
    candidates::{Found, Source},
};
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey,
    component::{SourceName, SourceParams},
};

use super::{best_first, no_release, release_age, release_of};
use crate::{catalog::Handle, query::PageQuery};

/// How many recent items to start from where the plan does not say.
const SEEDS: usize = 10;
/// How much less each earlier item speaks than the one after it.
const FADE: f32 = 0.9;

pub(super) struct ItemToItemSource {
    seeds: usize,
}

impl ItemToItemSource {
    pub(super) fn new(params: SourceParams) -> Self {
        Self { seeds: params.seeds.map_or(SEEDS, usize::from) }
    }
}

/// What has been said for one candidate.
struct Said {
    total: f32,
    most: f32,
    seed: Option<Handle>,
}

#[async_trait]
impl Source<PageQuery, Handle> for ItemToItemSource {
    fn name(&self) -> &'static str {
        SourceName::ItemToItem.as_str()
    }

    async fn retrieve(&self, query: &PageQuery, limit: usize) -> StageResult<Vec<Found<Handle>>> {
        let serving = release_of(query)?;
        let Some(neighbours) = &serving.release.neighbours else {
            return Err(no_release());
        };
        let about: Vec<ItemKey> = if query.asked.seed_items.is_empty() {
            query.listener.recent().iter().take(self.seeds).map(|(key, _)| *key).collect()
        } else {
            query.asked.seed_items.clone()
        };
        // Items a page is about all count alike; recent ones fade with age.
        let fade = if query.asked.seed_items.is_empty() { FADE } else { 1.0 };
        let mut said: FxHashMap<u32, Said> = FxHashMap::default();
        let mut strength = 1.0;
        for key in about {
            let seed = query.catalogue.handle(key);
            let Some(row) = serving.row(seed) else {
                continue;
            };
            let is_evidence = query.is_seed(key) || query.listener.profile.items.is_played(key);
            let (rows, scores) = neighbours.of(row);
            for (row, score) in rows.iter().zip(scores) {
                let score = score * strength;
                let entry = said.entry(*row).or_insert(Said { total: 0.0, most: f32::NEG_INFINITY, seed: None });
                entry.total += score;
                if is_evidence && score > entry.most {
                    entry.most = score;
                    entry.seed = Some(seed);
                }
            }
            strength *= fade;
        }
        let found = said
            .into_iter()
            .filter_map(|(row, said)| {
                Some(Found { key: serving.handle(row, &query.catalogue)?, score: said.total, seed: said.seed })
            })
            .collect();
        Ok(best_first(query, found, limit))
    }

    fn data_age(&self, query: &PageQuery) -> Option<Duration> {
        release_age(query)
    }
}
