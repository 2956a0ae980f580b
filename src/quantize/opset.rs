//! A later operator set for an ONNX file.
//!
//! Owns what changed in the operators between the sets that quantization needs: 13 for scales per channel, 21 for 4-bit weights and
//! 16-bit activations. Attributes that became inputs are moved; what has another meaning and cannot be said otherwise is refused.

use nablac_onnx::{Document, DocumentNode, Element};

use super::network::Network;
use super::weights::integer;
use crate::failure::{Code, Failure, Result};

/// What changed in an operator.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Change {
    /// An attribute of integers became the input at this position.
    ToInput(&'static str, usize),
    /// The default of `axis`, and what it means where it is not the last.
    LastAxis,
    /// The number of equal parts is stated.
    PartCount,
    /// The meaning changed.
    Refused,
}

use Change::*;

/// Operator, the set that changed it, and how. Other changes between sets 7 and 21 add types or attributes with a default that keeps
/// the meaning.
const CHANGES: &[(&str, i64, Change)] = &[
    ("Upsample", 10, Refused),
    ("Slice", 10, Refused),
    ("TopK", 10, Refused),
    ("Dropout", 12, Refused),
    ("Clip", 11, Refused),
    ("Pad", 11, Refused),
    ("Resize", 11, Refused),
    ("BatchNormalization", 14, Refused),
    ("Squeeze", 13, ToInput("axes", 1)),
    ("Unsqueeze", 13, ToInput("axes", 1)),
    ("ReduceSum", 13, ToInput("axes", 1)),
    ("Split", 13, ToInput("split", 1)),
    ("Softmax", 13, LastAxis),
    ("LogSoftmax", 13, Refused),
    ("Hardmax", 13, Refused),
    ("Split", 18, PartCount),
    ("ReduceMean", 18, ToInput("axes", 1)),
    ("ReduceMax", 18, ToInput("axes", 1)),
    ("ReduceMin", 18, ToInput("axes", 1)),
    ("ReduceProd", 18, ToInput("axes", 1)),
    ("ReduceL1", 18, ToInput("axes", 1)),
    ("ReduceL2", 18, ToInput("axes", 1)),
    ("ReduceLogSum", 18, ToInput("axes", 1)),
    ("ReduceLogSumExp", 18, ToInput("axes", 1)),
    ("ReduceSumSquare", 18, ToInput("axes", 1)),
    ("GroupNormalization", 21, Refused),
];

/// Raises a document to operator set `target`, if it is below.
pub fn raise(
    document: &mut Document,
    target: i64,
    network: &Network,
    fresh: &mut dyn FnMut(&str) -> String,
) -> Result<()> {
    let from = document.opset();
    if from >= target {
        return Ok(());
    }
    let mut nodes = std::mem::take(&mut document.nodes);
    for node in &mut nodes {
        let crossed = |row: &&(&str, i64, Change)| row.0 == node.operator && from < row.1 && row.1 <= target;
        let changes: Vec<Change> = CHANGES.iter().filter(crossed).map(|row| row.2).collect();
        for change in changes {
            let applied = apply(change, node, document, network, fresh);
            applied.map_err(|problem| refused(node, from, target, problem))?;
        }
    }
    document.nodes = nodes;
    document.set_opset(target);
    Ok(())
}

fn refused(node: &DocumentNode, from: i64, target: i64, problem: &str) -> Box<Failure> {
    let message = format!(
        "node `{}` ({}): the model has operator set {from}, quantization needs {target}, and {problem}",
        node.name, node.operator
    );
    Failure::new(Code::Quantization, message)
        .help(format!("`onnx.version_converter.convert_version(model, {target})` converts the model"))
}

fn apply(
    change: Change,
    node: &mut DocumentNode,
    document: &mut Document,
    network: &Network,
    fresh: &mut dyn FnMut(&str) -> String,
) -> std::result::Result<(), &'static str> {
    let step = network.steps.iter().find(|step| node.outputs.iter().any(|name| step.results.contains(name)));
    match change {
        Refused => Err("the operator's meaning has changed between them"),
        ToInput(attribute, position) if node.has_attribute(attribute) => {
            let values = node.integers(attribute);
            let name = fresh(&format!("{}.{attribute}", node.outputs.first().map_or("", |name| name)));
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            document.add_constant(&name, Element::Int64, &[values.len()], bytes);
            node.remove_attribute(attribute);
            node.inputs.resize(position, String::new());
            node.inputs.push(name);
            Ok(())
        }
        ToInput(..) => Ok(()),
        PartCount
            if node.inputs.get(1).is_none_or(|name| name.is_empty()) && !node.has_attribute("split") =>
        {
            node.set_integer("num_outputs", node.outputs.len() as i64);
            Ok(())
        }
        PartCount => Ok(()),
        LastAxis => {
            let step = step.ok_or("its input is not known")?;
            let rank = network.types.get(&step.results[0]).map_or(0, |(_, shape)| shape.len() as i64);
            let axis = integer(&step.node, "axis", 1);
            if axis != -1 && axis != rank - 1 {
                return Err("its axis is not the last");
            }
            node.set_integer("axis", -1);
            Ok(())
        }
    }
}
