//! Reads ONNX files of feed-forward networks: one input `[N, features]`, one output `[N, units]`.
//!
//! The operators are listed in [`layers`]; each of them costs what its sizes say, so that a network that would be too
//! slow, or whose tensors would fill the memory, is refused at load, before anything runs. The raw number is the
//! output's; where the last operator is a Sigmoid it is left out, for its input is the log-odds.

mod layers;
mod node;
mod proto;
mod tensor;

use prost::Message as _;

use super::{Error, chosen, names::Names, network::Network};
use layers::Builder;

/// A file may have at most this many bytes.
const MAX_BYTES: usize = 64 << 20;
/// A network may have at most this many nodes.
const MAX_NODES: usize = 1024;
/// The oldest and the newest set of operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=26;
/// The key of the file's metadata that may name the features, separated by commas or line ends.
const NAMES: &str = "feature_names";

/// Names and network of one output.
pub(super) fn read(bytes: &[u8], output: Option<usize>) -> Result<(Names, Network), Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::value("the size of an ONNX file", bytes.len(), format!("at most {MAX_BYTES} bytes")));
    }
    let model = proto::Model::decode(bytes).map_err(|error| Error::form(format!("it is no ONNX file: {error}")))?;
    let graph = model.graph.ok_or_else(|| Error::form("it is no ONNX file: it has no graph"))?;
    for opset in &model.opset_import {
        let ours = opset.domain.is_empty() || opset.domain == "ai.onnx";
        if ours && !OPSETS.contains(&opset.version) {
            let expected = format!("{} to {}", OPSETS.start(), OPSETS.end());
            return Err(Error::value("the operator set", opset.version, expected));
        }
    }
    if graph.node.len() > MAX_NODES {
        return Err(Error::value("the number of nodes", graph.node.len(), format!("at most {MAX_NODES}")));
    }

    let mut builder = Builder::default();
    for tensor in &graph.initializer {
        builder.constant(&tensor.name, tensor)?;
    }
    // Older files list their initializers among the inputs.
    let mut inputs = graph.input.iter().filter(|input| !builder.knows(&input.name));
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        return Err(Error::unsupported("a network of several inputs, or of none", "one input [N, features] is"));
    };
    let (name, features) = (input.name.clone(), width(input)?);
    builder.input(&name, features)?;
    for (number, node) in graph.node.iter().enumerate() {
        builder.node(number, node)?;
    }
    let [result] = graph.output.as_slice() else {
        return Err(Error::unsupported(
            format!("a network of {} outputs", graph.output.len()),
            "one output [N, units] is; of a classifier export the log-odds alone",
        ));
    };
    let network = builder.finish(&result.name, |units| chosen(output, units))?;
    let told = model.metadata_props.iter().find(|property| property.key == NAMES);
    let names = match told {
        None => Names::Nameless(features),
        Some(told) => {
            let names: Vec<String> = told
                .value
                .split([',', '\n'])
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            if names.len() != features {
                let expected = format!("{features}, as the input says");
                return Err(Error::value(format!("the length of {NAMES}"), names.len(), expected));
            }
            Names::of(names, |index| index.to_string())
        }
    };
    Ok((names, network))
}

/// How many features the input has: it must be `[anything, features]` of `f32`.
fn width(input: &proto::Value) -> Result<usize, Error> {
    let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let Some(kind) = kind.filter(|kind| kind.elem_type == tensor::FLOAT) else {
        return Err(Error::unsupported("an input that is no tensor of floats", "export with float32 inputs"));
    };
    let dims = kind.shape.as_ref().map_or(&[][..], |shape| shape.dim.as_slice());
    match dims {
        [_, features] if features.dim_value > 0 => Ok(usize::try_from(features.dim_value).unwrap_or(usize::MAX)),
        _ => {
            let given = dims.iter().map(|dim| dim.dim_value.to_string()).take(8).collect::<Vec<_>>().join(", ");
            Err(Error::value(
                "the shape of the input",
                format!("[{given}]"),
                "[N, features], features given as a number",
            ))
        }
    }
}

#[cfg(test)]
mod tests;
