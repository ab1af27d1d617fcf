//! Rows by their leaves, chunk by chunk: what the histograms of some leaves are taken over. A chunk is small enough
//! that its bins stay in the cache while its leaves are taken one after another.

use rayon::prelude::*;

use super::{CHUNK, packed::Packed};

/// No leaf that is wanted.
pub(super) const NONE: u8 = u8::MAX;

/// The rows of one chunk that belong to wanted leaves, leaf by leaf.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Places within the chunk.
    rows: Vec<u16>,
    gradients: Vec<Packed>,
    /// Where each wanted leaf begins, and where the last one ends.
    starts: Vec<u32>,
}

impl Sorted {
    /// A leaf's rows and their gradients.
    pub(super) fn leaf(&self, wanted: usize) -> (&[u16], &[Packed]) {
        let at = |n: usize| self.starts.get(n).copied().unwrap_or(0) as usize;
        let range = at(wanted)..at(wanted + 1);
        (self.rows.get(range.clone()).unwrap_or(&[]), self.gradients.get(range).unwrap_or(&[]))
    }

    fn fill(&mut self, leaves: &[u8], skipped: Option<&[u8]>, packed: &[Packed], rank: &[u8; 256], wanted: usize) {
        match skipped {
            Some(skipped) => {
                let ranks = || leaves.iter().zip(skipped).map(|(leaf, skip)| rank[usize::from(*leaf)] | skip);
                self.fill_ranked(ranks, leaves.len(), packed, wanted);
            }
            None => {
                self.fill_ranked(|| leaves.iter().map(|leaf| rank[usize::from(*leaf)]), leaves.len(), packed, wanted);
            }
        }
    }

    #[inline(always)]
    fn fill_ranked<I: Iterator<Item = u8>>(
        &mut self,
        ranks: impl Fn() -> I,
        rows: usize,
        packed: &[Packed],
        wanted: usize,
    ) {
        let mut counts = [0_u32; 256];
        ranks().for_each(|rank| counts[usize::from(rank)] += 1);
        self.starts.clear();
        let (mut end, mut places) = (0, [0_u32; 256]);
        for rank in 0..wanted {
            self.starts.push(end);
            places[rank] = end;
            end += counts[rank];
        }
        self.starts.push(end);
        places[usize::from(NONE)] = end;
        // Rows that nobody wants are written behind all others: cheaper than to ask of each.
        self.rows.resize(rows, 0);
        self.gradients.resize(rows, 0);
        for (row, (rank, gradient)) in ranks().zip(packed).enumerate() {
            let place = &mut places[usize::from(rank)];
            if let (Some(to), Some(to_gradient)) =
                (self.rows.get_mut(*place as usize), self.gradients.get_mut(*place as usize))
            {
                (*to, *to_gradient) = (row as u16, *gradient);
            }
            *place += 1;
        }
    }
}

/// Sorts all chunks: a leaf's `rank` says which of the wanted it is, or [`NONE`]. A row whose `skipped` is [`NONE`]
/// belongs to none; all others have 0 there.
pub(super) fn sort(
    chunks: &mut Vec<Sorted>,
    leaves: &[u8],
    skipped: Option<&[u8]>,
    packed: &[Packed],
    rank: &[u8; 256],
    wanted: usize,
) {
    chunks.resize_with(leaves.len().div_ceil(CHUNK), Sorted::default);
    chunks.par_iter_mut().enumerate().for_each(|(at, chunk)| {
        let range = at * CHUNK..((at + 1) * CHUNK).min(leaves.len());
        let skipped = skipped.and_then(|skipped| skipped.get(range.clone()));
        chunk.fill(&leaves[range.clone()], skipped, &packed[range], rank, wanted);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_leaves_have_their_rows_in_order() {
        let leaves = [0, 3, 1, 3, 0, 1];
        let packed = [10, 11, 12, 13, 14, 15];
        let mut rank = [NONE; 256];
        (rank[3], rank[0]) = (0, 1);
        let mut chunks = Vec::new();
        sort(&mut chunks, &leaves, None, &packed, &rank, 2);
        assert_eq!(chunks[0].leaf(0), (&[1_u16, 3][..], &[11_u64, 13][..]));
        assert_eq!(chunks[0].leaf(1), (&[0_u16, 4][..], &[10_u64, 14][..]));
        sort(&mut chunks, &leaves, Some(&[NONE, 0, 0, NONE, 0, 0]), &packed, &rank, 2);
        assert_eq!(
            (chunks[0].leaf(0), chunks[0].leaf(1)),
            ((&[1_u16][..], &[11_u64][..]), (&[4_u16][..], &[14_u64][..]))
        );
    }
}
