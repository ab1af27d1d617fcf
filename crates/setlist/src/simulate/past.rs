//! The past of a simulation: a world without the tracks that will come new, imported and learned from.

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use learning::{
    datasets::{Import, Report},
    progress::{Bars, Progress},
    world::{self, World},
};
use rustc_hash::FxHashSet;
use service_runtime::{cli::Options, process};
use shared_models::{
    Clock, ItemId, ItemKey, Seed, SystemClock, TenantId, Timestamp,
    item::{Item, ItemKind},
};

use crate::{
    cli,
    config::{self, Config, Loaded},
    devkey, import,
    platform::Core,
    train,
};

pub(super) const TENANT: &str = "demo";
/// What a folder has that a simulation made.
const MARK: &str = "simulation";
/// How long databases may take to close.
const CLOSING: Duration = Duration::from_secs(10);
/// Good tracks are drawn from this share of the catalogue.
const GOOD: f64 = 0.05;

/// What happened before the rounds, and what comes new in them.
pub(super) struct Past {
    /// The world; its events are those that were learned from.
    pub(super) world: World,
    /// Tracks that the past does not know.
    pub(super) planted: Vec<Item>,
}

/// Generates a world and takes the planted tracks out of its past.
pub(super) fn generate(args: &cli::simulate::Simulate, progress: &dyn Progress) -> anyhow::Result<Past> {
    let now = SystemClock.now();
    let config = world::Config {
        tracks: args.tracks,
        artists: (args.tracks / 8).max(1),
        listeners: args.world_listeners,
        interactions: args.events,
        impressions: args.events * 2 / 5,
        ..world::Config::demo(Seed(args.seed), now)
    };
    let mut world = world::generate(&config, progress)?;
    let planted = planted(&world, args, now);
    let keys: FxHashSet<ItemKey> = planted.iter().map(|item| ItemKey::of(&item.id)).collect();
    world.events.retain(|event| !keys.contains(&event.item_key()));
    world.items.retain(|item| !keys.contains(&ItemKey::of(&item.id)));
    Ok(Past { world, planted })
}

/// Tracks that many would play, each of another artist.
fn planted(world: &World, args: &cli::simulate::Simulate, now: Timestamp) -> Vec<Item> {
    let asked: Vec<_> = world.users.iter().take(args.listeners).step_by((args.listeners / 100).max(1)).collect();
    let worth = |item: &Item| -> f32 {
        let key = ItemKey::of(&item.id);
        asked.iter().filter_map(|user| world.truth.probabilities(&user.id, key, 0)).map(|actions| actions[0]).sum()
    };
    let mut tracks: Vec<(f32, &Item)> = world
        .items
        .iter()
        .filter(|item| item.kind == ItemKind::Track && item.markets.is_empty() && !item.explicit)
        .map(|item| (worth(item), item))
        .collect();
    tracks.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    tracks.truncate(((tracks.len() as f64 * GOOD) as usize).max(args.planted));
    // Spread over the good ones, so that not all are of one taste.
    let step = (tracks.len() / (2 * args.planted).max(1)).max(1);
    let mut artists: FxHashSet<Option<ItemId>> = FxHashSet::default();
    let mut chosen = Vec::new();
    for (_, item) in tracks.into_iter().step_by(step) {
        if chosen.len() < args.planted && artists.insert(item.artist_id.clone()) {
            chosen.push(Item { released_at: Some(now), ..item.clone() });
        }
    }
    chosen
}

/// Makes the folder ready: it must be new, or an earlier simulation's.
pub(super) fn clear(folder: &Path) -> anyhow::Result<()> {
    let mark = folder.join(MARK);
    if folder.exists() && folder.read_dir()?.next().is_some() {
        ensure!(mark.exists(), "{} holds what no simulation made; give another folder with --data", folder.display());
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    std::fs::write(&mark, "").with_context(|| format!("{} cannot be written", mark.display()))
}

/// Imports the past into a data folder and learns from it.
pub(super) fn learn(past: &Past, folder: &Path) -> Result<(), ExitCode> {
    devkey::ensure(folder, &TenantId::new(TENANT).map_err(failed)?).map_err(failed)?;
    // Nobody asks this part how it is: any free port will do.
    let set = vec![("ops.listen".to_owned(), "127.0.0.1:0".to_owned())];
    let config = match config::load(&Options { set, ..Options::default() }, folder) {
        Loaded::Run(config) => config.quiet(),
        Loaded::Exit(code) => return Err(code),
    };
    let import = Import {
        items: past.world.items.clone(),
        users: past.world.users.clone(),
        events: past.world.events.clone(),
        report: Report::default(),
    };
    let learned = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&learned);
    let code = process::start("setlist", config, move |config: Config, runtime| async move {
        let tenant = TenantId::new(TENANT)?;
        let bars: Arc<dyn Progress> = Arc::new(Bars::new());
        let core = Core::embedded(&config, &runtime).await?;
        import::load(&core, &tenant, import, &*bars).await?;
        let (_, report) = train::learn(&core, &config, &tenant, &runtime, bars).await?;
        ensure!(report.promoted, "what was learned from the past is not good enough for the gates:\n{report}");
        done.store(true, Ordering::Relaxed);
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    });
    if learned.load(Ordering::Relaxed) { Ok(()) } else { Err(code) }
}

fn failed(error: impl Into<anyhow::Error>) -> ExitCode {
    eprintln!("{:#}", error.into());
    ExitCode::FAILURE
}

/// Copies a data folder that nobody writes to any more. A database that is closed meanwhile takes its file of changes
/// with it: then the copy begins anew, so that database and changes are always of one moment.
pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let end = Instant::now() + CLOSING;
    loop {
        let copied = copy_all(from, to);
        let is_gone = |error: &anyhow::Error| {
            error
                .root_cause()
                .downcast_ref::<std::io::Error>()
                .is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        };
        match copied {
            Err(error) if is_gone(&error) && Instant::now() < end => {
                std::fs::remove_dir_all(to).with_context(|| format!("{} cannot be removed", to.display()))?;
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_all(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).with_context(|| format!("{} cannot be copied", source.display()))?;
        }
    }
    Ok(())
}
