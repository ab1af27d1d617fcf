//! `setlist learn`: trains from the data folder now and then, and promotes what the gates let through.
//!
//! It runs beside `setlist serve`: it opens no stream, and only reads the catalogue.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use candidate_generation::store::Store as Catalogue;
use contracts::grpc::CatalogueClient;
use learning::{
    archive::keeping,
    learner::{CatalogueItems, Items, Learner, Learnt},
    metrics::LearningMetrics,
    progress::{Bars, Progress, Silent},
};
use service_runtime::{
    OnFailure, Runtime, client,
    process::{self, Listening},
};
use shared_models::{TenantId, item::Item};

use crate::{
    cli,
    config::{self, Config, Loaded},
};

/// Items read at once.
const PAGE: usize = 5_000;
/// How an embedded store is named.
const SQLITE: &str = "sqlite://";

/// Learns once or again and again.
#[must_use]
pub fn run(args: cli::release::Learn) -> ExitCode {
    let mut config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    config.ops.listen = args.ops;
    config.learn.every = args.every.unwrap_or(config.learn.every);
    config.learn.keep = args.keep.unwrap_or(config.learn.keep);
    if !args.once && config.learn.every.is_zero() {
        eprintln!("say how often to learn, such as --every 6h, or --once");
        return ExitCode::from(service_runtime::cli::BAD_CONFIGURATION);
    }
    let config = if args.once { config.quiet() } else { *config };
    process::start("setlist", config, move |config: Config, runtime| async move { start(&args, config, runtime).await })
}

async fn start(args: &cli::release::Learn, config: Config, runtime: Runtime) -> anyhow::Result<Vec<Listening>> {
    let tenant = TenantId::new(&args.data.tenant)?;
    let path = &config.archive.path;
    ensure!(
        !config.archive.url.is_empty() || path.exists(),
        "there is no archive at {}: name the data folder with --data, or set archive.url",
        path.display()
    );
    let progress: Arc<dyn Progress> = if args.once { Arc::new(Bars::new()) } else { Arc::new(Silent) };
    let health = runtime.health.component("learning");
    health.ready();
    let learner = Learner {
        archive: keeping::open(&config.archive, &runtime).await?,
        items: items(args, &config, &runtime).await?,
        store: releases::Store::open(&config.ranking.releases.path)?,
        config: config.learn,
        limits: config.gates,
        only: Some(tenant),
        metrics: LearningMetrics::new(&runtime.metrics),
        health,
        runtime: runtime.clone(),
        progress,
    };
    if args.once {
        once(&learner).await?;
        runtime.stop_signal().stop();
    } else {
        runtime.tasks.intake.spawn("learning", OnFailure::Stop, Arc::new(learner).run());
    }
    Ok(Vec::new())
}

async fn once(learner: &Learner) -> anyhow::Result<()> {
    for (tenant, learnt) in learner.learn_all().await {
        match learnt {
            Learnt::Promoted(report) => println!("{report}"),
            Learnt::HeldBack(report) => {
                println!("{report}");
                anyhow::bail!("the release of {tenant} is written and not live: a gate holds it back");
            }
            Learnt::Nothing => anyhow::bail!("there is nothing to learn from: import a catalogue and events first"),
            Learnt::Failed(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where the items are: with a running candidate generation, or in its store.
async fn items(args: &cli::release::Learn, config: &Config, runtime: &Runtime) -> anyhow::Result<Arc<dyn Items>> {
    if let Some(url) = &args.candidates {
        let channel = client::connect("candidates", url, &client::Config::default(), runtime).await?;
        return Ok(Arc::new(CatalogueItems(Arc::new(CatalogueClient::new(channel)))));
    }
    let store = &config.candidates.store;
    if let Some(path) = store.url.strip_prefix(SQLITE) {
        // Opening would make an empty one.
        ensure!(std::path::Path::new(path).exists(), "there is no catalogue at {path}: setlist import makes one");
    }
    let opened = candidate_generation::store::open(store).await.context("the catalogue cannot be opened")?;
    Ok(Arc::new(StoredItems(opened)))
}

struct StoredItems(Arc<dyn Catalogue>);

#[async_trait]
impl Items for StoredItems {
    async fn of(&self, tenant: &TenantId) -> anyhow::Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let after = items.last().map(|item| item.id.clone());
            let page = self.0.items_after(tenant, after.as_ref(), PAGE).await?;
            let last = page.len() < PAGE;
            items.extend(page);
            if last {
                return Ok(items);
            }
        }
    }
}
