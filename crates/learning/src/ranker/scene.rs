//! The question that the edge would have asked ranking about some cards at a moment, and the features that ranking would
//! have computed of them. It must not know which cards are asked about, or why.
//!
//! Columns that come from the sources' own evidence (ranks and scores) are at their defaults here: neither events nor the
//! archive's cards tell what every source said of a card, and a part of it would be another feature than serving's.

use std::sync::Arc;

use candidate_generation::{
    hydrators::facts as arithmetic,
    profiles::{Profile, context, counted_at, fold_in},
};
use ranking::features;
use releases::Release;
use shared_models::{
    ItemKey, Seed, TenantId, Timestamp,
    candidates::CandidateTable,
    component::Fact,
    event::Event,
    item::Market,
    listener::ListenerContext,
    plan::{RankQuery, ShelfOrder},
};
use uuid::Uuid;

use super::{
    facts::{Catalogue, Popularities},
    moment::request_at,
    trend::Trends,
};

/// Recent items, as serving keeps them at hand.
const RECENT: usize = 50;

/// The moment and place of a page.
pub(super) struct Scene<'a> {
    pub(super) at: Timestamp,
    pub(super) recommendation: Option<Uuid>,
    pub(super) market: Market,
    pub(super) device: &'a str,
}

impl<'a> Scene<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        Self {
            at: counted_at(event),
            recommendation: event.recommendation,
            market: event.market.unwrap_or_default(),
            device: event.device.as_deref().unwrap_or_default(),
        }
    }
}

/// Who asks, with what is known of items.
pub(super) struct Asker<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) catalogue: &'a Catalogue,
    pub(super) release: &'a Release,
    pub(super) trends: &'a Trends,
    pub(super) popularities: Popularities<'a>,
    pub(super) seed: Seed,
}

impl Asker<'_> {
    pub(super) fn features(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> Vec<f32> {
        let query = self.query(profile, scene, items);
        let matrix = features::compute(&query, Some(self.release));
        (0..matrix.rows()).flat_map(|row| matrix.row(row)).collect()
    }

    /// The question that the edge would have asked ranking.
    fn query(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> RankQuery {
        let recent = profile.items.recent(RECENT);
        let vector = fold_in(profile, self.release);
        let listener: ListenerContext =
            context(profile, &recent, Some(&vector), |key| self.popularities.everywhere(key), scene.at);
        RankQuery {
            tenant: self.tenant.clone(),
            context: request_at(scene.at, scene.market, scene.device, self.seed),
            seed_items: Vec::new(),
            listener: Arc::new(listener),
            table: Arc::new(self.table(profile, scene, items)),
            shelves: Vec::new(),
            order: ShelfOrder::default(),
            whole: false,
            release: None,
        }
    }

    fn table(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> CandidateTable {
        let mut facts = vec![Vec::with_capacity(items.len()); Fact::ALL.len()];
        let mut artists = Vec::with_capacity(items.len());
        for key in items {
            let known = self.catalogue.get(*key);
            let artist = known.map_or(ItemKey::NONE, |known| known.artist);
            let genres = known.map_or(&[][..], |known| &known.genres);
            artists.push(artist);
            let mut put = |fact: Fact, value: f32| facts[fact as usize].push(value);
            put(Fact::Popularity, self.popularities.everywhere(*key));
            put(Fact::MarketPopularity, self.popularities.in_market(*key, scene.market));
            // A moment before: a play at the page's own moment may be what came of it.
            put(Fact::Trend, (self.trends.plays(*key, Timestamp(scene.at.0 - 1)) as f32).ln_1p());
            for (fact, value) in arithmetic::ITEM.into_iter().zip(self.catalogue.of_item(*key, scene.at)) {
                put(fact, value);
            }
            for (fact, value) in
                arithmetic::LISTENER.into_iter().zip(arithmetic::listener(profile, *key, artist, genres, scene.at))
            {
                put(fact, value);
            }
        }
        CandidateTable {
            items: items.to_vec(),
            artists,
            sources: Vec::new(),
            evidence_ends: vec![0; items.len()],
            evidence: Vec::new(),
            facts,
        }
    }
}
