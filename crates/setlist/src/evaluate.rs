//! `setlist evaluate`: engines by a protocol, as a table, as JSON and as pictures.

mod policy;
mod policy_table;
mod table;

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use learning::{
    checkpoint::Checkpoints,
    evaluate::{
        beyond,
        engine::{self, Engine},
        projection,
        protocol::{self, Options, Part, Protocol, Task},
        protocols::time::Source,
        recipes::recipe,
        report::Report,
        run::{self, Lengths},
        tune::{self, Plan},
    },
    offpolicy,
    progress::Bars,
};
use shared_models::{ErrorCode, Seed, TenantId};

use crate::{
    cli::{self, Format},
    draw,
    plot::{self, comparison, space},
};

/// What a command that cannot work is answered with, as for a wrong configuration.
const USAGE: u8 = 64;

/// After how many epochs a training keeps how far it is.
const CHECKPOINT_EVERY: usize = 2;

/// Evaluates.
#[must_use]
pub fn run(args: &cli::Evaluate) -> ExitCode {
    if args.list {
        draw::print(&table::listing());
        return ExitCode::SUCCESS;
    }
    let evaluated = match &args.other {
        Some(cli::Other::Policy(args)) => policy::evaluate(args),
        None => evaluate(args),
    };
    match evaluated {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            let code = error.downcast_ref::<run::Error>().map(run::Error::code);
            let code = code.or_else(|| error.downcast_ref::<offpolicy::Error>().map(offpolicy::Error::code));
            let is_usage = error.downcast_ref::<Usage>().is_some()
                || code.is_some_and(|code| matches!(code, ErrorCode::InvalidArgument | ErrorCode::NotFound));
            if is_usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The command line does not say what to do.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

fn evaluate(args: &cli::Evaluate) -> anyhow::Result<()> {
    let name = args.protocol.as_deref().ok_or_else(|| usage("give --protocol; --list shows them"))?;
    let protocol = protocol::protocol(name)?;
    let nowhere = Path::new("");
    let folder = match &args.dataset {
        Some(folder) => folder.as_path(),
        None if protocol.files == "none" => nowhere,
        None => return Err(usage(format!("{name} needs --dataset: a folder with {}", protocol.files))),
    };
    let options = options(args)?;
    let lengths = Lengths::of(protocol, &args.k, args.plot.is_some());
    let bars = Bars::new();
    let names = names(args)?;
    let settings = settings(args, &names)?;
    let mut grids = grids(args, &names)?;
    let (mut engines, mut tuning) = (Vec::with_capacity(names.len()), Vec::new());
    for name in &names {
        let fixed = fixed(args, protocol, name, &settings);
        let grid: Vec<_> = grids.extract_if(.., |(of, _, _)| of == name).map(|(_, s, values)| (s, values)).collect();
        if grid.is_empty() {
            engines.push(made(name, &fixed)?);
        } else {
            let plan = Plan {
                protocol,
                folder,
                options: &options,
                engine: name,
                fixed: &fixed,
                grid: &grid,
                lengths: &lengths,
            };
            let (engine, tried) = tune::tune(plan, &bars)?;
            engines.push(engine);
            tuning.extend(tried);
        }
    }
    let task = run::read(protocol, folder, &options, &bars)?;
    let mut report = run::compare(protocol, &options, &task, &engines, &lengths, &bars)?;
    report.tuning = tuning;
    if let Some(checkpoints) = &options.checkpoints {
        checkpoints.clear().with_context(|| format!("{} cannot be cleared", checkpoints.folder.display()))?;
    }
    draw::print(&table::report(&report));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(folder) = &args.plot {
        let mut pictures = comparison::pictures(&report)?;
        pictures.extend(spaces(&report, &task)?);
        for path in plot::write(folder, &pictures)? {
            println!("drawn: {path}");
        }
    }
    Ok(())
}

fn options(args: &cli::Evaluate) -> anyhow::Result<Options> {
    if !(args.share > 0.0 && args.share < 1.0) {
        return Err(usage(format!("--share is {}; give a number between 0 and 1", args.share)));
    }
    if args.k.contains(&0) {
        return Err(usage("--k is 0; give list lengths of 1 or more"));
    }
    let part = match args.part {
        cli::Part::Test => Part::Test,
        cli::Part::Validation => Part::Validation,
    };
    let tenant = TenantId::new(&args.tenant)?;
    let source = match (args.format, &args.map) {
        (Some(Format::Table), Some(map)) => Some(Source::Table(map.clone())),
        (Some(Format::Table), None) => {
            return Err(usage("a table needs --map, such as --map user=listener,item=track,time=at"));
        }
        (_, Some(_)) => return Err(usage("--map is for --format table; the other forms have columns of their own")),
        (Some(Format::Movielens), None) => Some(Source::Movielens),
        (Some(Format::Lastfm), None) => Some(Source::Lastfm),
        (Some(Format::Listenbrainz), None) => Some(Source::Listenbrainz),
        (Some(Format::Spotify), None) => Some(Source::Spotify),
        (None, None) => args.dataset.as_deref().and_then(Source::of).map(|source| match source {
            Source::Archive(_) => Source::Archive(tenant),
            source => source,
        }),
    };
    let checkpoints = args.work.clone().map(|folder| Checkpoints { folder, every: CHECKPOINT_EVERY });
    let seed = Seed(args.seed);
    Ok(Options { seed, source, share: args.share, fold: args.fold, checkpoints, ..Options::new(part) })
}

/// The engines that are asked for, each once, in the order they are asked for.
fn names(args: &cli::Evaluate) -> anyhow::Result<Vec<String>> {
    if args.engine.is_empty() {
        return Ok(engine::engines().iter().map(|engine| engine.name().to_owned()).collect());
    }
    let mut names: Vec<String> = Vec::new();
    for name in &args.engine {
        engine::engine(name).map_err(|error| usage(error.to_string()))?;
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Engine, setting and text of `engine.setting=text`.
fn parted(flag: &str, given: &str, names: &[String]) -> anyhow::Result<(String, String, String)> {
    let expected = || usage(format!("{flag} {given:?} is not ENGINE.NAME=VALUE, such as factors.alpha=40"));
    let (place, value) = given.split_once('=').ok_or_else(expected)?;
    let (engine, setting) = place.split_once('.').ok_or_else(expected)?;
    if !names.iter().any(|name| name == engine) {
        return Err(usage(format!("{flag} {given:?} is of engine {engine:?}; measured are {}", names.join(", "))));
    }
    Ok((engine.to_owned(), setting.to_owned(), value.to_owned()))
}

type Setting = (String, String, String);

fn settings(args: &cli::Evaluate, names: &[String]) -> anyhow::Result<Vec<Setting>> {
    args.set.iter().map(|given| parted("--set", given, names)).collect()
}

fn grids(args: &cli::Evaluate, names: &[String]) -> anyhow::Result<Vec<(String, String, Vec<String>)>> {
    let grid = |given: &String| {
        let (engine, setting, values) = parted("--tune", given, names)?;
        Ok((engine, setting, values.split(',').map(|value| value.trim().to_owned()).collect()))
    };
    args.tune.iter().map(grid).collect()
}

/// What an engine is set to: the protocol's recipe, then what was given.
fn fixed(args: &cli::Evaluate, protocol: &Protocol, name: &str, given: &[Setting]) -> Vec<(String, String)> {
    let known = if args.plain { &[] } else { recipe(protocol.name, name) };
    let known = known.iter().map(|(setting, value)| ((*setting).to_owned(), (*value).to_owned()));
    let given =
        given.iter().filter(|(of, _, _)| of == name).map(|(_, setting, value)| (setting.clone(), value.clone()));
    known.chain(given).collect()
}

fn made(name: &str, settings: &[(String, String)]) -> anyhow::Result<Box<dyn Engine>> {
    let set = || -> Result<Box<dyn Engine>, engine::Error> {
        let mut engine = engine::engine(name)?;
        for (setting, value) in settings {
            engine.set(setting, value)?;
        }
        Ok(engine)
    };
    set().map_err(|error| usage(error.to_string()))
}

/// The spaces that engines put items into.
fn spaces(report: &Report, task: &Task) -> anyhow::Result<Vec<(String, String)>> {
    let given = &task.training.given().seen;
    let weights = beyond::holders(given);
    let chosen: Vec<u32> = (0..weights.len() as u32).filter(|item| weights[*item as usize] > 0).collect();
    let names = first_genres(task);
    let mut pictures = Vec::new();
    for row in &report.rows {
        let Some(projection) = row.space.as_ref().and_then(|space| projection::project(space, &chosen)) else {
            continue;
        };
        let of = format!("{} of {}", row.engine, report.protocol);
        let svg = space::space(&space::Space { of, projection: &projection, names: &names, weights: &weights })?;
        pictures.push((format!("space-{}", row.engine), svg));
    }
    Ok(pictures)
}

/// The first genre of every item, empty where there is none; nothing where no item has one.
fn first_genres(task: &Task) -> Vec<String> {
    let genre =
        |words: &Vec<String>| words.iter().find_map(|word| word.strip_prefix("genre:")).unwrap_or("").to_owned();
    task.training.words.as_ref().map_or_else(Vec::new, |words| words.iter().map(genre).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["popularity".to_owned(), "factors".to_owned()]
    }

    #[test]
    fn a_setting_names_its_engine() {
        assert_eq!(
            parted("--set", "factors.alpha=4=2", &names()).unwrap(),
            ("factors".to_owned(), "alpha".to_owned(), "4=2".to_owned())
        );
        for (given, said) in [
            ("alpha=4", "is not ENGINE.NAME=VALUE"),
            ("factors.alpha", "is not ENGINE.NAME=VALUE"),
            ("magic.alpha=4", "is of engine \"magic\"; measured are popularity, factors"),
        ] {
            let error = parted("--set", given, &names()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
