//! The loss of a batch of users and its gradient, as products of matrices.

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::vectors::{axpy, dot};

use crate::{dense::Matrix, factors::Interactions};

/// What a batch says.
pub(super) struct Step {
    /// The sum of the losses.
    pub(super) loss: f64,
    /// The mean gradient, a row for each item.
    pub(super) gradient: Matrix,
}

/// Every item of `users` against the items `drawn`.
pub(super) fn step(
    interactions: &Interactions,
    users: &[u32],
    drawn: &[u32],
    units: &Matrix,
    temperature: f32,
) -> Step {
    let k = units.columns;
    let pairs: Vec<(u32, u32)> = users
        .iter()
        .flat_map(|user| (0..interactions.row(*user as usize).0.len() as u32).map(move |at| (*user, at)))
        .collect();
    let sums = sums(interactions, users, units);
    let firsts = firsts(interactions, users);

    // Users without the item, at length 1, and what they were divided by.
    let mut without = Matrix::zeros(pairs.len(), k);
    let mut lengths = vec![0.0_f32; pairs.len()];
    let mut of_user = 0;
    for (number, ((user, at), length)) in pairs.iter().zip(&mut lengths).enumerate() {
        if of_user + 1 < firsts.len() && firsts[of_user + 1] == number {
            of_user += 1;
        }
        let (items, weights) = interactions.row(*user as usize);
        let row = without.row_mut(number);
        row.copy_from_slice(sums.row(of_user));
        axpy(-weights[*at as usize], units.row(items[*at as usize] as usize), row);
        *length = releases::vectors::normalise(row).max(1e-6);
    }

    let mut negatives = Matrix::zeros(drawn.len(), k);
    for (row, item) in drawn.iter().enumerate() {
        negatives.row_mut(row).copy_from_slice(units.row(*item as usize));
    }
    let mut shares = without.times_transposed(&negatives);
    let own: Vec<f32> = pairs
        .iter()
        .enumerate()
        .map(|(number, (user, at))| {
            let item = interactions.row(*user as usize).0[*at as usize];
            dot(without.row(number), units.row(item as usize))
        })
        .collect();
    // Scores become shares of the softmax; the item's own share is left over.
    let mut rest = vec![0.0_f32; pairs.len()];
    shares.values.par_chunks_mut(drawn.len()).zip(rest.par_chunks_mut(1)).enumerate().for_each(
        |(number, (row, rest))| {
            let own = own[number];
            let mut total = 1.0_f32;
            for value in row.iter_mut() {
                // Relative to the item itself; cosines differ by two at most, so that nothing overflows above τ = 0.03.
                *value = ((*value - own) / temperature).min(80.0).exp();
                total += *value;
            }
            for value in row.iter_mut() {
                *value /= total;
            }
            rest[0] = 1.0 / total;
        },
    );
    let loss = rest.iter().map(|share| -f64::from(share.max(f32::MIN_POSITIVE)).ln()).sum();

    let scale = 1.0 / (temperature * pairs.len() as f32);
    let mut pull = shares.times(&negatives);
    let push = shares.transposed_times(&without);
    let mut gradient = Matrix::zeros(units.rows, k);
    for (row, item) in drawn.iter().enumerate() {
        axpy(scale, push.row(row), gradient.row_mut(*item as usize));
    }
    // Through the user to the items it is the sum of: each gets what all pairs say but its own.
    for (of_user, user) in users.iter().enumerate() {
        let (items, weights) = interactions.row(*user as usize);
        let first = firsts[of_user];
        let mut total = vec![0.0_f32; k];
        for (at, item) in items.iter().enumerate() {
            let number = first + at;
            let (x, missing) = (without.row(number), rest[number] - 1.0);
            axpy(scale * missing, x, gradient.row_mut(*item as usize));
            let slope = pull.row_mut(number);
            axpy(missing, units.row(*item as usize), slope);
            let along = dot(slope, x);
            axpy(-along, x, slope);
            let factor = scale / lengths[number];
            slope.iter_mut().for_each(|value| *value *= factor);
            axpy(1.0, slope, &mut total);
        }
        for (at, (item, weight)) in items.iter().zip(weights).enumerate() {
            let into = gradient.row_mut(*item as usize);
            axpy(*weight, &total, into);
            axpy(-weight, pull.row(first + at), into);
        }
    }
    Step { loss, gradient }
}

/// `Σ w y` of each user.
fn sums(interactions: &Interactions, users: &[u32], units: &Matrix) -> Matrix {
    let mut sums = Matrix::zeros(users.len(), units.columns);
    sums.values.par_chunks_mut(units.columns.max(1)).zip(rayon::slice::ParallelSlice::par_chunks(users, 1)).for_each(
        |(row, user)| {
            let (items, weights) = interactions.row(user[0] as usize);
            for (item, weight) in items.iter().zip(weights) {
                axpy(*weight, units.row(*item as usize), row);
            }
        },
    );
    sums
}

/// The number of each user's first pair.
fn firsts(interactions: &Interactions, users: &[u32]) -> Vec<usize> {
    let mut next = 0;
    users
        .iter()
        .map(|user| {
            let first = next;
            next += interactions.row(*user as usize).0.len();
            first
        })
        .collect()
}
