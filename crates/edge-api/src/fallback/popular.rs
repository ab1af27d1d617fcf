//! What is popular in each market, read in the background and kept until it is read anew.
//!
//! A snapshot that could not be refreshed stays: old and popular beats empty. Must not know pages' rules.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use contracts::{Catalogue, Deadline};
use parking_lot::RwLock;
use service_runtime::{OnFailure, Runtime, deadline};
use shared_models::{
    ShelfId, TenantId,
    component::{ReasonCode, SourceName},
    item::{DisplayItem, Market},
};
use smallvec::smallvec;
use tokio::sync::Notify;

use super::changes::{Changes, Moment};
use crate::page::{Card, CardReason, PageShelf};

/// More tenants times markets than any one edge serves; past it, new markets get the tenant's general list.
const MOST_PLACES: usize = 4_096;
/// Reading a snapshot is nobody's request: it may take its time.
const READ_BUDGET: Duration = Duration::from_secs(5);

type Place = (TenantId, Market);

/// A snapshot, and the moment before it was read.
type Snapshot = (Arc<[Arc<DisplayItem>]>, Moment);

/// What is popular, by tenant and market.
pub(super) struct Popular {
    catalogue: Arc<dyn Catalogue>,
    items: usize,
    places: RwLock<HashMap<Place, Snapshot>>,
    changes: Arc<Changes>,
    asked: Notify,
}

impl Popular {
    pub(super) fn start(
        catalogue: Arc<dyn Catalogue>,
        tenants: Vec<TenantId>,
        items: usize,
        refresh: Duration,
        changes: &Arc<Changes>,
        runtime: &Runtime,
    ) -> Arc<Self> {
        let places = tenants.into_iter().map(|tenant| ((tenant, Market::UNKNOWN), Snapshot::default())).collect();
        let changes = Arc::clone(changes);
        let popular = Arc::new(Self { catalogue, items, places: RwLock::new(places), changes, asked: Notify::new() });
        let keeper = Arc::clone(&popular);
        let stop = runtime.tasks.intake.token();
        runtime.tasks.intake.spawn("edge-popular", OnFailure::Log, async move {
            let mut due = tokio::time::interval(refresh);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let everything = tokio::select! {
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                    _ = due.tick() => true,
                    () = keeper.asked.notified() => false,
                };
                if stop.run_until_cancelled(keeper.refresh(everything)).await.is_none() {
                    return Ok(());
                }
            }
        });
        popular
    }

    /// Says that a place is asked for; a new one is read soon.
    pub(super) fn expect(&self, tenant: &TenantId, market: Market) {
        let place = (tenant.clone(), market);
        if self.places.read().contains_key(&place) {
            return;
        }
        let mut places = self.places.write();
        if places.len() < MOST_PLACES {
            places.entry(place).or_default();
            self.asked.notify_one();
        }
    }

    async fn refresh(&self, everything: bool) {
        let due: Vec<Place> = self
            .places
            .read()
            .iter()
            .filter(|(_, (items, _))| everything || items.is_empty())
            .map(|(place, _)| place.clone())
            .collect();
        for place in due {
            let until = Deadline::within(READ_BUDGET);
            let read = self.changes.now();
            match deadline::run(until, self.catalogue.popular(&place.0, place.1, self.items, until)).await {
                Ok(Ok(items)) if !items.is_empty() => {
                    let items = items.into_iter().map(Arc::new).collect();
                    self.places.write().insert(place, (items, read));
                }
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => tracing::warn!(error.reason = %failure.reason, "popular items are not refreshed"),
                Err(_) => tracing::warn!("popular items are not refreshed in time"),
            }
        }
    }

    /// One shelf of what is popular, and the moment before it was read; none when nothing is known.
    pub(super) fn shelf(&self, tenant: &TenantId, market: Market) -> (Vec<PageShelf>, Moment) {
        let places = self.places.read();
        let of = |market| places.get(&(tenant.clone(), market)).filter(|(items, _)| !items.is_empty()).cloned();
        let found = of(market)
            .map(|snapshot| (snapshot, market))
            .or_else(|| of(Market::UNKNOWN).map(|snapshot| (snapshot, Market::UNKNOWN)));
        drop(places);
        let (Some(((items, read), market)), Ok(id)) = (found, ShelfId::new("popular")) else {
            return Default::default();
        };
        let cards = items.iter().enumerate().map(|(rank, item)| Card {
            item: Arc::clone(item),
            score: 1.0 / (rank + 1) as f32,
            propensity: 1.0,
            sources: smallvec![SourceName::PopularInMarket],
            reason: CardReason { code: ReasonCode::PopularInMarket, evidence: smallvec![], market },
        });
        (vec![PageShelf { id, title: Arc::from("Popular now"), cards: cards.collect() }], read)
    }
}
