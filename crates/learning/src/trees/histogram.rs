//! Histograms of gradients over bins, for eight features at a time: their bars fit the cache nearest to the processor,
//! and one word of a row has its bins of all eight.

use rayon::prelude::*;

use super::{
    CHUNK,
    bins::{TOGETHER, Word},
    packed::Packed,
    sorted::Sorted,
};

/// A leaf's sums of gradients by bin, for eight features.
pub(super) type Bars = [[Packed; 256]; TOGETHER];

const EMPTY: Bars = [[0; 256]; TOGETHER];

/// The histograms of all leaves of a tree that grows, for eight features.
#[derive(Debug, Default)]
pub(super) struct Histograms {
    bars: Vec<Bars>,
}

impl Histograms {
    /// The bars at a place.
    pub(super) fn bars(&self, slot: usize) -> &Bars {
        self.bars.get(slot).unwrap_or(&EMPTY)
    }

    /// The bars of the root from all rows.
    pub(super) fn all(&mut self, words: &[Word], packed: &[Packed]) {
        self.clear(1);
        if let Some(bars) = self.bars.first_mut() {
            for (word, gradient) in words.iter().zip(packed) {
                add(bars, *word, *gradient);
            }
        }
    }

    /// The bars of the root from the rows that were sorted.
    pub(super) fn root(&mut self, words: &[Word], chunks: &[Sorted]) {
        self.clear(1);
        if let Some(bars) = self.bars.first_mut() {
            for (words, chunk) in words.chunks(CHUNK).zip(chunks) {
                fill(bars, words, chunk, 0);
            }
        }
    }

    /// The bars of both halves of leaves: of the sorted half from its rows, behind all others, and of the other by what
    /// is then left of the whole, where that stood: `wholes` says where. As many `parts` of the leaves as there are
    /// threads to spare go side by side.
    pub(super) fn divide(&mut self, words: &[Word], chunks: &[Sorted], wholes: &[usize], parts: usize) {
        let leaves = wholes.len();
        self.bars.resize((2 * leaves).max(self.bars.len()), EMPTY);
        let (old, fresh) = self.bars.split_at_mut(leaves);
        let each = leaves.div_ceil(parts.max(1)).max(1);
        fresh[..leaves].par_chunks_mut(each).enumerate().for_each(|(part, fresh)| {
            fresh.iter_mut().for_each(|bars| *bars = EMPTY);
            for (words, chunk) in words.chunks(CHUNK).zip(chunks) {
                for (n, bars) in fresh.iter_mut().enumerate() {
                    fill(bars, words, chunk, part * each + n);
                }
            }
        });
        for (whole, fresh) in wholes.iter().zip(fresh) {
            let Some(whole) = old.get_mut(*whole) else { continue };
            for (whole, fresh) in whole.as_flattened_mut().iter_mut().zip(fresh.as_flattened()) {
                *whole = whole.wrapping_sub(*fresh);
            }
        }
    }

    fn clear(&mut self, slots: usize) {
        self.bars.resize(slots.max(self.bars.len()), EMPTY);
        self.bars.iter_mut().take(slots).for_each(|bars| *bars = EMPTY);
    }
}

fn fill(bars: &mut Bars, words: &[Word], chunk: &Sorted, wanted: usize) {
    let (rows, gradients) = chunk.leaf(wanted);
    for (row, gradient) in rows.iter().zip(gradients) {
        if let Some(word) = words.get(usize::from(*row)) {
            add(bars, *word, *gradient);
        }
    }
}

#[inline(always)]
fn add(bars: &mut Bars, word: Word, gradient: Packed) {
    for (bars, bin) in bars.iter_mut().zip(word) {
        let bar = &mut bars[usize::from(bin)];
        *bar = bar.wrapping_add(gradient);
    }
}
