//! Measures the embedding index over a release that the example `large_release` of learning wrote: recall against
//! exact search, processor time a query, of one thread, and what making and opening the lists takes.
//!
//! `cargo run --release -p candidate-generation --example index -- <folder> [name=value ...]`
//!
//! Names: `queries` (500), `k` (200), `efforts` (`0.2,0.3,…`), `filters` (percent that a filter leaves, `50,10,1`), `few` (shares
//! of the rows up to which a filter's are gone through one by one: 0 and 1 show where that begins to pay), `dump` (a
//! folder: writes `queries.f32` and `truth.u32`, row-major, for other engines to be measured on).

use std::{error::Error, path::Path, process::ExitCode, sync::Arc, time::Instant};

use candidate_generation::index::{EmbeddingIndex, Filter, RowSet, embedding::Config};
use rayon::prelude::*;
use releases::{Factors, Store, vectors};
use shared_models::TenantId;

struct Settings {
    queries: usize,
    k: usize,
    efforts: Vec<f32>,
    filters: Vec<f64>,
    few: Vec<f32>,
    dump: Option<String>,
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

fn list<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    text.split(',').map(str::parse).collect()
}

fn settings(arguments: impl Iterator<Item = String>) -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings {
        queries: 500,
        k: 200,
        efforts: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8],
        filters: vec![50.0, 10.0, 5.0, 2.0, 1.0, 0.1],
        few: Vec::new(),
        dump: None,
    };
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| format!("{argument:?} is not name=value"))?;
        match name {
            "queries" => settings.queries = value.parse()?,
            "k" => settings.k = value.parse()?,
            "efforts" => settings.efforts = list(value)?,
            "filters" => settings.filters = list(value)?,
            "few" => settings.few = list(value)?,
            "dump" => settings.dump = Some(value.to_owned()),
            _ => return Err(format!("{name:?} is no setting").into()),
        }
    }
    Ok(settings)
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give the folder of the release")?;
    let settings = settings(arguments)?;
    let (store, tenant) = (Store::open(&folder)?, TenantId::new("demo")?);
    let id = store.live(&tenant)?.ok_or("the folder has no live release of the tenant demo")?;
    let (started, cpu) = (Instant::now(), process_seconds());
    let mut release = store.load(&tenant, &id)?;
    let opened = (started.elapsed().as_secs_f64(), process_seconds() - cpu);
    println!(
        "opened and verified in {:.2} s, {:.2} s CPU; memory of its own {:.0} MB",
        opened.0,
        opened.1,
        anonymous_mb()
    );
    let factors = release.factors.take().ok_or("the release has no factors")?;
    let histories = release.blobs.remove("histories.bin").ok_or("the release has no histories")?;
    drop(release.lists.take());

    let (started, cpu) = (Instant::now(), process_seconds());
    let lists = candidate_generation::index::build::lists(&factors, Config::default().exact_below);
    let (wall, cpu) = (started.elapsed().as_secs_f64(), process_seconds() - cpu);
    let bytes =
        lists.codes.len() + 4 * (lists.rows.len() + lists.steps.len() + lists.lengths.len() + lists.centres.len());
    println!(
        "{} rows of {} numbers: {} lists made in {wall:.1} s, {cpu:.1} s CPU; {:.0} MB beside {:.0} MB of factors",
        factors.rows,
        factors.dimensions,
        lists.count(),
        bytes as f64 / 1e6,
        factors.values.len() as f64 * 4e-6
    );
    let lengths: Vec<f32> = lists.lengths.to_vec();
    println!("block lengths: {}", quantiles(lengths));
    println!("spreads: {}", quantiles(lists.spreads.to_vec()));

    let queries = queries(&factors, &histories, settings.queries);
    let truth: Vec<Vec<u32>> = queries.par_iter().map(|query| exact(&factors, query, settings.k, None)).collect();
    if let Some(folder) = &settings.dump {
        dump(Path::new(folder), &queries, &truth)?;
    }
    let index = EmbeddingIndex::over(Arc::new(lists), &Config::default());
    println!("\n{:>8} {:>10} {:>8} {:>8} {:>8}", "effort", "left", "recall", "worst", "us CPU");
    let row = |effort: f32, left: &str, index: &EmbeddingIndex, filter: Option<&RowSet>, truth: &[Vec<u32>]| {
        let (recall, worst, mean) = measure(index, &factors, filter, &queries, truth, settings.k);
        println!("{effort:>8.2} {left:>10} {recall:>8.4} {worst:>8.3} {mean:>8.0}");
    };
    for effort in &settings.efforts {
        row(*effort, "all", &index.with_effort(*effort), None, &truth);
    }
    row(f32::INFINITY, "all", &index.with_effort(f32::INFINITY), None, &truth);
    for percent in &settings.filters {
        let left: RowSet = (0..factors.rows as u32)
            .filter(|row| f64::from(row.wrapping_mul(2_654_435_761) >> 8) < percent / 100.0 * f64::from(1_u32 << 24))
            .collect();
        let truth: Vec<Vec<u32>> =
            queries.par_iter().map(|query| exact(&factors, query, settings.k, Some(&left))).collect();
        for effort in &settings.efforts {
            row(*effort, &format!("{percent} %"), &index.with_effort(*effort), Some(&left), &truth);
        }
        for few in &settings.few {
            let index = index.with_few(*few);
            row(Config::default().effort, &format!("{percent} % {few}"), &index, Some(&left), &truth);
        }
    }
    println!("exact, one after another: {:.0} us CPU", exact_us(&factors, &queries, settings.k));
    Ok(())
}

