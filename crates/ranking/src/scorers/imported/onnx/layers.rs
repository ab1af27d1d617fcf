//! From ONNX's operators to the steps of a network.
//!
//! | kind | operators |
//! |---|---|
//! | layers | Gemm, MatMul, BatchNormalization |
//! | with constants or each other | Add, Sub, Mul, Div, Min, Max |
//! | of each number | Relu, LeakyRelu, Elu, Selu, Sigmoid, HardSigmoid, Tanh, Softplus, Exp, Log, Sqrt, Abs, Neg, Clip |
//! | of shape | Concat, Flatten, Reshape, Squeeze, Unsqueeze, Identity, Dropout, Cast, Constant |
//!
//! It must not know how steps are run.

use std::collections::HashMap;

use super::{
    super::network::{Function, Network, Operation, Other, Step},
    Error,
    node::At,
    proto,
    tensor::{FLOAT, Tensor},
};

/// A row may cost at most this many multiplications: about 15 µs on one core of 2026.
const MAX_COST: usize = 250_000;
/// The columns of all steps together may be at most this many.
const MAX_COLUMNS: usize = 1 << 16;

/// What a name stands for.
#[derive(Clone, Debug)]
enum Known {
    Constant(Tensor),
    /// Columns of every row.
    Slot(usize),
}

/// A network in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    known: HashMap<String, Known>,
    widths: Vec<usize>,
    steps: Vec<Step>,
    cost: usize,
}

impl Builder {
    /// Learns a constant.
    pub(super) fn constant(&mut self, name: &str, tensor: &proto::Tensor) -> Result<(), Error> {
        let tensor = Tensor::of(name, tensor)?;
        self.learn(name, Known::Constant(tensor))
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Learns the input.
    pub(super) fn input(&mut self, name: &str, features: usize) -> Result<(), Error> {
        let slot = self.slot(features)?;
        self.learn(name, Known::Slot(slot))
    }

    fn learn(&mut self, name: &str, known: Known) -> Result<(), Error> {
        match self.known.insert(name.to_owned(), known) {
            None => Ok(()),
            Some(_) => {
                Err(Error::form(format!("value {:?} is given twice", name.chars().take(60).collect::<String>())))
            }
        }
    }

    fn slot(&mut self, width: usize) -> Result<usize, Error> {
        let columns = self.widths.iter().try_fold(width, |sum, width| sum.checked_add(*width));
        if columns.is_none_or(|columns| columns > MAX_COLUMNS) {
            return Err(Error::value(
                "the number of columns of all layers",
                format!("more than {MAX_COLUMNS}"),
                "at most that",
            ));
        }
        self.spend(width)?;
        self.widths.push(width);
        Ok(self.widths.len() - 1)
    }

    fn spend(&mut self, cost: usize) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > MAX_COST {
            return Err(Error::value(
                "the number of multiplications of a row",
                format!("more than {MAX_COST}"),
                "at most that",
            ));
        }
        Ok(())
    }

    fn width(&self, slot: usize) -> usize {
        self.widths.get(slot).copied().unwrap_or(0)
    }

    /// The network whose answer is one column of this value.
    pub(super) fn finish(
        mut self,
        output: &str,
        choose: impl FnOnce(usize) -> Result<usize, Error>,
    ) -> Result<Network, Error> {
        let Some(Known::Slot(mut slot)) = self.known.get(output).cloned() else {
            return Err(Error::form("the output is computed by no node, or does not depend on the input"));
        };
        // The input of a last Sigmoid is the log-odds.
        let last = self.steps.iter().position(|step| step.to() == slot);
        if let Some(Step::Apply { from, function: Function::Sigmoid, .. }) = last.and_then(|last| self.steps.get(last))
        {
            slot = *from;
            self.steps.truncate(last.unwrap_or(0));
        }
        let column = choose(self.width(slot))?;
        Ok(Network { widths: self.widths, steps: self.steps, answer: (slot, column) })
    }

