//! One half of an epoch: every row of one side, with the other side held.

use std::slice::ChunksExactMut;

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use releases::{linear, vectors::simd as vectors};

use super::{
    Interactions, Settings, Solver,
    kernels::{add, add_weighted, dot, symmetric_product},
    lines::Rows,
};

/// Rows of a block: enough to make choosing the instruction set free, few enough that threads end
/// together although some rows are a hundred times as long as others.
const BLOCK: usize = 32;

/// What is held while one side is solved, and what its rows' systems share.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    /// The entries: a row of the solved side, a column of the held one.
    pub(crate) interactions: &'a Interactions,
    /// The held side.
    pub(crate) rows: &'a Rows,
    /// `Σ w y yᵀ` over the held side.
    pub(crate) gram: &'a Rows,
    /// How much each solved row's unobserved pairs weigh; empty where they all weigh 1 in the row.
    pub(crate) unobserved: &'a [f32],
    /// For each entry the vector that stands for its column, and where it is: the column's own if empty.
    pub(crate) left_out: Option<(&'a Rows, &'a [u32])>,
}

/// Solves every row of `side`, in place.
pub(crate) fn side(held: Held<'_>, side: &mut Rows, settings: &Settings, solver: Solver) {
    side.blocks_mut(BLOCK).enumerate().for_each_init(
        || Scratch::new(settings.dimensions),
        |scratch, (block, rows)| {
            let first = block * BLOCK;
            Arch::new().dispatch(Block { held, settings, solver, first, rows, without: None, scratch });
        },
    );
}

/// Solves every row of `side` exactly, and for each entry the same row again as if that entry were
/// unobserved: into `without`, in the order of the entries.
pub(crate) fn side_and_left_out(held: Held<'_>, side: &mut Rows, without: &mut Rows, settings: &Settings) {
    let stride = without.stride();
    let mut rest = without.values_mut();
    let mut blocks = Vec::new();
    let offsets = held.interactions.offsets();
    for first in (0..side.len()).step_by(BLOCK) {
        let entries = offsets[(first + BLOCK).min(side.len())] - offsets[first];
        let (block, after) = rest.split_at_mut(entries * stride);
        blocks.push(block);
        rest = after;
    }
    side.blocks_mut(BLOCK).zip(blocks).enumerate().for_each_init(
        || Scratch::new(settings.dimensions),
        |scratch, (block, (rows, without))| {
            let (first, solver) = (block * BLOCK, Solver::Cholesky);
            Arch::new().dispatch(Block { held, settings, solver, first, rows, without: Some(without), scratch });
        },
    );
}

/// What one thread needs, kept between rows.
struct Scratch {
    /// The held rows of the present row's entries, side by side: fetched once, read at every step.
    near: Rows,
    /// The residual, the direction and the matrix's product with it.
    vectors: Rows,
    confidences: Vec<f32>,
    matrix: Vec<f32>,
    right: Vec<f32>,
}

impl Scratch {
    fn new(dimensions: usize) -> Self {
        Self {
            near: Rows::zeros(0, dimensions),
            vectors: Rows::zeros(3, dimensions),
            confidences: Vec::new(),
            matrix: vec![0.0; dimensions * dimensions],
            right: vec![0.0; dimensions],
        }
    }
}

/// A block of rows to solve.
struct Block<'a> {
    held: Held<'a>,
    settings: &'a Settings,
    solver: Solver,
    first: usize,
    rows: &'a mut [f32],
    without: Option<&'a mut [f32]>,
    scratch: &'a mut Scratch,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A constant number of registers lets the compiler unroll the inner loops; 64 factors are 4
        // registers of 16 or 8 of 8, 128 factors 8 or 16.
        match self.held.rows.stride() / S::F32_LANES {
            4 => self.solve::<S>(simd, 4),
            8 => self.solve::<S>(simd, 8),
            16 => self.solve::<S>(simd, 16),
            n => self.solve::<S>(simd, n),
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn solve<S: Simd>(self, simd: S, registers: usize) {
        let Self { held, settings, solver, first, rows, without, scratch } = self;
        let Held { interactions, .. } = held;
        let stride = registers * S::F32_LANES;
        let mut without = without.unwrap_or_default().chunks_exact_mut(stride);
        for (at, solution) in rows.chunks_exact_mut(stride).enumerate() {
            let (columns, weights) = interactions.row(first + at);
            if columns.is_empty() {
                solution.fill(0.0);
                continue;
            }
            scratch.near.resize(columns.len());
            let start = interactions.offsets()[first + at];
            for ((entry, column), near) in
                (start..).zip(columns).zip(scratch.near.values_mut().chunks_exact_mut(stride))
            {
                near.copy_from_slice(match held.left_out {
                    Some((rows, places)) => rows.row(places[entry] as usize),
                    None => held.rows.row(*column as usize),
                });
            }
            // The row's system divided by what its unobserved pairs weigh: so all rows share one Gram matrix.
            let share = held.unobserved.get(first + at).map_or(1.0, |weight| 1.0 / weight);
            let total = settings.alpha * weights.iter().sum::<f32>();
            let strength = (interactions.columns() as f32 + total).powf(settings.regularisation_exponent);
            scratch.confidences.clear();
            scratch.confidences.extend(weights.iter().map(|weight| share * settings.alpha * weight));
            let system = System {
                near: &scratch.near.values()[..columns.len() * stride],
                confidences: &scratch.confidences,
                share,
                gram: held.gram.values(),
                regularisation: share * settings.regularisation * strength,
            };
            match solver {
                Solver::ConjugateGradient(steps) => {
                    system.approach::<S>(
                        simd,
                        registers,
                        steps.get(),
                        settings.dimensions,
                        solution,
                        scratch.vectors.values_mut(),
                    );
                }
                Solver::Cholesky => {
                    let solution = &mut solution[..settings.dimensions];
                    let (matrix, right) = (&mut scratch.matrix, &mut scratch.right);
                    if system.solve::<S>(simd, stride, solution, matrix, right) {
                        system.leave_out::<S>(simd, stride, solution, matrix, right, &mut without);
                    } else {
                        // The row keeps its last value, and so do its entries.
                        without
                            .by_ref()
                            .take(columns.len())
                            .for_each(|into| into[..settings.dimensions].copy_from_slice(solution));
                    }
                }
            }
        }
    }
}

