//! Learning again and again: every tenant in the archive is trained on when it is time, its release goes through the
//! gates, and old releases make room.
//!
//! It must not know where items are kept. A training that fails, or whose release a gate holds back, leaves the live
//! release live.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use contracts::{Catalogue, Deadline};
use releases::Store;
use service_runtime::{Runtime, health::Component};
use shared_models::{ReleaseId, TenantId, Timestamp, item::Item};

use crate::{
    archive::{Archive, Span},
    config::Learn,
    events::{Events, InMemory},
    gates::{Limits, Verdict},
    metrics::LearningMetrics,
    progress::Progress,
    ranker::records,
    schedule::Schedule,
    train::{self, TrainReport, ranker::RankerReport},
};

/// Items of one call.
const ITEMS: usize = 1_000;
/// How long one call for items may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a tenant's items are.
#[async_trait]
pub trait Items: Send + Sync {
    /// All of them.
    async fn of(&self, tenant: &TenantId) -> anyhow::Result<Vec<Item>>;
}

/// The items of a catalogue, in this process or another.
pub struct CatalogueItems(pub Arc<dyn Catalogue>);

#[async_trait]
impl Items for CatalogueItems {
    async fn of(&self, tenant: &TenantId) -> anyhow::Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let after = items.last().map(|item| item.id.clone());
            let page = self.0.list_items(tenant, after, ITEMS, Deadline::within(PATIENCE)).await?;
            let last = page.len() < ITEMS;
            items.extend(page);
            if last {
                return Ok(items);
            }
        }
    }
}

/// What became of a tenant's training.
#[derive(Debug)]
pub enum Learnt {
    /// Its release is live.
    Promoted(Box<TrainReport>),
    /// Its release is there, and a gate holds it back.
    HeldBack(Box<TrainReport>),
    /// There is nothing to train on yet.
    Nothing,
    /// There is no release.
    Failed(anyhow::Error),
}

impl Learnt {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Promoted(_) => "done",
            Self::HeldBack(_) => "held_back",
            Self::Nothing => "nothing",
            Self::Failed(_) => "failed",
        }
    }
}

/// What learns.
pub struct Learner {
    /// The events.
    pub archive: Arc<Archive>,
    /// The items.
    pub items: Arc<dyn Items>,
    /// The releases.
    pub store: Store,
    /// When, and how many releases are kept.
    pub config: Learn,
    /// What the gates allow.
    pub limits: Limits,
    /// The tenant that is learnt from; every one in the archive when there is none.
    pub only: Option<TenantId>,
    /// What is counted.
    pub metrics: LearningMetrics,
    /// What operators are told.
    pub health: Component,
    /// Clock and tasks.
    pub runtime: Runtime,
    /// Who watches a training.
    pub progress: Arc<dyn Progress>,
}

impl Learner {
    /// Learns until the process stops.
    ///
    /// # Errors
    /// Never: a failure is tried again.
    pub async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        let stop = self.runtime.tasks.intake.token();
        let schedule = Schedule { every: self.config.every, jitter: self.config.jitter, retry: self.config.retry };
        let mut failures = 0_u32;
        let mut wait = schedule.first(self.age(), rand::random());
        loop {
            let next = self.runtime.clock.now().after(wait);
            self.metrics.waits_until(next, failures);
            tracing::info!(at = %next, failures, "next training");
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Ok(());
            }
            let Some(learnt) = stop.run_until_cancelled(self.learn_all()).await else { return Ok(()) };
            let is_well = |(_, learnt): &(TenantId, Learnt)| !matches!(learnt, Learnt::Failed(_) | Learnt::Nothing);
            failures = if !learnt.is_empty() && learnt.iter().all(is_well) { 0 } else { failures.saturating_add(1) };
            wait = schedule.wait(failures, rand::random());
        }
    }

    /// Learns from every tenant once. What happened is told in metrics, health and log too.
    pub async fn learn_all(&self) -> Vec<(TenantId, Learnt)> {
        let tenants = match self.tenants() {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::error!(error = service_runtime::tasks::chain(&error), "archive cannot be read");
                return Vec::new();
            }
        };
        let mut all = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let started = Instant::now();
            let learnt = self.learn(&tenant).await;
            self.tell(&tenant, &learnt, started.elapsed());
            self.make_room(&tenant).await;
            all.push((tenant, learnt));
        }
        let lines: Vec<String> = all.iter().map(|(tenant, learnt)| self.line(tenant, learnt)).collect();
        if !lines.is_empty() {
            self.health.detail(lines.join("; "));
        }
        all
    }

    fn tenants(&self) -> Result<Vec<TenantId>, crate::archive::Error> {
        self.only.as_ref().map_or_else(|| self.archive.tenants(), |tenant| Ok(vec![tenant.clone()]))
    }

    /// How old the newest release is, of the tenant whose newest is the oldest; `None` where one has none.
    fn age(&self) -> Option<Duration> {
        let now = self.runtime.clock.now();
        let newest = |tenant: &TenantId| -> Option<Timestamp> {
            self.store.list(tenant).ok()?.first().map(|manifest| manifest.created_at)
        };
        let tenants = self.tenants().ok().filter(|tenants| !tenants.is_empty())?;
        let ages: Option<Vec<Duration>> = tenants.iter().map(|tenant| Some(now.since(newest(tenant)?))).collect();
        ages?.into_iter().max()
    }

    async fn learn(&self, tenant: &TenantId) -> Learnt {
        let mut config = train::Config::new(self.runtime.clock.now());
        config.limits = self.limits.clone();
        config.checkpoint_every = self.config.checkpoint_every;
        config.segments.half_life = self.config.popularity_half_life;
        let (archive, store, progress) = (Arc::clone(&self.archive), self.store.clone(), Arc::clone(&self.progress));
        match learn(tenant, self.items.as_ref(), archive, store, config, &self.runtime, progress).await {
            Ok(report) if report.promoted => Learnt::Promoted(Box::new(report)),
            Ok(report) => Learnt::HeldBack(Box::new(report)),
            Err(error) if matches!(error.downcast_ref(), Some(train::Error::Nothing { .. })) => Learnt::Nothing,
            Err(error) => Learnt::Failed(error),
        }
    }

    fn tell(&self, tenant: &TenantId, learnt: &Learnt, took: Duration) {
        self.metrics.learnt(learnt.outcome(), took);
        let tenant = tenant.as_str();
        match learnt {
            Learnt::Promoted(report) => {
                self.metrics.promoted(self.runtime.clock.now());
                tracing::info!(tenant, release = named(report.release.as_ref()), "release promoted");
            }
            Learnt::HeldBack(report) => {
                report.verdict.iter().flat_map(Verdict::failed).for_each(|f| self.metrics.held_back(f.gate));
                let (release, why) = (named(report.release.as_ref()), why(report));
                tracing::warn!(tenant, release, why, "release held back by a gate");
            }
            Learnt::Nothing => tracing::info!(tenant, "nothing to learn from yet"),
            Learnt::Failed(error) => tracing::error!(tenant, error = format!("{error:#}"), "learning failed"),
        }
    }

    fn line(&self, tenant: &TenantId, learnt: &Learnt) -> String {
        let now = self.runtime.clock.now();
        match learnt {
            Learnt::Promoted(report) => format!("{tenant}: {} live since {now}", named(report.release.as_ref())),
            Learnt::HeldBack(report) => {
                format!("{tenant}: {} held back at {now}: {}", named(report.release.as_ref()), why(report))
            }
            Learnt::Nothing => format!("{tenant}: nothing to learn from at {now}"),
            Learnt::Failed(error) => format!("{tenant}: failed at {now}: {error:#}"),
        }
    }

    /// Removes the oldest releases beyond those that are kept.
    async fn make_room(&self, tenant: &TenantId) {
        let (store, keep) = (self.store.clone(), self.config.keep);
        let of = tenant.clone();
        match self.runtime.tasks.intake.blocking("prune-releases", move || store.prune(&of, keep)).await {
            Some(Ok(pruned)) if pruned.is_empty() => {}
            Some(Ok(pruned)) => {
                self.metrics.pruned(pruned.len());
                tracing::info!(tenant = tenant.as_str(), releases = pruned.len(), "old releases removed");
            }
            Some(Err(error)) => {
                let error = service_runtime::tasks::chain(&error);
                tracing::warn!(tenant = tenant.as_str(), error, "old releases could not be removed");
            }
            None => {}
        }
    }
}