    /// Learns what a node gives.
    pub(super) fn node(&mut self, number: usize, node: &proto::Node) -> Result<(), Error> {
        let at = At { number, node };
        if !(node.domain.is_empty() || node.domain == "ai.onnx") {
            let domain: String = node.domain.chars().take(40).collect();
            return Err(Error::unsupported(format!("node {number} of {domain}"), "operators of ONNX itself are"));
        }
        let known = self.operator(at)?;
        let Some(output) = node.output.first() else { return Err(at.wrong("without an output", "one")) };
        self.learn(output, known)
    }

    fn operator(&mut self, at: At<'_>) -> Result<Known, Error> {
        let function = match at.node.op_type.as_str() {
            "Gemm" => return self.gemm(at),
            "MatMul" => return self.matmul(at),
            "BatchNormalization" => return self.normalisation(at),
            "Add" => return self.combine(at, Operation::Add),
            "Sub" => return self.combine(at, Operation::Sub),
            "Mul" => return self.combine(at, Operation::Mul),
            "Div" => return self.combine(at, Operation::Div),
            "Min" => return self.combine(at, Operation::Min),
            "Max" => return self.combine(at, Operation::Max),
            "Concat" => return self.concat(at),
            "Constant" => return at.constant().map(Known::Constant),
            "Identity" | "Dropout" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Cast" => return self.same(at),
            "Relu" => Some(Function::Relu),
            "LeakyRelu" => Some(Function::Leaky(at.float("alpha", 0.01)?)),
            "Elu" => Some(Function::Elu(at.float("alpha", 1.0)?)),
            "Selu" => Some(Function::Selu(at.float("alpha", 1.673_263_2)?, at.float("gamma", 1.050_701)?)),
            "Sigmoid" => Some(Function::Sigmoid),
            "HardSigmoid" => Some(Function::HardSigmoid(at.float("alpha", 0.2)?, at.float("beta", 0.5)?)),
            "Tanh" => Some(Function::Tanh),
            "Softplus" => Some(Function::Softplus),
            "Exp" => Some(Function::Exp),
            "Log" => Some(Function::Log),
            "Sqrt" => Some(Function::Sqrt),
            "Abs" => Some(Function::Abs),
            "Neg" => Some(Function::Neg),
            "Clip" => Some(Function::Clip(self.limit(at, 1, "min", f32::MIN)?, self.limit(at, 2, "max", f32::MAX)?)),
            _ => None,
        };
        let Some(function) = function else {
            let kind: String = at.node.op_type.chars().take(40).collect();
            return Err(Error::unsupported(
                format!("operator {kind} of node {}", at.number),
                "docs/models.md lists those that are; export a feed-forward network up to its log-odds",
            ));
        };
        let from = self.columns(at, 0)?;
        let to = self.slot(self.width(from))?;
        self.steps.push(Step::Apply { from, to, function });
        Ok(Known::Slot(to))
    }

    fn operand(&self, at: At<'_>, index: usize) -> Result<&Known, Error> {
        let name = at.node.input.get(index).ok_or_else(|| at.wrong(format!("without input {index}"), "one more"))?;
        self.known.get(name).ok_or_else(|| {
            at.wrong(
                format!("reading {:?}", name.chars().take(60).collect::<String>()),
                "a value that is known by then",
            )
        })
    }

    /// The slot of an operand that depends on the row.
    fn columns(&self, at: At<'_>, index: usize) -> Result<usize, Error> {
        match self.operand(at, index)? {
            Known::Slot(slot) => Ok(*slot),
            Known::Constant(_) => Err(at.wrong(format!("a constant as input {index}"), "a value of the row")),
        }
    }

    fn numbers(&self, at: At<'_>, index: usize) -> Result<&Tensor, Error> {
        match self.operand(at, index)? {
            Known::Constant(tensor) => Ok(tensor),
            Known::Slot(_) => Err(at.wrong(format!("a value of the row as input {index}"), "a constant")),
        }
    }

