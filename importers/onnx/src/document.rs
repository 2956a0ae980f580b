//! Editing an ONNX file: its graph's nodes and constants, with everything else kept byte for byte.
//!
//! Owns the protobuf fields of the model and its graph as they stand in the file. What is not edited is written back as it was
//! read, whether its field is known here or not. What operators mean, and what to change, is the caller's business.

use std::collections::BTreeSet;

use nablac_graph::limits::Limits;
use prost::Message;

use crate::proto::{self, EXTERNAL, attribute};
use crate::{Error, wire};

/// Field numbers of `ModelProto`.
mod model {
    pub const IR_VERSION: u32 = 1;
    pub const GRAPH: u32 = 7;
    pub const OPSET_IMPORT: u32 = 8;
    pub const FUNCTIONS: u32 = 25;
}

/// Field numbers of `GraphProto`.
mod graph {
    pub const NODE: u32 = 1;
    pub const INITIALIZER: u32 = 5;
    pub const INPUT: u32 = 11;
    pub const VALUE_INFO: u32 = 13;
}

/// Field numbers of `NodeProto`.
mod node {
    pub const INPUT: u32 = 1;
    pub const OUTPUT: u32 = 2;
    pub const NAME: u32 = 3;
    pub const OP_TYPE: u32 = 4;
    pub const ATTRIBUTE: u32 = 5;
}

/// A model file whose graph can be changed.
#[derive(Clone, Debug)]
pub struct Document {
    /// The fields of the model but its versions and its graph.
    model: Vec<Field>,
    /// The fields of the graph but its nodes and initializers.
    graph: Vec<Field>,
    ir_version: i64,
    opsets: Vec<proto::OperatorSet>,
    initializers: Vec<Initializer>,
    /// The nodes of the graph, in order.
    pub nodes: Vec<DocumentNode>,
}

/// A node of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct DocumentNode {
    /// Its name; may be empty.
    pub name: String,
    /// The operator's name, without its domain.
    pub operator: String,
    /// Value names; an empty name is an omitted optional input.
    pub inputs: Vec<String>,
    /// Value names; an empty name is an output that nobody reads.
    pub outputs: Vec<String>,
    /// The other fields: attributes, domain, documentation.
    rest: Vec<Field>,
}

/// An initializer, as its message.
#[derive(Clone, Debug)]
struct Initializer {
    name: String,
    message: Vec<u8>,
}

/// The element type of a constant that is added to a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Element {
    /// IEEE 754 binary32.
    Float = 1,
    /// 8-bit integers.
    Int8 = 3,
    /// 16-bit integers.
    Int16 = 5,
    /// 32-bit integers.
    Int32 = 6,
    /// 64-bit integers.
    Int64 = 7,
    /// 4-bit integers, two to a byte, the first in the lower half.
    Int4 = 22,
}

/// One protobuf field with its key.
#[derive(Clone, PartialEq, Debug)]
struct Field {
    number: u32,
    bytes: Vec<u8>,
    /// Where the content of a text, a message or packed numbers begins.
    content: usize,
}

impl Field {
    fn content(&self) -> &[u8] {
        &self.bytes[self.content..]
    }

    /// A field that holds bytes.
    fn new(number: u32, content: &[u8]) -> Field {
        let mut bytes = vec![];
        push_varint(&mut bytes, u64::from(number) << 3 | 2);
        push_varint(&mut bytes, content.len() as u64);
        let start = bytes.len();
        bytes.extend(content);
        Field { number, bytes, content: start }
    }
}

