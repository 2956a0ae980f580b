//! Operators of neural networks against the frameworks' own runtimes.
//!
//! `data/operators_nn.json` holds single operators with their inputs, and the outputs of ONNX Runtime and LiteRT;
//! `data/operators_nn.py` says how it was made.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use nablac_graph::source::{Framework, SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_graph::{Graph, define, import};
use nablac_index::{Array, DType, Program, Value, run, simplify, verify};
use serde_json::Value as Json;

/// A single operator with inputs and expected outputs.
struct Case {
    name: String,
    model: SourceModel,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
}

fn cases() -> Vec<Json> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/operators_nn.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn array(json: &Json) -> Array {
    let dtype = DType::from_name(json["type"].as_str().unwrap()).unwrap();
    let shape: Vec<usize> =
        json["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let value = |x: &Json| match x {
        Json::Bool(truth) => Value::Int(*truth as i64),
        _ if dtype.is_float() => Value::from_f64(dtype, x.as_f64().unwrap()),
        _ => Value::Int(x.as_i64().unwrap()),
    };
    Array::from_values(dtype, &shape, json["data"].as_array().unwrap().iter().map(value))
}

fn attribute(json: &Json) -> SourceAttribute {
    let ints = |list: &[Json]| list.iter().map(Json::as_i64).collect::<Option<Vec<i64>>>();
    match json {
        Json::Bool(truth) => SourceAttribute::Int(*truth as i64),
        Json::Number(n) => {
            n.as_i64().map_or(SourceAttribute::Float(n.as_f64().unwrap()), SourceAttribute::Int)
        }
        Json::String(text) => SourceAttribute::Text(text.clone()),
        Json::Array(list) => SourceAttribute::Ints(ints(list).unwrap()),
        other => panic!("attribute {other}"),
    }
}

impl Case {
    fn new(json: &Json) -> Case {
        let (operator, title) = (json["operator"].as_str().unwrap(), json["name"].as_str().unwrap());
        let mut model = SourceModel::default();
        let mut inputs = vec![];
        let mut names = vec![];
        for (position, input) in json["inputs"].as_array().unwrap().iter().enumerate() {
            names.push(if input.is_null() { String::new() } else { format!("x{position}") });
            if input.is_null() {
                continue;
            }
            let value = array(input);
            if input["constant"].as_bool().unwrap() {
                model.constants.insert(names[position].clone(), value);
                continue;
            }
            let shape = value.shape().iter().map(|&n| SourceDim::Fixed(n)).collect();
            let name = names[position].clone();
            model.inputs.push(SourceTensor { name, dtype: Some(value.dtype()), shape: Some(shape) });
            inputs.push(value);
        }
        let outputs: Vec<Array> = json["outputs"].as_array().unwrap().iter().map(array).collect();
        let results: Vec<String> = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        model.outputs = results
            .iter()
            .map(|name| SourceTensor { name: name.clone(), dtype: None, shape: None })
            .collect();
        let attributes: BTreeMap<String, SourceAttribute> =
            json["attributes"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), attribute(v))).collect();
        model.nodes.push(SourceNode {
            name: operator.into(),
            framework: if json["framework"] == "onnx" { Framework::Onnx } else { Framework::Tflite },
            operator: operator.into(),
            version: json["version"].as_i64().unwrap(),
            inputs: names,
            outputs: results,
            attributes,
        });
        Case { name: format!("{operator}: {title}"), model, inputs, outputs }
    }

    fn graph(&self) -> Graph {
        import(&self.model, &Default::default()).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn program(&self) -> Program {
        let program = define(&self.graph()).unwrap();
        verify(&program).unwrap_or_else(|e| panic!("{}: {e}\n{program}", self.name));
        program
    }

    /// The operator by itself, and after the rewrites of index notation.
    fn check(&self) {
        let program = self.program();
        self.compare(&program);
        let simple = simplify(program);
        verify(&simple).unwrap_or_else(|e| panic!("{}: {e}\n{simple}", self.name));
        self.compare(&simple);
    }

    fn compare(&self, program: &Program) {
        let results = run(program, &self.inputs).unwrap();
        for (position, (y, expected)) in results.iter().zip(&self.outputs).enumerate() {
            let place = format!("{}, output {position}\n{program}", self.name);
            assert_eq!((y.dtype(), y.shape()), (expected.dtype(), expected.shape()), "{place}");
            let largest =
                expected.to_f64().iter().fold(1.0f64, |m, x| if x.is_finite() { m.max(x.abs()) } else { m });
            for (at, (a, b)) in y.to_f64().iter().zip(expected.to_f64()).enumerate() {
                let close = (a - b).abs() <= 1e-5 * largest || *a == b || a.is_nan() && b.is_nan();
                assert!(close, "element {at} is {a} instead of {b}\n{place}");
            }
        }
    }
}

/// Checks all cases of operators, under the frameworks' names.
fn check(operators: &[&str]) {
    let cases = cases();
    for operator in operators {
        let own: Vec<&Json> = cases.iter().filter(|c| c["operator"] == *operator).collect();
        assert!(!own.is_empty(), "no case of {operator}");
        own.into_iter().for_each(|json| Case::new(json).check());
    }
}

/// The program of the case with this name.
fn program(operator: &str, name: &str) -> String {
    let cases = cases();
    let json = cases.iter().find(|c| c["operator"] == operator && c["name"] == name).unwrap();
    Case::new(json).program().to_string()
}

#[test]
fn conv() {
    check(&["Conv", "CONV_2D", "DEPTHWISE_CONV_2D"]);
}

#[test]
fn conv_transpose() {
    check(&["ConvTranspose", "TRANSPOSE_CONV"]);
}

#[test]
fn max_pool() {
    check(&["MaxPool", "MAX_POOL_2D"]);
}

