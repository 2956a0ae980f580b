//! Operators, names, inputs and outputs, subgraphs.

use nablac_graph::source::{Framework, SourceAttribute, SourceDim};
use nablac_index::{Array, DType};

use super::*;

#[test]
fn a_small_model_arrives_whole() {
    let source = small().import().unwrap();
    assert_eq!(source.name, "main");
    let input = &source.inputs[0];
    assert_eq!((input.name.as_str(), input.dtype), ("x", Some(DType::F32)));
    assert_eq!(input.shape, Some(vec![SourceDim::Fixed(1), SourceDim::Fixed(3)]));
    assert_eq!((source.outputs.len(), source.outputs[0].name.as_str()), (1, "y"));
    assert_eq!(source.constants.len(), 1);
    assert_eq!(source.constants["w"], Array::from_f32(&[3], &[1.0, 2.0, 3.0]));
    let [add, relu] = &source.nodes[..] else { panic!("two nodes") };
    assert_eq!((add.name.as_str(), add.operator.as_str(), add.version), ("ADD_0", "ADD", 2));
    assert_eq!(add.framework, Framework::Tflite);
    assert_eq!((&add.inputs, &add.outputs), (&vec!["x".into(), "w".into()], &vec!["s".into()]));
    assert_eq!((relu.name.as_str(), relu.attributes.len()), ("RELU_1", 0));
    assert_eq!(source.dtypes.keys().collect::<Vec<_>>(), ["s", "x", "y"]);
    assert!(source.quantization.is_empty());
}

#[test]
fn open_extents_come_from_the_shape_when_it_has_them() {
    let source = changed(|m| m.main().tensors[0] = tensor("x", 0, &[-1, 3], vec![])).unwrap();
    assert_eq!(source.inputs[0].shape, Some(vec![SourceDim::Named(String::new()), SourceDim::Fixed(3)]));
    let signature = vec![(7, I32s(vec![-1, 3]))];
    let source = changed(|m| m.main().tensors[0] = tensor("x", 0, &[], signature)).unwrap();
    assert_eq!(source.inputs[0].shape, Some(vec![SourceDim::Named(String::new()), SourceDim::Fixed(3)]));
}

#[test]
fn operator_codes_are_the_larger_of_two_fields() {
    for (number, name) in
        [(0, "ADD"), (117, "HARD_SWISH"), (128, "CUMSUM"), (150, "GELU"), (209, "STABLEHLO_CASE")]
    {
        let source = changed(|m| m.codes[1] = code(number)).unwrap();
        assert_eq!(source.nodes[1].operator, name);
    }
    let old = |m: &mut Model| m.codes[1] = table(vec![(0, I8(25))]); // before there was the second field
    let source = changed(old).unwrap();
    assert_eq!((source.nodes[1].operator.as_str(), source.nodes[1].version), ("SOFTMAX", 1));
    assert_fails(changed(|m| m.codes[1] = code(210)), Fault::Unsupported, &["210"]);
    assert_fails(changed(|m| m.codes.truncate(1)), Fault::Malformed, &["operator code 1", "there are 1"]);
}

#[test]
fn custom_operators_keep_their_name_and_options() {
    let source = changed(|m| {
        m.codes[1] = table(vec![(0, I8(32)), (1, Text("Detect".into()))]);
        m.main().operators[1] = operator(1, &[2], &[3], vec![(5, Bytes(vec![7, 8]))]);
    });
    let node = &source.unwrap().nodes[1];
    assert_eq!((node.operator.as_str(), node.name.as_str()), ("custom::Detect", "custom::Detect_1"));
    let SourceAttribute::Tensor(options) = &node.attributes["custom_options"] else { panic!("a tensor") };
    assert_eq!(options.bytes(), [7, 8]);
}

#[test]
fn names_are_made_unique_and_inputs_and_outputs_keep_theirs() {
    let source = changed(|m| {
        m.main().tensors[1] = tensor("x", 0, &[3], vec![(2, U32(1))]);
        m.main().tensors[2] = tensor("", 0, &[1, 3], vec![]);
        m.main().tensors.swap(0, 1);
        m.main().operators[0] = operator(0, &[1, 0], &[2], vec![]);
        m.main().inputs = vec![1];
    });
    let source = source.unwrap();
    assert_eq!(source.inputs[0].name, "x");
    assert_eq!(
        (&source.nodes[0].inputs[..], &source.nodes[0].outputs[..]),
        (&["x".into(), "x_2".into()][..], &["tensor_2".into()][..])
    );
    assert!(source.constants.contains_key("x_2"));
}

