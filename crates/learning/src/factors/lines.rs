//! Dense rows that begin on cache lines, so that no wide load straddles two.

use bytemuck::{Pod, Zeroable};
use rayon::{
    iter::IndexedParallelIterator,
    slice::{ParallelSlice, ParallelSliceMut},
};

/// Numbers in a cache line, and in the widest vector register there is.
pub(crate) const LINE: usize = 16;

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Line([f32; LINE]);

/// A table of `f32` rows, each padded with zeros to whole cache lines.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    lines: Vec<Line>,
    rows: usize,
    stride: usize,
}

impl Rows {
    pub(crate) fn zeros(rows: usize, dimensions: usize) -> Self {
        let stride = dimensions.next_multiple_of(LINE);
        Self { lines: vec![Line::zeroed(); rows * stride / LINE], rows, stride }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Numbers in a row, padding included.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    pub(crate) fn values(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    #[inline]
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values()[row * self.stride..(row + 1) * self.stride]
    }

    #[inline]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let stride = self.stride;
        &mut self.values_mut()[row * stride..(row + 1) * stride]
    }

    /// Makes room for `rows` rows; what they hold is not said.
    pub(crate) fn resize(&mut self, rows: usize) {
        let lines = rows * self.stride / LINE;
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::zeroed());
        }
        self.rows = rows;
    }

    /// Blocks of rows, for threads to share.
    pub(crate) fn blocks(&self, rows: usize) -> impl IndexedParallelIterator<Item = &[f32]> {
        self.values().par_chunks(rows * self.stride)
    }

    /// Blocks of rows to write, for threads to share.
    pub(crate) fn blocks_mut(&mut self, rows: usize) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        let size = rows * self.stride;
        self.values_mut().par_chunks_mut(size)
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.values().iter().all(|value| value.is_finite())
    }
}