/// The system of one row: `(gram + Σ c y yᵀ + λ I) x = Σ (share + c) y`.
struct System<'a> {
    near: &'a [f32],
    confidences: &'a [f32],
    share: f32,
    gram: &'a [f32],
    regularisation: f32,
}

impl System<'_> {
    /// Takes steps of conjugate gradient from where `solution` stands. The matrix is never built.
    #[inline(always)]
    fn approach<S: Simd>(
        &self,
        simd: S,
        registers: usize,
        steps: usize,
        dimensions: usize,
        solution: &mut [f32],
        vectors: &mut [f32],
    ) {
        let stride = registers * S::F32_LANES;
        let (residual, rest) = vectors.split_at_mut(stride);
        let (direction, product) = rest.split_at_mut(stride);
        let residual = S::as_mut_simd_f32s(residual).0;
        let product = S::as_mut_simd_f32s(product).0;
        let (c, share) = (self.confidences, self.share);

        // b - A x, where b and A share the rows: Σ (share + c - c (y·x)) y - gram x - λ x.
        symmetric_product(simd, self.gram, &solution[..dimensions], product);
        let x = S::as_mut_simd_f32s(solution).0;
        add(simd, self.regularisation, x, product);
        for (residual, product) in residual.iter_mut().zip(&*product) {
            *residual = simd.neg_f32s(*product);
        }
        add_weighted(simd, self.near, x, residual, |at, along| share + c[at] - c[at] * along);
        S::as_mut_simd_f32s(direction).0.copy_from_slice(residual);
        let mut size = dot(simd, residual, residual);
        for _ in 0..steps {
            if size < 1e-20 {
                break;
            }
            symmetric_product(simd, self.gram, &direction[..dimensions], product);
            let p = S::as_mut_simd_f32s(direction).0;
            add(simd, self.regularisation, p, product);
            add_weighted(simd, self.near, p, product, |at, along| c[at] * along);
            let length = size / dot(simd, p, product);
            add(simd, length, p, x);
            add(simd, -length, product, residual);
            let next = dot(simd, residual, residual);
            let turn = simd.splat_f32s(next / size);
            for (p, residual) in p.iter_mut().zip(&*residual) {
                *p = simd.mul_add_e_f32s(turn, *p, *residual);
            }
            size = next;
        }
    }

    /// Builds the matrix and solves exactly.
    #[inline(always)]
    fn solve<S: Simd>(
        &self,
        simd: S,
        stride: usize,
        solution: &mut [f32],
        matrix: &mut [f32],
        right: &mut [f32],
    ) -> bool {
        let k = solution.len();
        for (i, (matrix, gram)) in matrix.chunks_exact_mut(k).zip(self.gram.chunks_exact(stride)).enumerate() {
            matrix.copy_from_slice(&gram[..k]);
            matrix[i] += self.regularisation;
        }
        right.fill(0.0);
        for (near, confidence) in self.near.chunks_exact(stride).zip(self.confidences) {
            linear::add_outer(simd, matrix, &near[..k], *confidence);
            vectors::axpy(simd, self.share + confidence, &near[..k], right);
        }
        let solved = linear::solve(simd, matrix, right);
        if solved {
            solution.copy_from_slice(right);
        }
        solved
    }

    /// Gives, for each entry, the solution of the system without it: with `A` the whole matrix, `y` the
    /// entry's vector and `z = A⁻¹ y`, that is `x + z (c x·y - share - c) / (1 - c y·z)`, by the formula of
    /// Sherman and Morrison. `factor` is what [`linear::solve`] left of `A`.
    #[inline(always)]
    fn leave_out<S: Simd>(
        &self,
        simd: S,
        stride: usize,
        solution: &[f32],
        factor: &[f32],
        z: &mut [f32],
        without: &mut ChunksExactMut<'_, f32>,
    ) {
        let k = solution.len();
        // In this order: an entry takes its place in `without` only if there is one.
        for ((near, c), into) in self.near.chunks_exact(stride).zip(self.confidences).zip(without) {
            let y = &near[..k];
            z.copy_from_slice(y);
            linear::substitute(simd, factor, z);
            // `c y·z` is below 1 for a positive definite matrix; rounding must not turn the sign.
            let rest = (1.0 - c * vectors::dot(simd, y, z)).max(1e-3);
            let length = (c * vectors::dot(simd, y, solution) - self.share - c) / rest;
            into[..k].copy_from_slice(solution);
            vectors::axpy(simd, length, z, &mut into[..k]);
        }
    }
}