#[test]
fn omitted_inputs_are_empty_names() {
    let source = changed(|m| m.main().operators[1] = operator(1, &[2, -1], &[3], vec![])).unwrap();
    assert_eq!(source.nodes[1].inputs, ["s", ""]);
}

#[test]
fn values_are_defined_once_and_read_only_when_defined() {
    let broken = |inputs: &'static [i32], outputs: &'static [i32]| {
        changed(move |m| m.main().operators[1] = operator(1, inputs, outputs, vec![]))
    };
    assert_fails(broken(&[2], &[2]), Fault::Malformed, &["`s`", "twice"]);
    assert_fails(broken(&[2], &[1]), Fault::Malformed, &["`w`", "twice"]);
    assert_fails(broken(&[2], &[0]), Fault::Malformed, &["`x`", "twice"]);
    assert_fails(broken(&[9], &[3]), Fault::Malformed, &["`RELU_1`", "tensor 9", "there are 4"]);
    assert_fails(broken(&[-2], &[3]), Fault::Malformed, &["tensor -2"]);
    assert_fails(broken(&[2], &[-1]), Fault::Malformed, &["an output", "tensor -1"]);
    assert_fails(changed(|m| m.main().inputs.clear()), Fault::Malformed, &["`x`", "nothing defines"]);
    assert_fails(changed(|m| m.main().inputs.push(0)), Fault::Malformed, &["`x`", "twice"]);
    assert_fails(changed(|m| m.main().outputs.clear()), Fault::Malformed, &["no output"]);
    assert_fails(changed(|m| m.main().outputs[0] = 4), Fault::Malformed, &["tensor 4"]);
    assert_fails(changed(|m| m.subgraphs.clear()), Fault::Malformed, &["no subgraph"]);
}

/// A model whose second operator reads a variable.
fn with_variable(kind: i8, shape: &[i32], more: Vec<(usize, Value)>) -> Result<SourceModel, Error> {
    changed(|m| {
        m.main().tensors.push(tensor("state", kind, shape, [vec![(5, U8(1))], more].concat()));
        m.main().operators[1] = operator(1, &[2, 4], &[3], vec![]);
    })
}

#[test]
fn variables_outlive_runs() {
    let source = with_variable(0, &[3], vec![]).unwrap();
    let [state] = &source.states[..] else { panic!("one state") };
    assert_eq!((state.name.as_str(), &state.initial), ("state", &Array::from_f32(&[3], &[0.0; 3])));
    assert_eq!(source.nodes[1].inputs, ["s", "state"]);
    // TFLite resets bytes to their zero point, and 16-bit integers to 0.
    let scaled = || vec![(4, table(vec![(2, F32s(vec![0.5])), (3, I64s(vec![-7]))]))];
    for (kind, zero) in [(9, -7), (7, 0)] {
        let source = with_variable(kind, &[2], scaled()).unwrap();
        assert_eq!(source.states[0].initial.to_i64(), [zero; 2]);
        assert_eq!(source.quantization["state"].zero_points, [-7]);
    }
}

#[test]
fn variables_that_can_not_be_kept_are_named() {
    let given = vec![(2, U32(1))];
    assert_fails(with_variable(0, &[3], given), Fault::Unsupported, &["`state`", "with a value in the file"]);
    let large = with_variable(0, &[1 << 12, 1 << 13], vec![]);
    assert_fails(large, Fault::Unsupported, &["`state`", "more than 67108864 bytes"]);
    assert_fails(with_variable(0, &[-1], vec![]), Fault::Unsupported, &["`state`"]);
    let mut model = branching();
    model.subgraphs[1].tensors[0] = tensor("inner", 0, &[3], vec![(5, U8(1))]);
    model.subgraphs[1].inputs.clear();
    assert_fails(model.import(), Fault::Unsupported, &["`inner`", "a variable of a subgraph"]);
}

