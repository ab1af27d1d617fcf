//! The evaluation: sums of trees over binned tables, block by block. All ways to evaluate add the same numbers in the
//! same order, so that a sum does not depend on the machine.

#[cfg(target_arch = "x86_64")]
mod wide;

use pulp::{Arch, Simd, WithSimd};

use super::{
    bins::{BLOCK, Binned, Lane},
    form::{Ensemble, MOST_DEPTH, Tree},
};

/// Leaves of a tree of up to six levels; deeper ones take a whole number of these.
const LEAVES: usize = 64;

/// A question, ready to be asked: is the bin in a lane more than this one?
#[derive(Clone, Copy, Debug, Default)]
struct Question {
    lane: u16,
    border: u8,
}

#[derive(Clone, Copy, Debug)]
struct Packed {
    questions: [Question; MOST_DEPTH],
    depth: u8,
    /// The first of its leaves, in units of [`LEAVES`].
    first: u32,
}

impl Packed {
    fn questions(&self) -> &[Question] {
        self.questions.get(..usize::from(self.depth)).unwrap_or(&self.questions)
    }

    /// How many units its leaves take.
    fn units(&self) -> usize {
        1 << usize::from(self.depth).saturating_sub(6)
    }
}

/// A sum of trees, ready to be evaluated.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    bias: f64,
    trees: Vec<Packed>,
    /// All leaves; a tree of fewer levels than six has its own again until the unit is full.
    leaves: Vec<[f32; LEAVES]>,
    /// The same as bytes: of each tree the lowest bytes of all leaves, then the next, so that a byte is looked up in a
    /// register or a few.
    planes: Vec<Plane>,
}

/// One byte of 64 leaves.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Plane([u8; LEAVES]);

impl Kernel {
    /// Packs trees that were validated.
    pub(super) fn of(ensemble: &Ensemble) -> Self {
        let mut kernel = Self { bias: ensemble.bias, trees: Vec::new(), leaves: Vec::new(), planes: Vec::new() };
        for tree in &ensemble.trees {
            kernel.push(tree);
        }
        kernel
    }

    fn push(&mut self, tree: &Tree) {
        let mut packed = Packed {
            questions: [Question::default(); MOST_DEPTH],
            depth: tree.levels.len() as u8,
            first: self.leaves.len() as u32,
        };
        for (question, level) in packed.questions.iter_mut().zip(&tree.levels) {
            *question = Question { lane: level.column as u16, border: level.border as u8 };
        }
        let mut leaves = tree.leaves.iter().cycle();
        let units: Vec<[f32; LEAVES]> =
            (0..packed.units()).map(|_| std::array::from_fn(|_| leaves.next().copied().unwrap_or(0.0))).collect();
        for byte in 0..4 {
            self.planes.extend(units.iter().map(|unit| Plane(unit.map(|leaf| leaf.to_le_bytes()[byte]))));
        }
        self.leaves.extend(units);
        self.trees.push(packed);
    }

    /// Writes bias and sum for each row of a table, as many as there are rows and places.
    pub(super) fn raw(&self, binned: &Binned, raw: &mut [f64]) {
        let mut sums = [0.0; BLOCK];
        for ((lanes, rows), raw) in binned.blocks().zip(raw.chunks_mut(BLOCK)) {
            self.block(lanes, rows, &mut sums);
            for (raw, sum) in raw.iter_mut().zip(&sums) {
                *raw = self.bias + f64::from(*sum);
            }
        }
    }

    fn block(&self, lanes: &[Lane], rows: usize, sums: &mut [f32; BLOCK]) {
        #[cfg(target_arch = "x86_64")]
        if wide::block(self, lanes, rows, sums) {
            return;
        }
        Arch::new().dispatch(Plain { kernel: self, lanes, sums });
    }
}

/// The evaluation in plain numbers, which the compiler spreads over what the machine has.
struct Plain<'a> {
    kernel: &'a Kernel,
    lanes: &'a [Lane],
    sums: &'a mut [f32; BLOCK],
}

