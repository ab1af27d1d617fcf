//! What is popular in each market, read in the background and kept until it is read anew.
//!
//! What could not be refreshed stays: old and popular beats empty. It starts from what the disk holds, and the disk is
//! told what changes. Must not know pages' rules.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use contracts::{Catalogue, Deadline};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashSet;
use service_runtime::{OnFailure, Runtime, deadline, tasks::TaskGroup};
use shared_models::{
    Clock, ItemKey, ShelfId, TenantId, Timestamp,
    component::{ReasonCode, SourceName},
    item::{DisplayItem, Market},
};
use smallvec::smallvec;
use tokio::sync::Notify;

use super::{
    Limits,
    changes::{Changes, Moment},
    snapshot::{self, Snapshot},
};
use crate::page::{Card, CardReason, PageShelf};

/// More tenants times markets than any one edge serves; past it, new markets get the tenant's general list.
const MOST_PLACES: usize = 4_096;
/// Reading what is popular is nobody's request: it may take its time.
const READ_BUDGET: Duration = Duration::from_secs(5);

/// How soon a place of which nothing is known is looked at again.
const SOON: Duration = Duration::from_secs(5);

type Place = (TenantId, Market);

/// What is popular in a place, and the moment before it was read.
type Read = (Arc<[Arc<DisplayItem>]>, Moment);

/// What is popular, by tenant and market.
pub(super) struct Popular {
    catalogue: Arc<dyn Catalogue>,
    items: usize,
    places: RwLock<HashMap<Place, Read>>,
    changes: Arc<Changes>,
    asked: Notify,
    snapshot: Option<Arc<Snapshot>>,
    /// When something of it was last read from the catalogue.
    as_of: Mutex<Timestamp>,
    clock: Arc<dyn Clock>,
    tasks: TaskGroup,
}

impl Popular {
    pub(super) fn start(
        limits: &Limits,
        snapshot: Option<Snapshot>,
        catalogue: Arc<dyn Catalogue>,
        tenants: &HashSet<TenantId>,
        changes: &Arc<Changes>,
        runtime: &Runtime,
    ) -> Arc<Self> {
        let mut places: HashMap<Place, Read> =
            tenants.iter().map(|tenant| ((tenant.clone(), Market::UNKNOWN), Read::default())).collect();
        // Whose keys are gone has nothing here any more.
        let (kept, as_of) = snapshot.as_ref().and_then(Snapshot::read).unwrap_or_default();
        for place in kept.into_iter().take(MOST_PLACES) {
            if places.contains_key(&(place.tenant.clone(), Market::UNKNOWN)) {
                let key = (place.tenant.clone(), place.market);
                places.insert(key, (place.into_items(), Moment::default()));
            }
        }
        let popular = Arc::new(Self {
            catalogue,
            items: limits.popular_items,
            places: RwLock::new(places),
            changes: Arc::clone(changes),
            asked: Notify::new(),
            snapshot: snapshot.map(Arc::new),
            as_of: Mutex::new(as_of),
            clock: Arc::clone(&runtime.clock),
            tasks: runtime.tasks.intake.clone(),
        });
        let keeper = Arc::clone(&popular);
        let refresh = limits.popular_refresh;
        let stop = runtime.tasks.intake.token();
        runtime.tasks.intake.spawn("edge-popular", OnFailure::Log, async move {
            let mut due = tokio::time::interval(refresh);
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let everything = tokio::select! {
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                    _ = due.tick() => true,
                    () = keeper.asked.notified() => false,
                    () = tokio::time::sleep(SOON), if keeper.lacks_some() => false,
                };
                let work = async {
                    keeper.refresh(everything).await;
                    keeper.save().await;
                };
                if stop.run_until_cancelled(work).await.is_none() {
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

    fn lacks_some(&self) -> bool {
        self.places.read().values().any(|(items, _)| items.is_empty())
    }

    /// Items were written or deleted: where one of them is popular, the disk forgets it soon.
    pub(super) fn items_changed(&self, tenant: &TenantId, keys: &[ItemKey]) {
        if self.snapshot.is_none() {
            return;
        }
        let keys: FxHashSet<ItemKey> = keys.iter().copied().collect();
        let places = self.places.read();
        let mut of_tenant = places.iter().filter(|((owner, _), _)| owner == tenant);
        if of_tenant.any(|(_, (items, _))| items.iter().any(|item| keys.contains(&item.key))) {
            self.asked.notify_one();
        }
    }

    /// Writes what is known to disk, without what has changed since it was read.
    async fn save(&self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let mut known: Vec<(Place, Read)> =
            self.places.read().iter().map(|(place, read)| (place.clone(), read.clone())).collect();
        known.retain(|(_, (items, _))| !items.is_empty());
        if known.is_empty() {
            // Nothing is known yet: what the disk holds is better than nothing.
            return;
        }
        known.sort_by(|(one, _), (other, _)| (&one.0, one.1.as_str()).cmp(&(&other.0, other.1.as_str())));
        let places = known.into_iter().map(|((tenant, market), (items, read))| {
            let (changed, _) = self.changes.since(&tenant, None, items.iter().map(|item| item.key), read);
            let good = items.iter().filter(|item| !changed.contains(&item.key)).map(AsRef::as_ref);
            snapshot::Place::new(tenant, market, good)
        });
        let (places, as_of) = (places.collect::<Vec<_>>(), *self.as_of.lock());
        self.tasks.blocking("write-snapshot", move || snapshot.write(&places, as_of)).await;
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
                    *self.as_of.lock() = self.clock.now();
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
