//! Learning as a process of its own: what the streams bring into the archive, its small files made few, and a release of
//! every tenant now and then. The way to the other services is the catalogue's client and the folder of
//! releases, where they find what is promoted.

use std::{sync::Arc, time::Duration};

use contracts::{Catalogue, Deadline, grpc::CatalogueClient};
use service_runtime::{
    OnFailure, Runtime, client,
    process::{About, Listening},
    tasks::chain,
};
use shared_models::{TenantId, item::Item};
use tokio::time::MissedTickBehavior;

use crate::{
    archive::{Archive, keeping},
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
    let archive = keeping::open(&config.archive, &runtime).await?;
    keeping::land(&bus, &archive, &config.archive, &runtime);
    keeping::compact(&archive, &config.archive, &runtime);
    let places = &config.services.candidates;
    let candidates = client::connect("candidates", places, &client::Config::default(), &runtime).await?;
    let learner = Arc::new(Learner {
        archive,
        catalogue: Arc::new(CatalogueClient::new(candidates)),
        releases: config.releases.path,
        metrics: LearningMetrics::new(&runtime.metrics),
        runtime: runtime.clone(),
    });
    if !config.learn.every.is_zero() {
        runtime.tasks.intake.spawn("learning", OnFailure::Stop, learner.learn_every(config.learn.every));
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
        let history = archive.history(&tenant, &*progress)?;
        let mut config = train::Config::new(now);
        config.lineage.insert("archive_position".to_owned(), history.position.to_string());
        anyhow::Ok(train::train(&tenant, &items, &history.events, &store, &config, &*progress)?)
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
