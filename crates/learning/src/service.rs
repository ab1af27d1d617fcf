//! Learning as a process of its own: events from the stream into the archive, files of days that are over made one, and
//! a release of every tenant now and then. The way to the other services is the catalogue's client and the folder of
//! releases, where they find what is promoted.

use std::{convert::Infallible, sync::Arc, time::Duration};

use contracts::grpc::CatalogueClient;
use event_bus::{ConsumerMetrics, consume, subjects};
use service_runtime::{
    OnFailure, Runtime, client,
    process::{About, Listening},
    tasks::chain,
};
use tokio::time::MissedTickBehavior;

use crate::{
    archive::{Archive, ArchiveHandler},
    config::{Config, DEFAULTS},
    learner::{CatalogueItems, Learner},
    metrics::LearningMetrics,
    progress::Silent,
};

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
    let places = &config.services.candidates;
    let candidates = client::connect("candidates", places, &client::Config::default(), &runtime).await?;
    let metrics = LearningMetrics::new(&runtime.metrics);
    let every = config.archive.compact_every;
    let compaction = compact(Arc::clone(&archive), every, metrics.clone(), runtime.clone());
    intake.spawn("compaction", OnFailure::Stop, compaction);
    if !config.learn.every.is_zero() {
        let health = runtime.health.component("learning");
        health.ready();
        let learner = Learner {
            archive,
            items: Arc::new(CatalogueItems(Arc::new(CatalogueClient::new(candidates)))),
            store: releases::Store::open(&config.releases.path)?,
            config: config.learn,
            limits: config.gates,
            only: None,
            metrics,
            health,
            runtime: runtime.clone(),
            progress: Arc::new(Silent),
        };
        intake.spawn("learning", OnFailure::Stop, Arc::new(learner).run());
    }
    Ok(Vec::new())
}

/// Makes one file of each day that is over, every so often.
async fn compact(
    archive: Arc<Archive>,
    every: Duration,
    metrics: LearningMetrics,
    runtime: Runtime,
) -> Result<(), Infallible> {
    let stop = runtime.tasks.intake.token();
    let mut tick = ticks(every);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let (archive, now) = (Arc::clone(&archive), runtime.clock.now());
        match runtime.tasks.intake.blocking("compact", move || archive.compact(now)).await {
            Some(Ok(0)) | None => {}
            Some(Ok(files)) => {
                metrics.compacted.inc_by(files as u64);
                tracing::info!(files, "archive made one file a day");
            }
            Some(Err(error)) => tracing::error!(error = chain(&error), "archive could not be compacted"),
        }
    }
    Ok(())
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
