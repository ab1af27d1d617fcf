//! Writes a release of a large generated world, to measure what serves it: factors that were really trained, and
//! the histories of listeners who were not trained on.
//!
//! `cargo run --release -p learning --example large_release -- <folder> [name=value ...]`
//!
//! Names: `rows` (1,000,000), `tracks` (2,000,000; the `rows` most played of them are kept), `artists` (100,000),
//! `slope` (0.8), `listeners` (100,000), `interactions` (40,000,000), `held_out` (2,000), `dimensions` (64), `epochs`
//! (10), `seed` (1). The events of a listener are folded into the matrix and forgotten. The release goes live in the
//! folder under the tenant `demo`, unless there is a live one; its file `histories.bin` holds for each listener that was held out
//! how many items they have, and then for each its row (`u32`) and confidence (`f32`).

use std::{collections::BTreeMap, error::Error, process::ExitCode, sync::Mutex, time::Instant};

use learning::{factors, progress, world};
use releases::{Meta, Parts, Popularity, Store, factors::confidence};
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Seed, TenantId, Timestamp,
    event::{Event, EventKind},
};

/// Below this a pair says nothing, as in training.
const LEAST: f32 = 1e-3;

struct Settings {
    rows: usize,
    world: world::Config,
    held_out: usize,
    factors: factors::Settings,
}

impl Settings {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            rows: 1_000_000,
            world: world::Config {
                tracks: 2_000_000,
                artists: 100_000,
                listeners: 100_000,
                interactions: 40_000_000,
                impressions: 0,
                artist_slope: 0.8,
                ..world::Config::demo(Seed(1), Timestamp(1_760_000_000_000))
            },
            held_out: 2_000,
            factors: factors::Settings {
                alpha: 2.0,
                epochs: 10,
                regularisation: 0.003,
                item_damping: 0.0,
                user_damping: 0.0,
                spread: false,
                ..factors::Settings::default()
            },
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not name=value"))?;
            match name {
                "rows" => settings.rows = value.parse()?,
                "tracks" => settings.world.tracks = value.parse()?,
                "artists" => settings.world.artists = value.parse()?,
                "slope" => settings.world.artist_slope = value.parse()?,
                "listeners" => settings.world.listeners = value.parse()?,
                "interactions" => settings.world.interactions = value.parse()?,
                "seed" => settings.world.seed = Seed(value.parse()?),
                "held_out" => settings.held_out = value.parse()?,
                "dimensions" => settings.factors.dimensions = value.parse()?,
                "epochs" => settings.factors.epochs = value.parse()?,
                _ => return Err(format!("{name:?} is no setting").into()),
            }
        }
        Ok(settings)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", releases::error::chain(&*error));
            ExitCode::from(64)
        }
    }
}

