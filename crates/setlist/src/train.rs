//! `setlist train`: learns from the archive and promotes a release, everything of it or its ranker alone.

mod report;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use contracts::{Deadline, grpc::CatalogueClient};
use learning::{
    archive::{Archive, keeping},
    gates::Verdict,
    learner::{self, CatalogueItems},
    progress::{Bars, Progress},
    ranker::Trained,
    train::{self, TrainReport, ranker::RankerReport},
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

/// Trains everything, or the ranker alone.
#[must_use]
pub fn run(args: cli::Train) -> ExitCode {
    let (args, part) = match args.only {
        Some(cli::TrainOnly::Ranker(training)) => (training, Part::Ranker),
        None => (args.training, Part::All),
    };
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    process::start("setlist", config.quiet(), move |config: Config, runtime| async move {
        let tenant = TenantId::new(&args.data.tenant)?;
        let with_pictures = args.report.as_ref().is_some_and(|path| !report::is_file(path));
        let asked = Asked { config: &config, tenant: &tenant, runtime: &runtime, part, with_pictures };
        let told = match &args.candidates {
            Some(url) => asked.beside_a_cluster(url).await?,
            None => {
                let core = Core::embedded(&config, &runtime).await?;
                core.settle(|_| ()).await?;
                let items = CatalogueItems(core.candidates.catalogue());
                asked.from(&items, Arc::clone(&core.archive)).await?
            }
        };
        println!("{}", told.text);
        if let Some(path) = &args.report {
            let folder = config.ranking.releases.path.join(tenant.as_str()).join(told.release.as_str());
            let written = report::write(path, &folder, &told)?;
            println!("{written}");
        }
        anyhow::ensure!(told.held_back.is_none(), "{}", told.held_back.unwrap_or_default());
        let release = &told.release;
        if args.candidates.is_none() {
            println!("release {release} is live; next: setlist serve --data {}", args.data.data.display());
        } else {
            println!("release {release} is live in {}", config.ranking.releases.path.display());
        }
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    })
}

/// What is trained.
#[derive(Clone, Copy)]
enum Part {
    All,
    Ranker,
}

/// What came of a training.
struct Told {
    release: ReleaseId,
    text: String,
    scorer: Option<Trained>,
    examination: Vec<(f64, usize)>,
    /// Why the release is not live, when a gate holds it back.
    held_back: Option<String>,
}

impl Told {
    fn of_all(report: TrainReport) -> anyhow::Result<Self> {
        Ok(Self {
            text: report.to_string(),
            held_back: held_back(&report).err().map(|why| why.to_string()),
            release: report.release.context("the training wrote no release")?,
            scorer: report.scorer,
            examination: Vec::new(),
        })
    }

    fn of_ranker(report: RankerReport) -> anyhow::Result<Self> {
        let why = report.verdict.as_ref().map(Verdict::reasons).unwrap_or_default();
        Ok(Self {
            text: report.to_string(),
            held_back: (!report.promoted).then(|| format!("the release is written and not live: {why}")),
            release: report.release.context("the training wrote no release")?,
            scorer: report.scorer,
            examination: report.examination,
        })
    }
}

/// A training that was asked for.
struct Asked<'a> {
    config: &'a Config,
    tenant: &'a TenantId,
    runtime: &'a Runtime,
    part: Part,
    with_pictures: bool,
}

impl Asked<'_> {
    async fn from(&self, items: &CatalogueItems, archive: Arc<Archive>) -> anyhow::Result<Told> {
        let bars: Arc<dyn Progress> = Arc::new(Bars::new());
        let store = releases::Store::open(&self.config.ranking.releases.path)?;
        let mut settings = settings(self.config, self.runtime);
        settings.scorer.reports = self.with_pictures;
        match self.part {
            Part::All => {
                let trained = learner::learn(self.tenant, items, archive, store, settings, self.runtime, bars);
                Told::of_all(trained.await?)
            }
            Part::Ranker => {
                let trained = learner::learn_ranker(self.tenant, items, archive, store, settings, self.runtime, bars);
                Told::of_ranker(trained.await?)
            }
        }
    }

    /// Trains with the catalogue of a running candidate generation, on the configured archive and into the configured
    /// releases. No bus is touched: whoever runs `setlist learning` writes the archive.
    async fn beside_a_cluster(&self, url: &str) -> anyhow::Result<Told> {
        let path = &self.config.archive.path;
        anyhow::ensure!(
            !self.config.archive.url.is_empty() || path.exists(),
            "there is no archive at {}: set archive.path, archive.url or --data",
            path.display()
        );
        let archive = keeping::open(&self.config.archive, self.runtime).await?;
        let candidates = client::connect("candidates", url, &client::Config::default(), self.runtime).await?;
        self.from(&CatalogueItems(Arc::new(CatalogueClient::new(candidates))), archive).await
    }
}

/// How is trained here.
fn settings(config: &Config, runtime: &Runtime) -> train::Config {
    let mut settings = train::Config::new(runtime.clock.now());
    settings.limits = config.gates.clone();
    settings.checkpoint_every = config.learn.checkpoint_every;
    settings.segments.half_life = config.learn.popularity_half_life;
    settings
}

/// Says why a release is not live, when a gate holds it back.
fn held_back(report: &TrainReport) -> anyhow::Result<()> {
    let why = report.verdict.as_ref().map(Verdict::reasons).unwrap_or_default();
    anyhow::ensure!(report.promoted, "the release is written and not live: {why}");
    Ok(())
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
    let store = releases::Store::open(&config.ranking.releases.path)?;
    let settings = settings(config, runtime);
    let report = learner::learn(tenant, &items, archive, store, settings, runtime, progress).await?;
    let release = report.release.clone().context("the training wrote no release")?;
    Ok((release, report))
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
