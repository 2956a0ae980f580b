//! ONNX's operators on quantized tensors: what becomes of them as a graph, and what is said of those that make no sense.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nablac_graph::import::Options;
use nablac_graph::source::{Framework, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_graph::{Error, Graph, Requantization, import, run, verify};
use nablac_index::{Array, DType, Value};

#[path = "support/round_trip.rs"]
mod round_trip;

/// A node: its operator, what it reads and what it writes.
type Row<'a> = (&'a str, &'a str, &'a str);

fn integers(dtype: DType, shape: &[usize], values: &[i64]) -> Array {
    Array::from_values(dtype, shape, values.iter().map(|&x| Value::Int(x)))
}

fn scale(value: f32) -> Array {
    Array::from_f32(&[], &[value])
}

fn zero(dtype: DType, value: i64) -> Array {
    integers(dtype, &[], &[value])
}

/// A model of `u8` inputs of shape [2, 2], with these constants, and an output per node.
fn model(inputs: &[&str], nodes: &[Row], constants: &[(&str, Array)]) -> SourceModel {
    let extents = vec![SourceDim::Fixed(2); 2];
    let input = |name: &&str| SourceTensor {
        name: name.to_string(),
        dtype: Some(DType::U8),
        shape: Some(extents.clone()),
    };
    let node = |&(operator, reads, writes): &Row| SourceNode {
        name: format!("{operator}_{writes}"),
        framework: Framework::Onnx,
        operator: operator.into(),
        version: if operator.contains("::") { 1 } else { 21 },
        inputs: reads.split(' ').map(String::from).collect(),
        outputs: vec![writes.into()],
        attributes: BTreeMap::new(),
    };
    let output = |row: &Row| SourceTensor { name: row.2.into(), dtype: None, shape: None };
    SourceModel {
        inputs: inputs.iter().map(input).collect(),
        outputs: nodes.iter().map(output).collect(),
        nodes: nodes.iter().map(node).collect(),
        constants: constants.iter().map(|(name, array)| (name.to_string(), array.clone())).collect(),
        ..SourceModel::default()
    }
}

fn graph(model: &SourceModel) -> Graph {
    let graph = import(model, &Options::default()).unwrap();
    verify(&graph).unwrap();
    round_trip::check(&graph).unwrap();
    graph
}

const PRODUCT: &str = "x sx zx w sw zw sy zy";

/// The parameters of a product of `x` and `w`.
fn parameters() -> Vec<(&'static str, Array)> {
    vec![
        ("sx", scale(0.5)),
        ("zx", zero(DType::U8, 128)),
        ("w", integers(DType::I8, &[2, 2], &[1, -2, 3, 4])),
        ("sw", Array::from_f32(&[2], &[0.25, 0.5])),
        ("zw", zero(DType::I8, 0)),
        ("sy", scale(0.25)),
        ("zy", zero(DType::U8, 100)),
    ]
}

#[test]
fn constant_scales_make_a_quantized_node_and_others_an_integer_sum() {
    let x = integers(DType::U8, &[2, 2], &[129, 130, 128, 127]);
    let quantized = graph(&model(&["x"], &[("QLinearMatMul", PRODUCT, "y")], &parameters()));
    let text = quantized.to_string();
    assert!(text.contains("input %x: u8[2, 2] scale 0.5 zero 128"), "{text}");
    assert!(text.contains("= mat_mul(%x, $w)") && text.contains("quantized f32"), "{text}");
    // Sums 7, 6 and -3, -4; their scales are 1/8 and 1/4, in steps of 1/4. 3.5 and -1.5 are ties.
    let expected = [104, 106, 98, 96];
    assert_eq!(run(&quantized, std::slice::from_ref(&x)).unwrap()[0].to_i64(), expected);

    let mut open = model(&["x"], &[("QLinearMatMul", PRODUCT, "y")], &parameters());
    open.constants.remove("sy");
    open.inputs.push(SourceTensor { name: "sy".into(), dtype: Some(DType::F32), shape: Some(vec![]) });
    let computed = graph(&open);
    assert!(!computed.to_string().contains("quantized"), "{computed}");
    assert_eq!(run(&computed, &[x, scale(0.25)]).unwrap()[0].to_i64(), expected);
}

