//! `setlist world`: what a generated world is like, in figures and in pictures; or the world itself, in a data folder.

mod into;

use std::process::ExitCode;

use anyhow::Context;
use learning::{
    evaluate::{projection, scorers::ItemVectors},
    progress::Bars,
    world::{self, World},
};
use releases::Store;
use rustc_hash::FxHashMap;
use shared_models::{Clock, ItemKey, Seed, SystemClock, TenantId, Timestamp, event::EventKind};

use crate::{
    cli, draw,
    plot::{self, space, world as pictures},
};

/// The tenant that a demo serves.
const TENANT: &str = "demo";

/// Makes and describes a world.
#[must_use]
pub fn run(args: &cli::World) -> ExitCode {
    if let Some(folder) = &args.into {
        return into::run(args.clone(), folder);
    }
    match describe(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The world that is asked for.
fn shape(args: &cli::World, now: Timestamp) -> world::Config {
    world::Config {
        tracks: args.tracks,
        artists: (args.tracks / 8).max(1),
        listeners: args.listeners,
        interactions: args.events,
        impressions: args.events * 2 / 5,
        ..world::Config::demo(Seed(args.seed), now)
    }
}

fn describe(args: &cli::World) -> anyhow::Result<()> {
    let config = shape(args, SystemClock.now());
    let world = world::generate(&config, &Bars::new())?;
    let counts = world::counts(&world.items, &world.events);
    draw::print(&world::shapes(&world.items, &world.events));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&counts)?;
        std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(folder) = &args.plot {
        let of = format!(
            "generated world, seed {}: {} tracks, {} listeners, {} plays in {} days",
            args.seed,
            plot::count(args.tracks as f64),
            plot::count(args.listeners as f64),
            plot::count(counts.tracks.iter().sum::<u64>() as f64),
            config.days
        );
        let mut drawn = pictures::pictures(&of, &counts)?;
        match factor_space(args, &world)? {
            Some(svg) => drawn.push(("space-factors".to_owned(), svg)),
            None => println!(
                "{} has no release of this world: run `setlist demo` with the same numbers for the space of factors",
                args.data.display()
            ),
        }
        for path in plot::write(folder, &drawn)? {
            println!("drawn: {path}");
        }
    }
    Ok(())
}

/// The space of the live release's factors, when there is one and it is of this world.
fn factor_space(args: &cli::World, world: &World) -> anyhow::Result<Option<String>> {
    let root = args.data.join("releases");
    if !root.exists() {
        return Ok(None);
    }
    let (store, tenant) = (Store::open(&root)?, TenantId::new(TENANT)?);
    let Some(live) = store.live(&tenant)? else { return Ok(None) };
    let release = store.load(&tenant, &live)?;
    let Some(factors) = release.factors.as_ref() else { return Ok(None) };
    let mut plays: FxHashMap<ItemKey, u32> = FxHashMap::default();
    for event in world.events.iter().filter(|event| event.kind == EventKind::Play) {
        *plays.entry(event.item_key()).or_default() += 1;
    }
    let genres: FxHashMap<ItemKey, &str> =
        world.items.iter().map(|item| (item.key(), item.genres.first().map_or("", String::as_str))).collect();
    let mut vectors = ItemVectors { dimensions: factors.dimensions, values: Vec::new() };
    let (mut names, mut weights) = (Vec::new(), Vec::new());
    for (row, key) in release.items.iter().enumerate() {
        // A release of another world has other items.
        let Some(genre) = genres.get(key) else { return Ok(None) };
        vectors.values.extend(factors.row(row as u32).iter().take(factors.dimensions));
        names.push((*genre).to_owned());
        weights.push(plays.get(key).copied().unwrap_or(0));
    }
    let chosen: Vec<u32> = (0..weights.len() as u32).filter(|item| weights[*item as usize] > 0).collect();
    let Some(projection) = projection::project(&vectors, &chosen) else { return Ok(None) };
    let of = format!("release {} of the generated world, seed {}", live.as_str().get(..8).unwrap_or("?"), args.seed);
    space::space(&space::Space { of, projection: &projection, names: &names, weights: &weights }).map(Some)
}
