//! Graphs as text: what is printed is read back as the same graph, and broken rules are named.

#![allow(clippy::unwrap_used)]

use nablac_graph::{Graph, define, parse, verify};

fn check(text: &str) -> Graph {
    let graph = parse(text).unwrap();
    verify(&graph).unwrap();
    let printed = graph.to_string();
    assert_eq!(parse(&printed).unwrap(), graph, "{printed}");
    assert_eq!(parse(&printed).unwrap().to_string(), printed);
    graph
}

#[test]
fn nodes_constants_attributes_and_labels() {
    let graph = check(
        "graph \"main graph\" {
           input %x: f32[2, 3]
           const $one: f32[] = [1.0]
           %\"a/b:0\": f32[2, 3] = add(%x, $one)
           \"the label\": %low: f32[2, 3] = clip(%\"a/b:0\", _, $one)
           const $two: f32[3] = [2.0, 2.0, inf]
           %y: f32[2, 3] = leaky_relu(%low) {alpha = 0.125}
           %z: f32[3, 2] = transpose(%y) {permutation = [1, 0]}
           return %z, %low
         }",
    );
    assert_eq!(graph.nodes[1].name, "the label");
    assert_eq!(graph.nodes[0].name, "a/b:0");
    let program = define(&graph).unwrap();
    nablac_index::verify(&program).unwrap();
    assert_eq!(program.outputs().len(), 2);
}

#[test]
fn broken_rules_are_named() {
    let cases = [
        (
            "%y: f32[3] = relu(%x) %y: f32[3] = relu(%x) return %y",
            "expected a name that is not taken, found `%`",
        ),
        ("%y: f32[4] = relu(%x) return %y", "value `y`: is f32[4], but its node `y` gives f32[3]"),
        ("%y: f32[3] = rely(%x) return %y", "there is no operator `rely`"),
        ("%y: f32[3] = leaky_relu(%x) {alpha = word} return %y", "expected an operator with its attributes"),
        ("%y: f32[3] = relu(%z) return %y", "expected a value that is defined above, found `%`"),
        ("return %y", "expected a value that is defined above"),
        ("%y: f32[3], %z: f32[3] = relu(%x) return %y", "writes 2 values, its operator 1"),
    ];
    for (nodes, problem) in cases {
        let text = format!("graph g {{ input %x: f32[3] {nodes} }}");
        let error = parse(&text).and_then(|g| verify(&g)).unwrap_err().to_string();
        assert!(error.contains(problem), "{nodes}: {error}");
    }
}
