//! Models of other tools, served as they are: LightGBM's text, XGBoost's and CatBoost's JSON, small ONNX networks.
//!
//! A reader turns the file into a [`Forest`] or a network and maps the model's features to the schema's
//! columns by name; everything after that is common. What cannot be served equal to the original is refused with the
//! reason, at load. `docs/models.md` lists both. It must not know which action a model speaks of.

mod catboost;
pub mod forest;
mod lightgbm;
mod names;
mod network;
mod onnx;
mod xgboost;

use serde::{Deserialize, Serialize};
use shared_models::ErrorCode;

use super::Head;
use crate::features::{COLUMNS, Column, Matrix};

pub use forest::Forest;

/// A file may have at most this many bytes.
pub const MAX_BYTES: usize = 256 << 20;

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// LightGBM's text, as `Booster.save_model` writes it.
    Lightgbm,
    /// XGBoost's JSON, as `Booster.save_model("model.json")` writes it.
    Xgboost,
    /// CatBoost's JSON, as `save_model(…, format="json")` writes it.
    Catboost,
    /// An ONNX file of a feed-forward network.
    Onnx,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[Self::Lightgbm, Self::Xgboost, Self::Catboost, Self::Onnx];

    /// As it is written in a model document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lightgbm => "lightgbm",
            Self::Xgboost => "xgboost",
            Self::Catboost => "catboost",
            Self::Onnx => "onnx",
        }
    }
}

/// Why a model is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is too large.
    #[error("model has {given} bytes, at most {MAX_BYTES} are read")]
    Size {
        /// How many it has.
        given: usize,
    },
    /// The bytes are no file of the format.
    #[error("model does not read: {problem}")]
    Form {
        /// What is wrong, and where.
        problem: String,
    },
    /// A part of the file contradicts the rest or is out of range.
    #[error("{place} is {given}, expected {expected}")]
    Value {
        /// Which part.
        place: String,
        /// What stands there.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// The model is sound, but is not served.
    #[error("{what} cannot be served: {why}")]
    Unsupported {
        /// What the model uses.
        what: String,
        /// Why not, or what to do instead.
        why: &'static str,
    },
    /// A feature of the model is no column of the schema.
    #[error("feature {name:?} of the model is no column of the feature schema; the nearest are {nearest}")]
    Unknown {
        /// The model's name of it.
        name: String,
        /// Names that look like it.
        nearest: String,
    },
    /// A feature stands twice.
    #[error("feature {name:?} stands twice in the model")]
    Twice {
        /// Which.
        name: String,
    },
    /// The model does not name its features, and they are not as many as the schema's.
    #[error("model names no features and has {given}, the feature schema has {COLUMNS} columns")]
    Nameless {
        /// How many it has.
        given: usize,
    },
    /// A tree is no tree.
    #[error("tree {tree} of the model is unusable: {problem}")]
    Tree {
        /// Which, from 0.
        tree: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// An output was asked for that the model does not have, or none where it has several.
    #[error("model has {outputs} outputs, {given}")]
    Output {
        /// How many it has.
        outputs: usize,
        /// What was asked for.
        given: String,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Size { .. }
            | Self::Form { .. }
            | Self::Value { .. }
            | Self::Unsupported { .. }
            | Self::Unknown { .. }
            | Self::Twice { .. }
            | Self::Nameless { .. }
            | Self::Tree { .. }
            | Self::Output { .. } => ErrorCode::InvalidArgument,
        }
    }

    fn form(problem: impl Into<String>) -> Self {
        Self::Form { problem: problem.into() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what was given is mostly made for the message")]
    fn value(place: impl Into<String>, given: impl ToString, expected: impl Into<String>) -> Self {
        Self::Value { place: place.into(), given: given.to_string(), expected: expected.into() }
    }

    fn unsupported(what: impl Into<String>, why: &'static str) -> Self {
        Self::Unsupported { what: what.into(), why }
    }
}

/// What a model computes from its own features.
#[derive(Debug)]
enum Body {
    Forest(Forest),
    Network(network::Network),
}

/// A model of another tool over the columns of the schema.
#[derive(Debug)]
pub struct Imported {
    /// The column of each of the model's features, in the model's order.
    columns: Vec<Column>,
    body: Body,
}

impl Imported {
    /// How many features the model was trained on.
    #[must_use]
    pub fn features(&self) -> usize {
        self.columns.len()
    }
}

impl Head for Imported {
    fn raw(&self, matrix: &Matrix, raw: &mut [f64]) {
        let columns: Vec<&[f32]> = self.columns.iter().map(|column| matrix.column(*column)).collect();
        match &self.body {
            Body::Forest(forest) => forest.raw(&columns, raw),
            Body::Network(network) => network.raw(&columns, raw),
        }
    }
}

/// Reads a model with one output.
///
/// # Errors
/// What is wrong with the model, or why it cannot be served as its own library would.
pub fn read(format: Format, bytes: &[u8]) -> Result<Box<dyn Head>, Error> {
    Ok(Box::new(open(format, bytes, None)?))
}

/// Reads one output of a model with several, from 0: a class of a multi-class model, or a unit of a network's last
/// layer.
///
/// # Errors
/// What is wrong with the model, or why it cannot be served as its own library would.
pub fn read_output(format: Format, bytes: &[u8], output: usize) -> Result<Box<dyn Head>, Error> {
    Ok(Box::new(open(format, bytes, Some(output))?))
}

/// Reads a model as what it is.
///
/// # Errors
/// What is wrong with the model, or why it cannot be served as its own library would.
pub fn open(format: Format, bytes: &[u8], output: Option<usize>) -> Result<Imported, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::Size { given: bytes.len() });
    }
    let (names, body) = match format {
        Format::Lightgbm => lightgbm::read(bytes, output).map(|(names, forest)| (names, Body::Forest(forest)))?,
        Format::Xgboost => xgboost::read(bytes, output).map(|(names, forest)| (names, Body::Forest(forest)))?,
        Format::Catboost => catboost::read(bytes, output).map(|(names, forest)| (names, Body::Forest(forest)))?,
        Format::Onnx => onnx::read(bytes, output).map(|(names, network)| (names, Body::Network(network)))?,
    };
    Ok(Imported { columns: names::columns(&names)?, body })
}

/// Reads a forest over the features of its file, in the file's order, whatever their names: for benches and checks.
///
/// # Errors
/// What is wrong with the model, or that it is no forest.
pub fn read_forest(format: Format, bytes: &[u8], output: Option<usize>) -> Result<Forest, Error> {
    match format {
        Format::Lightgbm => lightgbm::read(bytes, output),
        Format::Xgboost => xgboost::read(bytes, output),
        Format::Catboost => catboost::read(bytes, output),
        Format::Onnx => return Err(Error::unsupported("a network", "a forest was asked for")),
    }
    .map(|(_, forest)| forest)
}

/// The output that is meant, of so many.
fn chosen(output: Option<usize>, outputs: usize) -> Result<usize, Error> {
    match output {
        None if outputs == 1 => Ok(0),
        None => Err(Error::Output { outputs, given: "and none was chosen".to_owned() }),
        Some(output) if output < outputs => Ok(output),
        Some(output) => Err(Error::Output { outputs, given: format!("output {output} was asked for, from 0") }),
    }
}

impl forest::Refused {
    /// As this module's error, with the tree's number in the file.
    fn of_tree(self, number: impl Fn(usize) -> usize) -> Error {
        match self.tree {
            Some(tree) => Error::Tree { tree: number(tree), problem: self.problem.to_string() },
            None => Error::form(self.problem.to_string()),
        }
    }
}
