//! Item vectors by contrast: a user's vector is the weighted sum of the vectors of the user's items, and lies nearer to
//! the items that belong to it than to items drawn at random.
//!
//! It must not know events, catalogues or releases' files: a matrix of weights goes in, unit vectors come out.
//!
//! # The model
//! Every item has a vector `y` of length 1. For an item i of a user with weights w over the items, the user without it is
//! `x = Σ_{j≠i} w_j y_j`, brought to length 1, and training lowers
//!
//! `-log( e^(x·y_i/τ) / (e^(x·y_i/τ) + Σ_n e^(x·y_n/τ)) )`
//!
//! over items n drawn evenly from all (sampled softmax on cosines: Wu et al., "On the Effectiveness of Sampled Softmax
//! Loss for Item Recommendation", TOIS 2024). The user as the sum of items is that of asymmetric models (Paterek,
//! KDD Cup 2007; Kabbur, Ning and Karypis, "FISM", KDD 2013): there is no table of users, so a user who did something a
//! moment ago is as well known as one who was trained on. Vectors start from the smoothest signals of the graph
//! ([`crate::graph`]), where items of the same users already lie together. The optimiser is Adam (Kingma and Ba, 2015).
//!
//! When all is trained, items that are chosen much get a longer vector, `1 + lift (ln(1 + c) / mean - 1)` for c choices:
//! on the sphere, and where all draws are even, how much an item is chosen at all is lost.
//!
//! # Cost
//! Three numbers for each of `items × k`; for each pair and epoch `3 k` multiplications for each item drawn. Results are the same
//! for any number of threads up to the order of sums within a batch, which is fixed.

mod batch;

use rand::{RngExt, seq::SliceRandom};
use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::{ParallelSlice, ParallelSliceMut},
};
use releases::vectors::{axpy, dot, normalise};
use shared_models::{ErrorCode, Seed};

use crate::{
    checkpoint::{Checkpoint, Checkpoints, Kind},
    dense::Matrix,
    evaluate::{Scorer, scorers::ItemVectors},
    factors::Interactions,
    graph,
    progress::{Progress, Unit},
};

/// What a training does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// k, the factors of an item.
    pub dimensions: usize,
    /// How often every pair is seen.
    pub epochs: usize,
    /// τ: how sharply nearness is judged; below 1, as cosines lie within 1.
    pub temperature: f32,
    /// The step of the optimiser; it falls to nothing over the epochs.
    pub rate: f32,
    /// How many items each pair is told apart from.
    pub negatives: usize,
    /// Pairs of a step.
    pub batch: usize,
    /// How much longer the vectors of items are that are chosen much.
    pub lift: f32,
    /// The source of every draw.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dimensions: 64,
            epochs: 12,
            temperature: 0.1,
            rate: 0.01,
            negatives: 1_024,
            batch: 4_096,
            lift: 0.0,
            seed: Seed(1),
        }
    }
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No user has two items.
    #[error("no user has two items; a user is what the other items say")]
    Nothing,
    /// A setting is out of range.
    #[error("{name} is {given}; give {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What was given.
        given: String,
        /// What may be.
        expected: &'static str,
    },
    /// The vectors are no numbers any more.
    #[error("vectors overflowed in epoch {epoch}; lower rate or raise temperature")]
    Diverged {
        /// In which epoch, from 1.
        epoch: usize,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Setting { .. } => ErrorCode::InvalidArgument,
            Self::Diverged { .. } => ErrorCode::Internal,
        }
    }
}

/// Items as unit vectors, and how long they are where they are looked for.
#[derive(Clone, Debug)]
pub struct Model {
    /// A row for each item; zero where nobody chose it.
    pub items: Matrix,
    /// The length of each item.
    pub lengths: Vec<f32>,
}

/// Trains on a matrix of weights, a row for each user and a column for each item.
///
/// # Errors
/// When a setting is out of range, no user has two items, or the vectors overflow.
pub fn train(interactions: &Interactions, settings: &Settings, progress: &dyn Progress) -> Result<Model, Error> {
    train_resumable(interactions, settings, None, progress)
}

