//! How good a regression is, item by item, and what of the rest is its maker's.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use releases::vectors::axpy;
use rustc_hash::FxHashMap;
use shared_models::ItemKey;

use super::rows::Rows;
use crate::dense::Matrix;

/// What a regression leaves over, by maker.
pub(super) struct Fit<'a> {
    rows: &'a Rows<'a>,
    /// Of each item what is left over.
    rests: Matrix,
    /// The same, summed by maker.
    of_makers: Sums,
    /// The mean of all vectors.
    mean: Vec<f32>,
    /// What vectors differ from their mean by, squared, summed by belief.
    pub(super) spread: f64,
}

impl<'a> Fit<'a> {
    pub(super) fn of(rows: &'a Rows<'a>, weights: &Matrix) -> Self {
        let rests = rows.rests(weights);
        let of_makers = sums(rows, |number| rests.row(number));
        let mut mean = vec![0.0; rows.dimensions];
        let all: f32 = rows.known.iter().map(|item| item.belief()).sum();
        for item in rows.known {
            axpy(item.belief() / all, item.vector, &mut mean);
        }
        let apart_from_mean = rows.known.iter().map(|item| f64::from(item.belief()) * apart(item.vector, &mean));
        let spread = apart_from_mean.sum();
        Self { rows, rests, of_makers, mean, spread }
    }

    /// What is left over when each item is told by its maker's others too, drawn towards nothing by κ.
    pub(super) fn left(&self, shrinkage: f32) -> f64 {
        let nothing = vec![0.0; self.rows.dimensions];
        let left = self.rows.known.par_iter().enumerate().map(|(number, item)| {
            let rest = self.rests.row(number);
            let way = others(&self.of_makers, item.maker, rest, shrinkage);
            f64::from(item.belief()) * apart(rest, way.as_deref().unwrap_or(&nothing))
        });
        sum(left)
    }

    /// What is left over when each item is what its maker's others are on average, or what all are.
    pub(super) fn left_by_makers(&self) -> f64 {
        let sums = sums(self.rows, |number| self.rows.known[number].vector);
        let left = self.rows.known.par_iter().map(|item| {
            let of_others = others(&sums, item.maker, item.vector, 0.0);
            f64::from(item.belief()) * apart(item.vector, of_others.as_deref().unwrap_or(&self.mean))
        });
        sum(left)
    }
}

/// How many items each maker has, and the sum of what `of` says of them.
type Sums = FxHashMap<ItemKey, (f32, Vec<f32>)>;

fn sums<'a>(rows: &Rows<'_>, of: impl Fn(usize) -> &'a [f32]) -> Sums {
    let mut sums = Sums::default();
    for (number, item) in rows.known.iter().enumerate().filter(|(_, item)| item.maker.is_some()) {
        let (count, sum) = sums.entry(item.maker).or_insert_with(|| (0.0, vec![0.0; rows.dimensions]));
        *count += 1.0;
        axpy(1.0, of(number), sum);
    }
    sums
}

/// The mean of a maker's items without one of them, drawn towards nothing; `None` where there is no other.
fn others(sums: &Sums, maker: ItemKey, without: &[f32], shrinkage: f32) -> Option<Vec<f32>> {
    let (count, sum) = sums.get(&maker).filter(|(count, _)| *count > 1.0)?;
    let mut mean = sum.clone();
    axpy(-1.0, without, &mut mean);
    mean.iter_mut().for_each(|value| *value /= count - 1.0 + shrinkage);
    Some(mean)
}

/// A sum in the order of the items, so that it is the same for any number of threads.
fn sum(values: impl IndexedParallelIterator<Item = f64>) -> f64 {
    let mut all = Vec::new();
    values.collect_into_vec(&mut all);
    all.iter().sum()
}

/// The squared distance.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
