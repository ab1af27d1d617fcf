//! The models in use: one release for each tenant, verified before it serves, followed while it changes.
//!
//! Reading never waits: a request takes what serves now and keeps it. This file must not know a query.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use releases::{
    Release, Store, Watch,
    watch::{Checked, Requirements, Status},
};
use serde::{Deserialize, Serialize};
use service_runtime::config::{Problem, Validate};
use shared_models::{Clock, ReleaseId, TenantId};

use crate::{
    error::Error,
    features::schema_hash,
    golden,
    metrics::RankingMetrics,
    scorers::{Model, document},
};

/// Where releases lie, and how often to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of releases.
    pub path: PathBuf,
    /// How often to look for a newly promoted release.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push(Problem::new("path", "\"\"", "the folder of releases"));
        }
        if !(Duration::from_millis(50)..=Duration::from_secs(3600)).contains(&self.poll) {
            problems.push(Problem::new("poll", humantime::format_duration(self.poll), "50ms to 1h"));
        }
        problems
    }
}

/// A release with its scorer, read once.
pub struct Serving {
    /// The release.
    pub release: Arc<Release>,
    /// Its scorer, when it has one.
    pub scorer: Option<Model>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("release", &self.release).field("scorer", &self.scorer.is_some()).finish()
    }
}

impl Serving {
    /// Reads a release's scorer.
    ///
    /// # Errors
    /// When the scorer is not one that this code can use.
    pub fn new(release: Arc<Release>) -> Result<Self, document::Error> {
        let scorer = Model::of(&release)?;
        Ok(Self { release, scorer })
    }
}

/// One tenant's models.
struct Tenant {
    watch: Watch,
    serving: ArcSwapOption<Serving>,
    /// What served before, for questions that name it.
    previous: ArcSwapOption<Serving>,
    /// Held while `serving` follows the watch, so that an older release never comes last.
    adopting: Mutex<()>,
}

/// The models of all tenants.
pub struct Models {
    store: Store,
    clock: Arc<dyn Clock>,
    metrics: RankingMetrics,
    tenants: RwLock<BTreeMap<TenantId, Arc<Tenant>>>,
    /// Releases that pages were ranked again with, the last asked for at the end. The lock is held while one is read, so
    /// that none is read twice at once.
    pinned: Mutex<Vec<(TenantId, Arc<Serving>)>>,
}

/// How many releases that do not serve are kept for pages that are ranked again.
const PINNED: usize = 2;

impl Models {
    /// Opens the store; nothing serves until the first [`Models::refresh`]. Blocks.
    ///
    /// # Errors
    /// When the folder of releases cannot be made.
    pub fn open(config: &Config, clock: Arc<dyn Clock>, metrics: RankingMetrics) -> Result<Self, releases::Error> {
        Ok(Self {
            store: Store::open(&config.path)?,
            clock,
            metrics,
            tenants: RwLock::default(),
            pinned: Mutex::default(),
        })
    }

    /// What serves a tenant now; `None` before its first release.
    #[must_use]
    pub fn serving(&self, tenant: &TenantId) -> Option<Arc<Serving>> {
        self.known(tenant)?.serving.load_full()
    }

    /// What answers a question that names this release: that release while it serves or served last, else what serves;
    /// and whether it is the one that was named.
    #[must_use]
    pub fn serving_of(&self, tenant: &TenantId, release: Option<&ReleaseId>) -> (Option<Arc<Serving>>, bool) {
        let live = self.serving(tenant);
        let Some(wanted) = release else { return (live, true) };
        let previous = self.known(tenant).and_then(|models| models.previous.load_full());
        match [live.clone(), previous].into_iter().flatten().find(|one| one.release.id() == wanted) {
            Some(serving) => (Some(serving), true),
            None => (live, false),
        }
    }

    /// Looks for every tenant's live release, and swaps what is new and sound. Blocks.
    ///
    /// A refusal is reported once, by a log line and a metric; what served goes on serving.
    pub fn refresh(&self) {
        for tenant in self.stored_tenants() {
            let models = self.tenant(&tenant);
            match models.watch.check_now() {
                Ok(Checked::Swapped { from, to }) => {
                    tracing::info!(%tenant, release = %to, before = from.as_ref().map_or("", |id| id.as_str()), "release serves");
                    self.metrics.release_swapped();
                }
                Ok(Checked::NoneYet | Checked::Unchanged | Checked::StillRefused { .. }) => {}
                Err(error) => {
                    let detail = service_runtime::tasks::chain(&error);
                    tracing::error!(%tenant, error.code = error.code().as_str(), error.reason = error.reason(), error = detail, "release refused");
                    self.metrics.release_refused();
                }
            }
            adopt(&models);
        }
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let serving = tenants.values().filter_map(|models| models.serving.load_full());
        self.metrics.live(serving.map(|serving| serving.release.id().clone()));
    }

