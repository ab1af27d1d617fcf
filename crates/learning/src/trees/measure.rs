//! How good scores are, for each objective.

use rayon::prelude::*;

use super::{CHUNK, ranking, settings::Objective, table::Table};

/// What is measured, by name, and whether more is better.
#[must_use]
pub fn metric(objective: &Objective) -> (&'static str, bool) {
    match objective {
        Objective::Logistic => ("log_loss", false),
        Objective::Squared => ("rmse", false),
        Objective::Ranking { .. } | Objective::Disturbed { .. } => ("ndcg", true),
    }
}

/// The metric of an objective; 0 of nothing.
#[must_use]
pub fn measure(objective: &Objective, table: &Table<'_>, scores: &[f32]) -> f64 {
    match objective {
        Objective::Logistic => mean(table, scores, |score, label| {
            // The loss of either outcome, without overflow: ln(1 + e^-|s|) is below both.
            score.max(0.0) - score * label + (-score.abs()).exp().ln_1p()
        }),
        Objective::Squared => mean(table, scores, |score, label| (score - label) * (score - label)).sqrt(),
        Objective::Ranking { at, .. } | Objective::Disturbed { at, .. } => ndcg(table, scores, *at),
    }
}

/// The area under the ROC curve, weights aside: labels above a half came true; equal scores count half. 0.5 when all or
/// none came true.
#[must_use]
pub fn auc(table: &Table<'_>, scores: &[f32]) -> f64 {
    let mut rows: Vec<(f32, bool)> = scores.iter().zip(table.labels).map(|(s, label)| (*s, *label > 0.5)).collect();
    rows.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut above, mut below, mut positives) = (0.0, 0.0, 0.0);
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let ups = tied.iter().filter(|row| row.1).count() as f64;
        let downs = tied.len() as f64 - ups;
        above += ups * (below + 0.5 * downs);
        below += downs;
        positives += ups;
    }
    if positives > 0.0 && below > 0.0 { above / (positives * below) } else { 0.5 }
}

fn mean(table: &Table<'_>, scores: &[f32], loss: impl Fn(f64, f64) -> f64 + Sync) -> f64 {
    let chunks: Vec<(f64, f64)> = scores
        .par_chunks(CHUNK)
        .zip(table.labels.par_chunks(CHUNK))
        .enumerate()
        .map(|(chunk, (scores, labels))| {
            let weights = table.weights.and_then(|weights| weights.get(chunk * CHUNK..));
            scores.iter().zip(labels).enumerate().fold((0.0, 0.0), |sum, (row, (score, label))| {
                let weight = weights.and_then(|weights| weights.get(row)).map_or(1.0, |weight| f64::from(*weight));
                (sum.0 + weight * loss(f64::from(*score), f64::from(*label)), sum.1 + weight)
            })
        })
        .collect();
    let (sum, count) = chunks.iter().fold((0.0, 0.0), |sum, chunk| (sum.0 + chunk.0, sum.1 + chunk.1));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The mean NDCG within `at` places, over the groups in which anything is relevant; equal scores stay in the order of
/// the rows.
#[must_use]
pub fn ndcg(table: &Table<'_>, scores: &[f32], at: usize) -> f64 {
    let groups: Vec<f64> = table
        .ranges()
        .into_par_iter()
        .filter_map(|range| {
            let (labels, scores) = (table.labels.get(range.clone())?, scores.get(range)?);
            let ideal = ranking::ideal(labels, at);
            let mut order: Vec<usize> = (0..labels.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let dcg: f64 = order
                .iter()
                .take(at)
                .enumerate()
                .map(|(place, row)| ranking::gain(labels[*row]) * ranking::discount(place))
                .sum();
            (ideal > 0.0).then(|| dcg / ideal)
        })
        .collect();
    if groups.is_empty() { 0.0 } else { groups.iter().sum::<f64>() / groups.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let check = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        let labels = [1.0, 0.0];
        let table = Table { columns: Vec::new(), labels: &labels, weights: None, groups: None };
        check(auc(&table, &[0.5, 0.5]), 0.5);
        check(auc(&table, &[0.9, 0.1]), 1.0);
        check(measure(&Objective::Logistic, &table, &[0.0, 0.0]), std::f64::consts::LN_2);
        check(measure(&Objective::Squared, &table, &[0.0, 1.0]), 1.0);
        let labels = [0.0, 1.0, 0.0, 0.0, 2.0, 0.0];
        let table = Table { columns: Vec::new(), labels: &labels, weights: None, groups: Some(&[2, 2, 2]) };
        let order = Objective::Ranking { truncation: 10, at: 2, is_normalised: false };
        check(measure(&order, &table, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]), (1.0 / 3_f64.log2() + 1.0) / 2.0);
        check(ndcg(&table, &[0.0; 6], 1), 0.5);
    }
}
