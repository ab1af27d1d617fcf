//! Which columns matter: by how much the metric falls when a column's numbers change places. Breiman, "Random Forests"
//! (2001); Fisher, Rudin and Dominici, "All Models are Wrong, but Many are Useful" (2019).

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use ranking::scorers::trees::Trees;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shared_models::Seed;

use super::{Objective, Table, measure, metric};

/// How much one column matters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The column's place in the table.
    pub column: usize,
    /// How much worse the metric is without it: the mean over rounds.
    pub loss: f64,
}

/// How much worse the metric of the first head gets on a table when the numbers of one column change places, for each
/// column that the trees read, over some rounds; the worst first.
#[must_use]
pub fn permutation(
    trees: &Trees,
    table: &Table<'_>,
    objective: &Objective,
    rounds: usize,
    seed: Seed,
) -> Vec<Importance> {
    let (_, more_is_better) = metric(objective);
    let rows = table.rows();
    let score = |swapped: Option<(usize, &[f32])>| {
        let binned = trees.bin(rows, |column| match swapped {
            Some((at, numbers)) if at == column => numbers,
            _ => table.columns.get(column).copied().unwrap_or(&[]),
        });
        let mut raw = vec![0.0; rows];
        trees.raw(0, &binned, &mut raw);
        let scores: Vec<f32> = raw.into_iter().map(|raw| raw as f32).collect();
        measure(objective, table, &scores)
    };
    let whole = score(None);
    let mut random = SmallRng::seed_from_u64(seed.0);
    let seeds: Vec<(usize, u64)> =
        trees.definition().columns.iter().map(|column| (column.column, random.random())).collect();
    let mut all: Vec<Importance> = seeds
        .into_par_iter()
        .map(|(column, seed)| {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut numbers = table.columns.get(column).copied().unwrap_or(&[]).to_vec();
            let losses = (0..rounds).map(|_| {
                numbers.shuffle(&mut random);
                let value = score(Some((column, &numbers)));
                if more_is_better { whole - value } else { value - whole }
            });
            Importance { column, loss: losses.sum::<f64>() / rounds.max(1) as f64 }
        })
        .collect();
    all.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.column.cmp(&b.column)));
    all
}
