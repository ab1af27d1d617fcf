//! Boosted oblivious trees from a table of numbers: each tree is grown on the derivatives of the loss at what the trees
//! before it say. Friedman, "Greedy function approximation: a gradient boosting machine" (2001); trees whose levels ask
//! one question: Prokhorenkova, Gusev, Vorobev, Dorogush and Gulin, "CatBoost: unbiased boosting with categorical
//! features" (2018).
//!
//! It must not know what columns mean, nor a listener. The same table, settings and seed give the same trees, however
//! many threads there are.

mod bins;
mod borders;
mod gradients;
mod grow;
mod histogram;
mod importance;
mod leaves;
mod measure;
mod packed;
mod ranking;
mod report;
mod settings;
mod sorted;
mod split;
mod table;

use ::ranking::scorers::trees::{Borders, Definition, Ensemble, FORM, Level, Tree, Trees};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::progress::{Progress, Unit};
use bins::{Bins, Questions};
use gradients::Gradients;
use grow::{Grower, Grown};

pub use importance::{Importance, permutation};
pub use measure::{auc, measure, metric, ndcg};
pub use report::{Bin, Report, Share};
pub use settings::{Direction, Error, Objective, Settings};
pub use table::Table;

/// Rows that belong together: what one thread takes at a time. Fixed, so that no sum depends on the number of threads;
/// places within a chunk fit 16 bits.
const CHUNK: usize = 32_768;
/// The training part is measured on at most so many rows or groups, for the curve alone.
const WATCHED: usize = 100_000;

/// How good the trees were after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many trees.
    pub trees: usize,
    /// The metric on rows that were learned from.
    pub training: f64,
    /// The metric on the validation part.
    pub validation: Option<f64>,
}

/// What training gives.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The trees: one head.
    pub trees: Trees,
    /// What was measured, and whether more is better.
    pub metric: (&'static str, bool),
    /// The metric after every tree.
    pub curve: Vec<Point>,
    /// How much the questions about each column of the table gained.
    pub gains: Vec<f64>,
}

/// Trains trees on a table; `validation` decides how many are kept, where there is one and patience was asked for.
///
/// # Errors
/// When settings or tables cannot be used.
pub fn train(
    table: &Table<'_>,
    validation: Option<&Table<'_>>,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Trained, Error> {
    settings.validate(table.columns.len())?;
    table.validate(&settings.objective)?;
    if let Some(validation) = validation {
        validation.validate(&settings.objective)?;
        let (expected, given) = (table.columns.len(), validation.columns.len());
        if expected != given {
            return Err(Error::Length { what: "the columns of the validation part".to_owned(), expected, given });
        }
    }
    let stage = progress.stage("bins", Unit::Rows, Some(table.rows() as u64));
    let questions = Questions::of(table, settings.borders);
    let bins = Bins::of(table, &questions);
    stage.advance(table.rows() as u64);
    stage.finish(&format!("{} rows, {} columns", table.rows(), questions.features.len()));

    let stage = progress.stage("trees", Unit::Steps, Some(settings.trees as u64));
    let mut boosting = Boosting::new(table, validation, &questions, &bins, settings);
    for _ in 0..settings.trees {
        if !boosting.step() {
            break;
        }
        stage.advance(1);
    }
    let trained = boosting.finish(table.columns.len())?;
    let kept = trained.trees.definition().heads.first().map_or(0, |head| head.trees.len());
    stage.finish(&format!("{kept} trees"));
    Ok(trained)
}

/// A part whose scores follow the trees.
struct Followed<'a> {
    table: &'a Table<'a>,
    bins: Bins,
    leaves: Vec<u8>,
    scores: Vec<f32>,
}

struct Boosting<'a> {
    settings: &'a Settings,
    table: &'a Table<'a>,
    questions: &'a Questions,
    grower: Grower<'a>,
    gradients: Gradients,
    packed: Vec<packed::Packed>,
    scores: Vec<f32>,
    start: f32,
    validation: Option<Followed<'a>>,
    watched: Table<'a>,
    random: SmallRng,
    trees: Vec<(Grown, Vec<f32>)>,
    curve: Vec<Point>,
    best: (usize, f64),
}

impl<'a> Boosting<'a> {
    fn new(
        table: &'a Table<'a>,
        validation: Option<&'a Table<'a>>,
        questions: &'a Questions,
        bins: &'a Bins,
        settings: &'a Settings,
    ) -> Self {
        let start = gradients::start(&settings.objective, table);
        let followed = |part: &'a Table<'a>| Followed {
            table: part,
            bins: Bins::of(part, questions),
            leaves: vec![0; part.rows()],
            scores: vec![start; part.rows()],
        };
        Self {
            settings,
            table,
            questions,
            grower: Grower::new(bins, questions, settings),
            gradients: Gradients::new(table.rows()),
            packed: vec![0; table.rows()],
            scores: vec![start; table.rows()],
            start,
            validation: validation.map(followed),
            watched: watched(table),
            random: SmallRng::seed_from_u64(settings.seed.0),
            trees: Vec::new(),
            curve: Vec::new(),
            best: (0, f64::NAN),
        }
    }

