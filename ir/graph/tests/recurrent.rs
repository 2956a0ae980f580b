//! Layers that keep a state from run to run: what their imports refuse, and what becomes of states in a graph.
//!
//! That their numbers are TFLite's is tested in `tests/conformance`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nablac_graph::source::{
    Framework, SourceAttribute, SourceDim, SourceModel, SourceNode, SourceState, SourceTensor,
};
use nablac_graph::{Error, Graph, Quantization, define, fold_constants, import, parse, verify};
use nablac_index::{Array, DType, Session, Value};

#[path = "support/round_trip.rs"]
mod round_trip;

fn zeros(dtype: DType, shape: &[usize]) -> Array {
    Array::from_values(dtype, shape, vec![Value::from_f64(dtype, 0.0); shape.iter().product()])
}

/// A filter over four times of two features, in float or on integers.
fn svdf(integer: bool) -> SourceModel {
    let [narrow, wide] = if integer { [DType::I8, DType::I16] } else { [DType::F32; 2] };
    let mut model = SourceModel {
        inputs: vec![port("x", narrow, &[1, 2])],
        outputs: vec![port("y", narrow, &[1, 3])],
        constants: BTreeMap::from([("w".into(), zeros(narrow, &[3, 2])), ("v".into(), zeros(wide, &[3, 4]))]),
        states: vec![SourceState { name: "state".into(), initial: zeros(wide, &[1, 12]) }],
        nodes: vec![node(
            "SVDF",
            &["x", "w", "v", "", "state"],
            &[("rank", 1), ("fused_activation_function", 1)],
        )],
        ..SourceModel::default()
    };
    quantize(&mut model, integer, &["x", "w", "v", "state", "y"]);
    model
}

/// A long short-term memory of three cells over five times of two features.
fn lstm(integer: bool) -> SourceModel {
    let [narrow, wide] = if integer { [DType::I8, DType::I16] } else { [DType::F32; 2] };
    let bias = if integer { DType::I32 } else { DType::F32 };
    let mut names = vec!["x".to_string()];
    let mut constants = BTreeMap::new();
    for (letter, shape, dtype) in [("w", vec![3, 2], narrow), ("r", vec![3, 3], narrow)] {
        for gate in ["i", "f", "c", "o"] {
            constants.insert(format!("{letter}{gate}"), zeros(dtype, &shape));
            names.push(format!("{letter}{gate}"));
        }
    }
    names.extend(vec![String::new(); 3]);
    for gate in ["i", "f", "c", "o"] {
        constants.insert(format!("b{gate}"), zeros(bias, &[3]));
        names.push(format!("b{gate}"));
    }
    names.extend(["", "", "h", "cells"].map(String::from));
    let quantized: Vec<String> =
        names.iter().filter(|name| !name.is_empty() && !name.starts_with('b')).cloned().collect();
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lstm = node("UNIDIRECTIONAL_SEQUENCE_LSTM", &inputs, &[("fused_activation_function", 4)]);
    let intermediates = ["", "", "", "", "hidden"].map(String::from).to_vec();
    lstm.attributes.insert("intermediates".into(), SourceAttribute::Texts(intermediates));
    let mut model = SourceModel {
        inputs: vec![port("x", narrow, &[1, 5, 2])],
        outputs: vec![port("y", narrow, &[1, 5, 3])],
        constants,
        states: vec![
            SourceState { name: "h".into(), initial: zeros(narrow, &[1, 3]) },
            SourceState { name: "cells".into(), initial: zeros(wide, &[1, 3]) },
        ],
        nodes: vec![lstm],
        ..SourceModel::default()
    };
    let quantized: Vec<&str> = quantized.iter().map(String::as_str).chain(["y", "hidden"]).collect();
    quantize(&mut model, integer, &quantized);
    model
}

fn port(name: &str, dtype: DType, shape: &[usize]) -> SourceTensor {
    let shape = shape.iter().map(|&extent| SourceDim::Fixed(extent)).collect();
    SourceTensor { name: name.into(), dtype: Some(dtype), shape: Some(shape) }
}