/// [`train`] that goes on from the checkpoint of a training of the same matrix and settings that was cut short, and
/// writes its own: the vectors are the same to the bit.
///
/// # Errors
/// As [`train`].
pub fn train_resumable(
    interactions: &Interactions,
    settings: &Settings,
    checkpoints: Option<&Checkpoints>,
    progress: &dyn Progress,
) -> Result<Model, Error> {
    check(settings)?;
    let mut users: Vec<u32> =
        (0..interactions.rows() as u32).filter(|user| interactions.row(*user as usize).0.len() > 1).collect();
    if users.is_empty() {
        return Err(Error::Nothing);
    }
    let checkpoint = checkpoints.and_then(|to| Checkpoint::of(to, Kind::Contrast, interactions, settings));
    let kept = checkpoint.as_ref().and_then(|from| Table::kept(from, interactions.columns(), settings.dimensions));
    let (over, mut table) = kept.unwrap_or_else(|| (0, Table::new(start(interactions, settings))));
    let mut random = settings.seed.stream("contrast");
    let stage = progress.stage("item vectors", Unit::Steps, Some(settings.epochs as u64));
    let pairs: usize = users.iter().map(|user| interactions.row(*user as usize).0.len()).sum();
    let steps = (settings.epochs * pairs.div_ceil(settings.batch)) as f32;
    let (mut done, mut loss) = (0_usize, 0.0);
    for epoch in 1..=settings.epochs {
        users.shuffle(&mut random);
        loss = 0.0;
        let mut rest = users.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fits = |user: &&u32| {
                let fits = size < settings.batch;
                size += interactions.row(**user as usize).0.len();
                fits
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count());
            rest = later;
            let drawn: Vec<u32> =
                (0..settings.negatives).map(|_| random.random_range(0..interactions.columns() as u32)).collect();
            // Epochs that are over are drawn again, and no more: so every later draw is what it would have been.
            if epoch > over {
                let units = table.units();
                let step = batch::step(interactions, now, &drawn, &units, settings.temperature);
                loss += step.loss;
                let left = (1.0 - done as f32 / steps).max(0.05);
                table.descend(&step.gradient, &units, settings.rate * left);
            } else {
                table.steps += 1;
            }
            done += 1;
        }
        if !table.values.values.iter().all(|value| value.is_finite()) {
            return Err(Error::Diverged { epoch });
        }
        if let Some(checkpoint) = checkpoint.as_ref().filter(|to| epoch > over && to.is_due(epoch, settings.epochs)) {
            checkpoint.write(epoch, &table.tables());
        }
        stage.advance(1);
    }
    let mut told = format!("{pairs} pairs");
    if over > 0 {
        told += &format!(", resumed after epoch {over}");
    }
    if over < settings.epochs {
        told += &format!(", loss {:.4}", loss / pairs as f64);
    }
    stage.finish(&told);
    let mut items = table.units();
    let sums = interactions.column_sums();
    for (row, sum) in items.values.chunks_exact_mut(settings.dimensions).zip(&sums) {
        if *sum == 0.0 {
            row.fill(0.0);
        }
    }
    Ok(Model { items, lengths: lengths(&sums, settings.lift) })
}

/// How long the vectors of items are that were chosen so much.
fn lengths(sums: &[f64], lift: f32) -> Vec<f32> {
    let logs: Vec<f32> = sums.iter().map(|sum| sum.ln_1p() as f32).collect();
    let mean = (logs.iter().sum::<f32>() / logs.len().max(1) as f32).max(f32::MIN_POSITIVE);
    // However little an item was chosen, nearness goes on telling it from others.
    logs.into_iter().map(|log| (1.0 + lift * (log / mean - 1.0)).max(0.05)).collect()
}

/// The smoothest signals, at each item brought to length 1; noise for an item that they do not reach.
fn start(interactions: &Interactions, settings: &Settings) -> Matrix {
    let signals = graph::smooth_signals(interactions, settings.dimensions, 3, settings.seed);
    let mut random = settings.seed.stream("contrast/start");
    let mut table = Matrix::zeros(interactions.columns(), settings.dimensions);
    for item in 0..table.rows {
        let row = table.row_mut(item);
        row[..signals.columns].copy_from_slice(signals.row(item));
        normalise(row);
        for value in row.iter_mut() {
            *value += random.random_range(-0.02..0.02);
        }
        normalise(row);
    }
    table
}

/// The vectors as they are trained, of any length, and the optimiser's memory.
struct Table {
    values: Matrix,
    first: Matrix,
    second: Matrix,
    steps: i32,
}

impl Table {
    fn new(values: Matrix) -> Self {
        let (rows, columns) = (values.rows, values.columns);
        Self { values, first: Matrix::zeros(rows, columns), second: Matrix::zeros(rows, columns), steps: 0 }
    }

