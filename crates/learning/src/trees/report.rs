//! What training has to say for itself, as numbers that can be kept and drawn.

use ranking::scorers::calibration::MARGIN;
use serde::{Deserialize, Serialize};

use super::{Importance, Objective, Point, Settings, Table, Trained, importance, measure};

/// Bins of the reliability of probabilities.
const BINS: usize = 20;
/// Columns that are told of; the rest matter less.
const TOLD: usize = 30;

/// A training, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was asked.
    pub settings: Settings,
    /// How many rows were learned from.
    pub rows: usize,
    /// How many trees were kept.
    pub trees: usize,
    /// What the curve measures.
    pub metric: String,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// The metric after every tree.
    pub curve: Vec<Point>,
    /// Columns by how much their questions gained, as shares of all; the most first.
    pub gains: Vec<Share>,
    /// Columns by how much worse the metric gets on the measured part when their numbers change places; the most first.
    pub permutation: Vec<Share>,
    /// How often what was predicted came true; empty where no probabilities are predicted.
    pub reliability: Vec<Bin>,
}

/// What a column has of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The column.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// Rows with predictions next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The mean probability that was predicted.
    pub predicted: f64,
    /// The share that came true.
    pub happened: f64,
    /// How many rows.
    pub rows: usize,
}

impl Report {
    /// Reports a training; `names` are those of the table's columns. Importance by permutation and reliability are taken
    /// on `part`, which should not have been learned from.
    #[must_use]
    pub fn of(trained: &Trained, settings: &Settings, rows: usize, names: &[String], part: &Table<'_>) -> Self {
        let name = |column: usize| names.get(column).cloned().unwrap_or_else(|| format!("column {column}"));
        let whole: f64 = trained.gains.iter().sum();
        let mut gains: Vec<Share> = trained
            .gains
            .iter()
            .enumerate()
            .filter(|(_, gain)| **gain > 0.0)
            .map(|(column, gain)| Share { name: name(column), value: gain / whole })
            .collect();
        gains.sort_by(|a, b| b.value.total_cmp(&a.value));
        gains.truncate(TOLD);
        let lost = importance::permutation(&trained.trees, part, &settings.objective, 1, settings.seed);
        let share = |lost: &Importance| Share { name: name(lost.column), value: lost.loss };
        let scores = trained.scores(part);
        let is_probability = settings.objective == Objective::Logistic;
        Self {
            settings: settings.clone(),
            rows,
            trees: trained.trees.definition().heads.first().map_or(0, |head| head.trees.len()),
            metric: trained.metric.0.to_owned(),
            more_is_better: trained.metric.1,
            curve: trained.curve.clone(),
            gains,
            permutation: lost.iter().take(TOLD).map(share).collect(),
            reliability: if is_probability { reliability(part, &scores) } else { Vec::new() },
        }
    }
}

/// Bins of equally many rows, by ascending prediction.
fn reliability(table: &Table<'_>, scores: &[f32]) -> Vec<Bin> {
    let margin = f64::from(MARGIN);
    let mut rows: Vec<(f64, f64)> = scores
        .iter()
        .zip(table.labels)
        .map(|(score, label)| {
            ((1.0 / (1.0 + (-f64::from(*score)).exp())).clamp(margin, 1.0 - margin), f64::from(*label))
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bin = |rows: &[(f64, f64)]| {
        let mean = |of: fn(&(f64, f64)) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
        Bin { predicted: mean(|row| row.0), happened: mean(|row| row.1), rows: rows.len() }
    };
    rows.chunks(rows.len().div_ceil(BINS).max(1)).map(bin).collect()
}

impl Trained {
    /// What the trees say of a table's rows.
    #[must_use]
    pub fn scores(&self, table: &Table<'_>) -> Vec<f32> {
        let column = |column: usize| table.columns.get(column).copied().unwrap_or(&[]);
        let mut raw = vec![0.0; table.rows()];
        self.trees.raw(0, &self.trees.bin(table.rows(), column), &mut raw);
        raw.into_iter().map(|raw| raw as f32).collect()
    }

    /// The metric of the training's objective on a table.
    #[must_use]
    pub fn measure(&self, objective: &Objective, table: &Table<'_>) -> f64 {
        measure(objective, table, &self.scores(table))
    }
}
