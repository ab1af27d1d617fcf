//! Everything in memory of each tenant: catalogue, trends, and the release that serves with its indexes.
//!
//! A tenant's world is made when the tenant is first named; tenants never meet.

mod builder;
pub(crate) mod follow;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock};
use releases::{
    Watch,
    watch::{Check, Checked, Requirements},
};
use service_runtime::TaskGroup;
use shared_models::{Clock, ItemKey, ReleaseId, TenantId, Timestamp};

use crate::{
    catalog::{Catalogue, Change},
    config::Config,
    error::Error,
    index::{PassedOver, Serving, Trending, embedding},
    metrics::CandidatesMetrics,
    query::Crowd,
    store::Store,
};
use builder::Builder;

/// After this long, that an item was shown counts half.
const SHOWN_HALF_LIFE: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
/// Of what happens evenly as much counts as happens in one hour: the half-life is ln 2 hours.
const HOURLY_HALF_LIFE: std::time::Duration = std::time::Duration::from_millis(2_495_330);
/// Items read at once when a catalogue is loaded.
const PAGE: usize = 5_000;

/// An item that something happened to, how much that counts, and when.
pub(crate) type Counted = (ItemKey, f64, Timestamp);

/// One tenant's world.
pub struct World {
    /// Its number in this process.
    pub number: u32,
    /// Whose.
    pub tenant: TenantId,
    /// The catalogue.
    pub catalogue: Catalogue,
    /// What everybody plays.
    pub trending: Trending,
    /// What was shown to anybody, by what this process took in since it started.
    pub shown: Trending,
    /// What of it was played within a day.
    pub taken: Trending,
    /// What was shown to anybody, of which after an hour a part of e is left: so many an hour.
    pub shown_hourly: Trending,
    /// Held from a write to the store to its effect in memory, so that two writes of one item have
    /// their effects in the same order in both.
    pub writing: Arc<tokio::sync::Mutex<()>>,
    /// The version of the catalogue in memory, where other processes write to it too.
    version: AtomicI64,
    watch: Watch,
    serving: ArcSwapOption<Serving>,
    previous: ArcSwapOption<Serving>,
    adopting: Mutex<()>,
    builder: Arc<Builder>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl World {
    /// The release that serves, with its indexes.
    #[must_use]
    pub fn serving(&self) -> Option<Arc<Serving>> {
        self.serving.load_full()
    }

    /// What answers a question that names this release: that release while it serves or served last, else what serves;
    /// and whether it is the one that was named.
    #[must_use]
    pub fn serving_of(&self, release: Option<&ReleaseId>) -> (Option<Arc<Serving>>, bool) {
        let live = self.serving();
        let Some(wanted) = release else { return (live, true) };
        let known = [live.clone(), self.previous.load_full()].into_iter().flatten().find(|one| one.id() == wanted);
        match known {
            Some(serving) => (Some(serving), true),
            None => (live, false),
        }
    }

    pub(crate) fn version(&self) -> i64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn reached(&self, version: i64) {
        self.version.fetch_max(version, Ordering::AcqRel);
    }

    /// Changes the catalogue, and what of it can be found near a listener.
    pub fn apply(&self, changes: Vec<Change>) {
        let keys: Vec<ItemKey> = changes
            .iter()
            .map(|change| match change {
                Change::Put(item) => item.key(),
                Change::Delete(key) => *key,
            })
            .collect();
        self.catalogue.apply(changes);
        // A release that begins to serve after this was loaded looks the catalogue through once more.
        if let Some(serving) = self.serving() {
            serving.follow(&self.catalogue.snapshot(), &keys);
        }
    }

    /// Takes in what was shown and what of it was taken, at their moments.
    pub(crate) fn shown_and_taken(&self, shown: Vec<Counted>, taken: Vec<Counted>) {
        self.shown_hourly.add(shown.iter().copied());
        self.shown.add(shown);
        self.taken.add(taken);
    }

    /// Makes what pages read of counts anew; whether anything was counted.
    pub fn refresh_counts(&self) -> bool {
        self.trending.refresh() | self.shown.refresh() | self.taken.refresh() | self.shown_hourly.refresh()
    }

    /// What everybody was shown and took, as of the last refresh.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        Crowd { shown: self.shown.trends(), taken: self.taken.trends(), hourly: self.shown_hourly.trends() }
    }

    /// The release that served before.
    #[must_use]
    pub fn previous(&self) -> Option<ReleaseId> {
        self.previous.load().as_ref().map(|serving| serving.id().clone())
    }

