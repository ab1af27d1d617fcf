//! A feed-forward network over the features of a row: a list of steps, each from numbers to numbers, 64 rows at a time.
//!
//! Numbers stand column by column, so that a row is a lane and nothing is ever added across lanes. It must not know a
//! file format.

use pulp::{Arch, Simd, WithSimd};

/// How many rows go through the steps at a time.
const ROWS: usize = 64;
/// How many units of a layer are computed at a time.
const UNITS: usize = 4;
/// What a number is in a column of rows.
type Lane = [f32; ROWS];

/// What is done to each number alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Relu,
    Leaky(f32),
    Elu(f32),
    Selu(f32, f32),
    Sigmoid,
    HardSigmoid(f32, f32),
    Tanh,
    Softplus,
    Exp,
    Log,
    Sqrt,
    Abs,
    Neg,
    Clip(f32, f32),
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

/// The other side of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Other {
    /// Numbers of the model: one for each column, or one for all.
    Numbers(Vec<f32>),
    /// Other columns: as many, or one for all.
    Slot(usize),
}

/// One step; slots hold columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// `weights[unit][input] · input + bias[unit]`.
    Dense { from: usize, to: usize, weights: Vec<f32>, bias: Vec<f32> },
    /// A function of each number.
    Apply { from: usize, to: usize, function: Function },
    /// An operation; `swapped`: the other side is the first.
    Combine { from: usize, to: usize, operation: Operation, other: Other, swapped: bool },
    /// Columns one after the other.
    Join { from: Vec<usize>, to: usize },
}

/// A network, ready to evaluate.
#[derive(Debug)]
pub(super) struct Network {
    /// How many columns each slot has; slot 0 holds the features.
    pub(super) widths: Vec<usize>,
    pub(super) steps: Vec<Step>,
    /// Which column of which slot is the answer.
    pub(super) answer: (usize, usize),
}

impl Network {
    /// The answer for every row: `columns` holds each feature's numbers.
    pub(super) fn raw(&self, columns: &[&[f32]], raw: &mut [f64]) {
        let mut slots: Vec<Vec<Lane>> = self.widths.iter().map(|width| vec![[0.0; ROWS]; *width]).collect();
        let arch = Arch::new();
        for (block, raw) in raw.chunks_mut(ROWS).enumerate() {
            if let Some(features) = slots.first_mut() {
                for (lane, numbers) in features.iter_mut().zip(columns) {
                    let numbers = numbers.get(block * ROWS..).unwrap_or(&[]);
                    for (place, number) in lane.iter_mut().zip(numbers) {
                        *place = *number;
                    }
                }
            }
            for step in &self.steps {
                let to = step.to();
                let mut out = slots.get_mut(to).map(std::mem::take).unwrap_or_default();
                arch.dispatch(Run { step, slots: &slots, out: &mut out });
                if let Some(slot) = slots.get_mut(to) {
                    *slot = out;
                }
            }
            let answer = slots.get(self.answer.0).and_then(|slot| slot.get(self.answer.1));
            for (raw, number) in raw.iter_mut().zip(answer.unwrap_or(&[f32::NAN; ROWS])) {
                *raw = f64::from(*number);
            }
        }
    }
}

impl Step {
    /// The slot that it fills.
    pub(super) fn to(&self) -> usize {
        match self {
            Self::Dense { to, .. } | Self::Apply { to, .. } | Self::Combine { to, .. } | Self::Join { to, .. } => *to,
        }
    }
}

struct Run<'a> {
    step: &'a Step,
    slots: &'a [Vec<Lane>],
    out: &'a mut [Lane],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let slot = |slot: usize| self.slots.get(slot).map_or(&[][..], Vec::as_slice);
        match self.step {
            Step::Dense { from, weights, bias, .. } => dense(simd, slot(*from), weights, bias, self.out),
            Step::Apply { from, function, .. } => {
                for (out, lane) in self.out.iter_mut().zip(slot(*from)) {
                    function.apply(lane, out);
                }
            }
            Step::Combine { from, operation, other, swapped, .. } => {
                let first = slot(*from);
                for (unit, out) in self.out.iter_mut().enumerate() {
                    // What has one column serves all.
                    let Some(one) = first.get(unit).or_else(|| first.first()) else { continue };
                    let mut spread = [0.0; ROWS];
                    let two = match other {
                        Other::Numbers(numbers) => {
                            spread.fill(numbers.get(unit).or_else(|| numbers.first()).copied().unwrap_or(0.0));
                            &spread
                        }
                        Other::Slot(other) => {
                            slot(*other).get(unit).or_else(|| slot(*other).first()).unwrap_or(&spread)
                        }
                    };
                    let (one, two) = if *swapped { (two, one) } else { (one, two) };
                    operation.apply(one, two, out);
                }
            }
            Step::Join { from, .. } => {
                let lanes = from.iter().flat_map(|from| slot(*from));
                for (out, lane) in self.out.iter_mut().zip(lanes) {
                    *out = *lane;
                }
            }
        }
    }
}

