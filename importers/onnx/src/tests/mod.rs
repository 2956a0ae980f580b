//! Models built in memory and encoded, and what the importer makes of them.

mod document;
mod external;
mod functions;
mod graphs;
mod malformed;
mod tensors;

use std::path::Path;

use nablac_graph::limits::{Fault, Limits};
use nablac_graph::source::SourceModel;
use prost::Message;

use crate::proto::*;
use crate::{Error, parse};

/// A float vector of 3 as input or output.
fn vector(name: &str) -> ValueInfo {
    typed(name, 1, vec![Extent::Value(3)])
}

fn typed(name: &str, elem_type: i32, extents: Vec<Extent>) -> ValueInfo {
    let dim = extents.into_iter().map(|extent| Dimension { extent: Some(extent) }).collect();
    let tensor = TensorType { elem_type, shape: Some(Shape { dim }) };
    ValueInfo { name: name.into(), r#type: Some(Type { kind: Some(TypeKind::Tensor(tensor)) }) }
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let texts = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
    Node { input: texts(inputs), output: texts(outputs), op_type: operator.into(), ..Node::default() }
}

fn floats(name: &str, values: &[f32]) -> Tensor {
    Tensor {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: 1,
        float_data: values.to_vec(),
        ..Tensor::default()
    }
}

fn graph(node: Vec<Node>) -> Graph {
    Graph { node, name: "g".into(), input: vec![vector("x")], output: vec![vector("y")], ..Graph::default() }
}

fn model(graph: Graph) -> Model {
    Model {
        ir_version: Some(8),
        opset_import: vec![OperatorSet { domain: String::new(), version: 17 }],
        graph: Some(graph),
        functions: vec![],
    }
}

/// `y = relu(x + w)` with one attribute of each simple type.
fn small() -> Model {
    let mut add = node("Add", &["x", "w"], &["s"]);
    add.name = "plus".into();
    let attribute = |name: &str, r#type| Attribute { name: name.into(), r#type, ..Attribute::default() };
    add.attribute = vec![
        Attribute { i: -7, ..attribute("int", attribute::INT) },
        Attribute { f: 0.5, ..attribute("float", attribute::FLOAT) },
        Attribute { s: b"text".to_vec(), ..attribute("text", attribute::STRING) },
        Attribute { ints: vec![1, -2], ..attribute("ints", attribute::INTS) },
        Attribute { floats: vec![1.5, 2.5], ..attribute("floats", attribute::FLOATS) },
        Attribute { strings: vec![b"a".to_vec(), b"".to_vec()], ..attribute("texts", attribute::STRINGS) },
        Attribute { t: Some(floats("", &[4.0])), ..attribute("tensor", attribute::TENSOR) },
    ];
    let mut graph = graph(vec![add, node("Relu", &["s"], &["y"])]);
    graph.initializer = vec![floats("w", &[1.0, 2.0, 3.0])];
    model(graph)
}

fn import(model: &Model) -> Result<SourceModel, Error> {
    parse(&model.encode_to_vec(), None, &Limits::default())
}

fn import_in(model: &Model, folder: &Path) -> Result<SourceModel, Error> {
    parse(&model.encode_to_vec(), Some(folder), &Limits::default())
}

/// Asserts whose fault it is, and that the message has all of `parts`.
#[track_caller]
fn assert_fails(result: Result<SourceModel, Error>, fault: Fault, parts: &[&str]) {
    let error = result.expect_err("an error is expected");
    let text = error.to_string();
    assert_eq!(error.fault(), fault, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
