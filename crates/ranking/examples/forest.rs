//! Evaluates a LightGBM model on rows from a file, for `scripts/bench/forest`: prints microseconds a row, the least of
//! so many rounds on one thread, and how far the scores are from the expected ones.
//!
//! `forest <model.txt> <rows.f32> <raw.f64> [rounds]`: rows column by column, one after the other, little-endian.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::Instant;

use anyhow::{Context as _, Result};
use ranking::scorers::imported::{Format, read_forest};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, raw, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("forest <model.txt> <rows.f32> <raw.f64> [rounds]");
    };
    let rounds: usize = rest.first().map_or(Ok(100), |rounds| rounds.parse()).context("rounds is no number")?;
    let model = std::fs::read(model).context("the model")?;
    let began = Instant::now();
    let forest = read_forest(Format::Lightgbm, &model, None)?;
    let load = began.elapsed();
    let rows: Vec<f32> =
        std::fs::read(rows).context("the rows")?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let expected: Vec<f64> = std::fs::read(raw)
        .context("the scores")?
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect();
    let columns: Vec<&[f32]> = rows.chunks(expected.len().max(1)).collect();

    let mut raw = vec![0.0; expected.len()];
    let mut least = f64::INFINITY;
    for _ in 0..rounds {
        let began = Instant::now();
        forest.raw(&columns, &mut raw);
        least = least.min(began.elapsed().as_secs_f64());
    }
    let furthest = raw.iter().zip(&expected).map(|(raw, expected)| (raw - expected).abs()).fold(0.0, f64::max);
    let each = least * 1e6 / expected.len().max(1) as f64;
    println!(
        "{{\"microseconds\": {each:.4}, \"furthest\": {furthest:e}, \"load_milliseconds\": {:.1}}}",
        load.as_secs_f64() * 1e3
    );
    Ok(())
}
