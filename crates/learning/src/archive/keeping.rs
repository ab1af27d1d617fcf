//! The archive beside a running platform: what the streams bring lands in it, and its files are kept few. It must not know
//! training.

use std::{convert::Infallible, sync::Arc};

use event_bus::{ConsumerMetrics, EventBus, consume, subjects};
use service_runtime::{OnFailure, Runtime, tasks::chain};
use tokio::time::MissedTickBehavior;

use super::{Archive, ArchiveHandler, Config, RecordHandler};
use crate::metrics::ArchiveMetrics;

/// Opens the configured archive. Opening reads what the last days brought: not on the runtime's threads.
///
/// # Errors
/// When the store says no, or a file is no archive file.
pub async fn open(config: &Config, runtime: &Runtime) -> anyhow::Result<Arc<Archive>> {
    let (config, now) = (config.clone(), runtime.clock.now());
    let opened = runtime.tasks.intake.blocking("open-archive", move || Archive::connect(&config, now)).await;
    Ok(Arc::new(opened.ok_or_else(|| anyhow::anyhow!("opening the archive broke off"))??))
}

/// Starts what lands the streams of events and of recommendations.
pub fn land(bus: &Arc<dyn EventBus>, archive: &Arc<Archive>, config: &Config, runtime: &Runtime) {
    let intake = &runtime.tasks.intake;
    let metrics = ArchiveMetrics::new(&runtime.metrics);
    let events = ArchiveHandler::new(Arc::clone(archive)).lingering(config.linger).counted(metrics.clone());
    let records = RecordHandler::new(Arc::clone(archive)).lingering(config.linger).counted(metrics);
    let landing = |spec: &event_bus::subjects::ConsumerSpec, handler: Arc<dyn event_bus::Handler>| {
        consume(Arc::clone(bus), spec.clone(), handler, ConsumerMetrics::new(&runtime.metrics), intake.token())
    };
    intake.spawn("archive", OnFailure::Stop, landing(&subjects::LEARNING_ARCHIVE, Arc::new(events)));
    intake.spawn(
        "archive-recommendations",
        OnFailure::Stop,
        landing(&subjects::LEARNING_RECOMMENDATIONS, Arc::new(records)),
    );
}

/// Starts what makes many small files few, now and every so often.
pub fn compact(archive: &Arc<Archive>, config: &Config, runtime: &Runtime) {
    let (archive, runtime, every) = (Arc::clone(archive), runtime.clone(), config.compact_every);
    let metrics = ArchiveMetrics::new(&runtime.metrics);
    let intake = runtime.tasks.intake.clone();
    intake.spawn("compaction", OnFailure::Stop, async move {
        let stop = runtime.tasks.intake.token();
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let (archive, now) = (Arc::clone(&archive), runtime.clock.now());
            match runtime.tasks.intake.blocking("compact", move || archive.compact(now)).await {
                Some(Ok(0)) | None => {}
                Some(Ok(files)) => {
                    metrics.compacted.inc_by(files as u64);
                    tracing::info!(files, "small files of the archive became part of larger ones");
                }
                Some(Err(error)) => tracing::error!(error = chain(&error), "archive could not be compacted"),
            }
        }
        Ok::<(), Infallible>(())
    });
}
