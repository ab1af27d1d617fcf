//! `setlist export`: everything a tenant owns, into a folder of its own. It opens no bus: beside running services it reads
//! what they have written so far.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use learning::{
    archive::keeping,
    export::{Export, MANIFEST},
    progress::{Bars, Progress},
};
use serde_json::{Value, json};
use service_runtime::process;
use shared_models::TenantId;

use crate::{
    cli,
    config::{self, Config, Loaded},
    devkey,
};

/// Exports.
#[must_use]
pub fn run(args: cli::Export) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    process::start("setlist", config.quiet(), move |config: Config, runtime| async move {
        let tenant = TenantId::new(&args.data.tenant)?;
        let (surfaces, keys) = (surfaces(&config)?, keys(&config, &args.data));
        // What is not there is not made: a wrong folder must not look like an empty tenant.
        let store = &config.candidates.store;
        if let Some(path) = store.url.strip_prefix("sqlite://") {
            anyhow::ensure!(
                std::path::Path::new(path).exists(),
                "there is no catalogue at {path}: set --data or candidates.store.url"
            );
        }
        let bars: Arc<dyn Progress> = Arc::new(Bars::new());
        let mut export = Export::begin(tenant.clone(), &args.to, bars)?;
        let has_archive = !config.archive.url.is_empty() || config.archive.path.exists();
        let archive = if has_archive { Some(keeping::open(&config.archive, &runtime).await?) } else { None };
        let releases = &config.ranking.releases.path;
        let releases = releases.exists().then(|| releases::Store::open(releases)).transpose()?;
        let work = runtime.tasks.work.blocking("export", move || {
            export.archive(archive.as_deref())?;
            export.edge(&surfaces, &keys)?;
            export.releases(releases.as_ref())?;
            anyhow::Ok(export)
        });
        let mut export = work.await.context("exporting broke off")??;
        let store = candidate_generation::store::open(store).await.context("the catalogue cannot be opened")?;
        export.store(store.as_ref()).await?;
        let manifest = export.finish(runtime.clock.now())?;
        for table in &manifest.tables {
            println!("{:<16} {:>10} rows in {} files", table.name, table.rows, table.files.len());
        }
        for problem in &manifest.problems {
            eprintln!("{problem}");
        }
        println!("everything of {tenant} is in {}; {MANIFEST} counts and hashes it", args.to.display());
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    })
}

fn surfaces(config: &Config) -> anyhow::Result<Vec<Value>> {
    let folder = &config.edge.surfaces.folder;
    let folder = (!folder.as_os_str().is_empty()).then_some(folder.as_path());
    let surfaces = edge_api::surfaces::Surfaces::load(folder)?;
    surfaces
        .all()
        .map(|served| {
            Ok(json!({
                "surface": served.surface.surface.as_str(),
                "version": served.version,
                "definition": serde_json::to_value(&served.surface)?,
            }))
        })
        .collect()
}

/// What the tenant's keys are, and nothing that opens them.
fn keys(config: &Config, data: &cli::Data) -> Vec<Value> {
    let all = config.edge.auth.keys.iter().cloned().chain(devkey::entry(&data.data));
    all.filter(|key| key.tenant == data.tenant)
        .map(|key| {
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
            let expires_at = (!key.expires_at.is_empty()).then_some(&key.expires_at);
            json!({ "id": key.id, "scopes": scopes, "expires_at": expires_at })
        })
        .collect()
}
