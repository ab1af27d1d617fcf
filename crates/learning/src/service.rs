//! Learning as a process of its own: what the streams bring into the archive, its small files made few, and a release of
//! every tenant now and then. The way to the other services is the catalogue's client and the folder of
//! releases, where they find what is promoted.

use std::sync::Arc;

use contracts::grpc::CatalogueClient;
use service_runtime::{
    OnFailure, Runtime, client,
    process::{About, Listening},
};

use crate::{
    archive::keeping,
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
    let archive = keeping::open(&config.archive, &runtime).await?;
    keeping::land(&bus, &archive, &config.archive, &runtime);
    keeping::compact(&archive, &config.archive, &runtime);
    let places = &config.services.candidates;
    let candidates = client::connect("candidates", places, &client::Config::default(), &runtime).await?;
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
            metrics: LearningMetrics::new(&runtime.metrics),
            health,
            runtime: runtime.clone(),
            progress: Arc::new(Silent),
        };
        runtime.tasks.intake.spawn("learning", OnFailure::Stop, Arc::new(learner).run());
    }
    Ok(Vec::new())
}