#[test]
fn average_pool() {
    check(&["AveragePool", "AVERAGE_POOL_2D"]);
}

#[test]
fn global_pools() {
    check(&["GlobalMaxPool", "GlobalAveragePool"]);
}

#[test]
fn gemm() {
    check(&["Gemm"]);
}

#[test]
fn mat_mul() {
    check(&["MatMul", "BATCH_MATMUL"]);
}

#[test]
fn fully_connected() {
    check(&["FULLY_CONNECTED"]);
}

#[test]
fn batch_normalization() {
    check(&["BatchNormalization"]);
}

#[test]
fn layer_normalization() {
    check(&["LayerNormalization"]);
}

#[test]
fn softmax() {
    check(&["Softmax", "SOFTMAX"]);
}

#[test]
fn reductions() {
    check(&["ReduceMean", "MEAN", "ReduceSum", "SUM", "ReduceMax", "REDUCE_MAX", "ReduceMin", "REDUCE_MIN"]);
}

#[test]
fn a_convolution_has_no_division_and_tests_edges_only_where_there_are_some() {
    for name in ["groups", "depthwise", "depthwise with multiplier"] {
        let text = program("Conv", name);
        assert!(!text.contains(" / ") && !text.contains(" % "), "{text}");
    }
    assert!(!program("Conv", "plain").contains("else"));
    assert!(!program("Conv", "padding that no window reaches").contains("else"));
    let has = |name: &str, law: &str| {
        let text = program("Conv", name);
        assert!(text.contains(law), "{text}");
    };
    has("depthwise", "[n, c, i, j] += x0[n, c, i + u - 1, j + v - 1 else 0.0] * x1[c, 0, u, v]");
    has("groups", "[n, 3g + m, i, j] += x0[n, 2g + c, i + u, j + v] * x1[3g + m, c, u, v]");
}

#[test]
fn an_average_counts_only_where_windows_stand_over_an_edge() {
    assert!(!program("AveragePool", "plain").contains("count"));
    assert!(program("AveragePool", "one dimension").contains("count_i[i] += "));
    assert!(!program("AveragePool", "padding counts").contains("count"));
}

/// The error of the case with this name after an attribute is changed.
fn fault(operator: &str, name: &str, attribute: &str, value: SourceAttribute) -> String {
    let cases = cases();
    let json = cases.iter().find(|c| c["operator"] == operator && c["name"] == name).unwrap();
    let mut case = Case::new(json);
    case.model.nodes[0].attributes.insert(attribute.into(), value);
    import(&case.model, &Default::default()).unwrap_err().to_string()
}

#[test]
fn contradicting_attributes_are_named() {
    let ints = |list: &[i64]| SourceAttribute::Ints(list.to_vec());
    let int = SourceAttribute::Int;
    let huge = i64::MAX;
    let faults = [
        (fault("Conv", "plain", "group", int(3)), "2 input and 3 output channels in 3 groups"),
        (fault("Conv", "plain", "group", int(0)), "`group` holds 0"),
        (fault("Conv", "plain", "strides", ints(&[0, 1])), "`strides` holds 0"),
        (fault("Conv", "plain", "strides", ints(&[1])), "`strides` has 1 entries instead of 2"),
        (fault("Conv", "plain", "dilations", ints(&[huge, 1])), "`dilations` holds 9223372036854775807"),
        (fault("Conv", "plain", "dilations", ints(&[1 << 30, 1])), "a window of 1073741825 over 4 elements"),
        (fault("Conv", "plain", "pads", ints(&[-1, 0, 0, 0])), "`pads` holds -1"),
        (fault("Conv", "plain", "kernel_shape", ints(&[3, 3])), "the weights' is [2, 2]"),
        (fault("Conv", "plain", "auto_pad", SourceAttribute::Text("SAME".into())), "auto_pad is `SAME`"),
        (fault("MaxPool", "plain", "kernel_shape", ints(&[9, 1])), "a window of 9 over 3 elements"),
        (fault("MaxPool", "plain", "kernel_shape", ints(&[1])), "a window of [1] over"),
        (fault("MaxPool", "positions", "storage_order", int(2)), "storage_order is 2"),
        (fault("AveragePool", "plain", "pads", ints(&[2, 0, 0, 0])), "may see no element"),
        (fault("ConvTranspose", "plain", "pads", ints(&[3, 0, 3, 0])), "nothing is left"),
        (fault("ConvTranspose", "plain", "output_padding", ints(&[-1, 0])), "`output_padding` is negative"),
        (fault("CONV_2D", "same", "padding", int(7)), "padding is 7"),
        (fault("CONV_2D", "same", "fused_activation_function", int(5)), "activation 5 is not supported"),
        (fault("Gemm", "without summand", "transA", int(1)), "matrices of shape"),
        (fault("Softmax", "the last dimension", "axis", int(2)), "axis 2 of an input of rank 2"),
        (fault("ReduceSum", "axes as an attribute", "axes", ints(&[-4])), "axis -4 of an input of rank 3"),
        (fault("BatchNormalization", "an image", "training_mode", int(1)), "training mode"),
        (fault("FULLY_CONNECTED", "an image", "keep_num_dims", int(1)), "reshape it before"),
        (fault("FULLY_CONNECTED", "plain", "weights_format", int(1)), "shuffled"),
    ];
    for (found, expected) in faults {
        assert!(found.contains(expected), "`{found}` instead of `{expected}`");
    }
}

#[test]
fn attributes_survive_as_text() {
    use nablac_graph::Operator;
    for json in cases() {
        for node in Case::new(&json).graph().nodes {
            let operator = node.operator;
            assert_eq!(Operator::from_attributes(operator.name(), operator.attributes()), Ok(operator));
        }
    }
}
