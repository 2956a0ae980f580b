//! Nodes, names, versions, inputs and outputs, nested graphs.

use nablac_graph::limits::Limit;
use nablac_graph::source::{SourceAttribute, SourceDim};
use nablac_index::{Array, DType};

use super::*;

#[test]
fn a_small_model_arrives_whole() {
    let source = import(&small()).unwrap();
    assert_eq!(source.name, "g");
    assert_eq!(source.inputs.len(), 1);
    assert_eq!(source.inputs[0].dtype, Some(DType::F32));
    assert_eq!(source.inputs[0].shape, Some(vec![SourceDim::Fixed(3)]));
    assert_eq!(source.outputs[0].name, "y");
    assert_eq!(source.constants["w"], Array::from_f32(&[3], &[1.0, 2.0, 3.0]));
    let add = &source.nodes[0];
    assert_eq!((add.name.as_str(), add.operator.as_str(), add.version), ("plus", "Add", 17));
    assert_eq!(
        (add.inputs.as_slice(), add.outputs.as_slice()),
        (&["x", "w"].map(String::from)[..], &["s".into()][..])
    );
    assert_eq!(source.nodes[1].name, "Relu_1");
}

#[test]
fn attributes_keep_their_types() {
    let source = import(&small()).unwrap();
    let attributes = &source.nodes[0].attributes;
    assert!(matches!(attributes["int"], SourceAttribute::Int(-7)));
    assert!(matches!(attributes["float"], SourceAttribute::Float(0.5)));
    assert!(matches!(&attributes["text"], SourceAttribute::Text(s) if s == "text"));
    assert!(matches!(&attributes["ints"], SourceAttribute::Ints(v) if v == &[1, -2]));
    assert!(matches!(&attributes["floats"], SourceAttribute::Floats(v) if v == &[1.5, 2.5]));
    assert!(matches!(&attributes["texts"], SourceAttribute::Texts(v) if v == &["a", ""]));
    assert!(matches!(&attributes["tensor"], SourceAttribute::Tensor(t) if t.to_f64() == [4.0]));
}

#[test]
fn an_attribute_of_another_type_is_unsupported_and_one_without_type_malformed() {
    for (kind, fault, part) in [
        (11, Fault::Unsupported, "SPARSE_TENSOR"),
        (0, Fault::Malformed, "type is 0"),
        (99, Fault::Malformed, "99"),
    ] {
        let mut model = small();
        model.graph.as_mut().unwrap().node[0].attribute[0].r#type = kind;
        assert_fails(import(&model), fault, &["`int`", "`plus`", part]);
    }
    let mut model = small();
    model.graph.as_mut().unwrap().node[0].attribute[6].t = None;
    assert_fails(import(&model), Fault::Malformed, &["`tensor`", "missing"]);
}

#[test]
fn symbolic_extents_keep_their_names() {
    let mut model = small();
    let extents = vec![Extent::Name("batch".into()), Extent::Value(-1), Extent::Value(3)];
    model.graph.as_mut().unwrap().input[0] = typed("x", 7, extents);
    let source = import(&model).unwrap();
    let named = |s: &str| SourceDim::Named(s.into());
    assert_eq!(source.inputs[0].shape, Some(vec![named("batch"), named(""), SourceDim::Fixed(3)]));
    assert_eq!(source.inputs[0].dtype, Some(DType::I64));
}

#[test]
fn an_initializer_among_the_inputs_is_a_constant() {
    let mut model = small();
    model.ir_version = Some(3);
    model.graph.as_mut().unwrap().input.push(vector("w"));
    let source = import(&model).unwrap();
    assert_eq!(source.inputs.len(), 1);
    assert!(source.constants.contains_key("w"));
}

#[test]
fn the_types_of_inputs_are_expected_and_those_of_outputs_are_not() {
    let mut model = small();
    model.graph.as_mut().unwrap().output[0].r#type = None;
    assert_eq!(import(&model).unwrap().outputs[0].shape, None);
    model.graph.as_mut().unwrap().input[0].r#type = None;
    assert_fails(import(&model), Fault::Malformed, &["`x`"]);
    model.graph.as_mut().unwrap().input[0].r#type = Some(Type { kind: Some(TypeKind::Sequence(Unread {})) });
    assert_fails(import(&model), Fault::Unsupported, &["`x`", "not a tensor"]);
    model.graph.as_mut().unwrap().input[0] = typed("x", 10, vec![]);
    assert_fails(import(&model), Fault::Unsupported, &["`x`", "FLOAT16"]);
}

#[test]
fn versions_outside_the_range_are_named() {
    for (ir, fault) in [
        (Some(2), Fault::Unsupported),
        (Some(15), Fault::Unsupported),
        (Some(0), Fault::Malformed),
        (None, Fault::Malformed),
    ] {
        let mut model = small();
        model.ir_version = ir;
        assert_fails(import(&model), fault, &["version"]);
    }
    for version in [6, 29] {
        let mut model = small();
        model.opset_import[0].version = version;
        assert_fails(import(&model), Fault::Unsupported, &[&version.to_string(), "7 to 28"]);
    }
    for version in [7, 28] {
        let mut model = small();
        model.opset_import[0] = OperatorSet { domain: "ai.onnx".into(), version };
        assert_eq!(import(&model).unwrap().nodes[0].version, version);
    }
}

