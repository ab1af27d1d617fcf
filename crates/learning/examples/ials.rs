//! Trains item factors on the Gowalla split and measures them by the LightGCN protocol.
//!
//! `cargo run --release -p learning --example ials -- <folder> [name=value ...]`
//!
//! Names: `factors`, `epochs`, `alpha`, `item_damping`, `user_damping`, `regularisation`,
//! `exponent`, `spread` (`true`, `false`), `deviation`, `steps` (0 solves exactly), `threads`, `seed`,
//! `part` (`test`, `validation`), `fading`. Prints one JSON object.

use std::{error::Error, num::NonZeroUsize, path::Path, process::ExitCode};

use learning::{
    datasets::gowalla::FADING,
    evaluate::{
        Interval,
        lightgcn::{self, Part},
    },
    factors::{Settings, Solver},
};
use shared_models::Seed;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", releases::error::chain(&*error));
            ExitCode::from(64)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give the folder that holds train.txt and test.txt")?;
    let mut settings = Settings::default();
    let mut part = Part::Test;
    let mut fading = FADING;
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not name=value"))?;
        set(&mut settings, &mut part, &mut fading, name, value)
            .map_err(|error| format!("could not read {argument:?}: {error}"))?;
    }
    let report = lightgcn::run(Path::new(&folder), part, &settings, fading, &mut |epoch| {
        eprintln!("epoch {} of {}: {:.3} s", epoch.number, epoch.of, epoch.wall.as_secs_f64());
    })?;
    let rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| {
            let interval = |i: Interval| serde_json::json!({ "mean": i.mean, "low": i.low, "high": i.high });
            serde_json::json!({
                "name": row.name, "k": row.k, "recall": interval(row.recall), "ndcg": interval(row.ndcg), "coverage": row.coverage,
            })
        })
        .collect();
    let epochs: Vec<f64> = report.epochs.iter().map(std::time::Duration::as_secs_f64).collect();
    println!("{}", serde_json::json!({ "size": report.size, "epochs": epochs, "rows": rows }));
    Ok(())
}

fn set(
    settings: &mut Settings,
    part: &mut Part,
    fading: &mut f32,
    name: &str,
    value: &str,
) -> Result<(), Box<dyn Error>> {
    match name {
        "fading" => *fading = value.parse()?,
        "factors" => settings.dimensions = value.parse()?,
        "epochs" => settings.epochs = value.parse()?,
        "alpha" => settings.alpha = value.parse()?,
        "regularisation" => settings.regularisation = value.parse()?,
        "exponent" => settings.regularisation_exponent = value.parse()?,
        "spread" => settings.spread = value.parse()?,
        "item_damping" => settings.item_damping = value.parse()?,
        "user_damping" => settings.user_damping = value.parse()?,
        "deviation" => settings.initial_deviation = value.parse()?,
        "steps" => {
            settings.solver = NonZeroUsize::new(value.parse()?).map_or(Solver::Cholesky, Solver::ConjugateGradient);
        }
        "threads" => settings.threads = value.parse()?,
        "seed" => settings.seed = Seed(value.parse()?),
        "part" => {
            *part = match value {
                "test" => Part::Test,
                "validation" => Part::Validation,
                _ => return Err("part is test or validation".into()),
            };
        }
        _ => return Err(format!("{name:?} is no setting").into()),
    }
    Ok(())
}
