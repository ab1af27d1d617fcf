//! Trains oblivious trees on a file and measures them on another.
//!
//! `cargo run --release -p learning --example trees -- train=<file> [name=value ...]`
//!
//! Files are LibSVM text with the sizes of groups beside it in `<file>.query`, CSV with a head line, or a `.npy` array of
//! `f32` with two dimensions; in the last two the first column is the label. Names: `test`, `validation` (files),
//! `objective` (`logistic`, `squared`, `lambdarank`, `yetirank`), `trees`, `depth`, `rate`, `l2`, `min_weight`, `borders`, `rows`,
//! `columns`, `columns_per_level`, `patience`, `seed`, `threads`, `truncation`, `normalised` (`true`, `false`), `orders`, `decay`, `at`, `model` and
//! `scores` (files to write: the trees as JSON, and the test rows' scores, one a line). Prints one JSON object.

#[path = "trees/read.rs"]
mod read;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use learning::{
    progress::{Bars, Progress, Silent},
    trees::{self, Objective, Settings},
};
use shared_models::Seed;

use read::Read;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trees: {error}");
            ExitCode::from(64)
        }
    }
}

/// What is asked for on the command line.
struct Asked {
    settings: Settings,
    train: Option<PathBuf>,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
    model: Option<PathBuf>,
    scores: Option<PathBuf>,
    threads: usize,
    is_quiet: bool,
    ranking: (usize, usize, bool),
    orders: usize,
    decay: f32,
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut asked = Asked {
        settings: Settings::default(),
        train: None,
        validation: None,
        test: None,
        model: None,
        scores: None,
        threads: 0,
        is_quiet: false,
        ranking: (30, 10, true),
        orders: 10,
        decay: 0.85,
    };
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not name=value"))?;
        set(&mut asked, name, value).map_err(|error| format!("could not read {argument:?}: {error}"))?;
    }
    if let Objective::Ranking { truncation, at, is_normalised } = &mut asked.settings.objective {
        (*truncation, *at, *is_normalised) = asked.ranking;
    }
    if let Objective::Disturbed { orders, decay, at } = &mut asked.settings.objective {
        (*orders, *decay, *at) = (asked.orders, asked.decay, asked.ranking.1);
    }
    rayon::ThreadPoolBuilder::new().num_threads(asked.threads).build_global()?;
    let objective = asked.settings.objective;
    let started = Instant::now();
    let mut train = read::read(&asked.train.ok_or("give train=<file>")?)?;
    let mut validation = asked.validation.map(|path| read::read(&path)).transpose()?;
    let mut test = asked.test.map(|path| read::read(&path)).transpose()?;
    let width = [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten().map(Read::width).max();
    for part in [Some(&mut train), validation.as_mut(), test.as_mut()].into_iter().flatten() {
        part.widen(width.unwrap_or(0));
    }
    let reading = started.elapsed().as_secs_f64();

    let table = train.table();
    let validation = validation.as_ref().map(Read::table);
    let progress: Box<dyn Progress> = if asked.is_quiet { Box::new(Silent) } else { Box::new(Bars::new()) };
    let (started, spent) = (Instant::now(), processor_seconds());
    let trained = trees::train(&table, validation.as_ref(), &asked.settings, &*progress)?;
    let training = started.elapsed().as_secs_f64();
    let processor = processor_seconds().zip(spent).map(|(after, before)| after - before);

    let (metric, _) = trained.metric;
    let kept = trained.trees.definition().heads.first().map_or(0, |head| head.trees.len());
    let mut report = serde_json::json!({
        "rows": table.rows(), "columns": table.columns.len(), "trees": kept, "metric": metric,
        "reading_seconds": reading, "training_seconds": training,
        "training_cpu_seconds": processor, "curve_end": trained.curve.last(),
    });
    if let Some(test) = test.as_ref().map(Read::table) {
        let started = Instant::now();
        let scores = trained.scores(&test);
        report["scoring_seconds"] = started.elapsed().as_secs_f64().into();
        report["test"] = trees::measure(&objective, &test, &scores).into();
        if objective == Objective::Logistic {
            report["test_auc"] = trees::auc(&test, &scores).into();
        }
        if let Some(path) = asked.scores {
            std::fs::write(path, scores.iter().map(|score| format!("{score}\n")).collect::<String>())?;
        }
    }
    if let Some(path) = asked.model {
        std::fs::write(path, trained.trees.to_json()?)?;
    }
    println!("{report}");
    Ok(())
}

/// What this process has used of all processors, where Linux tells: fields 14 and 15, in hundredths.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    Some(fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}

fn set(asked: &mut Asked, name: &str, value: &str) -> Result<(), Box<dyn Error>> {
    let settings = &mut asked.settings;
    match name {
        "train" => asked.train = Some(value.into()),
        "validation" => asked.validation = Some(value.into()),
        "test" => asked.test = Some(value.into()),
        "model" => asked.model = Some(value.into()),
        "scores" => asked.scores = Some(value.into()),
        "threads" => asked.threads = value.parse()?,
        "quiet" => asked.is_quiet = value.parse()?,
        "objective" => {
            settings.objective = match value {
                "logistic" => Objective::Logistic,
                "squared" => Objective::Squared,
                "lambdarank" => Objective::Ranking { truncation: 30, at: 10, is_normalised: true },
                "yetirank" => Objective::Disturbed { orders: 10, decay: 0.85, at: 10 },
                _ => return Err("objective is logistic, squared, lambdarank or yetirank".into()),
            };
        }
        "truncation" => asked.ranking.0 = value.parse()?,
        "orders" => asked.orders = value.parse()?,
        "decay" => asked.decay = value.parse()?,
        "at" => asked.ranking.1 = value.parse()?,
        "normalised" => asked.ranking.2 = value.parse()?,
        "trees" => settings.trees = value.parse()?,
        "depth" => settings.depth = value.parse()?,
        "rate" => settings.learning_rate = value.parse()?,
        "l2" => settings.l2 = value.parse()?,
        "min_weight" => settings.min_weight = value.parse()?,
        "borders" => settings.borders = value.parse()?,
        "rows" => settings.rows = value.parse()?,
        "columns" => settings.columns_per_tree = value.parse()?,
        "columns_per_level" => settings.columns_per_level = value.parse()?,
        "patience" => settings.patience = value.parse()?,
        "seed" => settings.seed = Seed(value.parse()?),
        _ => return Err(format!("{name:?} is no setting").into()),
    }
    Ok(())
}
