//! Evaluation of a forest on bytes, 128 rows at a time, in plain numbers that the compiler spreads over the widest
//! instructions the machine has (crate `pulp` chooses them). It must not know how a tree came to be laid out.

use pulp::{Arch, Simd, WithSimd};

use super::{
    Sum,
    plan::{Group, LEAF, Laid, Lane, Plan, ROWS, Shape, Test},
};

/// How many leaves a byte can number.
const BYTES: u32 = 256;

/// The raw number of every row.
pub(super) fn evaluate(plan: &Plan, sum: Sum, columns: &[&[f32]], raw: &mut [f64]) {
    let mut bytes = vec![[0_u8; ROWS]; plan.bins.len()];
    let arch = Arch::new();
    for (block, raw) in raw.chunks_mut(ROWS).enumerate() {
        plan.bins.fill(columns, block * ROWS, &mut bytes);
        let mut sums = [sum.start; ROWS];
        arch.dispatch(Block { plan, single: sum.single, bytes: &bytes, sums: &mut sums });
        for (raw, total) in raw.iter_mut().zip(sums) {
            *raw = total * sum.scale + sum.offset;
        }
    }
}

/// The sums of one block of rows.
struct Block<'a> {
    plan: &'a Plan,
    single: bool,
    bytes: &'a [Lane],
    sums: &'a mut [f64; ROWS],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plan, single, bytes, sums } = self;
        for tree in &plan.trees {
            let found = match tree.shape {
                Shape::Masks { first, end, tests } => {
                    let groups = plan.groups.get(first as usize..end as usize).unwrap_or(&[]);
                    let (left, group) = masks(groups, tests as usize, &plan.tests, bytes);
                    if tree.places > BYTES {
                        let leaves = plan.leaves.get(tree.leaves as usize..).unwrap_or(&[]);
                        add_wide(leaves, &left, &group, sums, single);
                        continue;
                    }
                    joined(&left, &group)
                }
                Shape::Levels { first, end } => {
                    levels(plan.tests.get(first as usize..end as usize).unwrap_or(&[]), bytes)
                }
                Shape::Walk { root } => {
                    walk(plan, tree, root, bytes, sums, single);
                    continue;
                }
            };
            let leaves = plan.leaves.get(tree.leaves as usize..(tree.leaves + tree.places) as usize).unwrap_or(&[]);
            if single {
                add(leaves, &found, sums, |sum, leaf| f64::from((sum + leaf) as f32));
            } else {
                add(leaves, &found, sums, |sum, leaf| sum + leaf);
            }
        }
    }
}

/// All bits where it is so, else none: a choice without a branch, which the compiler spreads over a register.
#[inline(always)]
fn all(is_so: bool) -> u8 {
    u8::from(is_so).wrapping_neg()
}

/// The first eight leaves of which some are left for a row: which of them, and which eight.
#[inline(always)]
fn masks(groups: &[Group], mut start: usize, tests: &[Test], bytes: &[Lane]) -> (Lane, Lane) {
    let (mut left, mut first) = ([0_u8; ROWS], [0_u8; ROWS]);
    for (number, group) in groups.iter().enumerate() {
        let (above, below) = (group.above as usize, group.below as usize);
        let mut here = [0xff_u8; ROWS];
        for test in tests.get(start..above).unwrap_or(&[]) {
            let Some(lane) = bytes.get(usize::from(test.column)) else { continue };
            for (here, byte) in here.iter_mut().zip(lane) {
                *here &= test.bits | all(*byte <= test.at);
            }
        }
        for test in tests.get(above..below).unwrap_or(&[]) {
            let Some(lane) = bytes.get(usize::from(test.column)) else { continue };
            for (here, byte) in here.iter_mut().zip(lane) {
                *here &= test.bits | all(*byte > test.at);
            }
        }
        let number = number as u8;
        for ((left, first), here) in left.iter_mut().zip(&mut first).zip(&here) {
            let none = all(*left == 0);
            *first = (*first & !none) | (number & none);
            *left |= here & none;
        }
        start = below;
    }
    (left, first)
}

/// The first leaf that is left, as a byte.
#[inline(always)]
fn joined(left: &Lane, group: &Lane) -> Lane {
    let mut found = [0; ROWS];
    for ((found, left), group) in found.iter_mut().zip(left).zip(group) {
        // The place of the lowest bit: it is alone after this, and then each of these says one digit of its place.
        let lowest = left & left.wrapping_neg();
        let digit = |mask: u8, digit: u8| all(lowest & mask != 0) & digit;
        *found = (group << 3) | digit(0xaa, 1) | digit(0xcc, 2) | digit(0xf0, 4);
    }
    found
}

/// The same for a tree of levels.
#[inline(always)]
fn levels(tests: &[Test], bytes: &[Lane]) -> Lane {
    // Every level's bit stands until its test does not hold.
    let mut found = [tests.iter().fold(0_u8, |bits, test| bits | test.bits); ROWS];
    for test in tests {
        let Some(lane) = bytes.get(usize::from(test.column)) else { continue };
        for (found, byte) in found.iter_mut().zip(lane) {
            *found &= !test.bits | all(*byte > test.at);
        }
    }
    found
}

#[inline(always)]
fn add(leaves: &[f64], found: &Lane, sums: &mut [f64; ROWS], plus: impl Fn(f64, f64) -> f64 + Copy) {
    match leaves.len() {
        8 => add_of::<8>(leaves, found, sums, plus),
        16 => add_of::<16>(leaves, found, sums, plus),
        32 => add_of::<32>(leaves, found, sums, plus),
        64 => add_of::<64>(leaves, found, sums, plus),
        128 => add_of::<128>(leaves, found, sums, plus),
        _ => add_of::<256>(leaves, found, sums, plus),
    }
}

#[inline(always)]
fn add_of<const PLACES: usize>(
    leaves: &[f64],
    found: &Lane,
    sums: &mut [f64; ROWS],
    plus: impl Fn(f64, f64) -> f64 + Copy,
) {
    let Some(leaves) = leaves.first_chunk::<PLACES>() else { return };
    for (sum, found) in sums.iter_mut().zip(found) {
        *sum = plus(*sum, leaves[usize::from(*found) % PLACES]);
    }
}

/// Adds the first leaf that is left, of more than a byte can number.
#[inline(always)]
fn add_wide(leaves: &[f64], left: &Lane, group: &Lane, sums: &mut [f64; ROWS], single: bool) {
    for ((sum, left), group) in sums.iter_mut().zip(left).zip(group) {
        let found = usize::from(*group) * 8 + left.trailing_zeros() as usize;
        let next = *sum + leaves.get(found).copied().unwrap_or(0.0);
        *sum = if single { f64::from(next as f32) } else { next };
    }
}

/// Follows a tree that is too large for masks.
#[inline(always)]
fn walk(plan: &Plan, tree: &Laid, root: u32, bytes: &[Lane], sums: &mut [f64; ROWS], single: bool) {
    for (row, sum) in sums.iter_mut().enumerate() {
        let mut next = root;
        while next & LEAF == 0 {
            let Some(node) = plan.nodes.get(next as usize) else { break };
            let byte = bytes.get(usize::from(node.column)).map_or(0, |lane| lane[row]);
            next = node.next[usize::from(byte > node.at)];
        }
        let leaf = plan.leaves.get((tree.leaves + (next & !LEAF)) as usize).copied().unwrap_or(0.0);
        *sum = if single { f64::from((*sum + leaf) as f32) } else { *sum + leaf };
    }
}
