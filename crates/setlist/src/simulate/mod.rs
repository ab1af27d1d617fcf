//! `setlist simulate`: listeners of the generated world use the platform over HTTP, arm by arm.

mod arms;
mod bars;
mod host;
mod past;
mod rounds;
mod table;

pub mod report;

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, ensure};
use learning::{
    progress::{Bars, Progress, Unit},
    world::Audience,
};
use rustc_hash::FxHashSet;
use shared_models::{ItemKey, Seed, item::ItemKind};

use crate::{
    cli::{
        self,
        simulate::{Arm, Simulate},
    },
    draw, freshness, plot,
};
use host::Host;
use past::Past;
use report::Report;
use rounds::Scene;

/// Items of one call.
const ITEMS: usize = 500;

/// Simulates.
#[must_use]
pub fn run(args: &Simulate) -> ExitCode {
    let failed = |error: anyhow::Error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    };
    let prepared = || {
        check(args)?;
        past::clear(&args.data)?;
        past::generate(args, &Bars::new())
    };
    let past = match prepared() {
        Ok(past) => past,
        Err(error) => return failed(error),
    };
    let base = args.data.join("past");
    if let Err(code) = past::learn(&past, &base) {
        return code;
    }
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let simulated =
        executor.map_err(anyhow::Error::from).and_then(|executor| executor.block_on(simulate(args, &past, &base)));
    let judged = simulated.and_then(|report| {
        show(args, &report)?;
        Ok(bars::judge(args, &report))
    });
    match judged {
        Ok(verdicts) => bars::told(&verdicts),
        Err(error) => failed(error),
    }
}

fn check(args: &Simulate) -> anyhow::Result<()> {
    let (listeners, all) = (args.listeners, args.world_listeners);
    ensure!((1..=all).contains(&listeners), "--listeners is {listeners}; give 1 to {all}, those of the world");
    ensure!(args.rounds >= 1, "--rounds 0 shows nothing; give 1 or more");
    ensure!((0.0..=1.0).contains(&args.change), "--change is {}; give a share from 0 to 1", args.change);
    ensure!(!args.arms.is_empty(), "--arms names none");
    ensure!(
        args.keep.is_none_or(|share| (0.0..=1.0).contains(&share)),
        "--keep is {:?}; give a share from 0 to 1",
        args.keep.unwrap_or_default()
    );
    ensure!(
        args.at_least.is_none_or(|factor| factor.is_finite() && factor > 0.0),
        "--at-least is {:?}; give a number above 0",
        args.at_least.unwrap_or_default()
    );
    let (popular, full) = (args.arms.contains(&Arm::Popular), args.arms.iter().any(|arm| arm.is_full()));
    ensure!(args.at_least.is_none() || popular, "--at-least compares with popular; name it in --arms");
    let judges = args.at_least.is_some() || args.learns_within.is_some() || args.finds.is_some();
    ensure!(!judges || full, "bars are for the full system; name ranker, explore, softmax or thompson in --arms");
    ensure!(
        args.learns_within.is_none() || args.change > 0.0,
        "--learns-within needs listeners who change; give --change above 0"
    );
    ensure!(
        args.fresh_within.is_none() || args.freshness > 0,
        "--fresh-within needs plays to measure it with; give --freshness above 0"
    );
    Ok(())
}

fn show(args: &Simulate, report: &Report) -> anyhow::Result<()> {
    draw::print(&table::text(report));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(report)?;
        std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(folder) = &args.plot {
        for path in plot::write(folder, &plot::simulation::pictures(report)?)? {
            println!("drawn: {path}");
        }
    }
    Ok(())
}

/// What an arm left.
struct Run {
    arm: Arm,
    seen: Vec<report::Seen>,
    change: Option<report::Change>,
    seconds: f64,
}