#[test]
fn a_domain_needs_an_opset_import() {
    let mut model = small();
    model.graph.as_mut().unwrap().node[1].domain = "com.example".into();
    assert_fails(import(&model), Fault::Malformed, &["Relu_1", "com.example"]);
    model.opset_import.push(OperatorSet { domain: "com.example".into(), version: 3 });
    let source = import(&model).unwrap();
    assert_eq!((source.nodes[1].operator.as_str(), source.nodes[1].version), ("com.example::Relu", 3));
    model.opset_import.push(OperatorSet { domain: "com.example".into(), version: 4 });
    assert_fails(import(&model), Fault::Malformed, &["com.example", "two versions"]);
}

#[test]
fn values_are_defined_once_and_read_only_when_defined() {
    let broken = |change: fn(&mut Graph)| {
        let mut model = small();
        change(model.graph.as_mut().unwrap());
        import(&model)
    };
    assert_fails(broken(|g| g.node[1].output[0] = "s".into()), Fault::Malformed, &["`s`", "twice"]);
    assert_fails(broken(|g| g.node[1].output[0] = "x".into()), Fault::Malformed, &["`x`", "twice"]);
    assert_fails(broken(|g| g.input.push(vector("x"))), Fault::Malformed, &["`x`", "twice"]);
    assert_fails(broken(|g| g.initializer.push(floats("w", &[]))), Fault::Malformed, &["`w`", "twice"]);
    assert_fails(broken(|g| g.node[1].input[0] = "q".into()), Fault::Malformed, &["`q`", "Relu_1"]);
    assert_fails(broken(|g| g.output[0].name = "q".into()), Fault::Malformed, &["`q`", "nothing defines"]);
    assert_fails(broken(|g| g.output.push(vector("y"))), Fault::Malformed, &["`y`", "twice"]);
    assert_fails(broken(|g| g.output.clear()), Fault::Malformed, &["no output"]);
    assert_fails(broken(|g| g.node[0].op_type.clear()), Fault::Malformed, &["`plus`", "op_type"]);
    assert_fails(broken(|g| g.initializer[0].name.clear()), Fault::Malformed, &["no name"]);
}

#[test]
fn omitted_inputs_stay_empty_names_and_nodes_get_unique_ones() {
    let mut model = small();
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].input.insert(1, String::new());
    graph.node[0].name = "Relu_1".into();
    let source = import(&model).unwrap();
    assert_eq!(source.nodes[0].inputs, ["x", "", "w"]);
    assert_eq!([&source.nodes[0].name, &source.nodes[1].name], ["Relu_1", "Relu_1_2"]);
}

/// `if c { relu(x) } else { x + w }` with a branch's own constant.
fn branching() -> Model {
    let branch = |node: Node, name: &str| {
        let inner = Graph { node: vec![node], output: vec![vector(name)], ..Graph::default() };
        Attribute { g: Some(inner), r#type: attribute::GRAPH, ..Attribute::default() }
    };
    let mut choice = node("If", &["c"], &["y"]);
    choice.attribute = vec![
        Attribute { name: "then_branch".into(), ..branch(node("Relu", &["x"], &["y"]), "y") },
        Attribute { name: "else_branch".into(), ..branch(node("Add", &["x", "w"], &["t"]), "t") },
    ];
    choice.attribute[1].g.as_mut().unwrap().initializer = vec![floats("w", &[1.0, 2.0, 3.0])];
    let mut graph = graph(vec![choice]);
    graph.input.push(typed("c", 9, vec![]));
    model(graph)
}

#[test]
fn nested_graphs_are_attributes_and_see_outer_names() {
    let source = import(&branching()).unwrap();
    let SourceAttribute::Graph(branch) = &source.nodes[0].attributes["else_branch"] else {
        panic!("a graph")
    };
    assert_eq!(branch.nodes[0].inputs, ["x", "w"]);
    assert_eq!(branch.constants["w"].len(), 3);
    assert!(branch.inputs.is_empty() && branch.outputs[0].name == "t");
    assert_ne!(branch.nodes[0].name, source.nodes[0].name);
}

#[test]
fn nested_graphs_neither_redefine_outer_names_nor_read_unknown_ones() {
    let inner = |change: fn(&mut Graph)| {
        let mut model = branching();
        let choice = &mut model.graph.as_mut().unwrap().node[0];
        change(choice.attribute[1].g.as_mut().unwrap());
        import(&model)
    };
    assert_fails(inner(|g| g.initializer[0].name = "x".into()), Fault::Malformed, &["`x`", "twice"]);
    assert_fails(inner(|g| g.node[0].input[1] = "q".into()), Fault::Malformed, &["`q`"]);
}

#[test]
fn nodes_and_nesting_are_limited() {
    let bytes = branching().encode_to_vec();
    let mut limits = Limits { nesting: 1, nodes: 3, ..Limits::default() };
    assert!(parse(&bytes, None, &limits).is_ok());
    limits.nodes = 2;
    assert_fails(parse(&bytes, None, &limits), Fault::Limit, &["3 nodes", "`--limit-nodes 3`"]);
    limits = Limits { nesting: 0, ..Limits::default() };
    assert_fails(parse(&bytes, None, &limits), Fault::Limit, &["--limit-nesting 1"]);
    limits = Limits { file_bytes: 10, ..Limits::default() };
    assert_fails(parse(&bytes, None, &limits), Fault::Limit, &["--limit-file-bytes"]);
}

#[test]
fn shapes_of_inputs_are_limited() {
    for (extents, limit) in
        [(vec![Extent::Value(1); 9], Limit::Rank), (vec![Extent::Value(1 << 40); 3], Limit::Elements)]
    {
        let mut model = small();
        model.graph.as_mut().unwrap().input[0] = typed("x", 1, extents);
        assert_fails(import(&model), Fault::Limit, &["`x`", limit.flag()]);
    }
}
