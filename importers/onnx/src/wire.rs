//! The first look at a file's bytes, before anything is allocated.
//!
//! Owns the walk over protobuf's wire format: every length lies within its message, and the numbers of nodes,
//! messages and nested graphs are within the limits. What the fields mean is left to `proto` and `model`.

use nablac_graph::limits::{Limit, Limits};

use crate::Error;

#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Function,
    Value,
    Type,
    TensorType,
    Shape,
    Leaf,
}

use Message::*;

/// The fields that hold messages: the message they are in, their number, their name, the message they hold.
const FIELDS: &[(Message, u64, &str, Message)] = &[
    (Model, 7, "ModelProto.graph", Graph),
    (Model, 8, "ModelProto.opset_import", Leaf),
    (Model, 25, "ModelProto.functions", Function),
    (Graph, 1, "GraphProto.node", Node),
    (Graph, 5, "GraphProto.initializer", Tensor),
    (Graph, 11, "GraphProto.input", Value),
    (Graph, 12, "GraphProto.output", Value),
    (Graph, 15, "GraphProto.sparse_initializer", Leaf),
    (Node, 5, "NodeProto.attribute", Attribute),
    (Attribute, 5, "AttributeProto.t", Tensor),
    (Attribute, 6, "AttributeProto.g", Graph),
    (Tensor, 13, "TensorProto.external_data", Leaf),
    (Function, 7, "FunctionProto.node", Node),
    (Function, 9, "FunctionProto.opset_import", Leaf),
    (Function, 11, "FunctionProto.attribute_proto", Attribute),
    (Value, 2, "ValueInfoProto.type", Type),
    (Type, 1, "TypeProto.tensor_type", TensorType),
    (TensorType, 2, "TypeProto.Tensor.shape", Shape),
    (Shape, 1, "TensorShapeProto.dim", Leaf),
];

/// Messages of any kind that may come with one node. A message takes two bytes in the file and up to a few
/// hundred in memory; an exporter writes about ten for each node, those of its initializers included.
const MESSAGES_PER_NODE: u64 = 64;

/// Graphs within graphs that can be read at all: `prost` stops at 100 messages within each other, and a graph
/// lies three messages (graph, node, attribute) below the one around it.
const DEEPEST_NESTING: u64 = 30;

/// Checks the bytes of a `ModelProto`.
pub(crate) fn scan(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.is_empty() {
        return Err(broken(0, "ModelProto", "the file is empty"));
    }
    let mut scan = Scan { bytes, limits, nodes: 0, messages: 0 };
    scan.message(Model, "ModelProto", 0, bytes.len(), 0)?;
    limits.check(Limit::Nodes, scan.nodes, || "the model".into())?;
    let least_nodes = scan.messages / MESSAGES_PER_NODE;
    limits.check(Limit::Nodes, least_nodes, || format!("the model, with {} messages", scan.messages))?;
    Ok(())
}

struct Scan<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    nodes: u64,
    messages: u64,
}

impl Scan<'_> {
    fn message(
        &mut self,
        kind: Message,
        place: &str,
        start: usize,
        end: usize,
        depth: u64,
    ) -> Result<(), Error> {
        let depth = depth + (kind == Graph) as u64;
        self.nodes += (kind == Node) as u64;
        self.messages += 1;
        if kind == Graph {
            self.check_nesting(depth - 1)?;
        }
        let mut at = start;
        while at < end {
            at = self.field(kind, place, at, end, depth)?;
        }
        Ok(())
    }

    /// Reads one field at `at` and says where the next one starts.
    fn field(
        &mut self,
        kind: Message,
        place: &str,
        at: usize,
        end: usize,
        depth: u64,
    ) -> Result<usize, Error> {
        let (tag, data) = self.varint(place, at, end)?;
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 || number > 0x1fff_ffff {
            return Err(broken(at, place, "a field number is expected, from 1 to 536870911"));
        }
        let child = FIELDS.iter().find(|row| row.0 == kind && row.1 == number);
        let place = match child {
            Some(row) => row.2.to_string(),
            None => format!("field {number} of {place}"),
        };
        let (size, data) = match wire_type {
            0 => (0, self.varint(&place, data, end)?.1),
            1 => (8, data),
            2 => self.varint(&place, data, end)?,
            5 => (4, data),
            other => return Err(broken(at, &place, &format!("wire type {other} does not occur in ONNX"))),
        };
        let left = (end - data) as u64;
        if size > left {
            return Err(broken(data, &place, &format!("{size} bytes are expected, {left} are left")));
        }
        let next = data + size as usize;
        if let (Some(row), 2) = (child, wire_type) {
            if row.3 == Leaf {
                self.messages += 1;
            } else {
                self.message(row.3, row.2, data, next, depth)?;
            }
        }
        Ok(next)
    }

    /// A variable-length integer, and where it ends.
    fn varint(&self, place: &str, at: usize, end: usize) -> Result<(u64, usize), Error> {
        let mut value = 0u64;
        for (count, &byte) in self.bytes[at..end].iter().take(10).enumerate() {
            value |= ((byte & 0x7f) as u64).checked_shl(7 * count as u32).unwrap_or(0);
            if byte < 0x80 {
                return Ok((value, at + count + 1));
            }
        }
        let problem = match end - at {
            0..10 => "the message ends within an integer",
            _ => "an integer is longer than ten bytes",
        };
        Err(broken(at, place, problem))
    }

    fn check_nesting(&self, depth: u64) -> Result<(), Error> {
        self.limits.check(Limit::Nesting, depth, || "the model".into())?;
        if depth > DEEPEST_NESTING {
            let what = format!("graphs nested {depth} deep; {DEEPEST_NESTING} can be read");
            return Err(Error::unsupported(what));
        }
        Ok(())
    }
}

fn broken(offset: usize, place: &str, problem: &str) -> Error {
    Error::Wire { offset, place: place.into(), problem: problem.into() }
}