async fn simulate(args: &Simulate, past: &Past, base: &Path) -> anyhow::Result<Report> {
    let surfaces = args.data.join("surfaces");
    arms::write(&surfaces)?;
    let mut arms: Vec<Arm> = Vec::new();
    for arm in &args.arms {
        if !arms.contains(arm) {
            arms.push(*arm);
        }
    }
    let bars = Bars::new();
    let mut runs = Vec::new();
    for arm in &arms {
        let folder = args.data.join(arm.name());
        past::copy(base, &folder)?;
        let host = Host::start(&folder, &surfaces, args.keep).await?;
        for chunk in past.planted.chunks(ITEMS) {
            let refused = host.client.items(chunk).await?;
            ensure!(refused == 0, "{refused} of the planted tracks were refused");
        }
        let scene = scene(args, past);
        let pages = u64::from(args.rounds) * args.listeners as u64;
        let stage = bars.stage(arm.name(), Unit::Rows, Some(pages));
        let started = Instant::now();
        let seen = scene.run(*arm, &host.client, &*stage).await?;
        let seconds = started.elapsed().as_secs_f64();
        let mean = seen.iter().map(|page| page.reward).sum::<f64>() / seen.len().max(1) as f64;
        stage.finish(&format!("{} pages, {mean:.3} reward a page", seen.len()));
        if args.keep.is_some() {
            host.finish().await?;
        } else {
            host.stop().await?;
            std::fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        let changes = |listener: u32| scene.changes(listener as usize);
        let change = report::change(&seen, scene.half_time(), changes);
        runs.push(Run { arm: *arm, seen, change, seconds });
    }
    let popular = runs.iter().find(|run| run.arm == Arm::Popular).map(|run| report::by_listener(&run.seen));
    let of = |run: &Run| {
        let requests = run.seen.len() * if run.arm == Arm::Random { 1 } else { 2 };
        let spent = (run.seconds, requests);
        report::arm(run.arm.name(), &run.seen, popular.as_ref(), run.change.clone(), Seed(args.seed), spent)
    };
    let scene = scene(args, past);
    Ok(Report {
        listeners: args.listeners,
        rounds: args.rounds,
        half_time: scene.half_time(),
        changed: (0..args.listeners).filter(|listener| scene.changes(*listener)).count(),
        planted: past.planted.len(),
        seed: args.seed,
        arms: runs.iter().map(of).collect(),
        freshness_ms: freshness_of(args, base, &surfaces).await,
    })
}

fn scene<'a>(args: &'a Simulate, past: &'a Past) -> Scene<'a> {
    let world = &past.world;
    let listeners = world.users.iter().take(args.listeners);
    let tracks = world.items.iter().chain(&past.planted).filter(|item| item.kind == ItemKind::Track);
    Scene {
        args,
        audience: Audience::new(&world.truth, &world.events, Seed(args.seed)),
        listeners: listeners.map(|user| (user.id.to_string(), user.market.map(|market| market.to_string()))).collect(),
        tracks: tracks.map(|item| item.id.clone()).collect(),
        planted: past.planted.iter().map(|item| ItemKey::of(&item.id)).collect::<FxHashSet<_>>(),
    }
}

/// From a play to a page that knows of it, on a copy of the past of its own: listeners who have just played much else do
/// not show a single play. `None` where it is not asked for, or could not be measured, which is said.
async fn freshness_of(args: &Simulate, base: &Path, surfaces: &Path) -> Option<[f64; 3]> {
    if args.freshness == 0 {
        return None;
    }
    let measured = measure_freshness(args, base, surfaces).await;
    measured.inspect_err(|error| eprintln!("freshness could not be measured: {error:#}")).ok()
}

async fn measure_freshness(args: &Simulate, base: &Path, surfaces: &Path) -> anyhow::Result<[f64; 3]> {
    let folder = args.data.join("freshness");
    past::copy(base, &folder)?;
    let host = Host::start(&folder, surfaces, None).await?;
    let asked = cli::Freshness {
        plays: args.freshness,
        rate: 20.0,
        users: "user-".to_owned(),
        surface: arms::FRESHNESS.to_owned(),
        listeners: u32::try_from(args.world_listeners).unwrap_or(u32::MAX),
        access: cli::Access { url: host.url.clone(), key: Some(host.client.key().to_owned()), data: args.data.clone() },
    };
    let times = freshness::visible(&asked).await;
    host.stop().await?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    times
}
