//! The service put together: opens the store, loads what is served from memory, starts what runs beside
//! the requests, and hands out the promises.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use ::pipeline::StageMetrics;
use contracts::{
    Candidates, Catalogue, Profiles, ReleaseControl,
    grpc::{CandidatesServer, CatalogueServer, DESCRIPTOR_SET, ProfilesServer, ReleaseControlServer},
};
use event_bus::{ConsumerMetrics, EventBus, consume, subjects};
use service_runtime::{
    OnFailure, Runtime,
    client::{self, Guard},
    grpc::Services,
};
use shared_models::{TenantId, Timestamp};

use crate::{
    config::Config,
    error::Error,
    intake::{Intake, partitions::Partitions},
    metrics::CandidatesMetrics,
    pipeline::Pipeline,
    profiles::memory::ProfileMemory,
    server::{Parts, Service},
    store::{self, Store},
    worlds::{World, Worlds, follow},
};

/// How often old events are forgotten.
const PRUNE: Duration = Duration::from_secs(3_600);

/// The service, built and running.
pub struct App {
    service: Arc<Service>,
    worlds: Arc<Worlds>,
}

impl App {
    /// Opens and migrates the store, loads catalogues and trends, takes each tenant's live release, and
    /// starts intake. Without any release the service is ready all the same: what needs one is degraded.
    ///
    /// # Errors
    /// When the store or the folder of releases cannot be opened.
    pub async fn build(config: Config, runtime: &Runtime, bus: Arc<dyn EventBus>) -> Result<Self, Error> {
        let metrics = CandidatesMetrics::register(&runtime.metrics);
        let store = store::open(&config.store).await?;
        let worlds = Arc::new(Worlds::open(&config, Arc::clone(&runtime.clock), metrics.clone())?);
        worlds.load(store.as_ref(), &runtime.tasks.intake).await?;
        worlds.serve();

        let memory = ProfileMemory::new(config.profiles.memory_bytes);
        let service = Arc::new(Service::new(Parts {
            worlds: Arc::clone(&worlds),
            store: Arc::clone(&store),
            memory: memory.clone(),
            guard: store.shared().map(|_| Guard::new("store", &client::Config::default(), runtime)),
            pipeline: Pipeline::new(StageMetrics::register(&runtime.metrics, "candidates")),
            read_budget: config.profiles.read_budget,
            clock: Arc::clone(&runtime.clock),
            tasks: runtime.tasks.intake.clone(),
            metrics: metrics.clone(),
        }));
        take_in(&config, &store, &worlds, &memory, runtime, &metrics, bus);
        follow_catalogues(&store, &worlds, &config, runtime);
        follow_releases(&worlds, &config, runtime);
        keep_trends(&store, &worlds, &memory, &config, runtime, &metrics);
        forget_old_events(&store, &config, runtime);
        Ok(Self { service, worlds })
    }

    /// Gathers candidates.
    #[must_use]
    pub fn candidates(&self) -> Arc<dyn Candidates> {
        self.service.clone()
    }

    /// Keeps the catalogue.
    #[must_use]
    pub fn catalogue(&self) -> Arc<dyn Catalogue> {
        self.service.clone()
    }

    /// Keeps the profiles.
    #[must_use]
    pub fn profiles(&self) -> Arc<dyn Profiles> {
        self.service.clone()
    }

    /// Shows and changes which release serves.
    #[must_use]
    pub fn release_control(&self) -> Arc<dyn ReleaseControl> {
        self.service.clone()
    }

    /// A tenant's world, for tests and tools in this process.
    #[must_use]
    pub fn world(&self, tenant: &TenantId) -> Arc<World> {
        self.worlds.of(tenant)
    }

    /// What a gRPC server offers of this service.
    #[must_use]
    pub fn grpc_services(&self) -> Services {
        Services::new()
            .add(CandidatesServer::new(self.candidates()))
            .add(CatalogueServer::new(self.catalogue()))
            .add(ProfilesServer::new(self.profiles()))
            .add(ReleaseControlServer::new(self.release_control()))
            .describe(DESCRIPTOR_SET)
    }
}

/// Folds events for as long as the process lives: all of them, or those of the partitions whose leases it holds,
/// where processes share the store. Without intake every page grows stale: its failure stops the process.
fn take_in(
    config: &Config,
    store: &Arc<dyn Store>,
    worlds: &Arc<Worlds>,
    memory: &ProfileMemory,
    runtime: &Runtime,
    metrics: &CandidatesMetrics,
    bus: Arc<dyn EventBus>,
) {
    let group = &runtime.tasks.intake;
    let clock = Arc::clone(&runtime.clock);
    let intake =
        Intake::new(Arc::clone(store), Arc::clone(worlds), memory.clone(), group.clone(), clock, metrics.clone());
    let consumers = ConsumerMetrics::new(&runtime.metrics);
    let token = group.token();
    if store.shared().is_none() {
        let work = consume(bus, subjects::CANDIDATES_INTAKE.clone(), Arc::new(intake), consumers, token);
        group.spawn("events", OnFailure::Stop, work);
        return;
    }
    let health = runtime.health.component("candidates-intake");
    health.ready();
    let partitions = Partitions {
        store: Arc::clone(store),
        intake,
        bus,
        partitions: config.bus.partitions,
        config: config.intake.clone(),
        holder: uuid::Uuid::now_v7().to_string(),
        group: group.clone(),
        consumers,
        metrics: metrics.clone(),
        health,
    };
    group.spawn("partitions", OnFailure::Stop, partitions.run(token));
}

