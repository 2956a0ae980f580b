//! Operators that move elements.
//!
//! The expected numbers of `cases/shape.json` are onnxruntime's and those of TFLite's kernels; `reference.py` writes them.

#![allow(clippy::unwrap_used)]

use nablac_graph::import;
use serde_json::Value as Json;

#[path = "support/cases.rs"]
mod cases;
#[path = "support/model.rs"]
mod model;
#[path = "support/round_trip.rs"]
mod round_trip;

const CASES: &str = include_str!("cases/shape.json");

fn case(name: &str) -> Json {
    let cases: Vec<Json> = serde_json::from_str(CASES).unwrap();
    cases.into_iter().find(|case| case["name"] == name).unwrap()
}

#[test]
fn agree_with_the_frameworks() {
    cases::check_all(CASES);
}

#[test]
fn shapes_are_computed_at_import() {
    let graph = import(&model::model(&case("shape_arithmetic")["model"]), &Default::default()).unwrap();
    let operators: Vec<_> = graph.nodes.iter().map(|node| node.operator.name()).collect();
    assert_eq!(operators, ["reshape"]);
}

#[test]
fn outputs_keep_their_names() {
    let graph = import(&model::model(&case("identity")["model"]), &Default::default()).unwrap();
    let names: Vec<_> = graph.outputs.iter().map(|&id| graph.value(id).name.as_str()).collect();
    assert_eq!(names, ["y", "z"]);
    assert_eq!(graph.value(graph.inputs[0]).name, "x");
}

/// A case with one constant exchanged.
fn error_with(name: &str, constant: &str, values: &[i64]) -> String {
    let mut case = case(name);
    let array = &mut case["model"]["constants"][constant];
    array["shape"] = serde_json::json!([values.len()]);
    array["values"] = serde_json::json!(values);
    import(&model::model(&case["model"]), &Default::default()).unwrap_err().to_string()
}

#[test]
fn contradictions_name_the_node() {
    let rows: [(&str, &str, &[i64], &str); 9] = [
        ("reshape_merges", "ks", &[5, 5], "node `Reshape_0` (Reshape): shape [2, 3, 4] can't become [5, 5]"),
        ("reshape_merges", "ks", &[-1, -1], "can't become [-1, -1]"),
        ("reshape_merges", "ks", &[i64::MAX, i64::MAX], "can't become"),
        ("squeeze", "ka", &[1], "axis 1 of shape [1, 3, 1] is not of extent 1"),
        ("unsqueeze", "ka", &[0, 0], "axes [0, 0] are not distinct"),
        ("pad", "ka", &[0, 2, 1], "3 amounts for 2 axes"),
        ("pad", "ka", &[-3, 0, 0, 0], "can't be added to [2, 3]"),
        ("split_sizes", "ks", &[4, 4], "5 elements do not split into [4, 4]"),
        ("slice_backwards", "ka", &[2], "axis 2 of 2"),
    ];
    for (name, constant, values, problem) in rows {
        let error = error_with(name, constant, values);
        assert!(error.contains(problem), "{name}: {error}");
    }
}

#[test]
fn a_shape_that_is_computed_at_run_time_is_unsupported() {
    let mut case = case("reshape_merges");
    case["model"]["constants"] = serde_json::json!({});
    let input = serde_json::json!({"name": "ks", "type": "i64", "shape": [2]});
    case["model"]["inputs"].as_array_mut().unwrap().push(input);
    let error = import(&model::model(&case["model"]), &Default::default()).unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert!(error.to_string().contains("`ks` is computed at run time"), "{error}");
}
