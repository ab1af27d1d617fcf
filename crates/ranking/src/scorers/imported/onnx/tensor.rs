//! Numbers of an ONNX file as `f32`, whatever they were written as. It must not know what they are for.

use super::{Error, proto};

/// ONNX's numbers of element types.
pub(super) const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const DOUBLE: i32 = 11;

/// A constant of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Vec<f32>,
}

impl Tensor {
    /// As many numbers as its dimensions say, all of them finite.
    pub(super) fn of(name: &str, tensor: &proto::Tensor) -> Result<Self, Error> {
        let name: String = name.chars().take(60).collect();
        if tensor.data_location != 0 {
            return Err(Error::unsupported(format!("tensor {name:?} in another file"), "save the model as one file"));
        }
        let raw = tensor.raw_data.as_slice();
        let numbers: Vec<f32> = match tensor.data_type {
            FLOAT if raw.is_empty() => tensor.float_data.clone(),
            FLOAT => raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            DOUBLE if raw.is_empty() => tensor.double_data.iter().map(|number| *number as f32).collect(),
            DOUBLE => raw.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            INT32 if raw.is_empty() => tensor.int32_data.iter().map(|number| *number as f32).collect(),
            INT32 => raw.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes) as f32).collect(),
            INT64 if raw.is_empty() => tensor.int64_data.iter().map(|number| *number as f32).collect(),
            INT64 => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect(),
            other => {
                return Err(Error::unsupported(format!("tensor {name:?} of element type {other}"), "float32 is"));
            }
        };
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        let count = dims.iter().flatten().try_fold(1_usize, |count, dim| count.checked_mul(*dim));
        match dims {
            Some(dims) if count == Some(numbers.len()) => {
                if numbers.iter().all(|number| number.is_finite()) {
                    Ok(Self { dims, numbers })
                } else {
                    Err(Error::value(format!("tensor {name:?}"), "not finite somewhere", "finite numbers"))
                }
            }
            _ => {
                let dims: Vec<i64> = tensor.dims.iter().copied().take(8).collect();
                let given = format!("{} numbers for dimensions {dims:?}", numbers.len());
                Err(Error::value(format!("tensor {name:?}"), given, "as many as the dimensions say"))
            }
        }
    }

    /// Its one number, where it has one.
    pub(super) fn single(&self) -> Option<f32> {
        match self.numbers.as_slice() {
            [number] => Some(*number),
            _ => None,
        }
    }

    /// The numbers by column of a batch `[N, width]`: it has one for each column or one for all.
    pub(super) fn per_column(&self, width: usize) -> Option<Vec<f32>> {
        let (last, rest) = self.dims.split_last().map_or((1, &[][..]), |(last, rest)| (*last, rest));
        let flat = self.dims.len() <= 2 && rest.iter().all(|dim| *dim == 1);
        (flat && (last == 1 || last == width || width == 1)).then(|| self.numbers.clone())
    }
}
