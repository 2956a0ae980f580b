//! Calls of local functions.

use nablac_graph::source::SourceAttribute;

use super::*;

/// `scaled(a, b; alpha = 2) = (leaky(a; alpha) , mid)` where `mid = a + b` and leaky reads it.
fn scaled() -> Function {
    let mut leaky = node("LeakyRelu", &["mid"], &["out"]);
    let attribute = Attribute { name: "alpha".into(), r#type: attribute::FLOAT, ..Attribute::default() };
    leaky.attribute = vec![Attribute { ref_attr_name: "alpha".into(), ..attribute.clone() }];
    Function {
        name: "Scaled".into(),
        domain: "local".into(),
        input: vec!["a".into(), "b".into()],
        output: vec!["out".into()],
        node: vec![node("Add", &["a", "b"], &["mid"]), leaky],
        opset_import: vec![OperatorSet { domain: String::new(), version: 13 }],
        attribute_proto: vec![Attribute { f: 2.0, ..attribute }],
        ..Function::default()
    }
}

fn call(inputs: &[&str], output: &str) -> Node {
    Node { domain: "local".into(), ..node("Scaled", inputs, &[output]) }
}

fn calling(nodes: Vec<Node>, functions: Vec<Function>) -> Model {
    Model { functions, ..model(graph(nodes)) }
}

#[test]
fn a_call_becomes_the_functions_nodes() {
    let mut second = call(&["s", "x"], "y");
    second.attribute =
        vec![Attribute { name: "alpha".into(), r#type: attribute::FLOAT, f: 3.0, ..Attribute::default() }];
    let source = import(&calling(vec![call(&["x", ""], "s"), second], vec![scaled()])).unwrap();
    let names: Vec<&str> = source.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["Scaled_0/Add_0", "Scaled_0/LeakyRelu_1", "Scaled_1/Add_0", "Scaled_1/LeakyRelu_1"]);
    assert_eq!(source.nodes[0].inputs, ["x", ""]);
    assert_eq!(source.nodes[0].outputs, ["Scaled_0/mid"]);
    assert_eq!((&source.nodes[1].outputs[..], source.nodes[1].version), (&["s".to_string()][..], 13));
    assert!(matches!(source.nodes[1].attributes["alpha"], SourceAttribute::Float(2.0)));
    assert!(matches!(source.nodes[3].attributes["alpha"], SourceAttribute::Float(3.0)));
}

#[test]
fn functions_call_functions() {
    let mut outer = scaled();
    outer.name = "Outer".into();
    outer.node = vec![call(&["a", "b"], "out")];
    let mut start = call(&["x", "x"], "y");
    start.op_type = "Outer".into();
    let source = import(&calling(vec![start], vec![outer, scaled()])).unwrap();
    assert_eq!(source.nodes[1].name, "Outer_0/Scaled_0/LeakyRelu_1");
    assert_eq!(source.nodes[1].outputs, ["y"]);
}

#[test]
fn a_function_that_calls_itself_is_malformed() {
    let mut function = scaled();
    function.node[0] = call(&["a", "b"], "mid");
    let result = import(&calling(vec![call(&["x", "x"], "y")], vec![function]));
    assert_fails(result, Fault::Malformed, &["part of", "Scaled_0"]);
}

#[test]
fn functions_that_multiply_are_limited() {
    // Twelve levels, each calling the next ten times: 10^12 nodes.
    let level = |number: usize| {
        let mut function = scaled();
        function.name = format!("F{number}");
        function.input.truncate(1);
        let calls = (0..10).map(|i| Node {
            op_type: if number == 0 { "Relu".into() } else { format!("F{}", number - 1) },
            domain: if number == 0 { String::new() } else { "local".into() },
            ..node("", &["a"], &[if i == 0 { "out".to_string() } else { format!("t{i}") }.as_str()])
        });
        function.node = calls.collect();
        function
    };
    let start = Node { op_type: "F11".into(), ..call(&["x"], "y") };
    let model = calling(vec![start], (0..12).map(level).collect());
    assert_fails(import(&model), Fault::Limit, &["--limit-nodes"]);
    let limits = Limits { nesting: 5, ..Limits::default() };
    assert_fails(parse(&model.encode_to_vec(), None, &limits), Fault::Limit, &["--limit-nesting 6", "F6"]);
}

#[test]
fn what_cannot_be_inlined_is_named_when_it_is_called() {
    let mut nested = scaled();
    nested.node[1].attribute = vec![Attribute {
        name: "body".into(),
        g: Some(graph(vec![])),
        r#type: attribute::GRAPH,
        ..Attribute::default()
    }];
    let mut alias = scaled();
    alias.output = vec!["a".into()];
    for (function, part) in [(nested, "graph within a function"), (alias, "output `a`")] {
        let unused = calling(vec![node("Relu", &["x"], &["y"])], vec![function.clone()]);
        assert!(import(&unused).is_ok());
        let called = calling(vec![call(&["x", "x"], "y")], vec![function]);
        assert_fails(import(&called), Fault::Unsupported, &["`local::Scaled`", part]);
    }
}

#[test]
fn broken_functions_are_malformed() {
    let broken = |change: fn(&mut Function)| {
        let mut function = scaled();
        change(&mut function);
        import(&calling(vec![call(&["x", "x"], "y")], vec![function]))
    };
    assert_fails(broken(|f| f.input.truncate(1)), Fault::Malformed, &["2 inputs", "has 1"]);
    assert_fails(broken(|f| f.node[1].input[0] = "q".into()), Fault::Malformed, &["`q`", "local::Scaled"]);
    assert_fails(broken(|f| f.node[1].output[0] = "mid".into()), Fault::Malformed, &["`mid`", "twice"]);
    assert_fails(broken(|f| f.opset_import.clear()), Fault::Malformed, &["opset_import"]);
    let twice = calling(vec![call(&["x", "x"], "y")], vec![scaled(), scaled()]);
    assert_fails(import(&twice), Fault::Malformed, &["local::Scaled", "twice"]);
    let mut outside = small();
    outside.graph.as_mut().unwrap().node[0].attribute[0].ref_attr_name = "alpha".into();
    assert_fails(import(&outside), Fault::Malformed, &["`alpha`", "outside of a function"]);
}
