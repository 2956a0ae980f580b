//! Reading the models and arrays of `tests/cases`.

use std::collections::BTreeMap;

use nablac_graph::source::{Framework, SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_index::{Array, DType, Value};
use serde_json::Value as Json;

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