fn quantiles(mut values: Vec<f32>) -> String {
    values.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64) as usize).copied().unwrap_or(0.0);
    format!(
        "{:.4} least, {:.4} {:.4} {:.4} quarters, {:.4} at 99 %, {:.4} most",
        at(0.0),
        at(0.25),
        at(0.5),
        at(0.75),
        at(0.99),
        at(1.0)
    )
}

/// The vectors of listeners that were not trained on, folded in from their latest items as serving does.
fn queries(factors: &Factors, histories: &[u8], wanted: usize) -> Vec<Vec<f32>> {
    let mut words = histories.as_chunks::<4>().0.iter();
    let mut queries = Vec::new();
    while let Some(count) = words.next().filter(|_| queries.len() < wanted) {
        let mut told: Vec<(u32, f32)> = (0..u32::from_le_bytes(*count))
            .filter_map(|_| Some((u32::from_le_bytes(*words.next()?), f32::from_le_bytes(*words.next()?))))
            .collect();
        // Serving folds in a hundred items; the surest stand for the latest.
        told.sort_by(|a, b| b.1.total_cmp(&a.1));
        told.truncate(100);
        let vector = factors.fold_in(&told);
        if vector.iter().any(|value| *value != 0.0) {
            queries.push(vector);
        }
    }
    queries
}

fn exact(factors: &Factors, query: &[f32], k: usize, left: Option<&RowSet>) -> Vec<u32> {
    let mut products = vec![0.0; factors.rows];
    vectors::dot_many(query, &factors.values, &mut products);
    let mut all: Vec<(f32, u32)> =
        products.into_iter().zip(0..).filter(|(_, row)| left.is_none_or(|left| left.contains(*row))).collect();
    if all.len() > k {
        all.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(k);
    }
    let mut rows: Vec<u32> = all.into_iter().map(|entry| entry.1).collect();
    rows.sort_unstable();
    rows
}

fn exact_us(factors: &Factors, queries: &[Vec<f32>], k: usize) -> f64 {
    let before = thread_us();
    let some = queries.get(..20.min(queries.len())).unwrap_or(&[]);
    some.iter().for_each(|query| drop(exact(factors, query, k, None)));
    (thread_us() - before) / some.len().max(1) as f64
}

/// Recall on average and of the worst query, and processor time on average.
fn measure(
    index: &EmbeddingIndex,
    factors: &Factors,
    left: Option<&RowSet>,
    queries: &[Vec<f32>],
    truth: &[Vec<u32>],
    k: usize,
) -> (f64, f64, f64) {
    let filter = Filter { rows: left, ..Filter::default() };
    let (mut sum, mut worst) = (0.0, 1.0_f64);
    // The system tells processor time in ticks: all queries together are some of them.
    let before = thread_us();
    let found: Vec<Vec<(u32, f32)>> =
        queries.iter().map(|query| index.search_among(factors, None, filter, query, k)).collect();
    let mean = (thread_us() - before) / queries.len().max(1) as f64;
    for (found, truth) in found.iter().zip(truth) {
        let hits = found.iter().filter(|(row, _)| truth.binary_search(row).is_ok()).count();
        let recall = hits as f64 / truth.len().max(1) as f64;
        sum += recall;
        worst = worst.min(recall);
    }
    (sum / queries.len().max(1) as f64, worst, mean)
}

fn dump(folder: &Path, queries: &[Vec<f32>], truth: &[Vec<u32>]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let bytes: Vec<u8> = queries.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join("queries.f32"), bytes)?;
    let bytes: Vec<u8> = truth.iter().flatten().flat_map(|row| row.to_le_bytes()).collect();
    std::fs::write(folder.join("truth.u32"), bytes)
}

/// Microseconds that this thread has been on a processor.
fn thread_us() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}

/// Seconds that this process has been on processors.
fn process_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = told.rsplit(')').next().unwrap_or("");
    after_name.split(' ').skip(12).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Memory that is no file's, in megabytes.
fn anonymous_mb() -> f64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1e3
}
