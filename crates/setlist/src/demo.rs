//! `setlist demo`: generate a world, import it, learn from it, serve it, show round.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use learning::{
    datasets::{Import, Report},
    progress::{Bars, Progress},
    world,
};
use serde::{Deserialize, Serialize};
use service_runtime::{
    OnFailure, Runtime,
    cli::Options,
    process::{self, Listening},
};
use shared_models::{Clock, Seed, SystemClock, TenantId, Timestamp, UserId};

use crate::{
    cli,
    config::{self, Config, Loaded},
    devkey, import,
    platform::Platform,
    tour, train,
};

const TENANT: &str = "demo";
/// What a folder that holds a finished demo has.
const MARK: &str = "world.json";

/// What a folder has that a demo took for itself, before it puts a world into it.
const TAKEN: &str = "demo-began";

/// What a finished demo remembers of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    tracks: usize,
    listeners: usize,
    events: usize,
    seed: u64,
    /// Whose page the tour shows.
    guest: String,
}

/// Runs the demo.
#[must_use]
pub fn run(args: cli::Demo) -> ExitCode {
    match prepare(&args) {
        Ok(Loaded::Run(config)) => {
            process::start("setlist", config.quiet(), move |config, runtime| serve(args, config, runtime))
        }
        Ok(Loaded::Exit(code)) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder, the development key, and the configuration that knows both.
fn prepare(args: &cli::Demo) -> anyhow::Result<Loaded> {
    let folder = &args.data;
    let begun = ["events.db", "candidates.db"].into_iter().any(|name| folder.join(name).exists());
    let finished = folder.join(MARK).exists();
    if begun && (args.fresh || !finished) {
        clear(folder)?;
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be made; give another folder with --data", folder.display()))?;
    let entry = devkey::ensure(folder, &TenantId::new(TENANT)?)?;
    let options = Options {
        set: vec![
            ("edge.http.listen".to_owned(), format!("127.0.0.1:{}", args.port)),
            ("ops.listen".to_owned(), ops_address(args)?),
            ("telemetry.otlp_endpoint".to_owned(), args.otlp.clone()),
            // Without a collector the traces can be looked at here.
            ("telemetry.recent_traces".to_owned(), if args.otlp.is_empty() { "200" } else { "0" }.to_owned()),
        ],
        ..Options::default()
    };
    Ok(match config::load(&options, folder) {
        Loaded::Run(mut config) => {
            config.edge.auth.keys.push(entry);
            Loaded::Run(config)
        }
        exit => exit,
    })
}

/// Removes what a demo left in the folder: one that is not wanted any more, or that was interrupted half-way. Nothing
/// else is touched, and nothing that no demo made.
fn clear(folder: &Path) -> anyhow::Result<()> {
    // Without a word of a demo, these are somebody's data.
    anyhow::ensure!(
        folder.join(TAKEN).exists() || folder.join(MARK).exists(),
        "{} holds data that no demo made; give another folder with --data",
        folder.display()
    );
    for name in [MARK, "events.db", "candidates.db", "archive", "history", "releases", "edge"] {
        for path in [folder.join(name), folder.join(format!("{name}-wal")), folder.join(format!("{name}-shm"))] {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{} cannot be removed", path.display()));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// An address nobody listens on at the moment.
pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Where operators connect: where they said, else beside the API, else anywhere.
fn ops_address(args: &cli::Demo) -> anyhow::Result<String> {
    match (args.ops_port, args.port) {
        (Some(0), _) | (None, 0) => free_address(),
        (Some(port), _) => Ok(format!("127.0.0.1:{port}")),
        (None, port) => Ok(format!("127.0.0.1:{}", port.checked_add(1).unwrap_or(9_101))),
    }
}

async fn serve(args: cli::Demo, config: Config, runtime: Runtime) -> anyhow::Result<Vec<Listening>> {
    let started = Instant::now();
    let (listener, address) = Platform::bind(&config)?;
    let platform = Platform::build(&config, &runtime, false).await?;
    let mark = match finished(&args)? {
        Some(mark) => mark,
        None => make(&args, &config, &runtime, &platform).await?,
    };
    let (core, ranking) = platform.serve(listener, &runtime);
    println!("serving http://{address} from {} after {:.1} s\n", args.data.display(), started.elapsed().as_secs_f64());

    let place = tour::Place {
        api: format!("http://{address}"),
        ops: format!("http://{}", config.ops.listen),
        key: devkey::read(&args.data)?,
        user: mark.guest,
    };
    let (once, stop) = (args.once, runtime.stop_signal().clone());
    runtime.tasks.work.spawn("tour", OnFailure::Stop, async move {
        // The services stay for as long as the tour's task: they hold what the consumers serve.
        let _kept = (core, ranking);
        let walked = tour::walk(&place).await;
        if once {
            stop.stop();
        } else if walked.is_ok() {
            println!("Serving until Ctrl-C.");
        }
        walked.map_err(|error| std::io::Error::other(format!("{error:#}")))
    });
    Ok(vec![Listening { what: "http", address }])
}

/// What an earlier run left, when it is the same world.
fn finished(args: &cli::Demo) -> anyhow::Result<Option<Mark>> {
    let path = args.data.join(MARK);
    let Ok(json) = std::fs::read(&path) else { return Ok(None) };
    let mark: Mark =
        serde_json::from_slice(&json).with_context(|| format!("{} is damaged; start with --fresh", path.display()))?;
    anyhow::ensure!(
        (mark.tracks, mark.listeners, mark.events, mark.seed) == (args.tracks, args.listeners, args.events, args.seed),
        "{} holds another world ({} tracks, {} listeners, {} events, seed {}); start with --fresh, or give another folder with --data",
        args.data.display(),
        mark.tracks,
        mark.listeners,
        mark.events,
        mark.seed
    );
    Ok(Some(mark))
}

/// Generates, imports and trains, and marks the folder as finished.
async fn make(args: &cli::Demo, config: &Config, runtime: &Runtime, platform: &Platform) -> anyhow::Result<Mark> {
    let taken = args.data.join(TAKEN);
    std::fs::write(&taken, "").with_context(|| format!("{} cannot be written", taken.display()))?;
    let tenant = TenantId::new(TENANT)?;
    let bars: Arc<dyn Progress> = Arc::new(Bars::new());
    println!(
        "A world of {} tracks, {} listeners and {} events, by seed {}. Nobody in it is real; its shapes are (docs/world.md).",
        args.tracks, args.listeners, args.events, args.seed
    );
    let world = {
        let (world, bars) = (shape(args, SystemClock.now()), Arc::clone(&bars));
        runtime
            .tasks
            .work
            .blocking("world", move || world::generate(&world, &*bars))
            .await
            .context("the world broke off")??
    };
    let guest = guest(&world);
    let import = Import { items: world.items, users: world.users, events: world.events, report: Report::default() };
    import::load(&platform.core, &tenant, import, &*bars).await?;
    println!("{}", train::learn_and_activate(platform, config, &tenant, runtime, bars).await?);
    let mark = Mark {
        tracks: args.tracks,
        listeners: args.listeners,
        events: args.events,
        seed: args.seed,
        guest: guest.to_string(),
    };
    let path: PathBuf = args.data.join(MARK);
    std::fs::write(&path, serde_json::to_vec_pretty(&mark)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(mark)
}

fn shape(args: &cli::Demo, now: Timestamp) -> world::Config {
    world::Config {
        tracks: args.tracks,
        artists: (args.tracks / 8).max(1),
        listeners: args.listeners,
        interactions: args.events,
        impressions: args.events * 2 / 5,
        ..world::Config::demo(Seed(args.seed), now)
    }
}

/// A listener in the middle of the field: as many events as most, so that the page shows the usual case.
fn guest(world: &world::World) -> UserId {
    let mut counts: std::collections::BTreeMap<&UserId, usize> = std::collections::BTreeMap::new();
    for event in &world.events {
        *counts.entry(&event.user).or_default() += 1;
    }
    let mut by_count: Vec<(usize, &UserId)> = counts.into_iter().map(|(user, count)| (count, user)).collect();
    by_count.sort_unstable();
    by_count.get(by_count.len() / 2).map_or_else(|| world.users[0].id.clone(), |(_, user)| (*user).clone())
}