#[test]
fn readers_may_see_other_reals_in_the_same_integers() {
    let nodes = [
        ("QLinearMatMul", PRODUCT, "y"),
        ("QLinearMatMul", "x sx2 zx w sw2 zw sy zy", "z"),
        ("Cast", "x", "c"),
    ];
    let mut constants = parameters();
    constants.extend([("sx2", scale(1.0)), ("sw2", scale(0.5))]);
    let mut source = model(&["x"], &nodes, &constants);
    source.nodes[2].attributes.insert("to".into(), nablac_graph::source::SourceAttribute::Int(6));
    let graph = graph(&source);
    let text = graph.to_string();
    assert!(text.contains(": u8 scale 1.0 zero 128 = identity(%x)"), "{text}");
    let outputs = run(&graph, &[integers(DType::U8, &[2, 2], &[129, 130, 128, 127])]).unwrap();
    assert_eq!(outputs[0].to_i64(), [104, 106, 98, 96]);
    assert_eq!(outputs[1].to_i64(), [114, 112, 94, 92]);
    assert_eq!(outputs[2].to_i64(), [129, 130, 128, 127]);
}

#[test]
fn operators_without_a_fixed_point_form_keep_single_precision() {
    let nodes = [("QLinearMatMul", PRODUCT, "y"), ("com.microsoft::QLinearSigmoid", "y sy zy sx zx", "s")];
    let choice = ("com.microsoft::QLinearWhere", "which y sy zy s sx zx sx zx", "c");
    let mut constants = parameters();
    constants.push(("which", integers(DType::Bool, &[2, 2], &[1, 0, 0, 1])));
    let source = model(&["x"], &[&nodes[..], &[choice]].concat(), &constants);
    let options = Options { requantization: Some(Requantization::Double), ..Options::default() };
    let graph = import(&source, &options).unwrap();
    verify(&graph).unwrap();
    let ways: Vec<Option<Requantization>> = graph.nodes.iter().map(|node| node.requantization).collect();
    let [double, single] = [Requantization::Double, Requantization::F32].map(Some);
    assert_eq!(ways, [double, double, single], "{graph}");
}

#[test]
fn integers_of_plain_operators_are_integers() {
    let nodes = [("QLinearMatMul", PRODUCT, "y"), ("Add", "y y", "sum"), ("Transpose", "y", "turned")];
    let graph = graph(&model(&["x"], &nodes, &parameters()));
    let outputs = run(&graph, &[integers(DType::U8, &[2, 2], &[129, 130, 128, 127])]).unwrap();
    assert_eq!(outputs[1].to_i64(), [208, 212, 196, 192]);
    assert_eq!(outputs[2].to_i64(), [104, 98, 106, 96]);
}

