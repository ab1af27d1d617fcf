//! Walks over the graph of users and items, for as many users at once as a vector register has lanes.
//!
//! It must not know what is walked for.

use pulp::{Arch, Simd, WithSimd};

use crate::{dense::Matrix, factors::Interactions};

/// Users that walk together.
pub(super) const LANES: usize = 16;

/// A number for each of them.
pub(super) type Lanes = [f32; LANES];

/// `S = D_u^-a R D_i^-b` from both sides.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    by_user: Steps,
    by_item: Steps,
}

/// A sparse matrix by rows.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    offsets: Vec<usize>,
    /// Where to, and how much goes there.
    ends: Vec<(u32, f32)>,
}

impl Steps {
    fn new(chosen: &Interactions, of_rows: &[f32], of_columns: &[f32]) -> Self {
        let mut steps = Self { offsets: vec![0], ends: Vec::with_capacity(chosen.len()) };
        for (row, of_row) in of_rows.iter().enumerate() {
            let (columns, _) = chosen.row(row);
            steps.ends.extend(columns.iter().map(|column| (*column, of_row * of_columns[*column as usize])));
            steps.offsets.push(steps.ends.len());
        }
        steps
    }

    pub(super) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[(u32, f32)] {
        &self.ends[self.offsets[row]..self.offsets[row + 1]]
    }
}

impl Walk {
    pub(super) fn new(chosen: &Interactions, by_item: &Interactions, of_users: &[f32], of_items: &[f32]) -> Self {
        Self { by_user: Steps::new(chosen, of_users, of_items), by_item: Steps::new(by_item, of_items, of_users) }
    }

    pub(super) fn by_user(&self) -> &Steps {
        &self.by_user
    }

    pub(super) fn by_item(&self) -> &Steps {
        &self.by_item
    }

    /// `P x`: from items over users to items.
    pub(super) fn step(&self, from: &[Lanes]) -> Vec<Lanes> {
        let mut users = vec![[0.0; LANES]; self.by_user.rows()];
        let mut items = vec![[0.0; LANES]; self.by_item.rows()];
        let arch = Arch::new();
        arch.dispatch(Half { steps: &self.by_user, from, into: &mut users });
        arch.dispatch(Half { steps: &self.by_item, from: &users, into: &mut items });
        items
    }
}

struct Half<'a> {
    steps: &'a Steps,
    from: &'a [Lanes],
    into: &'a mut [Lanes],
}

impl WithSimd for Half<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match LANES / S::F32_LANES {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            _ => self.plain(),
        }
    }
}

impl Half<'_> {
    /// With the lanes in N registers.
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let Self { steps, from, into } = self;
        for (row, into) in into.iter_mut().enumerate() {
            // Two sums, so that no addition waits for the one before.
            let mut sums = [[simd.splat_f32s(0.0); N]; 2];
            for (number, (end, weight)) in steps.row(row).iter().enumerate() {
                let (lanes, _) = S::as_simd_f32s(&from[*end as usize]);
                let weight = simd.splat_f32s(*weight);
                for at in 0..N {
                    sums[number % 2][at] = simd.mul_add_e_f32s(weight, lanes[at], sums[number % 2][at]);
                }
            }
            let (into, _) = S::as_mut_simd_f32s(into);
            for at in 0..N {
                into[at] = simd.add_f32s(sums[0][at], sums[1][at]);
            }
        }
    }

    fn plain(self) {
        let Self { steps, from, into } = self;
        for (row, into) in into.iter_mut().enumerate() {
            *into = [0.0; LANES];
            for (end, weight) in steps.row(row) {
                for (sum, value) in into.iter_mut().zip(&from[*end as usize]) {
                    *sum += weight * value;
                }
            }
        }
    }
}

/// `scores = behind · scores + weight · widen · (basis · smooth)`, item by item.
pub(super) fn finish(
    scores: &mut [Lanes],
    behind: &[f32],
    weight: f32,
    basis: &Matrix,
    smooth: &[Lanes],
    widen: &[f32],
) {
    struct Finish<'a> {
        scores: &'a mut [Lanes],
        behind: &'a [f32],
        weight: f32,
        basis: &'a Matrix,
        smooth: &'a [Lanes],
        widen: &'a [f32],
    }
    impl WithSimd for Finish<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            match LANES / S::F32_LANES {
                1 => self.run::<S, 1>(simd),
                2 => self.run::<S, 2>(simd),
                _ => self.plain(),
            }
        }
    }
    impl Finish<'_> {
        /// With the lanes in N registers. One load of a signal serves four items.
        #[inline(always)]
        fn run<S: Simd, const N: usize>(self, simd: S) {
            let whole = self.scores.len() / 4 * 4;
            let (fours, rest) = self.scores.split_at_mut(whole);
            for (block, scores) in fours.chunks_exact_mut(4).enumerate() {
                let first = 4 * block;
                let mut sums = [[simd.splat_f32s(0.0); N]; 4];
                let [a, b, c, d] = [first, first + 1, first + 2, first + 3].map(|item| self.basis.row(item).iter());
                for (((a, b), (c, d)), smooth) in a.zip(b).zip(c.zip(d)).zip(self.smooth) {
                    let (smooth, _) = S::as_simd_f32s(smooth);
                    for (sums, value) in sums.iter_mut().zip([a, b, c, d]) {
                        let value = simd.splat_f32s(*value);
                        for at in 0..N {
                            sums[at] = simd.mul_add_e_f32s(value, smooth[at], sums[at]);
                        }
                    }
                }
                for ((item, score), sums) in (first..).zip(scores).zip(sums) {
                    let behind = simd.splat_f32s(self.behind[item]);
                    let widen = simd.splat_f32s(self.weight * self.widen[item]);
                    let (score, _) = S::as_mut_simd_f32s(score);
                    for at in 0..N {
                        score[at] = simd.mul_add_e_f32s(behind, score[at], simd.mul_f32s(widen, sums[at]));
                    }
                }
            }
            Finish { scores: rest, behind: &self.behind[whole..], widen: &self.widen[whole..], ..self }
                .plain_from(whole);
        }

        fn plain(self) {
            self.plain_from(0);
        }

        /// The items from `first` on, which are all that `scores`, `behind` and `widen` hold.
        fn plain_from(self, first: usize) {
            for (at, score) in self.scores.iter_mut().enumerate() {
                let mut sum = [0.0_f32; LANES];
                for (value, smooth) in self.basis.row(first + at).iter().zip(self.smooth) {
                    for (sum, smooth) in sum.iter_mut().zip(smooth) {
                        *sum += value * smooth;
                    }
                }
                let (behind, widen) = (self.behind[at], self.weight * self.widen[at]);
                for (score, sum) in score.iter_mut().zip(sum) {
                    *score = behind * *score + widen * sum;
                }
            }
        }
    }
    Arch::new().dispatch(Finish { scores, behind, weight, basis, smooth, widen });
}