fn named(release: Option<&ReleaseId>) -> &str {
    release.map_or("none", ReleaseId::as_str)
}

fn why(report: &TrainReport) -> String {
    report.verdict.as_ref().map(Verdict::reasons).unwrap_or_default()
}

/// Learns from everything the archive holds of a tenant, and promotes the release if every gate lets it through.
///
/// # Errors
/// When the items or the archive cannot be read, or there is too little to learn from.
pub async fn learn(
    tenant: &TenantId,
    items: &dyn Items,
    archive: Arc<Archive>,
    store: Store,
    mut config: train::Config,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<TrainReport> {
    let items = items.of(tenant).await?;
    let tenant = tenant.clone();
    config.work = archive.work_of(&tenant);
    let work = move || {
        let mut read_to = |position: u64| config.lineage.insert("archive_position".to_owned(), position.to_string());
        if archive.bytes_of_events(&tenant)? < config.stream_above {
            let history = archive.history(&tenant, &*progress)?;
            read_to(history.position);
            return anyhow::Ok(train::train(&tenant, &items, &history.events, &store, &config, &*progress)?);
        }
        // Too much for memory: file by file.
        let events = archive.stream(&tenant)?;
        read_to(events.position);
        Ok(train::train_on(&tenant, &items, &events, &store, &config, &*progress)?)
    };
    let trained = runtime.tasks.intake.blocking("train", work).await;
    trained.ok_or_else(|| anyhow::anyhow!("training broke off"))?
}

/// Trains the ranker of the live release from what the archive has recorded since its data end, and promotes the release
/// that comes of it if every gate lets it through.
///
/// # Errors
/// When the items or the archive cannot be read, there is no live release, or too little was recorded since.
pub async fn learn_ranker(
    tenant: &TenantId,
    items: &dyn Items,
    archive: Arc<Archive>,
    store: Store,
    config: train::Config,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<RankerReport> {
    let items = items.of(tenant).await?;
    let tenant = tenant.clone();
    let work = move || {
        let from = train::ranker::since(&store, &tenant)?;
        let span = Span { from, ..Span::ALL };
        let records = records::of(&archive.read_recommendations(&tenant, span, &*progress)?);
        let train = |events: &dyn Events| {
            let input = train::ranker::Input { tenant: &tenant, items: &items, events, records: &records };
            train::ranker::train(input, &store, &config, &*progress)
        };
        if archive.bytes_of_events(&tenant)? < config.stream_above {
            let history = archive.history(&tenant, &*progress)?;
            return anyhow::Ok(train(&InMemory(&history.events))?);
        }
        Ok(train(&archive.stream(&tenant)?)?)
    };
    let trained = runtime.tasks.intake.blocking("train-ranker", work).await;
    trained.ok_or_else(|| anyhow::anyhow!("training broke off"))?
}