    /// Makes a release live: verified here first, then for everybody. Blocks.
    ///
    /// # Errors
    /// When the release is not there or is refused; what served goes on serving.
    pub fn activate(&self, tenant: &TenantId, id: &ReleaseId) -> Result<(), releases::Error> {
        // The manifest is read first, so that a name nobody knows makes no tenant.
        self.store.manifest(tenant, id)?;
        let models = self.tenant(tenant);
        models.watch.activate(id)?;
        adopt(&models);
        self.metrics.release_swapped();
        Ok(())
    }

    /// A release by id, whether it serves or not: for pages that are ranked again. Those that do not serve are read from
    /// the store, and the last few are kept. Blocks.
    ///
    /// # Errors
    /// When the release is not there, or is not one that this code can use.
    pub fn pinned(&self, tenant: &TenantId, id: &ReleaseId) -> Result<Arc<Serving>, Error> {
        if let Some(serving) = self.serving(tenant).filter(|serving| serving.release.id() == id) {
            return Ok(serving);
        }
        let mut kept = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(of, serving): &(TenantId, Arc<Serving>)| of == tenant && serving.release.id() == id;
        if let Some(at) = kept.iter().position(is_it) {
            let found = kept.remove(at);
            let serving = Arc::clone(&found.1);
            kept.push(found);
            return Ok(serving);
        }
        let previous = self.known(tenant).and_then(|models| models.watch.previous());
        let release = match previous.filter(|release| release.id() == id) {
            Some(release) => release,
            None => Arc::new(self.store.load(tenant, id).map_err(Error::Release)?),
        };
        let serving = Arc::new(Serving::new(release).map_err(Error::Scorer)?);
        if kept.len() == PINNED {
            kept.remove(0);
        }
        kept.push((tenant.clone(), Arc::clone(&serving)));
        Ok(serving)
    }

    /// What serves a tenant, what served, what was refused.
    #[must_use]
    pub fn status(&self, tenant: &TenantId) -> Status {
        self.known(tenant).map(|models| models.watch.status()).unwrap_or_default()
    }

    /// One line for operators: each tenant and its release.
    #[must_use]
    pub fn summary(&self) -> String {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = tenants
            .iter()
            .map(|(tenant, models)| {
                let status = models.watch.status();
                let live = status.live.as_ref().map_or("none", |id| id.as_str());
                match status.refused.len() {
                    0 => format!("{tenant}: {live}"),
                    refused => format!("{tenant}: {live} ({refused} refused)"),
                }
            })
            .collect();
        if lines.is_empty() { "no release yet: cold scores".to_owned() } else { lines.join(", ") }
    }

    fn known(&self, tenant: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    fn tenant(&self, tenant: &TenantId) -> Arc<Tenant> {
        if let Some(known) = self.known(tenant) {
            return known;
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let requirements =
                Requirements { feature_schema: Some(schema_hash()), check: Some(Box::new(golden::check)) };
            let watch = Watch::new(self.store.clone(), tenant.clone(), requirements, Arc::clone(&self.clock));
            Arc::new(Tenant {
                watch,
                serving: ArcSwapOption::empty(),
                previous: ArcSwapOption::empty(),
                adopting: Mutex::default(),
            })
        };
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(make))
    }

    /// The tenants that have a folder. A folder that cannot be listed has none now; the next look may
    /// find them.
    fn stored_tenants(&self) -> Vec<TenantId> {
        let Ok(folders) = fs::read_dir(self.store.root()) else { return Vec::new() };
        let mut tenants: Vec<TenantId> = folders
            .flatten()
            .filter(|folder| folder.path().is_dir())
            .filter_map(|folder| folder.file_name().to_str().and_then(|name| TenantId::new(name).ok()))
            .collect();
        tenants.sort();
        tenants
    }
}

/// Takes over what the watch lets serve. Its check has read the same scorer before, so that a failure
/// here means the release changed on the way: what served goes on.
fn adopt(models: &Tenant) {
    let _adopting = models.adopting.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(release) = models.watch.current() else { return };
    if models.serving.load().as_ref().is_some_and(|serving| Arc::ptr_eq(&serving.release, &release)) {
        return;
    }
    match Serving::new(release) {
        Ok(serving) => {
            if let Some(before) = models.serving.swap(Some(Arc::new(serving))) {
                models.previous.store(Some(before));
            }
        }
        Err(error) => {
            tracing::error!(error = service_runtime::tasks::chain(&error), "verified scorer could not be read");
        }
    }
}
