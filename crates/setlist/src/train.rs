//! `setlist train`: learns from the archive and promotes a release.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use contracts::Deadline;
use learning::{
    archive::Span,
    progress::{Bars, Progress},
    train::{self, TrainReport},
};
use service_runtime::{Runtime, process};
use shared_models::{ReleaseId, TenantId, item::Item};

use crate::{
    cli,
    config::{self, Config, Loaded},
    platform::{Core, Platform},
};

/// Items of one call.
const ITEMS: usize = 5_000;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Trains.
#[must_use]
pub fn run(args: cli::Train) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    process::start("setlist", config.quiet(), move |config: Config, runtime| async move {
        let tenant = TenantId::new(&args.data.tenant)?;
        let core = Core::embedded(&config, &runtime).await?;
        core.settle(|_| ()).await?;
        let (release, report) = learn(&core, &config, &tenant, &runtime, Arc::new(Bars::new())).await?;
        println!("{report}");
        if let Some(path) = &args.report {
            // The manifest is the report that stays with the release.
            let manifest =
                config.ranking.releases.path.join(tenant.as_str()).join(release.as_str()).join("manifest.json");
            std::fs::copy(&manifest, path).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        println!("release {release} is live; next: setlist serve --data {}", args.data.data.display());
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    })
}

/// Trains on everything the archive holds, and promotes the release.
///
/// # Errors
/// When the catalogue or the archive cannot be read, or there is too little to learn from.
pub async fn learn(
    core: &Core,
    config: &Config,
    tenant: &TenantId,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<(ReleaseId, TrainReport)> {
    let items = catalogue(core, tenant).await?;
    let archive = Arc::clone(&core.archive);
    let store = releases::Store::open(&config.ranking.releases.path)?;
    let (tenant, now) = (tenant.clone(), runtime.clock.now());
    let work = move || {
        let events = archive.read(&tenant, Span::ALL, &*progress)?;
        anyhow::Ok(train::train(&tenant, &items, &events, &store, &train::Config::new(now), &*progress)?)
    };
    let report = runtime.tasks.intake.blocking("train", work).await.context("training broke off")??;
    let release = report.release.clone().context("the training wrote no release")?;
    Ok((release, report))
}

/// [`learn`]s, and makes the running services serve the release.
///
/// # Errors
/// As [`learn`], or when a service refuses the release.
pub async fn learn_and_activate(
    platform: &Platform,
    config: &Config,
    tenant: &TenantId,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<TrainReport> {
    let (release, report) = learn(&platform.core, config, tenant, runtime, progress).await?;
    for control in [platform.core.candidates.release_control(), platform.ranking.release_control()] {
        control.activate(tenant, &release, Deadline::within(PATIENCE)).await?;
    }
    Ok(report)
}

async fn catalogue(core: &Core, tenant: &TenantId) -> anyhow::Result<Vec<Item>> {
    let catalogue = core.candidates.catalogue();
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