impl Document {
    /// The document in `bytes`.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Document, Error> {
        wire::scan(bytes, limits)?;
        let decoded = proto::Model::decode(bytes).map_err(|error| Error::Message(error.to_string()))?;
        let mut document = Document {
            model: vec![],
            graph: vec![],
            ir_version: decoded.ir_version.unwrap_or(0),
            opsets: decoded.opset_import,
            initializers: vec![],
            nodes: vec![],
        };
        for field in fields(bytes)? {
            match field.number {
                model::IR_VERSION | model::OPSET_IMPORT => {}
                model::GRAPH => document.read_graph(field.content())?,
                model::FUNCTIONS => {
                    let advice = "expand them first with `onnx.inliner.inline_local_functions`";
                    return Err(Error::unsupported(format!(
                        "editing a model with local functions; {advice}"
                    )));
                }
                _ => document.model.push(field),
            }
        }
        Ok(document)
    }

    fn read_graph(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for field in fields(bytes)? {
            match field.number {
                graph::NODE => self.nodes.push(DocumentNode::parse(field.content())?),
                graph::INITIALIZER => {
                    let tensor = decode::<proto::Tensor>(field.content())?;
                    if tensor.data_location == EXTERNAL {
                        let advice = "save it as one file first, with `onnx.save(model, path)`";
                        let what = format!(
                            "editing a model with external data (tensor `{}`); {advice}",
                            tensor.name
                        );
                        return Err(Error::unsupported(what));
                    }
                    self.initializers
                        .push(Initializer { name: tensor.name, message: field.content().to_vec() });
                }
                _ => self.graph.push(field),
            }
        }
        Ok(())
    }

    /// The default domain's operator set.
    pub fn opset(&self) -> i64 {
        let own = self.opsets.iter().find(|opset| crate::model::default_domain(&opset.domain).is_empty());
        own.map_or(0, |opset| opset.version)
    }

    /// States another operator set of the default domain, and an IR version that knows it. The nodes are the caller's matter.
    pub fn set_opset(&mut self, version: i64) {
        // 13 came with IR version 7; 21, and with it 4-bit integers, with IR version 10.
        self.ir_version = self.ir_version.max(if version >= 21 { 10 } else { 7 });
        for opset in &mut self.opsets {
            if crate::model::default_domain(&opset.domain).is_empty() {
                opset.version = version;
            }
        }
    }

    /// Every name that the graph uses for a value.
    pub fn names(&self) -> BTreeSet<String> {
        let nodes = self.nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs));
        nodes.chain(self.initializers.iter().map(|tensor| &tensor.name)).cloned().collect()
    }

    /// The names of the constants.
    pub fn constants(&self) -> BTreeSet<String> {
        self.initializers.iter().map(|tensor| tensor.name.clone()).collect()
    }

    /// Adds a constant from its little-endian bytes.
    pub fn add_constant(&mut self, name: &str, element: Element, shape: &[usize], bytes: Vec<u8>) {
        let tensor = proto::Tensor {
            name: name.into(),
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            data_type: element as i32,
            raw_data: Some(bytes),
            ..proto::Tensor::default()
        };
        self.initializers.push(Initializer { name: name.into(), message: tensor.encode_to_vec() });
    }

    /// Removes constants that neither a node nor an output in `outputs` reads, and what is said about values that are gone.
    pub fn remove_unread(&mut self, outputs: &[String]) {
        let read: BTreeSet<&str> =
            self.nodes.iter().flat_map(|node| &node.inputs).chain(outputs).map(String::as_str).collect();
        let gone: BTreeSet<String> =
            self.constants().into_iter().filter(|name| !read.contains(name.as_str())).collect();
        self.initializers.retain(|tensor| !gone.contains(&tensor.name));
        let written: BTreeSet<&str> =
            self.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str).collect();
        self.graph.retain(|field| {
            let name =
                || decode::<proto::ValueInfo>(field.content()).map(|info| info.name).unwrap_or_default();
            match field.number {
                // Files of IR version 3 list their constants among the inputs too.
                graph::INPUT => !gone.contains(&name()),
                graph::VALUE_INFO => written.contains(name().as_str()),
                _ => true,
            }
        });
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut graph = vec![];
        self.nodes.iter().for_each(|node| graph.extend(Field::new(graph::NODE, &node.encode()).bytes));
        for tensor in &self.initializers {
            graph.extend(Field::new(graph::INITIALIZER, &tensor.message).bytes);
        }
        self.graph.iter().for_each(|field| graph.extend(&field.bytes));
        let mut bytes = vec![];
        push_varint(&mut bytes, u64::from(model::IR_VERSION) << 3);
        push_varint(&mut bytes, self.ir_version as u64);
        self.model.iter().for_each(|field| bytes.extend(&field.bytes));
        bytes.extend(Field::new(model::GRAPH, &graph).bytes);
        for opset in &self.opsets {
            bytes.extend(Field::new(model::OPSET_IMPORT, &opset.encode_to_vec()).bytes);
        }
        bytes
    }
}

