//! What came and went since a release was made: items with vectors of their own, and rows that are gone.
//!
//! One state of it never changes; the next shares what it does not touch. It is scanned whole, so it is kept small: what is new
//! in the hours between two releases.

use std::sync::Arc;

use releases::{lists::LANES, vectors};
use shared_models::ItemKey;

use super::{
    kernel::{self, Query},
    row_set::RowSet,
    search::Wanted,
};

/// Items of a chunk, which is copied when one is added to it.
const CHUNK: usize = 16 * LANES;
/// The most items that are added; those that come later wait for the next release.
pub const MOST: usize = 20_000;

/// Added items, and rows that are gone. Rows of added items follow those of the release, a chunk's one after another; those past
/// the end of a chunk are nobody's.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// Rows of the release.
    of_rows: usize,
    stride: usize,
    chunks: Vec<Arc<Chunk>>,
    count: usize,
    gone: RowSet,
}

/// Some of the added items, all of them new to the release or none.
#[derive(Clone, Debug)]
struct Chunk {
    is_new: bool,
    keys: Vec<ItemKey>,
    values: Vec<f32>,
    steps: Vec<f32>,
    codes: Vec<u8>,
}

impl Added {
    /// Nothing added to a release of so many rows of `stride` numbers, and nothing gone.
    #[must_use]
    pub fn to(of_rows: usize, stride: usize) -> Self {
        Self { of_rows, stride, ..Self::default() }
    }

    /// How many items were added, those that are gone again among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an item; its row. `is_new` says that the release does not know it. `None` where there is no room, or the
    /// vector is none of the release's.
    pub fn add(&mut self, key: ItemKey, vector: &[f32], is_new: bool) -> Option<u32> {
        if self.count >= MOST || vector.len() != self.stride || !vector.iter().all(|value| value.is_finite()) {
            return None;
        }
        let open = |chunk: &Arc<Chunk>| chunk.is_new == is_new && chunk.keys.len() < CHUNK;
        let at = self.chunks.iter().rposition(open).unwrap_or(self.chunks.len());
        if at == self.chunks.len() {
            self.chunks.push(Arc::new(Chunk::empty(self.stride, is_new)));
        }
        let chunk = Arc::make_mut(self.chunks.get_mut(at)?);
        let row = u32::try_from(self.of_rows + at * CHUNK + chunk.keys.len()).ok()?;
        chunk.add(key, vector);
        self.count += 1;
        Some(row)
    }

    /// Hides a row, of the release or added.
    pub fn hide(&mut self, row: u32) {
        self.gone.insert(row);
    }

    /// Shows a row of the release again.
    pub fn show(&mut self, row: u32) {
        self.gone.remove(row);
    }

    /// Whether a row is hidden.
    #[inline]
    #[must_use]
    pub fn is_gone(&self, row: u32) -> bool {
        self.gone.contains(row)
    }

    /// The item of an added row; `None` for a row of the release.
    #[must_use]
    pub fn key(&self, row: u32) -> Option<ItemKey> {
        let (chunk, at) = self.at(row)?;
        chunk.keys.get(at).copied()
    }

    /// The vector of an added row; `None` for a row of the release.
    #[must_use]
    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        let (chunk, at) = self.at(row)?;
        chunk.values.get(at * self.stride..(at + 1) * self.stride)
    }

    fn at(&self, row: u32) -> Option<(&Chunk, usize)> {
        let at = (row as usize).checked_sub(self.of_rows)?;
        Some((self.chunks.get(at / CHUNK)?, at % CHUNK))
    }

    /// The chunks that are wanted, with the row of their first item.
    fn chunks(&self, wanted: Wanted) -> impl Iterator<Item = (u32, &Chunk)> {
        let all = self.chunks.iter().enumerate();
        all.filter(move |(_, chunk)| match wanted {
            Wanted::None => false,
            Wanted::New => chunk.is_new,
            Wanted::All => true,
        })
        .map(|(at, chunk)| ((self.of_rows + at * CHUNK) as u32, &**chunk))
    }

    /// The added rows that are wanted and not gone.
    pub(super) fn rows(&self, wanted: Wanted) -> impl Iterator<Item = u32> + '_ {
        self.chunks(wanted)
            .flat_map(|(first, chunk)| first..first + chunk.keys.len() as u32)
            .filter(|row| !self.is_gone(*row))
    }

    /// Tells of each of them whose approximate product is above a floor; the floor is what telling gives back.
    pub(super) fn scan(&self, query: &Query, wanted: Wanted, mut floor: f32, mut tell: impl FnMut(u32, f32) -> f32) {
        let mut products = [0.0; CHUNK];
        for (first, chunk) in self.chunks(wanted) {
            query.scan(&chunk.codes, &chunk.steps, &mut products);
            for (row, (product, _)) in (first..).zip(products.iter().zip(&chunk.keys)) {
                if *product > floor && !self.is_gone(row) {
                    floor = tell(row, *product);
                }
            }
        }
    }
}

impl Chunk {
    fn empty(stride: usize, is_new: bool) -> Self {
        Self {
            is_new,
            keys: Vec::with_capacity(CHUNK),
            values: Vec::with_capacity(CHUNK * stride),
            steps: vec![0.0; CHUNK],
            codes: vec![releases::lists::ZERO; CHUNK * stride],
        }
    }

    fn add(&mut self, key: ItemKey, vector: &[f32]) {
        let (at, stride) = (self.keys.len(), vector.len());
        let mut coded = vec![0; stride];
        let step = kernel::quantise(vector, &mut coded);
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
        if let Some(block) = self.codes.chunks_exact_mut(stride * LANES).nth(at / LANES) {
            kernel::put(&coded, at % LANES, block);
        }
        self.keys.push(key);
        self.values.extend(vector);
    }
}

/// The mean of vectors, where there is one and it is not zero.
pub(super) fn mean<'a>(vectors: impl Iterator<Item = &'a [f32]>, stride: usize) -> Option<Vec<f32>> {
    let mut mean = vec![0.0; stride];
    let mut count = 0_u32;
    for vector in vectors.filter(|vector| vector.iter().any(|value| *value != 0.0)) {
        vectors::axpy(1.0, vector, &mut mean);
        count += 1;
    }
    mean.iter_mut().for_each(|value| *value /= count.max(1) as f32);
    mean.iter().any(|value| *value != 0.0).then_some(mean)
}