    /// The watch over the tenant's releases.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Makes what the watch admits serve: indexes first, then the swap. Blocks.
    fn adopt(&self) {
        let _one_at_a_time = self.adopting.lock();
        let Some(release) = self.watch.current() else {
            return;
        };
        if self.serving.load().as_ref().is_some_and(|serving| serving.id() == release.id()) {
            return;
        }
        let known = self.previous.load_full().filter(|serving| serving.id() == release.id());
        let (seen, was_built) = (self.catalogue.snapshot(), known.is_none());
        let next = known.unwrap_or_else(|| Arc::new(self.builder.build(release, &seen)));
        let before = self.serving.swap(Some(Arc::clone(&next)));
        let now = self.catalogue.snapshot();
        if !(was_built && Arc::ptr_eq(&seen, &now)) {
            next.look_through(&now);
        }
        if before.is_some() {
            self.previous.store(before);
        }
    }

    /// Verifies a release, makes it live for everybody, and serves from it. Blocks.
    ///
    /// # Errors
    /// When the release is not there or is refused; what served goes on serving.
    pub fn activate(&self, id: &ReleaseId) -> Result<(), Error> {
        self.watch.activate(id).map_err(Error::Release)?;
        self.adopt();
        Ok(())
    }
}

/// The worlds of all tenants.
pub struct Worlds {
    releases: releases::Store,
    clock: Arc<dyn Clock>,
    metrics: CandidatesMetrics,
    embedding: embedding::Config,
    half_life: std::time::Duration,
    /// Whether pages are served.
    is_serving: Arc<AtomicBool>,
    worlds: RwLock<BTreeMap<TenantId, Arc<World>>>,
}

impl Worlds {
    /// No worlds yet. Blocks.
    ///
    /// # Errors
    /// When the folder of releases cannot be made.
    pub fn open(config: &Config, clock: Arc<dyn Clock>, metrics: CandidatesMetrics) -> Result<Self, Error> {
        let releases = releases::Store::open(&config.releases.path).map_err(Error::Release)?;
        Ok(Self {
            releases,
            clock,
            metrics,
            embedding: config.embedding,
            half_life: config.trending.half_life,
            is_serving: Arc::default(),
            worlds: RwLock::default(),
        })
    }

