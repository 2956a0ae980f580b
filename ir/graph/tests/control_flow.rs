//! If, Loop and Scan.
//!
//! The expected numbers of `cases/control_flow.json` are onnxruntime's; `reference.py` writes them.

#![allow(clippy::unwrap_used)]

use nablac_graph::{Error, Graph, fold_constants, import, parse, run};
use nablac_index::{Array, DType, Value};
use serde_json::{Value as Json, json};

#[path = "support/cases.rs"]
mod cases;
#[path = "support/model.rs"]
mod model;
#[path = "support/round_trip.rs"]
mod round_trip;

const CASES: &str = include_str!("cases/control_flow.json");

fn case(name: &str) -> Json {
    let cases: Vec<Json> = serde_json::from_str(CASES).unwrap();
    cases.into_iter().find(|case| case["name"] == name).unwrap()["model"].take()
}

fn imported(model: &Json) -> Result<Graph, Error> {
    import(&model::model(model), &Default::default())
}

fn operators(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.operator.name()).collect()
}

#[test]
fn agree_with_the_framework() {
    cases::check_all(CASES);
}

#[test]
fn an_inner_region_reads_the_outermost_graph_through_the_one_between() {
    let graph = imported(&case("if_within_if_true_true")).unwrap();
    let outer = &graph.nodes[1].regions[0];
    let inner = &outer.nodes[0].regions[0];
    let names = |graph: &Graph| -> Vec<String> {
        graph.inputs.iter().map(|&id| graph.value(id).name.clone()).collect()
    };
    assert_eq!(names(inner), ["h", "x"]);
    assert_eq!(names(outer), ["d", "h", "x"]);
}

#[test]
fn a_constant_condition_leaves_one_side() {
    assert_eq!(operators(&imported(&case("if_constant")).unwrap()), ["concat"]);
}

#[test]
fn a_condition_that_folding_finds_leaves_one_side() {
    let graph = parse(
        "graph late {
           input %x: f32[2]
           const $a: f32[] = [1.0]
           const $b: f32[] = [2.0]
           %c = compare($a, $b) {relation = greater}
           %y = if(%c, %x, %x) graph then {
             input %x: f32[2]
             %p = neg(%x)
             output %p
           } graph otherwise {
             input %x: f32[2]
             %q = exp(%x)
             output %q
           }
           output %y
         }",
    )
    .unwrap();
    let folded = fold_constants(graph);
    assert_eq!(operators(&folded), ["exp"]);
    assert_eq!(folded.value(folded.outputs[0]).name, "y");
    let y = run(&folded, &[Array::from_f32(&[2], &[0.0, 0.0])]).unwrap();
    assert_eq!(y[0].to_f64(), [1.0, 1.0]);
}

#[test]
fn a_loop_of_constant_length_is_one_node() {
    for name in ["loop_sums", "loop_until", "loop_within_loop", "if_within_loop"] {
        assert!(operators(&imported(&case(name)).unwrap()).contains(&"loop"), "{name}");
    }
    assert!(!operators(&imported(&case("loop_grows")).unwrap()).contains(&"loop"));
}

#[test]
fn what_cannot_be_bounded_is_unsupported() {
    let mut endless = case("loop_until");
    endless["constants"] = json!({});
    endless["nodes"][1]["inputs"][0] = json!("");
    let error = imported(&endless).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("only its condition ends it"), "{error}");

    let mut grows = case("loop_grows");
    grows["constants"]["kn"]["values"] = json!([100_000]);
    let error = imported(&grows).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("must keep its type and shape"), "{error}");
}

#[test]
fn sides_that_differ_are_unsupported_where_the_condition_is_not_known() {
    let mut model = case("if_constant");
    model["constants"] = json!({});
    model["inputs"].as_array_mut().unwrap().push(json!({"name": "kc", "type": "bool", "shape": []}));
    let error = imported(&model).unwrap_err();
    assert!(error.is_unsupported() && error.to_string().contains("make them agree"), "{error}");
}

#[test]
fn unsupported_nodes_are_all_listed_also_those_in_regions() {
    let mut model = case("if_within_if_true_true");
    model["nodes"][0]["operator"] = json!("Mystery");
    let branch = &mut model["nodes"][1]["attributes"]["then_branch"]["graph"]["nodes"][0];
    branch["attributes"]["else_branch"]["graph"]["nodes"][0]["operator"] = json!("Riddle");
    let error = imported(&model).unwrap_err().to_string();
    assert!(error.contains("Mystery") && error.contains("Riddle"), "{error}");
}

#[test]
fn a_fault_of_the_outer_graph_is_told_once() {
    let mut model = case("if_within_if_true_true");
    // A known operator in a form that is not supported; both sides of the If read what it writes.
    model["nodes"][0] = json!({
        "name": "Cast_0", "framework": "onnx", "operator": "Cast", "version": 21,
        "inputs": ["x"], "outputs": ["h"], "attributes": {"to": {"int": 10}},
    });
    let error = imported(&model).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { node, .. } if node == "Cast_0"), "{error}");
}

#[test]
fn tflite_branches_are_given_the_operands_of_the_node() {
    let side = |operator: &str| {
        json!({"graph": {
            "inputs": [{"name": format!("in {operator}"), "type": "f32", "shape": [2]}], "outputs": [operator],
            "constants": {}, "nodes": [tflite(operator, &[&format!("in {operator}")], &[operator], json!({}))],
        }})
    };
    let sides = json!({"then_subgraph_index": side("NEG"), "else_subgraph_index": side("EXP")});
    let model = json!({
        "inputs": [{"name": "c", "type": "bool", "shape": [1]}, {"name": "x", "type": "f32", "shape": [2]}],
        "outputs": ["y"], "constants": {}, "nodes": [tflite("IF", &["c", "x"], &["y"], sides)],
    });
    let graph = imported(&model).unwrap();
    for (condition, expected) in [(1, [-1.0, 0.0]), (0, [std::f64::consts::E, 1.0])] {
        let condition = Array::from_values(DType::Bool, &[1], [Value::Int(condition)]);
        let y = run(&graph, &[condition, Array::from_f32(&[2], &[1.0, 0.0])]).unwrap()[0].to_f64();
        assert!(y.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-6), "{y:?}");
    }
}

fn tflite(operator: &str, inputs: &[&str], outputs: &[&str], attributes: Json) -> Json {
    json!({
        "name": operator, "framework": "tflite", "operator": operator, "version": 1,
        "inputs": inputs, "outputs": outputs, "attributes": attributes,
    })
}
