//! One half of an epoch: every row of one side, with the other side held.

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use releases::{linear, vectors::simd as vectors};

use super::{
    Interactions, Settings, Solver,
    kernels::{add, add_weighted, dot},
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
    /// How many factors both sides have.
    pub(crate) dimensions: usize,
    /// `Σ y yᵀ` over the held side.
    pub(crate) gram: &'a Rows,
    /// Its diagonal, where the sides lie along its axes and it is nothing else; conjugate gradient asks for that.
    pub(crate) diagonal: &'a [f32],
    /// What the confidences of a solved row and of a held row are multiplied by; empty: by 1.
    pub(crate) damping: [&'a [f32]; 2],
}

/// Solves every row of `side`, in place.
pub(crate) fn side(held: Held<'_>, side: &mut Rows, settings: &Settings, solver: Solver) {
    side.blocks_mut(BLOCK).enumerate().for_each_init(
        || Scratch::new(held.dimensions),
        |scratch, (block, rows)| {
            let first = block * BLOCK;
            Arch::new().dispatch(Block { held, settings, solver, first, rows, scratch });
        },
    );
}

/// What one thread needs, kept between rows.
struct Scratch {
    /// The held rows of the present row's entries, side by side: fetched once, read at every step.
    near: Rows,
    /// The residual, the direction, the matrix's product with it, the system's diagonal and its inverse.
    vectors: Rows,
    confidences: Vec<f32>,
    matrix: Vec<f32>,
    right: Vec<f32>,
}

impl Scratch {
    fn new(dimensions: usize) -> Self {
        Self {
            near: Rows::zeros(0, dimensions),
            vectors: Rows::zeros(5, dimensions),
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
        let Self { held, settings, solver, first, rows, scratch } = self;
        let Held { interactions, dimensions, diagonal, damping: [of_rows, of_columns], .. } = held;
        let stride = registers * S::F32_LANES;
        for (at, solution) in rows.chunks_exact_mut(stride).enumerate() {
            let (columns, weights) = interactions.row(first + at);
            if columns.is_empty() {
                solution.fill(0.0);
                continue;
            }
            scratch.near.resize(columns.len());
            for (column, near) in columns.iter().zip(scratch.near.values_mut().chunks_exact_mut(stride)) {
                near.copy_from_slice(held.rows.row(*column as usize));
            }
            let alpha = settings.alpha * of_rows.get(first + at).copied().unwrap_or(1.0);
            scratch.confidences.clear();
            scratch.confidences.extend(
                columns
                    .iter()
                    .zip(weights)
                    .map(|(column, weight)| alpha * of_columns.get(*column as usize).copied().unwrap_or(1.0) * weight),
            );
            let total = interactions.columns() as f32 + scratch.confidences.iter().sum::<f32>();
            let system = System {
                near: &scratch.near.values()[..columns.len() * stride],
                confidences: &scratch.confidences,
                gram: held.gram.values(),
                regularisation: settings.regularisation * total.powf(settings.regularisation_exponent),
            };
            match solver {
                Solver::ConjugateGradient(steps) => {
                    let diagonal = S::as_simd_f32s(diagonal).0;
                    system.approach::<S>(simd, diagonal, steps.get(), solution, scratch.vectors.values_mut());
                }
                Solver::Cholesky => {
                    // A row whose matrix is singular keeps its last value.
                    let solution = &mut solution[..dimensions];
                    system.solve::<S>(simd, stride, solution, &mut scratch.matrix, &mut scratch.right);
                }
            }
        }
    }
}

/// The system of one row: `(gram + Σ c y yᵀ + λ I) x = Σ (1 + c) y`.
struct System<'a> {
    near: &'a [f32],
    confidences: &'a [f32],
    gram: &'a [f32],
    regularisation: f32,
}

impl System<'_> {
    /// Takes steps of conjugate gradient from where `solution` stands, preconditioned by the diagonal D of `gram + λ I`,
    /// which is all of it along the held side's axes. The matrix is never built.
    #[inline(always)]
    fn approach<S: Simd>(
        &self,
        simd: S,
        diagonal: &[S::f32s],
        steps: usize,
        solution: &mut [f32],
        vectors: &mut [f32],
    ) {
        let stride = diagonal.len() * S::F32_LANES;
        let (residual, rest) = vectors.split_at_mut(stride);
        let (direction, rest) = rest.split_at_mut(stride);
        let (product, rest) = rest.split_at_mut(stride);
        let (own, inverse) = rest.split_at_mut(stride);
        let residual = S::as_mut_simd_f32s(residual).0;
        let p = S::as_mut_simd_f32s(direction).0;
        let product = S::as_mut_simd_f32s(product).0;
        let own = S::as_mut_simd_f32s(own).0;
        let inverse = S::as_mut_simd_f32s(inverse).0;
        let x = S::as_mut_simd_f32s(solution).0;
        let c = self.confidences;
        let one = simd.splat_f32s(1.0);

        // b - A x, where b and A share the rows: Σ (1 + c - c (y·x)) y - D x.
        let strength = simd.splat_f32s(self.regularisation);
        for ((own, inverse), diagonal) in own.iter_mut().zip(&mut *inverse).zip(diagonal) {
            *own = simd.add_f32s(*diagonal, strength);
            *inverse = simd.div_f32s(one, *own);
        }
        for ((residual, own), x) in residual.iter_mut().zip(&*own).zip(&*x) {
            *residual = simd.neg_f32s(simd.mul_f32s(*own, *x));
        }
        add_weighted(simd, self.near, x, residual, |at, along| 1.0 + c[at] - c[at] * along);
        let mut size = simd.splat_f32s(0.0);
        for ((p, residual), inverse) in p.iter_mut().zip(&*residual).zip(&*inverse) {
            *p = simd.mul_f32s(*residual, *inverse);
            size = simd.mul_add_e_f32s(*p, *residual, size);
        }
        let mut size = simd.reduce_sum_f32s(size);
        for step in 1..=steps {
            if size < 1e-20 {
                break;
            }
            for ((product, own), p) in product.iter_mut().zip(&*own).zip(&*p) {
                *product = simd.mul_f32s(*own, *p);
            }
            add_weighted(simd, self.near, p, product, |at, along| c[at] * along);
            let length = size / dot(simd, p, product);
            add(simd, length, p, x);
            if step == steps {
                break;
            }
            add(simd, -length, product, residual);
            let mut next = simd.splat_f32s(0.0);
            for ((product, residual), inverse) in product.iter_mut().zip(&*residual).zip(&*inverse) {
                *product = simd.mul_f32s(*residual, *inverse);
                next = simd.mul_add_e_f32s(*product, *residual, next);
            }
            let next = simd.reduce_sum_f32s(next);
            let turn = simd.splat_f32s(next / size);
            for (p, product) in p.iter_mut().zip(&*product) {
                *p = simd.mul_add_e_f32s(turn, *p, *product);
            }
            size = next;
        }
    }

    /// Builds the matrix and solves exactly.
    #[inline(always)]
    fn solve<S: Simd>(&self, simd: S, stride: usize, solution: &mut [f32], matrix: &mut [f32], right: &mut [f32]) {
        let k = solution.len();
        for (i, (matrix, gram)) in matrix.chunks_exact_mut(k).zip(self.gram.chunks_exact(stride)).enumerate() {
            matrix.copy_from_slice(&gram[..k]);
            matrix[i] += self.regularisation;
        }
        right.fill(0.0);
        for (near, confidence) in self.near.chunks_exact(stride).zip(self.confidences) {
            linear::add_outer(simd, matrix, &near[..k], *confidence);
            vectors::axpy(simd, 1.0 + confidence, &near[..k], right);
        }
        if linear::solve(simd, matrix, right) {
            solution.copy_from_slice(right);
        }
    }
}