    /// Loads every tenant of the store; meanwhile, in `tasks`, looks at their live releases. On return
    /// what is sound serves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(self: &Arc<Self>, store: &dyn Store, tasks: &TaskGroup) -> Result<(), Error> {
        let worlds: Vec<Arc<World>> = store.tenants().await?.iter().map(|tenant| self.of(tenant)).collect();
        let read = async {
            // Read first: what is written meanwhile is read again when the versions are compared next.
            let versions = match store.shared() {
                Some(shared) => shared.catalogue_versions().await?,
                None => Vec::new(),
            };
            for world in &worlds {
                read(store, world).await?;
                let version = versions.iter().find(|(tenant, _)| *tenant == world.tenant);
                version.iter().for_each(|(_, version)| world.reached(*version));
            }
            Ok::<(), Error>(())
        };
        let (this, all) = (Arc::clone(self), worlds.clone());
        let look = tasks.blocking("look-for-releases", move || all.iter().for_each(|world| this.look(world)));
        let (read, looked) = tokio::join!(read, look);
        read?;
        looked.ok_or(Error::Background)?;
        let adopt = move || worlds.iter().for_each(|world| world.adopt());
        tasks.blocking("build-indexes", adopt).await.ok_or(Error::Background)
    }

    /// A tenant's world.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Arc<World> {
        if let Some(world) = self.worlds.read().get(tenant) {
            return Arc::clone(world);
        }
        let mut worlds = self.worlds.write();
        let number = u32::try_from(worlds.len()).unwrap_or(u32::MAX);
        Arc::clone(worlds.entry(tenant.clone()).or_insert_with(|| self.make(number, tenant)))
    }

    /// An empty world.
    fn make(&self, number: u32, tenant: &TenantId) -> Arc<World> {
        let builder = Arc::new(Builder::new(self.embedding, Arc::clone(&self.is_serving)));
        let golden = Arc::clone(&builder);
        let check: Check = Box::new(move |release| golden.look(release));
        let requirements = Requirements { check: Some(check), ..Requirements::default() };
        Arc::new(World {
            number,
            tenant: tenant.clone(),
            catalogue: Catalogue::default(),
            trending: Trending::new(self.half_life),
            shown: Trending::new(SHOWN_HALF_LIFE),
            taken: Trending::new(SHOWN_HALF_LIFE),
            shown_hourly: Trending::new(HOURLY_HALF_LIFE),
            writing: Arc::default(),
            version: AtomicI64::new(0),
            watch: Watch::new(self.releases.clone(), tenant.clone(), requirements, Arc::clone(&self.clock)),
            serving: ArcSwapOption::empty(),
            previous: ArcSwapOption::empty(),
            adopting: Mutex::default(),
            builder,
        })
    }

    /// All worlds.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<World>> {
        self.worlds.read().values().cloned().collect()
    }

    /// Says that pages are served from now on: a release that comes makes room for them.
    pub fn serve(&self) {
        self.is_serving.store(true, Ordering::Relaxed);
    }

    /// Looks for every tenant's live release, and serves from what is new and sound. Blocks.
    pub fn refresh(&self) {
        for world in self.all() {
            self.look(&world);
            // Also one that was admitted by `activate` and is not adopted yet.
            world.adopt();
        }
        self.metrics.expected(self.all().iter().filter_map(|world| world.serving()).flat_map(|it| it.expectations()));
        self.metrics
            .passed_over(self.all().iter().filter_map(|world| world.serving()).map(|it| it.passed_over().items).sum());
        self.metrics.live(self.all().iter().filter_map(|world| world.serving().map(|serving| serving.id().clone())));
    }

    /// Looks for a tenant's live release, and tells what was found.
    fn look(&self, world: &World) {
        match world.watch.check_now() {
            Ok(Checked::Swapped { from, to }) => {
                let before = from.as_ref().map_or("", ReleaseId::as_str);
                tracing::info!(tenant = %world.tenant, release = %to, before, "release serves");
                self.metrics.release("serves");
            }
            Ok(Checked::NoneYet | Checked::Unchanged | Checked::StillRefused { .. }) => {}
            Err(error) => {
                let detail = service_runtime::tasks::chain(&error);
                tracing::error!(tenant = %world.tenant, error.code = error.code().as_str(), error.reason = error.reason(), error = detail, "release refused");
                self.metrics.release("refused");
            }
        }
    }

    /// What serves each tenant, for operators.
    #[must_use]
    pub fn summary(&self) -> String {
        let line = |world: &Arc<World>| {
            let serving = world.serving();
            let without = |serving: &Serving| {
                let release = &serving.release;
                let parts = [("content", release.content.is_some()), ("segments", release.segments.is_some())];
                let missing = parts.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name);
                let mut text: String = missing.map(|name| format!(" without {name}")).collect();
                let passed_over = serving.passed_over();
                if passed_over.items > 0 {
                    let PassedOver { items, takes } = passed_over;
                    text += &format!(" passing over embeddings of {items} items (it takes {takes} numbers)");
                }
                text
            };
            format!(
                "{}: {} items, release {}{}",
                world.tenant,
                world.catalogue.snapshot().len(),
                serving.as_ref().map_or("none", |serving| serving.id().as_str()),
                serving.as_deref().map(without).unwrap_or_default()
            )
        };
        self.all().iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

/// Reads a tenant's items and trends into its world.
async fn read(store: &dyn Store, world: &World) -> Result<(), Error> {
    let items = async {
        let mut changes = Vec::new();
        let mut after = None;
        loop {
            let items = store.items_after(&world.tenant, after.as_ref(), PAGE).await?;
            let full = items.len() == PAGE;
            after = items.last().map(|item| item.id.clone());
            changes.extend(items.into_iter().map(|item| Change::Put(Arc::new(item))));
            if !full {
                return Ok(changes);
            }
        }
    };
    let (changes, trends) = tokio::try_join!(items, store.trends(&world.tenant))?;
    world.catalogue.apply(changes);
    let items = world.catalogue.snapshot();
    // What is no longer in the catalogue is not counted, and leaves the store at the next save: where others write
    // too, it may also be in the catalogue by now.
    let (counted, left): (Vec<_>, Vec<_>) = trends.into_iter().partition(|trend| items.find(trend.key).is_some());
    world.trending.load(&counted);
    if store.shared().is_none() {
        world.trending.forget(left.iter().map(|trend| trend.key));
    }
    tracing::info!(tenant = %world.tenant, items = items.len(), "catalogue is in memory");
    Ok(())
}