fn node(operator: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> SourceNode {
    let attributes = attributes.iter().map(|(name, value)| (name.to_string(), SourceAttribute::Int(*value)));
    SourceNode {
        name: "layer".into(),
        framework: Framework::Tflite,
        operator: operator.into(),
        version: 3,
        inputs: inputs.iter().map(|name| name.to_string()).collect(),
        outputs: vec!["y".into()],
        attributes: attributes.collect(),
    }
}

fn quantize(model: &mut SourceModel, integer: bool, names: &[&str]) {
    if integer {
        let scale = || Quantization::per_tensor(1.0 / 4096.0, 0);
        model.quantization = names.iter().map(|name| (name.to_string(), scale())).collect();
        model.dtypes.insert("y".into(), DType::I8);
    }
}

fn imported(model: &SourceModel) -> Result<Graph, Error> {
    import(model, &Default::default())
}

#[test]
fn layers_arrive_with_their_states_and_survive_their_text() {
    for (model, states) in [(svdf(false), 1), (svdf(true), 1), (lstm(false), 2), (lstm(true), 2)] {
        let graph = imported(&model).unwrap();
        verify(&graph).unwrap();
        assert_eq!(graph.states.len(), states);
        round_trip::check(&graph).unwrap();
        let folded = fold_constants(graph);
        assert_eq!(folded.states.len(), states);
        nablac_index::verify(&define(&folded).unwrap()).unwrap();
    }
}

/// The error of a model with one thing changed names what is wrong.
fn refused(mut model: SourceModel, change: impl FnOnce(&mut SourceModel), unsupported: bool, part: &str) {
    change(&mut model);
    let error = imported(&model).expect_err(part);
    assert_eq!(error.is_unsupported(), unsupported, "{error}");
    assert!(error.to_string().contains(part), "{error} does not say `{part}`");
}

fn set(name: &'static str, value: i64) -> impl FnOnce(&mut SourceModel) {
    move |model| _ = model.nodes[0].attributes.insert(name.into(), SourceAttribute::Int(value))
}

fn scale(name: &'static str, scale: f32, zero_point: i64) -> impl FnOnce(&mut SourceModel) {
    move |model| _ = model.quantization.insert(name.into(), Quantization::per_tensor(scale, zero_point))
}

#[test]
fn what_a_filter_over_time_can_not_do_is_named() {
    refused(svdf(true), set("fused_activation_function", 0), true, "activation other than RELU");
    refused(svdf(true), |m| m.states[0].initial = zeros(DType::I8, &[1, 12]), true, "a state of i16");
    refused(svdf(true), scale("w", 0.5, 3), false, "zero point other than 0");
    refused(svdf(true), scale("state", f32::NAN, 0), false, "a scale of NaN");
    refused(svdf(false), set("rank", 2), false, "rank 2");
    refused(svdf(false), set("rank", 0), false, "rank 0");
    refused(svdf(false), set("rank", -1), false, "a rank of -1");
    let constant = |m: &mut SourceModel| {
        let state = m.states.remove(0);
        m.constants.insert(state.name, state.initial);
    };
    refused(svdf(false), constant, false, "is no variable");
    let bias = |m: &mut SourceModel| {
        m.constants.insert("bias".into(), zeros(DType::I32, &[3]));
        m.quantization.insert("bias".into(), Quantization::per_tensor(0.5, 0));
        m.nodes[0].inputs[3] = "bias".into();
    };
    refused(svdf(true), bias, false, "the bias has scale");
}

#[test]
fn what_a_long_short_term_memory_can_not_do_is_named() {
    refused(lstm(false), set("fused_activation_function", 0), true, "without an activation");
    refused(lstm(false), set("fused_activation_function", 5), true, "activation 5");
    refused(lstm(true), set("fused_activation_function", 1), true, "other than TANH");
    refused(lstm(false), set("diagonal_recurrent_tensors", 1), true, "diagonals");
    refused(lstm(true), scale("cells", 0.01, 0), true, "powers of two");
    refused(lstm(true), scale("y", 0.5, 0), false, "differ in scale");
    refused(lstm(true), scale("rf", 0.5, 1), false, "zero point 1");
    refused(lstm(true), |m| _ = m.quantization.remove("hidden"), false, "fifth intermediate");
    refused(lstm(true), scale("hidden", 0.0, 0), false, "a scale of 0");
    refused(lstm(false), |m| m.nodes[0].inputs[6].clear(), false, "input 6 is missing");
    refused(
        lstm(false),
        |m| _ = m.constants.insert("wf".into(), zeros(DType::F32, &[2, 3])),
        false,
        "input 2",
    );
    let infinite = |m: &mut SourceModel| {
        m.nodes[0].attributes.insert("cell_clip".into(), SourceAttribute::Float(f64::INFINITY));
    };
    refused(lstm(false), infinite, false, "`cell_clip` is inf");
    let normalized = |m: &mut SourceModel| {
        for gate in ["li", "lf", "lc", "lo"] {
            m.constants.insert(gate.into(), zeros(DType::I16, &[3]));
            m.quantization.insert(gate.into(), Quantization::per_tensor(0.5, 0));
            m.nodes[0].inputs.push(gate.into());
        }
    };
    refused(lstm(true), normalized, true, "layer normalization in its integer form");
    let projected = |m: &mut SourceModel| {
        for (position, name, array) in [
            (16, "projection", zeros(DType::I8, &[2, 3])),
            (9, "pi", zeros(DType::I16, &[3])),
            (10, "pf", zeros(DType::I16, &[3])),
            (11, "po", zeros(DType::I16, &[3])),
            (5, "ri", zeros(DType::I8, &[3, 2])),
            (6, "rf", zeros(DType::I8, &[3, 2])),
            (7, "rc", zeros(DType::I8, &[3, 2])),
            (8, "ro", zeros(DType::I8, &[3, 2])),
        ] {
            m.constants.insert(name.into(), array);
            m.quantization.insert(name.into(), Quantization::per_tensor(0.5, 0));
            m.nodes[0].inputs[position] = name.into();
        }
        m.states[0].initial = zeros(DType::I8, &[1, 2]);
    };
    refused(lstm(true), projected, true, "a projection to another size");
}

#[test]
fn a_variable_that_nothing_changes_is_a_constant() {
    let mut model = svdf(false);
    model.nodes = vec![node("ADD", &["x", "state"], &[])];
    model.states[0].initial = Array::from_f32(&[1, 2], &[1.0, 2.0]);
    let graph = imported(&model).unwrap();
    assert_eq!(graph.states.len(), 0);
    let outputs = nablac_graph::run(&graph, &[Array::from_f32(&[1, 2], &[10.0, 20.0])]).unwrap();
    assert_eq!(outputs[0].to_f64(), [11.0, 22.0]);
}

#[test]
fn two_layers_change_a_variable_one_after_the_other() {
    let mut model = svdf(false);
    model.constants.insert("w".into(), Array::from_f32(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]));
    model.constants.insert("v".into(), Array::from_f32(&[3, 4], &[1.0; 12]));
    let second = SourceNode { name: "second".into(), outputs: vec!["z".into()], ..model.nodes[0].clone() };
    model.nodes.push(second);
    model.outputs.push(port("z", DType::F32, &[1, 3]));
    let program = define(&imported(&model).unwrap()).unwrap();
    nablac_index::verify(&program).unwrap();
    let mut session = Session::new(&program);
    let mut run = || -> Vec<Vec<f64>> {
        let x = Array::from_f32(&[1, 2], &[1.0, 2.0]);
        session.run(&[x]).unwrap().iter().map(Array::to_f64).collect()
    };
    // Each run enters the features twice, and the memory holds four.
    assert_eq!(run(), [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]);
    assert_eq!(run(), [[3.0, 6.0, 9.0], [4.0, 8.0, 12.0]]);
    assert_eq!(run(), [[4.0, 8.0, 12.0], [4.0, 8.0, 12.0]]);
}

#[test]
fn rules_of_states_are_named() {
    let rule = |state: &str, next: &str, part: &str| {
        let text = format!("graph g {{ input %x: f32[2] {state} %y = neg(%h) %z = neg(%x) output %y }}");
        let graph = parse(&text.replace("NEXT", next));
        let error = graph.and_then(|graph| verify(&graph)).unwrap_err().to_string();
        assert!(error.contains(part), "{error} does not say `{part}`");
    };
    let state = "state %h: f32[3] = [0.0, 0.0, 0.0] then NEXT";
    rule(state, "%z", "differ in type");
    rule(state, "%h", "its next value `h` is a state");
    rule(state, "%nothing", "a value that is defined");
}
