//! Holds answers against the peer's own: candidates, scores and lists of its `golden.jsonl`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{
    data::Table,
    rules::{Asked, Rules, Scratch},
};

/// What the peer answered.
#[derive(Debug, Deserialize)]
struct Golden {
    user_id: usize,
    candidates: Vec<u32>,
    scores: Vec<f64>,
    top: Vec<u32>,
}

/// How many agree.
#[derive(Debug, Default)]
struct Agreement {
    candidates: usize,
    lists: usize,
    /// The share of the peer's candidates that were found, summed over requests.
    found: f64,
    furthest: f64,
}

/// Prints how many candidates and lists are equal, with candidates found here, and with those that the peer's index
/// found, where `nearest.npy` holds them (one row a golden listener).
///
/// # Errors
/// When golden lists cannot be read, or a list differs where its candidates are equal.
pub fn run(rules: &Rules, folder: &Path) -> Result<()> {
    let path = folder.join("golden.jsonl");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let golden: Vec<Golden> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut agreed = vec![("nearest by our index", compare(rules, &golden, |_| None))];
    if folder.join("nearest.npy").exists() {
        let nearest = Table::<i32>::read(folder, "nearest")?;
        let given: Vec<Vec<u32>> =
            (0..golden.len()).map(|row| nearest.row(row).iter().map(|item| *item as u32).collect()).collect();
        agreed.push(("nearest by the peer's", compare(rules, &golden, |row| given.get(row).map(Vec::as_slice))));
    }
    for (name, agreed) in &agreed {
        println!(
            "{name}: {:.2} % of the peer's candidates found; {} of {} requests with equal candidates, {} of these with \
             equal lists; scores differ by {:e} at most",
            100.0 * agreed.found / golden.len() as f64,
            agreed.candidates,
            golden.len(),
            agreed.lists,
            agreed.furthest
        );
    }
    ensure!(agreed.iter().all(|(_, agreed)| agreed.lists == agreed.candidates), "a list differs");
    Ok(())
}

fn compare<'a>(rules: &Rules, golden: &[Golden], nearest: impl Fn(usize) -> Option<&'a [u32]>) -> Agreement {
    let (mut agreed, mut scratch) = (Agreement::default(), Scratch::default());
    for (row, golden) in golden.iter().enumerate() {
        let asked = Asked { listener: golden.user_id, hour: 12.0, device: 0.0, nearest: nearest(row) };
        let shown = rules.answer(asked, golden.top.len(), &mut scratch);
        let found = golden.candidates.iter().filter(|item| scratch.items.contains(item)).count();
        agreed.found += found as f64 / golden.candidates.len().max(1) as f64;
        if scratch.items != golden.candidates {
            continue;
        }
        agreed.candidates += 1;
        let apart = scratch.scores.iter().zip(&golden.scores).map(|(ours, theirs)| (ours - theirs).abs());
        agreed.furthest = apart.fold(agreed.furthest, f64::max);
        agreed.lists +=
            usize::from(shown.iter().map(|row| scratch.items[*row as usize]).eq(golden.top.iter().copied()));
    }
    agreed
}
