//! Cases of `tests/cases`: reading them, and checking them in every form that a graph has.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nablac_graph::source::{Framework, SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_graph::{fold_constants, import, run, verify};
use nablac_index::{Array, DType, Value};
use serde_json::Value as Json;

pub mod round_trip;

/// How far a float may be from the reference: absolutely below 1, relative to the value beyond.
const TOLERANCE: f64 = 1e-5;

/// Checks every case of a file; says all that fail.
pub fn check_cases(text: &str) {
    let cases: Vec<Json> = serde_json::from_str(text).unwrap();
    assert!(!cases.is_empty());
    let failures: Vec<String> =
        cases.iter().filter_map(|case| check(case).err().map(|e| format!("{}: {e}", case["name"]))).collect();
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The imported graph and the folded one are well-formed, survive their text, and give the expected outputs.
fn check(case: &Json) -> Result<(), String> {
    let inputs: Vec<Array> = case["inputs"].as_array().unwrap().iter().map(array).collect();
    let expected: Vec<Array> = case["outputs"].as_array().unwrap().iter().map(array).collect();
    let graph = import(&model(&case["model"]), &Default::default()).map_err(|e| e.to_string())?;
    for graph in [graph.clone(), fold_constants(graph)] {
        verify(&graph).map_err(|e| e.to_string())?;
        round_trip::check(&graph)?;
        let outputs = run(&graph, &inputs).map_err(|e| format!("{e}\n{graph}"))?;
        if outputs.len() != expected.len() {
            return Err(format!("{} outputs instead of {}", outputs.len(), expected.len()));
        }
        outputs.iter().zip(&expected).try_for_each(|(y, expected)| near(y, expected))?;
    }
    Ok(())
}

fn near(y: &Array, expected: &Array) -> Result<(), String> {
    if (y.dtype(), y.shape()) != (expected.dtype(), expected.shape()) {
        return Err(format!("{y:?} instead of {expected:?}"));
    }
    let close = |a: f64, b: f64| {
        let float = expected.dtype().is_float();
        a == b || a.is_nan() && b.is_nan() || float && (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
    };
    match y.to_f64().into_iter().zip(expected.to_f64()).position(|(a, b)| !close(a, b)) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {:?} instead of {:?}", y.to_f64()[i], expected.to_f64()[i])),
    }
}

/// `{"type", "shape", "values"}` as an array.
pub fn array(json: &Json) -> Array {
    let (dtype, shape) = type_of(json);
    let value = |x: &Json| match x {
        Json::String(word) => Value::from_f64(dtype, word.parse().unwrap()),
        Json::Bool(truth) => Value::Int(*truth as i64),
        x if dtype.is_float() => Value::from_f64(dtype, x.as_f64().unwrap()),
        x => Value::Int(x.as_i64().unwrap()),
    };
    Array::from_values(dtype, &shape, json["values"].as_array().unwrap().iter().map(value))
}

fn type_of(json: &Json) -> (DType, Vec<usize>) {
    let extent = |n: &Json| n.as_u64().unwrap() as usize;
    let shape = json["shape"].as_array().unwrap().iter().map(extent).collect();
    (DType::from_name(json["type"].as_str().unwrap()).unwrap(), shape)
}

/// A node list.
pub fn model(json: &Json) -> SourceModel {
    let input = |json: &Json| {
        let (dtype, shape) = type_of(json);
        let shape = shape.into_iter().map(SourceDim::Fixed).collect();
        SourceTensor { name: text(&json["name"]), dtype: Some(dtype), shape: Some(shape) }
    };
    let output = |name: &Json| SourceTensor { name: text(name), dtype: None, shape: None };
    SourceModel {
        inputs: json["inputs"].as_array().unwrap().iter().map(input).collect(),
        outputs: json["outputs"].as_array().unwrap().iter().map(output).collect(),
        constants: entries(&json["constants"], array),
        nodes: json["nodes"].as_array().unwrap().iter().map(node).collect(),
        ..SourceModel::default()
    }
}

fn node(json: &Json) -> SourceNode {
    SourceNode {
        name: text(&json["name"]),
        framework: if json["framework"] == "onnx" { Framework::Onnx } else { Framework::Tflite },
        operator: text(&json["operator"]),
        version: json["version"].as_i64().unwrap(),
        inputs: json["inputs"].as_array().unwrap().iter().map(text).collect(),
        outputs: json["outputs"].as_array().unwrap().iter().map(text).collect(),
        attributes: entries(&json["attributes"], attribute),
    }
}

fn attribute(json: &Json) -> SourceAttribute {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    let list = || value.as_array().unwrap().iter();
    match kind.as_str() {
        "int" => SourceAttribute::Int(value.as_i64().unwrap()),
        "float" => SourceAttribute::Float(value.as_f64().unwrap() as f32 as f64),
        "text" => SourceAttribute::Text(text(value)),
        "ints" => SourceAttribute::Ints(list().map(|x| x.as_i64().unwrap()).collect()),
        "floats" => SourceAttribute::Floats(list().map(|x| x.as_f64().unwrap()).collect()),
        "tensor" => SourceAttribute::Tensor(array(value)),
        "graph" => SourceAttribute::Graph(Box::new(model(value))),
        other => panic!("an attribute of kind {other}"),
    }
}

fn entries<T>(json: &Json, read: fn(&Json) -> T) -> BTreeMap<String, T> {
    json.as_object().unwrap().iter().map(|(name, value)| (name.clone(), read(value))).collect()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().into()
}
