//! The product of two matrices, in the form of Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication" (ACM TOMS 2008): blocks that fit a cache are packed in the order in which the kernel reads
//! them, and a tile of the result is kept in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};

use super::Matrix;

/// Rows of a tile.
const ROWS: usize = 6;
/// Columns of a tile: two registers of 16 lanes, four of 8.
const COLUMNS: usize = 32;
/// How much of the inner dimension is packed at once.
const DEPTH: usize = 256;
/// Rows of the result that a thread takes at a time.
const BLOCK: usize = 16 * ROWS;

/// A matrix that is read, perhaps a part of a larger one, perhaps with its sides exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    values: &'a [f32],
    stride: usize,
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a> Operand<'a> {
    /// All of a matrix.
    #[must_use]
    pub fn of(matrix: &'a Matrix) -> Self {
        Self::part(&matrix.values, matrix.columns, matrix.rows, matrix.columns)
    }

    /// The first `columns` of `rows` rows that begin `stride` apart.
    #[must_use]
    pub fn part(values: &'a [f32], stride: usize, rows: usize, columns: usize) -> Self {
        Self { values, stride, rows, columns, transposed: false }
    }

    /// The same with rows as columns.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    #[inline]
    fn at(&self, row: usize, column: usize) -> f32 {
        let at = if self.transposed { column * self.stride + row } else { row * self.stride + column };
        self.values[at]
    }
}

/// `into += weight · a · b`, where the rows of `into` begin `stride` apart.
pub fn add_product(weight: f32, a: Operand<'_>, b: Operand<'_>, into: &mut [f32], stride: usize) {
    product(weight, a, b, into, stride, false);
}

/// The same for a square result of which only the lower triangle is wanted.
pub(super) fn add_lower_product(weight: f32, a: Operand<'_>, b: Operand<'_>, into: &mut [f32], stride: usize) {
    product(weight, a, b, into, stride, true);
}

fn product(weight: f32, a: Operand<'_>, b: Operand<'_>, into: &mut [f32], stride: usize, lower: bool) {
    let (columns, depth) = (b.columns, a.columns.min(b.rows));
    if a.rows == 0 || columns == 0 || depth == 0 {
        return;
    }
    let panels = columns.div_ceil(COLUMNS);
    let mut packed = vec![0.0_f32; panels * COLUMNS * DEPTH.min(depth)];
    for from in (0..depth).step_by(DEPTH) {
        let deep = DEPTH.min(depth - from);
        let packed = &mut packed[..panels * COLUMNS * deep];
        packed.par_chunks_mut(COLUMNS * deep).enumerate().for_each(|(panel, packed)| {
            let first = panel * COLUMNS;
            let wide = COLUMNS.min(columns - first);
            for (k, line) in packed.chunks_exact_mut(COLUMNS).enumerate() {
                line.fill(0.0);
                for (at, value) in line[..wide].iter_mut().enumerate() {
                    *value = b.at(from + k, first + at);
                }
            }
        });
        let packed = &*packed;
        into.par_chunks_mut(BLOCK * stride).take(a.rows.div_ceil(BLOCK)).enumerate().for_each_init(
            || vec![0.0_f32; ROWS * DEPTH],
            |scratch, (block, into)| {
                let first = block * BLOCK;
                let rows = BLOCK.min(a.rows - first);
                for tile in (0..rows).step_by(ROWS) {
                    let high = ROWS.min(rows - tile);
                    let scratch = &mut scratch[..ROWS * deep];
                    for (k, line) in scratch.chunks_exact_mut(ROWS).enumerate() {
                        line.fill(0.0);
                        for (at, value) in line[..high].iter_mut().enumerate() {
                            *value = weight * a.at(first + tile + at, from + k);
                        }
                    }
                    // Above the diagonal nothing is wanted.
                    let wide = if lower { columns.min(first + tile + high) } else { columns };
                    let into = &mut into[tile * stride..];
                    Arch::new().dispatch(Strip { a: scratch, b: packed, deep, high, wide, into, stride });
                }
            },
        );
    }
}