    /// What a checkpoint kept, and after how many epochs. How many steps were taken is counted again.
    fn kept(checkpoint: &Checkpoint, rows: usize, columns: usize) -> Option<(usize, Self)> {
        let mut table = Self::new(Matrix::zeros(rows, columns));
        let Self { values, first, second, .. } = &mut table;
        let epochs = checkpoint.read(&mut [&mut values.values, &mut first.values, &mut second.values])?;
        Some((epochs, table))
    }

    /// All that a checkpoint keeps.
    fn tables(&self) -> [&[f32]; 3] {
        [&self.values.values, &self.first.values, &self.second.values]
    }

    /// The vectors at length 1.
    fn units(&self) -> Matrix {
        let mut units = self.values.clone();
        units.values.par_chunks_mut(units.columns.max(1)).with_min_len(256).for_each(|row| {
            normalise(row);
        });
        units
    }

    /// One step of Adam down a gradient that was taken with respect to the unit vectors.
    fn descend(&mut self, gradient: &Matrix, units: &Matrix, rate: f32) {
        const FIRST: f32 = 0.9;
        const SECOND: f32 = 0.999;
        self.steps += 1;
        let (of_first, of_second) = (1.0 - FIRST.powi(self.steps), 1.0 - SECOND.powi(self.steps));
        let columns = units.columns.max(1);
        let rows = self.values.values.par_chunks_mut(columns).with_min_len(256);
        let memory = self.first.values.par_chunks_mut(columns).zip(self.second.values.par_chunks_mut(columns));
        let given = gradient.values.par_chunks(columns).zip(units.values.par_chunks(columns));
        rows.zip(memory).zip(given).for_each(|((row, (first, second)), (gradient, unit))| {
            // Along itself a vector only grows, which its unit vector does not notice.
            let along = dot(gradient, unit);
            let length = dot(row, row).sqrt().max(1e-6);
            for at in 0..row.len() {
                let slope = (gradient[at] - along * unit[at]) / length;
                first[at] = FIRST * first[at] + (1.0 - FIRST) * slope;
                second[at] = SECOND * second[at] + (1.0 - SECOND) * slope * slope;
                row[at] -= rate * (first[at] / of_first) / ((second[at] / of_second).sqrt() + 1e-8);
            }
        });
    }
}

impl Model {
    /// The vector of a user who chose these items with these weights; zero of nothing.
    #[must_use]
    pub fn user(&self, items: &[u32], weights: &[f32]) -> Vec<f32> {
        let mut vector = vec![0.0; self.items.columns];
        for (item, weight) in items.iter().zip(weights).filter(|(item, _)| (**item as usize) < self.items.rows) {
            axpy(*weight, self.items.row(*item as usize), &mut vector);
        }
        vector
    }
}

/// A model with the users it is asked about.
#[derive(Clone, Debug)]
pub struct ContrastScorer {
    /// What was learned.
    pub model: Model,
    /// What each user chose, with weights.
    pub given: Interactions,
}

impl Scorer for ContrastScorer {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let table = &self.model.items;
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(table.rows.max(1))) {
            let (items, weights) = self.given.row(*user as usize);
            releases::vectors::dot_many(&self.model.user(items, weights), &table.values, row);
            row.iter_mut().zip(&self.model.lengths).for_each(|(score, length)| *score *= length);
        }
    }

    fn item_vectors(&self) -> Option<ItemVectors> {
        let Matrix { columns, values, .. } = &self.model.items;
        let scaled = values.chunks_exact(*columns).zip(&self.model.lengths);
        let values = scaled.flat_map(|(row, length)| row.iter().map(move |value| value * length)).collect();
        Some(ItemVectors { dimensions: *columns, values })
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    let count = |name, given: usize| {
        if given > 0 { Ok(()) } else { Err(Error::Setting { name, given: given.to_string(), expected: "1 or more" }) }
    };
    count("dimensions", settings.dimensions)?;
    count("epochs", settings.epochs)?;
    count("negatives", settings.negatives)?;
    count("batch", settings.batch)?;
    for (name, given) in [("temperature", settings.temperature), ("rate", settings.rate)] {
        if !(given > 0.0 && given <= 10.0) {
            return Err(Error::Setting { name, given: given.to_string(), expected: "a number above 0, up to 10" });
        }
    }
    if !(0.0..=10.0).contains(&settings.lift) {
        let given = settings.lift.to_string();
        return Err(Error::Setting { name: "lift", given, expected: "a number from 0 to 10" });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
