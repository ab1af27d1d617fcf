//! Learning as a process of its own: events from the stream into the archive, files of days that are over made one, and
//! a release of every tenant now and then. The way to the other services is the catalogue's client and the folder of
//! releases, where they find what is promoted.

use std::{sync::Arc, time::Duration};

use contracts::{Catalogue, Deadline, grpc::CatalogueClient};
use event_bus::{ConsumerMetrics, consume, subjects};
use service_runtime::{
    OnFailure, Runtime, grpc,
    process::{About, Listening},
    tasks::chain,
};
use shared_models::{TenantId, item::Item};
use tokio::time::MissedTickBehavior;

use crate::{
    archive::{Archive, ArchiveHandler, Span},
    config::{Config, DEFAULTS},
    metrics::LearningMetrics,
    progress::{Progress, Silent},
    train::{self, TrainReport},
};

/// Items of one call.
const ITEMS: usize = 5_000;
/// How long one call for items may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the process says of itself.
pub const ABOUT: About = About {
    name: "learning",
    summary: "Archives events, and turns them into releases",
    defaults: DEFAULTS,
    env_prefix: "SETLIST",
};

/// Connects, and starts what runs until the end; besides the operators' listener it has none.
///
/// # Errors
/// When the bus or the archive cannot be opened.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<Vec<Listening>> {
    let bus = event_bus::open(&config.bus, &runtime).await?;
    let (path, now) = (config.archive.path.clone(), runtime.clock.now());
    let opened = runtime.tasks.intake.blocking("open-archive", move || Archive::open(path, now)).await;
    let archive = Arc::new(opened.ok_or_else(|| anyhow::anyhow!("opening the archive broke off"))??);
    let intake = &runtime.tasks.intake;
    let landing = consume(
        bus,
        subjects::LEARNING_ARCHIVE.clone(),
        Arc::new(ArchiveHandler::new(Arc::clone(&archive))),
        ConsumerMetrics::new(&runtime.metrics),
        intake.token(),
    );
    intake.spawn("archive", OnFailure::Stop, landing);
    let candidates = grpc::measured_channel(&config.services.candidates, &runtime.metrics)?;
    let learner = Arc::new(Learner {
        archive,
        catalogue: Arc::new(CatalogueClient::new(candidates)),
        releases: config.releases.path,
        metrics: LearningMetrics::new(&runtime.metrics),
        runtime: runtime.clone(),
    });
    intake.spawn("compaction", OnFailure::Stop, Arc::clone(&learner).compact_every(config.archive.compact_every));
    if !config.learn.every.is_zero() {
        intake.spawn("learning", OnFailure::Stop, learner.learn_every(config.learn.every));
    }
    Ok(Vec::new())
}

struct Learner {
    archive: Arc<Archive>,
    catalogue: Arc<dyn Catalogue>,
    releases: std::path::PathBuf,
    metrics: LearningMetrics,
    runtime: Runtime,
}

impl Learner {
    async fn compact_every(self: Arc<Self>, every: Duration) -> Result<(), std::convert::Infallible> {
        let stop = self.runtime.tasks.intake.token();
        let mut tick = ticks(every);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let (archive, now) = (Arc::clone(&self.archive), self.runtime.clock.now());
            match self.runtime.tasks.intake.blocking("compact", move || archive.compact(now)).await {
                Some(Ok(0)) | None => {}
                Some(Ok(files)) => {
                    self.metrics.compacted.inc_by(files as u64);
                    tracing::info!(files, "archive made one file a day");
                }
                Some(Err(error)) => tracing::error!(error = chain(&error), "archive could not be compacted"),
            }
        }
        Ok(())
    }

    async fn learn_every(self: Arc<Self>, every: Duration) -> Result<(), std::convert::Infallible> {
        let stop = self.runtime.tasks.intake.token();
        let mut tick = ticks(every);
        // The first tick is at once: nothing has come in yet.
        tick.reset();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if stop.run_until_cancelled(self.learn_all()).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn learn_all(&self) {
        let tenants = match self.archive.tenants() {
            Ok(tenants) => tenants,
            Err(error) => return tracing::error!(error = chain(&error), "archive cannot be read"),
        };
        for tenant in tenants {
            let started = tokio::time::Instant::now();
            let learnt = self.learn(&tenant).await;
            self.metrics.learnt(learnt.is_ok(), started.elapsed());
            match learnt {
                Ok(report) => tracing::info!(
                    tenant = tenant.as_str(),
                    release = report.release.as_ref().map(|id| id.as_str().to_owned()),
                    live = report.promoted,
                    "learnt from the archive"
                ),
                Err(error) => {
                    tracing::error!(tenant = tenant.as_str(), error = format!("{error:#}"), "learning failed");
                }
            }
        }
    }

    async fn learn(&self, tenant: &TenantId) -> anyhow::Result<TrainReport> {
        let store = releases::Store::open(&self.releases)?;
        let (archive, progress) = (Arc::clone(&self.archive), Arc::new(Silent));
        learn(tenant, self.catalogue.as_ref(), archive, store, &self.runtime, progress).await
    }
}

/// Learns from everything the archive holds of a tenant, and promotes the release.
///
/// # Errors
/// When the catalogue or the archive cannot be read, or there is too little to learn from.
pub async fn learn(
    tenant: &TenantId,
    catalogue: &dyn Catalogue,
    archive: Arc<Archive>,
    store: releases::Store,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<TrainReport> {
    let items = items_of(catalogue, tenant).await?;
    let (tenant, now) = (tenant.clone(), runtime.clock.now());
    let work = move || {
        let events = archive.read(&tenant, Span::ALL, &*progress)?;
        anyhow::Ok(train::train(&tenant, &items, &events, &store, &train::Config::new(now), &*progress)?)
    };
    let trained = runtime.tasks.intake.blocking("train", work).await;
    trained.ok_or_else(|| anyhow::anyhow!("training broke off"))?
}

async fn items_of(catalogue: &dyn Catalogue, tenant: &TenantId) -> anyhow::Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    loop {
        let after = items.last().map(|item| item.id.clone());
        let page = catalogue.list_items(tenant, after, ITEMS, Deadline::within(PATIENCE)).await?;
        let last = page.len() < ITEMS;
        items.extend(page);
        if last {
            return Ok(items);
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