/// Units by fours, registers of rows by twos, so that eight sums stay in registers while the inputs go by.
#[inline(always)]
fn dense<S: Simd>(simd: S, inputs: &[Lane], weights: &[f32], bias: &[f32], out: &mut [Lane]) {
    let wide = inputs.len().max(1);
    for ((out, bias), weights) in out.chunks_mut(UNITS).zip(bias.chunks(UNITS)).zip(weights.chunks(wide * UNITS)) {
        // A group that is not whole computes its last unit again.
        let unit = |unit: usize| weights.chunks(wide).nth(unit.min(out.len() - 1)).unwrap_or(&[]);
        let (first, second, third, fourth) = (unit(0), unit(1), unit(2), unit(3));
        for pair in 0..S::as_simd_f32s(&[0.0; ROWS]).0.len().div_ceil(2) {
            let mut sums = [[simd.splat_f32s(0.0); 2]; UNITS];
            for ((((lane, a), b), c), d) in inputs.iter().zip(first).zip(second).zip(third).zip(fourth) {
                let Some(numbers) = S::as_simd_f32s(lane).0.chunks(2).nth(pair) else { continue };
                for (sums, weight) in sums.iter_mut().zip([a, b, c, d]) {
                    let weight = simd.splat_f32s(*weight);
                    for (sum, numbers) in sums.iter_mut().zip(numbers) {
                        *sum = simd.mul_add_e_f32s(*numbers, weight, *sum);
                    }
                }
            }
            for ((out, sums), bias) in out.iter_mut().zip(sums).zip(bias) {
                let Some(out) = S::as_mut_simd_f32s(out).0.chunks_mut(2).nth(pair) else { continue };
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = simd.add_f32s(sum, simd.splat_f32s(*bias));
                }
            }
        }
    }
}

impl Function {
    /// NaN stays NaN.
    #[inline(always)]
    fn apply(self, lane: &Lane, out: &mut Lane) {
        let each = |out: &mut Lane, function: &dyn Fn(f32) -> f32| {
            for (out, number) in out.iter_mut().zip(lane) {
                *out = function(*number);
            }
        };
        match self {
            Self::Relu => {
                for (out, number) in out.iter_mut().zip(lane) {
                    *out = if *number < 0.0 { 0.0 } else { *number };
                }
            }
            Self::Leaky(slope) => each(out, &|x| if x < 0.0 { x * slope } else { x }),
            Self::Elu(alpha) => each(out, &|x| if x < 0.0 { alpha * x.exp_m1() } else { x }),
            Self::Selu(alpha, gamma) => each(out, &|x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x }),
            Self::Sigmoid => each(out, &|x| 1.0 / (1.0 + (-x).exp())),
            Self::HardSigmoid(alpha, beta) => each(out, &|x| clip(alpha * x + beta, 0.0, 1.0)),
            Self::Tanh => each(out, &f32::tanh),
            Self::Softplus => each(out, &|x| if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }),
            Self::Exp => each(out, &f32::exp),
            Self::Log => each(out, &f32::ln),
            Self::Sqrt => each(out, &f32::sqrt),
            Self::Abs => each(out, &f32::abs),
            Self::Neg => each(out, &|x| -x),
            Self::Clip(low, high) => each(out, &|x| clip(x, low, high)),
        }
    }
}

/// As `clamp`, which would not take limits that cross.
fn clip(number: f32, low: f32, high: f32) -> f32 {
    let number = if number < low { low } else { number };
    if number > high { high } else { number }
}

impl Operation {
    #[inline(always)]
    fn apply(self, one: &Lane, two: &Lane, out: &mut Lane) {
        let pairs = out.iter_mut().zip(one.iter().zip(two));
        match self {
            Self::Add => pairs.for_each(|(out, (one, two))| *out = one + two),
            Self::Sub => pairs.for_each(|(out, (one, two))| *out = one - two),
            Self::Mul => pairs.for_each(|(out, (one, two))| *out = one * two),
            Self::Div => pairs.for_each(|(out, (one, two))| *out = one / two),
            Self::Min => pairs.for_each(|(out, (one, two))| *out = if two < one { *two } else { *one }),
            Self::Max => pairs.for_each(|(out, (one, two))| *out = if two > one { *two } else { *one }),
        }
    }
}
