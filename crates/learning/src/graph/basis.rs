//! The space of the smoothest signals, by subspace iteration (Halko, Martinsson and Tropp, "Finding Structure with
//! Randomness", SIAM Review 2011, algorithm 4.4). Which basis of it is found does not matter to a projection, so no
//! eigenvectors are computed.

use rand_distr::{Distribution, StandardNormal};
use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::vectors::axpy;
use shared_models::Seed;

use super::walk::{Steps, Walk};
use crate::dense::{Factor, Matrix};

/// What is added to the squares of columns, as a share of their mean, so that columns without content do no harm.
const JITTER: f32 = 1e-6;

/// An orthonormal basis, a row for each item, of about the `signals` leading right singular vectors of the walk's matrix.
/// Fewer where the matrix has a lower rank: columns past it are zero.
pub(super) fn leading(walk: &Walk, signals: usize, rounds: usize, seed: Seed, on_round: &mut dyn FnMut()) -> Matrix {
    let (users, items) = (walk.by_user().rows(), walk.by_item().rows());
    let signals = signals.min(users).min(items);
    let mut basis = Matrix::zeros(items, signals);
    if signals == 0 {
        return basis;
    }
    let mut random = seed.stream("graph/basis");
    for value in &mut basis.values {
        *value = StandardNormal.sample(&mut random);
    }
    for _ in 0..rounds.max(1) {
        basis = times(walk.by_item(), &times(walk.by_user(), &basis));
        orthonormalise(&mut basis);
        on_round();
    }
    orthonormalise(&mut basis);
    basis
}

/// `steps · table`.
fn times(steps: &Steps, table: &Matrix) -> Matrix {
    let mut product = Matrix::zeros(steps.rows(), table.columns);
    product.values.par_chunks_mut(table.columns).enumerate().with_min_len(64).for_each(|(row, into)| {
        for (end, weight) in steps.row(row) {
            axpy(*weight, table.row(*end as usize), into);
        }
    });
    product
}

/// Makes columns orthonormal by the Cholesky factor of their Gram matrix; what has no length left becomes zero.
fn orthonormalise(table: &mut Matrix) {
    let mut gram = table.transposed_times(table);
    let mean = (0..gram.rows).map(|at| gram.row(at)[at]).sum::<f32>() / gram.rows.max(1) as f32;
    gram.add_to_diagonal(JITTER * mean + f32::MIN_POSITIVE);
    let Some(factor) = Factor::of(gram) else { return };
    factor.whiten(table);
    let mut lengths = vec![0.0_f32; table.columns];
    for row in table.values.chunks_exact(table.columns) {
        for (length, value) in lengths.iter_mut().zip(row) {
            *length += value * value;
        }
    }
    for row in table.values.chunks_exact_mut(table.columns) {
        for (value, length) in row.iter_mut().zip(&lengths) {
            if *length < 0.5 {
                *value = 0.0;
            }
        }
    }
}