/// Shows what other processes write to the catalogues, where they share the store.
fn follow_catalogues(store: &Arc<dyn Store>, worlds: &Arc<Worlds>, config: &Config, runtime: &Runtime) {
    if store.shared().is_none() {
        return;
    }
    let (store, worlds, every) = (Arc::clone(store), Arc::clone(worlds), config.store.follow);
    let group = runtime.tasks.intake.clone();
    let (stop, work) = (group.token(), group.clone());
    group.spawn("follow-catalogues", OnFailure::Stop, async move {
        let mut away = false;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let Some(shared) = store.shared() else { break };
            match follow::catalogues(shared, &worlds, &work).await {
                Ok(changed) => {
                    away = false;
                    if changed > 0 {
                        tracing::debug!(changed, "items written by other processes are in memory");
                    }
                }
                // Once an outage: the catalogue in memory goes on serving.
                Err(error) if !std::mem::replace(&mut away, true) => {
                    tracing::warn!(error = service_runtime::tasks::chain(&error), "catalogues cannot be followed");
                }
                Err(_) => {}
            }
        }
        Ok::<(), Infallible>(())
    });
}

/// Looks for promoted releases every so often, and tells operators what serves.
fn follow_releases(worlds: &Arc<Worlds>, config: &Config, runtime: &Runtime) {
    let health = runtime.health.component("candidates-releases");
    health.detail(worlds.summary());
    health.ready();
    let (worlds, group, poll) = (Arc::clone(worlds), runtime.tasks.intake.clone(), config.releases.poll);
    let (stop, watch) = (group.token(), group.clone());
    group.spawn("release-watch", OnFailure::Stop, async move {
        while stop.run_until_cancelled(tokio::time::sleep(poll)).await.is_some() {
            let at_work = Arc::clone(&worlds);
            // A look that panicked is logged by the group; what serves goes on serving.
            let _looked = watch.blocking("look-for-releases", move || at_work.refresh()).await;
            health.detail(worlds.summary());
        }
        Ok::<(), Infallible>(())
    });
}

/// Makes the trends anew, and saves them every so often and at the end.
fn keep_trends(
    store: &Arc<dyn Store>,
    worlds: &Arc<Worlds>,
    memory: &ProfileMemory,
    config: &Config,
    runtime: &Runtime,
    metrics: &CandidatesMetrics,
) {
    let (store, worlds, memory, metrics) = (Arc::clone(store), Arc::clone(worlds), memory.clone(), metrics.clone());
    let settings = config.trending.clone();
    let save = if store.shared().is_some() { settings.exchange } else { settings.save };
    let group = runtime.tasks.observers.clone();
    let (stop, watch) = (group.token(), group.clone());
    group.spawn("trends", OnFailure::Log, async move {
        let mut saved = tokio::time::Instant::now();
        let mut seen = BTreeMap::new();
        while stop.run_until_cancelled(tokio::time::sleep(settings.refresh)).await.is_some() {
            let all = worlds.all();
            metrics.sizes(all.iter().map(|world| world.catalogue.snapshot().len()).sum(), memory.len());
            // Whether there was anything to refresh is nobody's business here.
            let _refreshed = watch
                .blocking("refresh-trends", move || all.iter().filter(|world| world.refresh_counts()).count())
                .await;
            if saved.elapsed() >= save {
                save_trends(store.as_ref(), &worlds, settings.half_life, &mut seen).await;
                saved = tokio::time::Instant::now();
            }
        }
        save_trends(store.as_ref(), &worlds, settings.half_life, &mut seen).await;
        Ok::<(), Infallible>(())
    });
}

/// Keeps the trends of all tenants, or exchanges them where processes share the store; `seen` is until when each
/// tenant's are known.
async fn save_trends(
    store: &dyn Store,
    worlds: &Worlds,
    half_life: Duration,
    seen: &mut BTreeMap<TenantId, Timestamp>,
) {
    for world in worlds.all() {
        let done = if let Some(shared) = store.shared() {
            let since = seen.get(&world.tenant).copied().unwrap_or(Timestamp(0));
            follow::trends(shared, &world, half_life, since).await.map(|as_of| {
                seen.insert(world.tenant.clone(), as_of);
            })
        } else {
            let unsaved = world.trending.take_unsaved();
            if unsaved.is_empty() {
                continue;
            }
            let kept = store.save_trends(&world.tenant, &unsaved.counted, &unsaved.forgotten).await;
            if kept.is_err() {
                world.trending.put_back(&unsaved);
            }
            kept
        };
        if let Err(error) = done {
            let error = service_runtime::tasks::chain(&error);
            tracing::warn!(tenant = %world.tenant, error, "trends could not be saved; tried again later");
        }
    }
}

/// Forgets folded events that can no longer come again.
fn forget_old_events(store: &Arc<dyn Store>, config: &Config, runtime: &Runtime) {
    let (store, clock, remember) = (Arc::clone(store), Arc::clone(&runtime.clock), config.profiles.remember_events);
    let group = &runtime.tasks.observers;
    let stop = group.token();
    group.spawn("forget-events", OnFailure::Log, async move {
        while stop.run_until_cancelled(tokio::time::sleep(PRUNE)).await.is_some() {
            match store.prune(clock.now().before(remember)).await {
                Ok(0) => {}
                Ok(forgotten) => tracing::info!(forgotten, "old events forgotten"),
                Err(error) => {
                    tracing::warn!(error = service_runtime::tasks::chain(&error), "old events could not be forgotten");
                }
            }
        }
        Ok::<(), Infallible>(())
    });
}