    /// A limit of Clip: an input, or before opset 11 a setting.
    fn limit(&self, at: At<'_>, index: usize, name: &str, default: f32) -> Result<f32, Error> {
        if at.node.input.get(index).is_some_and(|name| !name.is_empty()) {
            let number = self.numbers(at, index)?.single();
            return number.ok_or_else(|| at.wrong(format!("several numbers as {name}"), "one"));
        }
        at.float(name, default)
    }

    /// A matrix `[inputs, units]`, or transposed, as weights of each unit.
    fn weights(&self, at: At<'_>, from: usize, transposed: bool, factor: f32) -> Result<Vec<f32>, Error> {
        let matrix = self.numbers(at, 1)?;
        let inputs = self.width(from);
        let units = match (matrix.dims.as_slice(), transposed) {
            ([rows, units], false) if *rows == inputs => *units,
            ([units, rows], true) if *rows == inputs => *units,
            (dims, _) => return Err(at.wrong(format!("a matrix of {dims:?}"), format!("one for {inputs} inputs"))),
        };
        if units == 0 {
            return Err(at.wrong("a layer of no unit", "at least one"));
        }
        let place = |unit: usize, input: usize| if transposed { unit * inputs + input } else { input * units + unit };
        let weight = |unit, input| matrix.numbers.get(place(unit, input)).copied().unwrap_or(0.0) * factor;
        Ok((0..units).flat_map(|unit| (0..inputs).map(move |input| weight(unit, input))).collect())
    }

    fn dense(&mut self, from: usize, weights: Vec<f32>, bias: Vec<f32>) -> Result<Known, Error> {
        self.spend(weights.len())?;
        let to = self.slot(bias.len())?;
        self.steps.push(Step::Dense { from, to, weights, bias });
        Ok(Known::Slot(to))
    }

    fn gemm(&mut self, at: At<'_>) -> Result<Known, Error> {
        if at.whole("transA", 0) != 0 {
            return Err(at.wrong("transA 1", "0: rows stay rows"));
        }
        let from = self.columns(at, 0)?;
        let weights = self.weights(at, from, at.whole("transB", 0) != 0, at.float("alpha", 1.0)?)?;
        let units = weights.len() / self.width(from).max(1);
        let beta = at.float("beta", 1.0)?;
        let bias = if at.node.input.get(2).is_some_and(|name| !name.is_empty()) {
            let bias = self.numbers(at, 2)?;
            let fits = bias.per_column(units).filter(|bias| bias.len() == units || bias.len() == 1);
            let mut bias =
                fits.ok_or_else(|| at.wrong(format!("a bias of {:?}", bias.dims), format!("{units} numbers")))?;
            if bias.len() == 1 {
                bias = vec![bias.first().copied().unwrap_or(0.0); units];
            }
            bias.into_iter().map(|bias| bias * beta).collect()
        } else {
            vec![0.0; units]
        };
        self.dense(from, weights, bias)
    }

    fn matmul(&mut self, at: At<'_>) -> Result<Known, Error> {
        let from = self.columns(at, 0)?;
        let weights = self.weights(at, from, false, 1.0)?;
        let units = weights.len() / self.width(from).max(1);
        self.dense(from, weights, vec![0.0; units])
    }

    /// With the numbers of training, each column is multiplied and moved.
    fn normalisation(&mut self, at: At<'_>) -> Result<Known, Error> {
        let from = self.columns(at, 0)?;
        let width = self.width(from);
        let mut parts = [const { Vec::new() }; 4];
        for (index, part) in parts.iter_mut().enumerate() {
            let tensor = self.numbers(at, index + 1)?;
            if tensor.numbers.len() != width {
                return Err(
                    at.wrong(format!("{} numbers as input {}", tensor.numbers.len(), index + 1), width.to_string())
                );
            }
            part.clone_from(&tensor.numbers);
        }
        let [scales, shifts, means, variances] = parts;
        let epsilon = at.float("epsilon", 1e-5)?;
        let factors: Vec<f32> =
            scales.iter().zip(&variances).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        if factors.iter().any(|factor| !factor.is_finite()) {
            return Err(at.wrong("a variance that is not positive", "positive ones"));
        }
        let moves =
            shifts.iter().zip(&means).zip(&factors).map(|((shift, mean), factor)| shift - mean * factor).collect();
        let scaled = self.with_numbers(from, width, Operation::Mul, factors, false)?;
        self.with_numbers(scaled, width, Operation::Add, moves, false).map(Known::Slot)
    }

