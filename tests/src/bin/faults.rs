//! `scripts/faults`: breaks a cluster in every way that something is promised about, and writes down what was seen.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use clap::Parser;
use testkit::cluster::Shape;
use tests::{
    faults::{self, Row, Size, Stand, clocks, cold, disk_full, power, table, versions},
    root,
    stock::Stock,
};
use tokio::signal::unix::{SignalKind, signal};

/// The promises that are tried on clusters of their own.
const OWN: [&str; 4] = ["R11", "R2", "R4", "R6"];

/// Breaks a cluster on this machine and judges what its users saw.
#[derive(Debug, Parser)]
#[command(name = "scripts/faults")]
struct Options {
    /// The form of docs/faults.md: 1,000,000 events, 200 kills, 100 restarts of each service.
    #[arg(long)]
    long: bool,
    /// Only these promises, such as `R1,R7`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The seed: the same one draws the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replicas of candidate generation.
    #[arg(long, default_value_t = 2)]
    candidates: usize,
    /// Replicas of ranking.
    #[arg(long, default_value_t = 2)]
    ranking: usize,
    /// nats-servers: 1, or 3 that keep everything three times.
    #[arg(long, default_value_t = 3)]
    nats: usize,
    /// The `setlist` binary of another release: R16 also rolls to it and back.
    #[arg(long, value_name = "BINARY", requires = "other_name")]
    other: Option<PathBuf>,
    /// What that release is called.
    #[arg(long, value_name = "NAME")]
    other_name: Option<String>,
    /// Print only, and leave docs/faults.md as it is.
    #[arg(long)]
    dry: bool,
}

impl Options {
    fn size(&self) -> Size {
        if self.long { Size::Long } else { Size::Short }
    }

    fn shape(&self) -> Shape {
        Shape { candidates: self.candidates, ranking: self.ranking, nats: self.nats, ..Shape::default() }
    }

    fn wants(&self, promise: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == promise)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What runs and what is mounted goes with the values that are dropped here.
    tokio::select! {
        tried = Box::pin(try_all(&options)) => tried,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}

async fn try_all(options: &Options) -> Result<ExitCode> {
    let known = |only: &&String| !faults::SHARED.contains(&only.as_str()) && !OWN.contains(&only.as_str());
    let unknown: Vec<&String> = options.only.iter().filter(known).collect();
    ensure!(unknown.is_empty(), "{unknown:?} are none of {:?} and {OWN:?}", faults::SHARED);
    let size = options.size();
    println!("seed {}", options.seed);
    let stock = Arc::new(Stock::small(options.seed).await?);

    let mut failed = false;
    let mut stand: Option<Stand> = None;
    for promise in faults::SHARED.into_iter().chain(OWN).filter(|promise| options.wants(promise)) {
        println!("{promise}");
        let rows = match promise {
            "R11" => cold::run(options.shape(), Arc::clone(&stock), options.seed, size).await,
            "R2" => power::run(options.shape(), Arc::clone(&stock), options.seed, size).await,
            "R6" => clocks::run(options.shape(), Arc::clone(&stock), options.seed, size).await,
            "R4" => disk_full::run(options.shape(), Arc::clone(&stock), options.seed, size).await,
            shared => match tried(&mut stand, shared, &stock, options).await {
                Ok(rows) => Ok(rows),
                Err(error) => {
                    // A cluster that could not be brought back is of no use to the next.
                    stand = None;
                    Err(error)
                }
            },
        };
        let rows = rows.unwrap_or_else(|error| {
            let mut row = Row::new("", "", options.seed);
            row.failures.push(format!("{promise} could not be tried: {error:#}"));
            vec![row]
        });
        for row in &rows {
            println!("{row}");
            failed |= !row.failures.is_empty();
        }
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.tried > 0).collect();
        if !options.dry {
            table::write(&rows, &root().join("docs/faults.md"))?;
        }
    }
    if let Some(stand) = stand {
        stand.cluster.shut_down().await?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn tried(stand: &mut Option<Stand>, promise: &str, stock: &Arc<Stock>, options: &Options) -> Result<Vec<Row>> {
    let mut ready = match stand.take() {
        Some(mut stand) => {
            stand.mend().await?;
            stand
        }
        None => Stand::start(options.shape(), Arc::clone(stock), options.seed, options.size()).await?,
    };
    let mut rows = faults::run(promise, &mut ready).await?;
    if let (Some(program), "R16") = (&options.other, promise) {
        let name = options.other_name.clone().unwrap_or_default();
        rows.extend(versions::run(&mut ready, &versions::Other { program: program.clone(), name }).await?);
    }
    *stand = Some(ready);
    Ok(rows)
}