#[test]
fn tensors_within_an_operator_are_told_with_their_scales() {
    let scaled = vec![(4, table(vec![(2, F32s(vec![0.25])), (3, I64s(vec![3]))]))];
    let source = changed(|m| {
        m.main().tensors.push(tensor("hidden", 9, &[], scaled));
        m.main().operators[1] = operator(1, &[2], &[3], vec![(8, I32s(vec![4]))]);
    });
    let source = source.unwrap();
    let SourceAttribute::Texts(names) = &source.nodes[1].attributes["intermediates"] else { panic!("names") };
    assert_eq!(names, &["hidden"]);
    assert_eq!(source.quantization["hidden"].scales, [0.25]);
    let beyond = changed(|m| m.main().operators[1] = operator(1, &[2], &[3], vec![(8, I32s(vec![9]))]));
    assert_fails(beyond, Fault::Malformed, &["an intermediate", "tensor 9"]);
}

#[test]
fn another_schema_version_is_unsupported() {
    assert_fails(changed(|m| m.version = 2), Fault::Unsupported, &["version 2"]);
}

/// `y = if c { relu(x) } else { relu(x) }`, with subgraphs 1 and 2.
fn branching() -> Model {
    let mut model = small();
    let branch = Subgraph {
        tensors: vec![tensor("x", 0, &[3], vec![]), tensor("y", 0, &[3], vec![])],
        inputs: vec![0],
        outputs: vec![1],
        operators: vec![operator(1, &[0], &[1], vec![])],
    };
    model.codes.push(code(118));
    model.subgraphs.extend([branch.clone(), branch]);
    let main = model.main();
    main.tensors.push(tensor("c", 6, &[], vec![]));
    main.inputs.push(4);
    let indices = table(vec![(0, I32(1)), (1, I32(2))]);
    main.operators[1] = operator(2, &[4, 2], &[3], vec![(3, U8(92)), (4, indices)]);
    model
}

#[test]
fn subgraphs_of_control_flow_are_attributes() {
    let source = branching().import().unwrap();
    assert_eq!(source.nodes[1].operator, "IF");
    let SourceAttribute::Graph(branch) = &source.nodes[1].attributes["else_subgraph_index"] else {
        panic!("a graph")
    };
    assert_eq!(
        (branch.nodes[0].name.as_str(), branch.nodes[0].operator.as_str()),
        ("subgraph_2/RELU_0", "RELU")
    );
    assert_eq!((branch.inputs[0].name.as_str(), branch.outputs[0].name.as_str()), ("x_3", "y_3"));
}

#[test]
fn a_subgraph_is_entered_once() {
    for (index, fault, part) in [
        (1, Fault::Unsupported, "subgraph 1"),
        (0, Fault::Unsupported, "subgraph 0"),
        (3, Fault::Malformed, "subgraph 3"),
        (-1, Fault::Malformed, "there are 3"),
    ] {
        let mut model = branching();
        let indices = table(vec![(0, I32(1)), (1, I32(index))]);
        model.main().operators[1] = operator(2, &[4, 2], &[3], vec![(3, U8(92)), (4, indices)]);
        assert_fails(model.import(), fault, &[part]);
    }
}

#[test]
fn nodes_nesting_and_bytes_are_limited() {
    let bytes = branching().encode();
    let mut limits = Limits { nodes: 4, nesting: 1, ..Limits::default() };
    assert!(parse(&bytes, &limits).is_ok());
    limits.nodes = 3;
    assert_fails(parse(&bytes, &limits), Fault::Limit, &["4 nodes", "--limit-nodes 4"]);
    limits = Limits { nesting: 0, ..Limits::default() };
    assert_fails(parse(&bytes, &limits), Fault::Limit, &["subgraph 1", "--limit-nesting 1"]);
    limits = Limits { file_bytes: 100, ..Limits::default() };
    assert_fails(parse(&bytes, &limits), Fault::Limit, &["--limit-file-bytes"]);
}

#[test]
fn a_long_chain_of_subgraphs_ends() {
    let mut model = branching();
    let link = model.subgraphs[1].clone();
    model.subgraphs.truncate(1);
    for next in 2..200 {
        let mut subgraph = link.clone();
        let options = table(vec![(0, I32(next)), (1, I32(next))]);
        subgraph.operators[0] = operator(2, &[0], &[1], vec![(3, U8(92)), (4, options)]);
        model.subgraphs.push(subgraph);
    }
    assert_fails(model.import(), Fault::Limit, &["--limit-nesting 17"]);
    let limits = Limits { nesting: 1000, ..Limits::default() };
    assert_fails(parse(&model.encode(), &limits), Fault::Unsupported, &["nested 65 deep"]);
}
