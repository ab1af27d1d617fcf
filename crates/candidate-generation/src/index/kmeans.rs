//! k-means by direction over rows of factors: the lists of the inverted file.
//!
//! Rows are compared by the angle between them, because a query wants what points its way; how long a row is, its
//! place in its list says. In the mean of a list longer rows weigh more: it is they that are looked for. Deterministic:
//! the same rows give the same lists, so that a release answers alike on every machine that makes its lists.

use rayon::prelude::*;
use releases::vectors::{axpy, dot, normalise};

use super::kernel::Columns;

/// Rows per list that the centres are learnt from.
const SAMPLE_PER_LIST: usize = 40;
const ROUNDS: usize = 8;

/// Rows that are assigned at once by one thread.
const BLOCK: usize = 1_024;

/// Directions of length 1, `lists × stride`, row-major.
#[derive(Clone, Debug, Default)]
pub(super) struct Centres {
    pub(super) stride: usize,
    pub(super) values: Vec<f32>,
}

impl Centres {
    /// The direction of each sum; where there is none, the direction before.
    fn of(stride: usize, mut sums: Vec<f32>, before: &[f32]) -> Self {
        for (at, sum) in sums.chunks_exact_mut(stride).enumerate() {
            normalise(sum);
            let before = before.get(at * stride..(at + 1) * stride);
            // Where nobody is nearest it stays where it is, and its list stays empty.
            if let Some(before) = before.filter(|_| dot(sum, sum) == 0.0) {
                sum.copy_from_slice(before);
            }
        }
        Self { stride, values: sums }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len().checked_div(self.stride).unwrap_or(0)
    }

    /// The nearest centre of each row of `values` whose number is in `rows`.
    pub(super) fn assign(&self, values: &[f32], rows: &[u32]) -> Vec<u32> {
        let columns = Columns::of(self.stride, &self.values);
        let row = |row: u32| values.get(row as usize * self.stride..(row as usize + 1) * self.stride).unwrap_or(&[]);
        rows.par_chunks(BLOCK)
            .flat_map_iter(|block| {
                let (mut first, mut second) = (vec![0.0; columns.len()], vec![0.0; columns.len()]);
                let mut nearest = Vec::with_capacity(BLOCK + 1);
                for pair in block.chunks(2) {
                    let (a, b) = match pair {
                        [a, b] => (row(*a), row(*b)),
                        [a] => (row(*a), row(*a)),
                        _ => continue,
                    };
                    columns.products([a, b], [&mut first, &mut second]);
                    nearest.extend([self.first_of_largest(&first), self.first_of_largest(&second)]);
                }
                nearest.truncate(block.len());
                nearest
            })
            .collect()
    }

    /// The list of the largest product, the first of equals. A row's products with directions order by angle.
    fn first_of_largest(&self, products: &[f32]) -> u32 {
        let products = products.get(..self.len()).unwrap_or(products);
        let largest = products.iter().fold(f32::NEG_INFINITY, |largest, product| largest.max(*product));
        products.iter().position(|product| *product == largest).unwrap_or(0) as u32
    }
}

/// Learns `lists` directions of those `rows` of `values`, none of them zeros.
pub(super) fn learn(values: &[f32], stride: usize, rows: &[u32], lists: usize) -> Centres {
    let sampled = (lists * SAMPLE_PER_LIST).clamp(lists, rows.len().max(lists));
    let sample: Vec<u32> = spread(rows.len(), sampled).filter_map(|at| rows.get(at).copied()).collect();
    let row = |row: u32| values.get(row as usize * stride..(row as usize + 1) * stride).unwrap_or(&[]);
    let start: Vec<f32> =
        spread(sample.len(), lists).filter_map(|at| sample.get(at)).flat_map(|at| row(*at)).copied().collect();
    let mut centres = Centres::of(stride, start, &[]);
    for _ in 0..ROUNDS {
        let lists_of = centres.assign(values, &sample);
        let mut sums = vec![0.0_f32; centres.values.len()];
        for (at, list) in sample.iter().zip(&lists_of) {
            let list = *list as usize;
            if let Some(sum) = sums.get_mut(list * stride..(list + 1) * stride) {
                axpy(1.0, row(*at), sum);
            }
        }
        centres = Centres::of(stride, sums, &centres.values);
    }
    centres
}

/// `wanted` numbers spread over `0..count` as evenly as whole numbers allow.
fn spread(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(move |n| n * count / wanted.max(1))
}