#[test]
fn parameters_that_make_no_sense_are_named() {
    let conv = "x4 sx zx w4 sw zw sy zy b";
    let add = "x sx zx x sx zx sy zy";
    let two =
        [("w4", integers(DType::I8, &[2, 1, 1, 1], &[1, 2])), ("b", integers(DType::I32, &[2], &[1, 2]))];
    let image = |x: &str| ("Unsqueeze", format!("{x} axes"), "x4".to_string());
    let rows: [(&str, &str, &str, Array, &str); 20] = [
        ("QLinearConv", conv, "sx", scale(0.0), "a scale of 0"),
        ("QLinearConv", conv, "sw", scale(f32::NAN), "a scale of NaN"),
        ("QLinearConv", conv, "sy", scale(f32::INFINITY), "a scale of inf"),
        ("QLinearConv", conv, "sy", Array::from_f32(&[2], &[1.0; 2]), "more than one scale"),
        (
            "QLinearConv",
            conv,
            "sx",
            Array::from_values(DType::F64, &[], [Value::F64(1.0)]),
            "of type f64, not f32",
        ),
        (
            "QLinearConv",
            conv,
            "sw",
            Array::from_f32(&[3], &[1.0; 3]),
            "3 scales along axis 0 of shape [2, 1, 1, 1]",
        ),
        ("QLinearConv", conv, "sw", Array::from_f32(&[3, 1], &[1.0; 3]), "of shape [3, 1] along axis 0"),
        ("QLinearConv", conv, "zw", integers(DType::I8, &[3], &[0; 3]), "2 scales and 3 zero points"),
        ("QLinearConv", conv, "zw", zero(DType::U8, 0), "a zero point of type u8 beside integers of type i8"),
        (
            "QLinearConv",
            conv,
            "zx",
            zero(DType::I32, 300),
            "a zero point of type i32 beside integers of type u8",
        ),
        ("QLinearConv", conv, "zy", zero(DType::I32, 0), "integers of type i32"),
        ("QLinearConv", conv, "b", Array::from_f32(&[2], &[1.0; 2]), "a bias of type f32"),
        ("QLinearConv", conv, "b", integers(DType::I32, &[3], &[1; 3]), "i32[3]"),
        ("QLinearMatMul", PRODUCT, "sx", scale(-1.0), "a scale of -1"),
        ("QLinearMatMul", PRODUCT, "zx", integers(DType::U8, &[3], &[0; 3]), "3 scales along axis 0"),
        ("com.microsoft::QLinearAdd", add, "zy", zero(DType::I8, 0), "integers of type u8 and i8"),
        ("com.microsoft::QLinearAdd", add, "sy", scale(0.0), "a scale of 0"),
        (
            "DequantizeLinear",
            "x sw",
            "sw",
            Array::from_f32(&[3], &[1.0; 3]),
            "3 scales along axis 1 of shape [2, 2]",
        ),
        ("DequantizeLinear", "x sx zw", "sx", scale(0.0), "a scale of 0"),
        (
            "DequantizeLinear",
            "x sx",
            "sx",
            Array::from_f32(&[2, 2], &[1.0; 4]),
            "scales of shape [2, 2] along axis 1",
        ),
    ];
    for (operator, reads, name, bad, problem) in rows {
        let (unsqueeze, four, x4) = image("x");
        let mut constants = parameters();
        constants.extend(two.clone());
        constants.push(("axes", Array::from_i64(&[2], &[0, 1])));
        let nodes = [(unsqueeze, four.as_str(), x4.as_str()), (operator, reads, "y")];
        let imported =
            |constants: &[(&str, Array)]| import(&model(&["x"], &nodes, constants), &Options::default());
        if operator != "DequantizeLinear" {
            imported(&constants).unwrap_or_else(|error| panic!("{operator}: {error}"));
        }
        constants.retain(|(own, _)| *own != name);
        constants.push((name, bad));
        let error = imported(&constants).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{operator}, {name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(problem) && text.contains(&format!("`{operator}_y`")),
            "{operator}, {name}: {text}"
        );
    }
}

#[test]
fn integers_of_fewer_bits_are_constants_only() {
    let mut source = model(&["x"], &[("QuantizeLinear", "r s z", "y")], &[("z", zero(DType::I8, 0))]);
    source.inputs = vec![
        SourceTensor { name: "r".into(), dtype: Some(DType::F32), shape: Some(vec![SourceDim::Fixed(2)]) },
        SourceTensor { name: "s".into(), dtype: Some(DType::F32), shape: Some(vec![]) },
    ];
    import(&source, &Options::default()).unwrap();
    source.packed.insert("z".into());
    let error = import(&source, &Options::default()).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("fewer than 8 bits"), "{error}");
}
