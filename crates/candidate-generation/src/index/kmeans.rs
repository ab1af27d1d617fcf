//! k-means over rows of factors: the lists of the inverted file.
//!
//! Deterministic: the same rows give the same lists, so that a release answers alike on every machine
//! that loads it.

use rayon::prelude::*;
use releases::vectors::dot;

use super::kernel::Columns;

/// Rows per list that the centroids are learnt from.
const SAMPLE_PER_LIST: usize = 40;
const ROUNDS: usize = 8;

/// Rows that are assigned at once by one thread.
const BLOCK: usize = 1_024;

/// Centroids, `lists × stride`, row-major, and half their squared lengths.
#[derive(Clone, Debug, Default)]
pub(super) struct Centroids {
    pub(super) stride: usize,
    pub(super) values: Vec<f32>,
    half_squares: Vec<f32>,
}

impl Centroids {
    fn of(stride: usize, values: Vec<f32>) -> Self {
        let half_squares = values.chunks_exact(stride).map(|centroid| dot(centroid, centroid) / 2.0).collect();
        Self { stride, values, half_squares }
    }

    pub(super) fn len(&self) -> usize {
        self.half_squares.len()
    }

    /// The centroid of the largest promise by its product, that is the nearest by Euclidean distance; the
    /// first of equals.
    fn nearest(&self, products: &[f32]) -> u32 {
        let mut best = (f32::NEG_INFINITY, 0);
        for (list, (product, half)) in products.iter().zip(&self.half_squares).enumerate() {
            if product - half > best.0 {
                best = (product - half, list);
            }
        }
        best.1 as u32
    }

    /// The nearest centroid of each row.
    pub(super) fn assign(&self, rows: &[f32]) -> Vec<u32> {
        let columns = Columns::of(self.stride, &self.values);
        rows.par_chunks(self.stride * BLOCK)
            .flat_map_iter(|block| {
                let (mut first, mut second) = (vec![0.0; columns.len()], vec![0.0; columns.len()]);
                let mut nearest = Vec::with_capacity(BLOCK + 1);
                for pair in block.chunks(self.stride * 2) {
                    let (a, b) = pair.split_at(self.stride.min(pair.len()));
                    columns.products([a, if b.is_empty() { a } else { b }], [&mut first, &mut second]);
                    nearest.extend([self.nearest(&first), self.nearest(&second)]);
                }
                nearest.truncate(block.len() / self.stride);
                nearest
            })
            .collect()
    }
}

/// Learns `lists` centroids of rows of `stride` numbers.
pub(super) fn learn(rows: &[f32], stride: usize, lists: usize) -> Centroids {
    let count = rows.len() / stride;
    let sampled = (lists * SAMPLE_PER_LIST).clamp(lists, count.max(lists));
    let sample: Vec<f32> = spread(count, sampled)
        .flat_map(|row| rows.get(row * stride..(row + 1) * stride).unwrap_or(&[]))
        .copied()
        .collect();
    let start: Vec<f32> = spread(sample.len() / stride, lists)
        .flat_map(|row| sample.get(row * stride..(row + 1) * stride).unwrap_or(&[]))
        .copied()
        .collect();
    let mut centroids = Centroids::of(stride, start);
    for _ in 0..ROUNDS {
        let lists_of = centroids.assign(&sample);
        let mut sums = vec![0.0_f32; centroids.values.len()];
        let mut counts = vec![0_u32; centroids.len()];
        for (row, list) in sample.chunks_exact(stride).zip(&lists_of) {
            let list = *list as usize;
            if let (Some(sum), Some(count)) = (sums.get_mut(list * stride..(list + 1) * stride), counts.get_mut(list)) {
                releases::vectors::axpy(1.0, row, sum);
                *count += 1;
            }
        }
        for ((sum, count), old) in sums.chunks_exact_mut(stride).zip(&counts).zip(centroids.values.chunks_exact(stride))
        {
            if *count == 0 {
                // Nobody is nearest: it stays where it is, and its list stays empty.
                sum.copy_from_slice(old);
            } else {
                let factor = 1.0 / *count as f32;
                sum.iter_mut().for_each(|value| *value *= factor);
            }
        }
        centroids = Centroids::of(stride, sums);
    }
    centroids
}

/// `wanted` numbers spread over `0..count` as evenly as whole numbers allow.
fn spread(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(move |n| n * count / wanted.max(1))
}