impl WithSimd for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { kernel, lanes, sums } = self;
        sums.fill(0.0);
        for tree in &kernel.trees {
            let mut places = [0_u8; BLOCK];
            for (n, question) in tree.questions().iter().enumerate() {
                let Some(lane) = lanes.get(usize::from(question.lane)) else { continue };
                let bit = 1_u8 << n;
                for (place, bin) in places.iter_mut().zip(&lane.0) {
                    *place |= if *bin > question.border { bit } else { 0 };
                }
            }
            let first = tree.first as usize;
            let units = kernel.leaves.get(first..first + tree.units()).unwrap_or(&[]);
            match units {
                [leaves] => look_up(leaves, &places, sums),
                [_, _] => units.as_flattened().as_chunks::<128>().0.iter().for_each(|l| look_up(l, &places, sums)),
                _ => units.as_flattened().as_chunks::<256>().0.iter().for_each(|l| look_up(l, &places, sums)),
            }
        }
    }
}

#[inline(always)]
fn look_up<const N: usize>(leaves: &[f32; N], places: &[u8; BLOCK], sums: &mut [f32; BLOCK]) {
    for (sum, place) in sums.iter_mut().zip(places) {
        *sum += leaves[usize::from(*place) % N];
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::{
        Xoshiro256PlusPlus,
        rand_core::{Rng, SeedableRng},
    };

    use super::*;
    use crate::scorers::trees::{Level, bins::Search};

    /// Trees of these depths over 5 columns of 200 borders, with leaves of all sizes.
    fn ensemble(depths: &[usize], rng: &mut impl Rng) -> Ensemble {
        let trees = depths.iter().map(|depth| Tree {
            levels: (0..*depth)
                .map(|_| Level { column: rng.next_u32() as usize % 5, border: rng.next_u32() as usize % 200 })
                .collect(),
            leaves: (0..1 << depth).map(|_| (rng.next_u32() as f32 / 4e9 - 0.5) * (rng.next_u32() as f32)).collect(),
        });
        Ensemble { bias: 0.25, trees: trees.collect() }
    }

    fn expected(ensemble: &Ensemble, row: &[f32]) -> f64 {
        let sum = ensemble.trees.iter().fold(0.0_f32, |sum, tree| {
            let place = |(n, level): (usize, &Level)| usize::from(row[level.column] > level.border as f32) << n;
            sum + tree.leaves[tree.levels.iter().enumerate().map(place).sum::<usize>()]
        });
        ensemble.bias + f64::from(sum)
    }

    #[test]
    fn all_ways_to_evaluate_give_the_same_bits() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        let borders: Vec<f32> = (0..200).map(|n| n as f32).collect();
        let searches: Vec<Search> = (0..5).map(|_| Search::of(&borders)).collect();
        for depths in [&[6_usize; 20][..], &[1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 1], &[]] {
            for rows in [1, 63, 64, 65, 256, 257, 700] {
                let ensemble = ensemble(depths, &mut rng);
                let columns: Vec<Vec<f32>> =
                    (0..5).map(|_| (0..rows).map(|_| (rng.next_u32() % 210) as f32 - 3.0).collect()).collect();
                let binned = Binned::of(&searches, rows, |column| &columns[column]);
                let kernel = Kernel::of(&ensemble);
                let mut raw = vec![f64::NAN; rows];
                kernel.raw(&binned, &mut raw);
                let mut sums = [f32::NAN; BLOCK];
                for (row, raw) in raw.iter().enumerate() {
                    if row % BLOCK == 0 {
                        let lanes = binned.blocks().nth(row / BLOCK).unwrap().0;
                        Arch::new().dispatch(Plain { kernel: &kernel, lanes, sums: &mut sums });
                    }
                    let numbers: Vec<f32> = columns.iter().map(|column| column[row]).collect();
                    assert_eq!(*raw, expected(&ensemble, &numbers), "row {row} of {rows}");
                    assert_eq!(*raw, kernel.bias + f64::from(sums[row % BLOCK]), "plain, row {row} of {rows}");
                }
            }
        }
    }
}
