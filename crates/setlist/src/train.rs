//! `setlist train`: learns from the archive and promotes a release.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use contracts::{Deadline, grpc::CatalogueClient};
use learning::{
    archive::{Archive, keeping},
    gates::Verdict,
    learner::{self, CatalogueItems},
    progress::{Bars, Progress},
    train::{self, TrainReport},
};
use service_runtime::{Runtime, client, process};
use shared_models::{ReleaseId, TenantId};

use crate::{
    cli,
    config::{self, Config, Loaded},
    platform::{Core, Platform},
};

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
        let bars: Arc<dyn Progress> = Arc::new(Bars::new());
        let (release, report) = match &args.candidates {
            Some(url) => beside_a_cluster(url, &config, &tenant, &runtime, bars).await?,
            None => {
                let core = Core::embedded(&config, &runtime).await?;
                core.settle(|_| ()).await?;
                learn(&core, &config, &tenant, &runtime, bars).await?
            }
        };
        println!("{report}");
        if let Some(path) = &args.report {
            // The manifest is the report that stays with the release.
            let manifest =
                config.ranking.releases.path.join(tenant.as_str()).join(release.as_str()).join("manifest.json");
            std::fs::copy(&manifest, path).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        held_back(&report)?;
        if args.candidates.is_none() {
            println!("release {release} is live; next: setlist serve --data {}", args.data.data.display());
        } else {
            println!("release {release} is live in {}", config.ranking.releases.path.display());
        }
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    })
}

/// Trains with the catalogue of a running candidate generation, on the configured archive and into the configured
/// releases. No bus is touched: whoever runs `setlist learning` writes the archive.
async fn beside_a_cluster(
    url: &str,
    config: &Config,
    tenant: &TenantId,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<(ReleaseId, TrainReport)> {
    let path = &config.archive.path;
    anyhow::ensure!(
        !config.archive.url.is_empty() || path.exists(),
        "there is no archive at {}: set archive.path, archive.url or --data",
        path.display()
    );
    let archive = keeping::open(&config.archive, runtime).await?;
    let candidates = client::connect("candidates", url, &client::Config::default(), runtime).await?;
    let items = CatalogueItems(Arc::new(CatalogueClient::new(candidates)));
    learn_from(&items, archive, config, tenant, runtime, progress).await
}

/// Says why a release is not live, when a gate holds it back.
fn held_back(report: &TrainReport) -> anyhow::Result<()> {
    let why = report.verdict.as_ref().map(Verdict::reasons).unwrap_or_default();
    anyhow::ensure!(report.promoted, "the release is written and not live: {why}");
    Ok(())
}

async fn learn_from(
    items: &CatalogueItems,
    archive: Arc<Archive>,
    config: &Config,
    tenant: &TenantId,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<(ReleaseId, TrainReport)> {
    let store = releases::Store::open(&config.ranking.releases.path)?;
    let mut settings = train::Config::new(runtime.clock.now());
    settings.limits = config.gates.clone();
    settings.checkpoint_every = config.learn.checkpoint_every;
    settings.segments.half_life = config.learn.popularity_half_life;
    let report = learner::learn(tenant, items, archive, store, settings, runtime, progress).await?;
    let release = report.release.clone().context("the training wrote no release")?;
    Ok((release, report))
}

/// Trains on everything the archive holds, and promotes the release if every gate lets it through.
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
    let (items, archive) = (CatalogueItems(core.candidates.catalogue()), Arc::clone(&core.archive));
    learn_from(&items, archive, config, tenant, runtime, progress).await
}

/// [`learn`]s, and makes the running services serve the release.
///
/// # Errors
/// As [`learn`], or when a gate holds the release back, or a service refuses it.
pub async fn learn_and_activate(
    platform: &Platform,
    config: &Config,
    tenant: &TenantId,
    runtime: &Runtime,
    progress: Arc<dyn Progress>,
) -> anyhow::Result<TrainReport> {
    let (release, report) = learn(&platform.core, config, tenant, runtime, progress).await?;
    held_back(&report)?;
    for control in [platform.core.candidates.release_control(), platform.ranking.release_control()] {
        control.activate(tenant, &release, Deadline::within(PATIENCE)).await?;
    }
    Ok(report)
}
