//! Dot products of a few vectors with many, where all of them are asked for: a page's candidates with everything the
//! listener played.
//!
//! The many stand in tiles of sixteen, dimension by dimension, so that sixteen products grow side by side and none has to
//! be added up across a register; eight queries share each read. It must not know what the vectors mean.

use pulp::{Arch, Simd, WithSimd};

/// Vectors in a tile: a multiple of the lanes of every machine.
const TILE: usize = 16;
/// Queries that share a read.
const TOGETHER: usize = 8;

/// Many vectors in tiles. The last tile is filled up with zeros, so that every vector is computed alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tiles {
    count: usize,
    dimensions: usize,
    values: Vec<f32>,
}

impl Tiles {
    /// The tiles of vectors that stand one after another.
    #[must_use]
    pub fn of(vectors: &[f32], dimensions: usize) -> Self {
        if dimensions == 0 {
            return Self::default();
        }
        let count = vectors.len() / dimensions;
        let mut values = vec![0.0; count.next_multiple_of(TILE) * dimensions];
        let tiles = values.chunks_exact_mut(TILE * dimensions);
        for (tile, vectors) in tiles.zip(vectors.chunks(TILE * dimensions)) {
            for (lane, vector) in vectors.chunks_exact(dimensions).enumerate() {
                for (line, value) in tile.as_chunks_mut::<TILE>().0.iter_mut().zip(vector) {
                    line[lane] = *value;
                }
            }
        }
        Self { count, dimensions, values }
    }

    /// How many vectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The products of every query with every vector, query by query. A query of another length gives zeros.
    #[must_use]
    pub fn products(&self, queries: &[&[f32]]) -> Products {
        let stride = self.count.next_multiple_of(TILE);
        let mut values = vec![0.0; stride * queries.len().next_multiple_of(TOGETHER)];
        if self.dimensions > 0 && stride > 0 {
            let mut factors = vec![[0.0; TOGETHER]; self.dimensions];
            for (queries, out) in queries.chunks(TOGETHER).zip(values.chunks_exact_mut(stride * TOGETHER)) {
                factors.fill([0.0; TOGETHER]);
                for (at, query) in queries.iter().enumerate().filter(|(_, query)| query.len() == self.dimensions) {
                    for (place, value) in factors.iter_mut().zip(*query) {
                        place[at] = *value;
                    }
                }
                Arch::new().dispatch(Group { tiles: self, factors: &factors, out, stride });
            }
        }
        Products { count: self.count, stride, values }
    }
}

/// What [`Tiles::products`] gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Products {
    count: usize,
    stride: usize,
    values: Vec<f32>,
}

impl Products {
    /// The products of one query with every vector; empty past the last query.
    #[must_use]
    pub fn of(&self, query: usize) -> &[f32] {
        self.values.get(query * self.stride..query * self.stride + self.count).unwrap_or(&[])
    }
}

/// Queries, dimension by dimension, and where their products go.
struct Group<'a> {
    tiles: &'a Tiles,
    factors: &'a [[f32; TOGETHER]],
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, factors, out, stride } = self;
        for (tile, first) in tiles.values.chunks_exact(TILE * tiles.dimensions).zip((0..).step_by(TILE)) {
            // One register of lanes at a time: with the widest there is one to a tile.
            for at in 0..TILE / S::F32_LANES {
                let mut sums = [simd.splat_f32s(0.0); TOGETHER];
                for (line, factors) in tile.as_chunks::<TILE>().0.iter().zip(factors) {
                    let lanes = S::as_simd_f32s(line).0[at];
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = simd.mul_add_e_f32s(simd.splat_f32s(*factor), lanes, *sum);
                    }
                }
                for (sum, out) in sums.iter().zip(out.chunks_exact_mut(stride)) {
                    S::as_mut_simd_f32s(&mut out[first..first + TILE]).0[at] = *sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::dot;

    fn numbers(count: usize, salt: f32) -> Vec<f32> {
        (0..count).map(|n| (n as f32 * 0.37 + salt).sin()).collect()
    }

    #[test]
    fn products_are_those_of_single_vectors() {
        for dimensions in [1, 3, 16, 64, 65] {
            for count in [0, 1, 15, 16, 17, 50] {
                let vectors = numbers(count * dimensions, 0.1);
                let tiles = Tiles::of(&vectors, dimensions);
                assert_eq!(tiles.len(), count);
                let queries: Vec<Vec<f32>> = (0..6).map(|n| numbers(dimensions, n as f32)).collect();
                let products = tiles.products(&queries.iter().map(Vec::as_slice).collect::<Vec<_>>());
                for (at, query) in queries.iter().enumerate() {
                    assert_eq!(products.of(at).len(), count);
                    for (vector, product) in vectors.chunks_exact(dimensions).zip(products.of(at)) {
                        assert!((dot(vector, query) - product).abs() < 1e-5 * dimensions as f32);
                    }
                }
            }
        }
    }

    #[test]
    fn a_vector_has_the_same_product_wherever_it_stands() {
        let vectors = numbers(40 * 64, 0.3);
        let query = numbers(64, 0.7);
        let all = Tiles::of(&vectors, 64).products(&[&query]);
        for at in 0..40 {
            let alone = Tiles::of(&vectors[at * 64..(at + 1) * 64], 64).products(&[&numbers(64, 5.0), &query]);
            assert_eq!(alone.of(1)[0].to_bits(), all.of(0)[at].to_bits());
        }
    }

    #[test]
    fn nothing_is_an_answer_too() {
        assert!(Tiles::of(&[], 0).is_empty());
        assert_eq!(Tiles::of(&[], 0).products(&[&[1.0]]).of(0), &[] as &[f32]);
        assert_eq!(Tiles::of(&[1.0, 2.0], 2).products(&[&[1.0]]).of(0), &[0.0], "a query of another length");
        assert_eq!(Tiles::of(&[1.0, 2.0], 2).products(&[]).of(4), &[] as &[f32]);
    }
}