/// A listener's items with their confidences before alpha, and what was played, for the counts.
type History = Vec<(u32, f32)>;

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder for the release")?;
    let settings = Settings::read(arguments)?;
    let tenant = TenantId::new("demo")?;
    let store = Store::open(&folder)?;
    if let Some(id) = store.live(&tenant)? {
        println!("release {id} is there already");
        return Ok(());
    }
    let started = Instant::now();
    let said = |what: &str| eprintln!("{:7.1} s  {what}", started.elapsed().as_secs_f64());

    let histories: Mutex<Vec<(usize, History)>> = Mutex::default();
    // A track's number in its id stands for the track until the rows are known.
    let heard = |listener: usize, events: Vec<Event>| {
        let history = history(&events);
        if let Ok(mut histories) = histories.lock() {
            histories.push((listener, history));
        }
    };
    let world = world::stream(&settings.world, &progress::Silent, &heard)?;
    let mut histories = histories.into_inner().map_err(|_| "a listener's life panicked")?;
    histories.sort_unstable_by_key(|(listener, _)| *listener);
    let pairs: usize = histories.iter().map(|(_, history)| history.len()).sum();
    said(&format!("{} listeners and {pairs} pairs of {} tracks", histories.len(), settings.world.tracks));

    let mut listeners_of = vec![0_u32; settings.world.tracks + 1];
    histories.iter().flat_map(|(_, history)| history).for_each(|(track, _)| listeners_of[*track as usize] += 1);
    let mut kept: Vec<u32> = (0..listeners_of.len() as u32).filter(|track| listeners_of[*track as usize] > 0).collect();
    let played = kept.len();
    kept.sort_by_key(|track| std::cmp::Reverse(listeners_of[*track as usize]));
    kept.truncate(settings.rows);
    let mut keys: Vec<(ItemKey, u32)> = Vec::with_capacity(kept.len());
    let by_number: FxHashMap<u32, ItemKey> =
        world.items.iter().filter_map(|item| Some((number(item.id.as_str())?, item.key()))).collect();
    keys.extend(kept.iter().filter_map(|track| Some((*by_number.get(track)?, *track))));
    keys.sort_unstable();
    drop(world);
    let mut row_of = vec![u32::MAX; listeners_of.len()];
    keys.iter().enumerate().for_each(|(row, (_, track))| row_of[*track as usize] = row as u32);
    said(&format!("{played} tracks were played; the {} most played are rows", keys.len()));

    for (_, history) in &mut histories {
        history.iter_mut().for_each(|(track, _)| *track = row_of[*track as usize]);
        history.retain(|(row, _)| *row != u32::MAX);
    }
    let held_out = histories.split_off(histories.len().saturating_sub(settings.held_out));
    let entries: Vec<(u32, u32, f32)> = histories
        .iter()
        .enumerate()
        .flat_map(|(user, (_, history))| history.iter().map(move |(row, weight)| (user as u32, *row, *weight)))
        .collect();
    let users = histories.len();
    drop(histories);
    let matrix = factors::Interactions::from_entries(users, keys.len(), &entries)?;
    drop(entries);
    let model = factors::train(&matrix, &settings.factors, &mut |epoch| {
        said(&format!("epoch {} of {}", epoch.number, epoch.of));
    })?;
    let trained = model.to_factors()?;

    let mut histories = Vec::new();
    for (_, history) in &held_out {
        histories.extend((history.len() as u32).to_le_bytes());
        for (row, weight) in history {
            histories.extend(row.to_le_bytes());
            histories.extend((weight * trained.alpha).to_le_bytes());
        }
    }
    let total: f64 = matrix.column_sums().iter().sum();
    let global = matrix.column_sums().iter().map(|sum| (sum / total * 1e6).ln_1p() as f32).collect();
    let parts = Parts {
        items: keys.into_iter().map(|(key, _)| key).collect(),
        factors: Some(trained),
        popularity: Some(Popularity { global, markets: Vec::new() }),
        blobs: BTreeMap::from([("histories.bin".to_owned(), histories)]),
        ..Parts::default()
    };
    let id = store.write(&tenant, &parts, Meta::default())?;
    store.promote(&tenant, &id)?;
    said(&format!("release {id} is live"));
    Ok(())
}

/// What a listener's events say of tracks, by the weights of training.
fn history(events: &[Event]) -> History {
    let mut pairs: FxHashMap<u32, (f32, Timestamp)> = FxHashMap::default();
    let mut last = Timestamp(i64::MIN);
    for event in events.iter().filter(|event| event.kind != EventKind::Impression) {
        let Some(track) = number(event.item.as_str()) else { continue };
        let pair = pairs.entry(track).or_insert((0.0, event.occurred_at));
        pair.0 += event.kind.weight();
        pair.1 = pair.1.max(event.occurred_at);
        last = last.max(event.occurred_at);
    }
    let mut history: History = pairs
        .into_iter()
        .map(|(track, (weight, at))| (track, confidence(1.0, weight, last.days_since(at))))
        .filter(|(_, weight)| *weight > LEAST)
        .collect();
    history.sort_unstable_by_key(|(track, _)| *track);
    history
}

/// The number of a generated track's id.
fn number(id: &str) -> Option<u32> {
    id.strip_prefix("track-")?.parse().ok()
}
