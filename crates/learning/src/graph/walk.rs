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
    fn with_simd<S: Simd>(self, _: S) {
        let Self { steps, from, into } = self;
        for (row, into) in into.iter_mut().enumerate() {
            // Two sums, so that no addition waits for the one before.
            let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
            let (pairs, last) = pulp::as_arrays::<2, _>(steps.row(row));
            for [(a, a_weight), (b, b_weight)] in pairs {
                let (a, b) = (&from[*a as usize], &from[*b as usize]);
                for lane in 0..LANES {
                    even[lane] += a_weight * a[lane];
                    odd[lane] += b_weight * b[lane];
                }
            }
            for (a, weight) in last {
                for (sum, value) in even.iter_mut().zip(&from[*a as usize]) {
                    *sum += weight * value;
                }
            }
            for lane in 0..LANES {
                into[lane] = even[lane] + odd[lane];
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
        fn with_simd<S: Simd>(self, _: S) {
            let Self { scores, behind, weight, basis, smooth, widen } = self;
            // One load of a signal serves four items.
            for (block, scores) in scores.chunks_mut(4).enumerate() {
                let first = 4 * block;
                let mut sums = [[0.0_f32; LANES]; 4];
                if scores.len() == 4 {
                    let rows: [&[f32]; 4] = std::array::from_fn(|at| basis.row(first + at));
                    for (k, smooth) in smooth.iter().enumerate() {
                        for at in 0..4 {
                            let value = rows[at][k];
                            for lane in 0..LANES {
                                sums[at][lane] += value * smooth[lane];
                            }
                        }
                    }
                } else {
                    for (at, sum) in sums.iter_mut().enumerate().take(scores.len()) {
                        for (value, smooth) in basis.row(first + at).iter().zip(smooth) {
                            for lane in 0..LANES {
                                sum[lane] += value * smooth[lane];
                            }
                        }
                    }
                }
                for (at, score) in scores.iter_mut().enumerate() {
                    let (behind, widen) = (behind[first + at], weight * widen[first + at]);
                    for lane in 0..LANES {
                        score[lane] = behind * score[lane] + widen * sums[at][lane];
                    }
                }
            }
        }
    }
    Arch::new().dispatch(Finish { scores, behind, weight, basis, smooth, widen });
}