impl DocumentNode {
    /// A node of the default domain without attributes.
    pub fn new(operator: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> DocumentNode {
        let texts = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        DocumentNode {
            name: name.into(),
            operator: operator.into(),
            inputs: texts(inputs),
            outputs: texts(outputs),
            rest: vec![],
        }
    }

    fn parse(bytes: &[u8]) -> Result<DocumentNode, Error> {
        let decoded = decode::<proto::Node>(bytes)?;
        let edited = [node::INPUT, node::OUTPUT, node::NAME, node::OP_TYPE];
        Ok(DocumentNode {
            name: decoded.name,
            operator: decoded.op_type,
            inputs: decoded.input,
            outputs: decoded.output,
            rest: fields(bytes)?.into_iter().filter(|field| !edited.contains(&field.number)).collect(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![];
        let mut push = |number, text: &String| bytes.extend(Field::new(number, text.as_bytes()).bytes);
        self.inputs.iter().for_each(|name| push(node::INPUT, name));
        self.outputs.iter().for_each(|name| push(node::OUTPUT, name));
        push(node::NAME, &self.name);
        push(node::OP_TYPE, &self.operator);
        self.rest.iter().for_each(|field| bytes.extend(&field.bytes));
        bytes
    }

    /// Whether the file gives this attribute.
    pub fn has_attribute(&self, name: &str) -> bool {
        self.rest.iter().any(|field| is_attribute(field, name))
    }

    /// The integers of an attribute; none if the node does not have it.
    pub fn integers(&self, name: &str) -> Vec<i64> {
        let attribute = self.rest.iter().find(|field| is_attribute(field, name));
        let decoded = attribute.and_then(|field| decode::<proto::Attribute>(field.content()).ok());
        decoded.map_or(vec![], |attribute| attribute.ints)
    }

    /// Removes an attribute, if the node has it.
    pub fn remove_attribute(&mut self, name: &str) {
        self.rest.retain(|field| !is_attribute(field, name));
    }

    /// Sets an attribute to an integer.
    pub fn set_integer(&mut self, name: &str, value: i64) {
        self.remove_attribute(name);
        let attribute =
            proto::Attribute { name: name.into(), i: value, r#type: attribute::INT, ..Default::default() };
        let mut bytes = attribute.encode_to_vec();
        if value == 0 {
            bytes.extend([3 << 3, 0]); // protobuf leaves a zero out; readers of ONNX want to see it
        }
        self.rest.push(Field::new(node::ATTRIBUTE, &bytes));
    }
}

fn is_attribute(field: &Field, name: &str) -> bool {
    let named = |attribute: proto::Attribute| attribute.name == name;
    field.number == node::ATTRIBUTE && decode::<proto::Attribute>(field.content()).is_ok_and(named)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(|error| Error::Message(error.to_string()))
}

/// The fields of one message.
fn fields(bytes: &[u8]) -> Result<Vec<Field>, Error> {
    let mut fields = vec![];
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut ahead = rest;
        let key = varint(&mut ahead)?;
        let size = match key & 7 {
            0 => varint(&mut ahead).map(|_| 0)?,
            1 => 8,
            2 => varint(&mut ahead)?,
            _ => 4,
        };
        let content = rest.len() - ahead.len();
        let length = content.checked_add(size).filter(|&length| length <= rest.len());
        let length = length.ok_or_else(|| Error::Message("a field is cut short".into()))?;
        fields.push(Field { number: (key >> 3) as u32, bytes: rest[..length].to_vec(), content });
        rest = &rest[length..];
    }
    Ok(fields)
}

fn varint(bytes: &mut &[u8]) -> Result<usize, Error> {
    prost::decode_length_delimiter(bytes).map_err(|error| Error::Message(error.to_string()))
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