/// A strip of the result as high as a tile.
struct Strip<'a> {
    a: &'a [f32],
    b: &'a [f32],
    deep: usize,
    high: usize,
    wide: usize,
    into: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, deep, high, wide, into, stride } = self;
        let mut tile = [[0.0_f32; COLUMNS]; ROWS];
        for (panel, b) in b.chunks_exact(COLUMNS * deep).take(wide.div_ceil(COLUMNS)).enumerate() {
            match COLUMNS / S::F32_LANES {
                2 => fill::<S, 2>(simd, a, b, &mut tile),
                _ => halves::<S>(simd, a, b, &mut tile),
            }
            let first = panel * COLUMNS;
            let wide = COLUMNS.min(wide - first);
            for (row, tile) in tile.iter().take(high).enumerate() {
                let into = &mut into[row * stride + first..][..wide];
                for (into, value) in into.iter_mut().zip(tile) {
                    *into += value;
                }
            }
        }
    }
}

/// `tile = a · b` with all of the tile in registers.
#[inline(always)]
fn fill<S: Simd, const N: usize>(simd: S, a: &[f32], b: &[f32], tile: &mut [[f32; COLUMNS]; ROWS]) {
    let mut sums = [[simd.splat_f32s(0.0); N]; ROWS];
    let (b, _) = S::as_simd_f32s(b);
    for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(N)) {
        for row in 0..ROWS {
            let value = simd.splat_f32s(a[row]);
            for at in 0..N {
                sums[row][at] = simd.mul_add_e_f32s(value, b[at], sums[row][at]);
            }
        }
    }
    for (tile, sums) in tile.iter_mut().zip(sums) {
        let (tile, _) = S::as_mut_simd_f32s(tile);
        for (into, sum) in tile.iter_mut().zip(sums) {
            *into = sum;
        }
    }
}

/// The same with narrow registers: two of them at a time, several times over the depth.
#[inline(always)]
fn halves<S: Simd>(simd: S, a: &[f32], b: &[f32], tile: &mut [[f32; COLUMNS]; ROWS]) {
    let registers = COLUMNS / S::F32_LANES;
    let (b, _) = S::as_simd_f32s(b);
    for first in (0..registers).step_by(2) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
        for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(registers)) {
            for row in 0..ROWS {
                let value = simd.splat_f32s(a[row]);
                sums[row][0] = simd.mul_add_e_f32s(value, b[first], sums[row][0]);
                sums[row][1] = simd.mul_add_e_f32s(value, b[first + 1], sums[row][1]);
            }
        }
        for (tile, sums) in tile.iter_mut().zip(sums) {
            let (tile, _) = S::as_mut_simd_f32s(tile);
            tile[first] = sums[0];
            tile[first + 1] = sums[1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared_models::Seed;

    fn random(rows: usize, columns: usize, name: &str) -> Matrix {
        use rand::RngExt;
        let mut random = Seed(7).stream(name);
        let values = (0..rows * columns).map(|_| random.random_range(-1.0..1.0)).collect();
        Matrix { rows, columns, values }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agrees_with_the_definition(rows in 1_usize..210, columns in 1_usize..70, depth in 1_usize..300, which in 0_u8..4) {
            let (a, b) = (random(rows, depth, "a"), random(depth, columns, "b"));
            let flip = |matrix: &Matrix| {
                let mut flipped = Matrix::zeros(matrix.columns, matrix.rows);
                for row in 0..matrix.rows {
                    for column in 0..matrix.columns {
                        flipped.values[column * matrix.rows + row] = matrix.row(row)[column];
                    }
                }
                flipped
            };
            let product = match which {
                0 => flip(&a).transposed_times(&b),
                1 => a.times_transposed(&flip(&b)),
                _ => a.times(&b),
            };
            for row in 0..rows {
                for column in 0..columns {
                    let plain: f32 = (0..depth).map(|k| a.row(row)[k] * b.row(k)[column]).sum();
                    prop_assert!((plain - product.row(row)[column]).abs() < 1e-3);
                }
            }
        }
    }

    #[test]
    fn the_lower_triangle_alone_may_be_wanted() {
        let a = random(130, 40, "a");
        let (mut all, mut lower) = (Matrix::zeros(130, 130), Matrix::zeros(130, 130));
        add_product(1.0, Operand::of(&a), Operand::of(&a).transposed(), &mut all.values, 130);
        add_lower_product(1.0, Operand::of(&a), Operand::of(&a).transposed(), &mut lower.values, 130);
        for row in 0..130 {
            assert_eq!(all.row(row)[..=row], lower.row(row)[..=row]);
        }
    }
}