    /// Adds a tree; whether another one may help.
    fn step(&mut self) -> bool {
        let settings = self.settings;
        self.gradients.take(&settings.objective, self.table, &self.scores, self.random.random());
        let Gradients { first, second, sums } = &self.gradients;
        let scale = packed::pack(first, second, *sums, self.random.random(), &mut self.packed);
        let skipped = (settings.rows < 1.0).then(|| grow::skip(self.table.rows(), settings.rows, &mut self.random));
        let grown = self.grower.grow(&self.packed, scale, skipped.as_deref(), settings, &mut self.random);
        if grown.levels.is_empty() {
            return false;
        }
        let mut values = leaves::values(&grown, &self.grower.directions(&grown.levels), settings);
        values.iter_mut().for_each(|value| *value *= settings.learning_rate);
        follow(&self.grower.leaves, &values, &mut self.scores);
        if let Some(part) = &mut self.validation {
            part.leaves.fill(0);
            for (level, split) in grown.levels.iter().enumerate() {
                part.bins.ask(split.feature, split.border, 1 << level, &mut part.leaves);
            }
            follow(&part.leaves, &values, &mut part.scores);
        }
        self.trees.push((grown, values));
        self.measure()
    }

    fn measure(&mut self) -> bool {
        let objective = &self.settings.objective;
        let validation = self.validation.as_ref().map(|part| measure(objective, part.table, &part.scores));
        let seen = self.scores.get(..self.watched.rows()).unwrap_or(&[]);
        let trees = self.trees.len();
        self.curve.push(Point { trees, training: measure(objective, &self.watched, seen), validation });
        let Some(value) = validation.filter(|_| self.settings.patience > 0) else { return true };
        let (_, more_is_better) = metric(objective);
        let is_better = if more_is_better { value > self.best.1 } else { value < self.best.1 };
        if is_better || self.best.1.is_nan() {
            self.best = (trees, value);
        }
        trees - self.best.0 < self.settings.patience
    }

    fn finish(mut self, width: usize) -> Result<Trained, Error> {
        if self.best.0 > 0 {
            self.trees.truncate(self.best.0);
        }
        let mut gains = vec![0.0; width];
        for split in self.trees.iter().flat_map(|(grown, _)| &grown.levels) {
            if let Some((column, _)) = self.questions.features.get(split.feature) {
                gains[*column] += split.gain;
            }
        }
        let definition = define(self.questions, &self.trees, f64::from(self.start), width);
        let trees = Trees::new(definition).map_err(Error::Trees)?;
        Ok(Trained { trees, metric: metric(&self.settings.objective), curve: self.curve, gains })
    }
}

/// The first rows, or the groups that lie wholly within them, for a curve.
fn watched<'a>(table: &Table<'a>) -> Table<'a> {
    let mut groups = table.groups;
    let mut rows = table.rows().min(WATCHED);
    if let Some(all) = table.groups {
        let mut end = 0;
        let fit = all
            .iter()
            .take_while(|size| {
                end += **size as usize;
                end <= WATCHED
            })
            .count();
        groups = all.get(..fit.max(1));
        rows = groups.unwrap_or(&[]).iter().map(|size| *size as usize).sum();
    }
    Table {
        columns: Vec::new(),
        labels: table.labels.get(..rows).unwrap_or(&[]),
        weights: table.weights.and_then(|weights| weights.get(..rows)),
        groups,
    }
}

/// Adds to each score what its leaf says.
fn follow(leaves: &[u8], values: &[f32], scores: &mut [f32]) {
    let mut table = [0.0; 256];
    table.iter_mut().zip(values).for_each(|(place, value)| *place = *value);
    scores.par_chunks_mut(CHUNK).zip(leaves.par_chunks(CHUNK)).for_each(|(scores, leaves)| {
        for (score, leaf) in scores.iter_mut().zip(leaves) {
            *score += table[usize::from(*leaf)];
        }
    });
}

/// The trees as they are written, with the columns and borders that are asked for and no others.
fn define(questions: &Questions, trees: &[(Grown, Vec<f32>)], bias: f64, width: usize) -> Definition {
    let mut used: Vec<[bool; 256]> = vec![[false; 256]; questions.features.len()];
    for split in trees.iter().flat_map(|(grown, _)| &grown.levels) {
        used[split.feature][usize::from(split.border)] = true;
    }
    let mut columns: Vec<Borders> = Vec::new();
    let mut places: Vec<(usize, [usize; 256])> = vec![(0, [0; 256]); used.len()];
    for ((used, place), (column, borders)) in used.iter().zip(&mut places).zip(&questions.features) {
        let mut kept = Vec::new();
        for (at, border) in borders.iter().enumerate().filter(|(at, _)| used[*at]) {
            place.1[at] = kept.len();
            kept.push(*border);
        }
        if !kept.is_empty() {
            place.0 = columns.len();
            columns.push(Borders { column: *column, borders: kept });
        }
    }
    let level = |split: &split::Split| {
        let (column, borders) = &places[split.feature];
        Level { column: *column, border: borders[usize::from(split.border)] }
    };
    let tree = |(grown, values): &(Grown, Vec<f32>)| Tree {
        levels: grown.levels.iter().map(level).collect(),
        leaves: values.clone(),
    };
    let head = Ensemble { bias, trees: trees.iter().map(tree).collect() };
    Definition { form: FORM, width, columns, heads: vec![head] }
}

#[cfg(test)]
mod tests;