    fn with_numbers(
        &mut self,
        from: usize,
        width: usize,
        operation: Operation,
        numbers: Vec<f32>,
        swapped: bool,
    ) -> Result<usize, Error> {
        let to = self.slot(width)?;
        self.steps.push(Step::Combine { from, to, operation, other: Other::Numbers(numbers), swapped });
        Ok(to)
    }

    fn combine(&mut self, at: At<'_>, operation: Operation) -> Result<Known, Error> {
        if at.node.input.len() != 2 {
            return Err(at.wrong(format!("{} inputs", at.node.input.len()), "2"));
        }
        let (one, two) = (self.operand(at, 0)?.clone(), self.operand(at, 1)?.clone());
        let (from, tensor, swapped) = match (one, two) {
            (Known::Slot(one), Known::Slot(two)) => {
                let (first, second) = (self.width(one), self.width(two));
                if first != second && first != 1 && second != 1 {
                    return Err(at.wrong(format!("{first} and {second} columns"), "as many, or one"));
                }
                let to = self.slot(first.max(second))?;
                self.steps.push(Step::Combine { from: one, to, operation, other: Other::Slot(two), swapped: false });
                return Ok(Known::Slot(to));
            }
            (Known::Constant(_), Known::Constant(_)) => {
                return Err(at.wrong("two constants", "a value of the row among them; fold constants when exporting"));
            }
            (Known::Slot(from), Known::Constant(tensor)) => (from, tensor, false),
            (Known::Constant(tensor), Known::Slot(from)) => (from, tensor, true),
        };
        let width = self.width(from);
        let Some(numbers) = tensor.per_column(width).filter(|numbers| !numbers.is_empty()) else {
            return Err(at.wrong(format!("a constant of {:?}", tensor.dims), format!("one number, or {width}")));
        };
        let width = width.max(numbers.len());
        self.with_numbers(from, width, operation, numbers, swapped).map(Known::Slot)
    }

    fn concat(&mut self, at: At<'_>) -> Result<Known, Error> {
        if !matches!(at.whole("axis", 1), 1 | -1) {
            return Err(at.wrong(format!("axis {}", at.whole("axis", 1)), "1: columns are joined"));
        }
        let from = (0..at.node.input.len()).map(|index| self.columns(at, index)).collect::<Result<Vec<_>, _>>()?;
        let width = from.iter().try_fold(0_usize, |sum, slot| sum.checked_add(self.width(*slot)));
        let to = self.slot(width.unwrap_or(usize::MAX))?;
        self.steps.push(Step::Join { from, to });
        Ok(Known::Slot(to))
    }

    /// What leaves a batch `[N, width]` as it is. A batch of one column may lose or get its second dimension.
    fn same(&mut self, at: At<'_>) -> Result<Known, Error> {
        let known = self.operand(at, 0)?.clone();
        let Known::Slot(slot) = known else { return Ok(known) };
        let width = self.width(slot) as i64;
        let stays = match at.node.op_type.as_str() {
            "Flatten" => at.whole("axis", 1) == 1,
            "Cast" => at.whole("to", 0) == i64::from(FLOAT),
            "Squeeze" | "Unsqueeze" => width == 1,
            "Reshape" => {
                let shape: Vec<i64> = self.numbers(at, 1)?.numbers.iter().map(|number| *number as i64).collect();
                match shape.as_slice() {
                    [-1 | 0, last] => *last == width || (*last == -1 && shape.first() == Some(&0)),
                    [-1] => width == 1,
                    _ => false,
                }
            }
            _ => true,
        };
        if stays {
            Ok(Known::Slot(slot))
        } else {
            Err(at.wrong("another shape", "one that leaves rows and columns as they are"))
        }
    }
}
