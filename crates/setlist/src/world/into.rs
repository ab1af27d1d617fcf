//! `setlist world --into`: a world of any size straight into a data folder. Its events are written into the archive as
//! they are made and never held together; those of the first listeners go through the stream instead, the way a client's
//! events go, so that these have profiles and get pages of their own.

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, ensure};
use learning::{
    archive::{self, Archive},
    datasets::{Import, Report},
    progress::{Bars, Progress},
    world,
};
use service_runtime::{Runtime, cli::Options, process};
use shared_models::{Clock, SystemClock, TenantId, Timestamp, event::Event};

use super::shape;
use crate::{
    cli,
    config::{self, Config, Loaded},
    devkey, import,
    platform::Core,
};

/// Events of one file of the archive: some twenty megabytes.
const FILE: usize = 750_000;

/// Makes the world and puts it into the folder.
pub(super) fn run(args: cli::World, folder: &Path) -> ExitCode {
    match prepare(folder) {
        Ok(Loaded::Run(config)) => {
            let (config, folder) = (config.quiet(), folder.to_owned());
            process::start("setlist", config, move |config: Config, runtime| async move {
                make(&args, &folder, &config, &runtime).await?;
                runtime.stop_signal().stop();
                anyhow::Ok(Vec::new())
            })
        }
        Ok(Loaded::Exit(code)) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder, which must be new: a world is not put among somebody's data.
fn prepare(folder: &Path) -> anyhow::Result<Loaded> {
    for name in ["events.db", "candidates.db", "archive"] {
        ensure!(
            !folder.join(name).exists(),
            "{} holds data already ({name}); give a folder that is not there",
            folder.display()
        );
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    devkey::ensure(folder, &TenantId::new(super::TENANT)?)?;
    // Nobody asks this command how it is: any free port will do.
    let set = vec![("ops.listen".to_owned(), "127.0.0.1:0".to_owned())];
    Ok(config::load(&Options { set, ..Options::default() }, folder))
}

/// What takes the events of one listener after another.
struct Sink {
    archive: Arc<Archive>,
    tenant: TenantId,
    now: Timestamp,
    /// Listeners below this number go through the stream.
    streamed: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    events: Vec<Event>,
    streamed: Vec<Event>,
    failed: Option<archive::Error>,
}

impl Sink {
    fn take(&self, listener: usize, events: Vec<Event>) {
        let full = {
            // A listener's life that panicked has stopped the command: what is locked is whole.
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if listener < self.streamed {
                open.streamed.extend(events);
                return;
            }
            open.events.extend(events);
            if open.events.len() < FILE || open.failed.is_some() {
                return;
            }
            std::mem::take(&mut open.events)
        };
        self.keep(full);
    }

    fn keep(&self, events: Vec<Event>) {
        if let Err(error) = self.archive.keep_all(&self.tenant, events, self.now) {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(error);
        }
    }

    /// The events for the stream, in time order, once everything else is in the archive.
    fn finish(self) -> anyhow::Result<Vec<Event>> {
        let rest = std::mem::take(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner).events);
        self.keep(rest);
        let Open { mut streamed, failed, .. } = self.open.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failed {
            return Err(error).context("the archive cannot be written");
        }
        streamed.sort_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
        Ok(streamed)
    }
}

async fn make(args: &cli::World, folder: &Path, config: &Config, runtime: &Runtime) -> anyhow::Result<()> {
    let tenant = TenantId::new(super::TENANT)?;
    let bars: Arc<dyn Progress> = Arc::new(Bars::new());
    let core = Core::embedded(config, runtime).await?;
    let now = SystemClock.now();
    let sink = Sink {
        archive: Arc::clone(&core.archive),
        tenant: tenant.clone(),
        now,
        streamed: args.profiles.min(args.listeners),
        open: Mutex::default(),
    };
    let started = Instant::now();
    let (shape, watched) = (shape(args, now), Arc::clone(&bars));
    let work = move || {
        let world = world::stream(&shape, &*watched, &|listener, events| sink.take(listener, events))?;
        anyhow::Ok((world, sink.finish()?))
    };
    let made = runtime.tasks.work.blocking("world", work).await.context("the world broke off")?;
    let (world, events) = made?;
    println!("archived in {:.1} s", started.elapsed().as_secs_f64());

    let (items, published) = (world.items.len(), events.len());
    let users = world.users.into_iter().take(args.profiles).collect();
    let import = Import { items: world.items, users, events, report: Report::default() };
    drop(world.truth);
    let started = Instant::now();
    import::load(&core, &tenant, import, &*bars).await?;
    println!("{items} items and {published} events through the stream in {:.1} s", started.elapsed().as_secs_f64());
    println!("next: setlist learn --once --data {0}, then setlist serve --data {0}", folder.display());
    Ok(())
}
