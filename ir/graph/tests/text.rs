//! Graphs as text: what is printed is read back as the same graph, and broken text is refused with its place.

#![allow(clippy::unwrap_used)]

use nablac_graph::{Error, Graph, Operator, ValueId, define, parse, remove_unread, run, verify};
use nablac_index::{Array, DType, Value};
use serde_json::{Value as Json, json};

#[path = "support/random.rs"]
mod random;
#[path = "support/round_trip.rs"]
mod round_trip;

use random::Random;

const TEXT: &str = r#"graph "two words" {
  input %x: f32[2, 3]
  const $w: f32[3] = [1.0, -2.5, inf]
  const $"a b": i64[2] = [0, -1]
  "conv/1": %y = add(%x, $w) ; f32[2, 3]
  %"input" = clip(%y, _, _) ; f32[2, 3]
  %z = gather(%"input", $"a b") {axis = 1, batch = 0} ; f32[2, 2]
  p: %p = pad(%z) {after = [0, 1], before = [1, 0], mode = constant, value = "-inf"} ; f32[3, 3]
  %k = leaky_relu(%p) {alpha = 1e-7} ; f32[3, 3]
  output %k
  output %x
}
"#;

#[test]
fn text_is_kept_to_the_letter() {
    let graph = parse(TEXT).unwrap();
    verify(&graph).unwrap();
    assert_eq!(graph.to_string(), TEXT.replace("%\"input\"", "%input"));
    round_trip::check(&graph).unwrap();
}

#[test]
fn a_printed_graph_computes_the_same() {
    let graph = parse(
        "graph sums {
           input %x: f32[3, 2]
           input %h: f32[2]
           %y, %z = scan(%h, %x) {inputs = [{axis = 0, backwards = true}], outputs = [{axis = 0, backwards = false}],
                                  states = 1}
             graph body {
               input %s: f32[2]
               input %p: f32[2]
               %t = add(%s, %p)
               output %t
               output %t
             }
           output %y
           output %z
         }",
    )
    .unwrap();
    round_trip::check(&graph).unwrap();
    let x = Array::from_f32(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let y = run(&graph, &[x, Array::from_f32(&[2], &[0.0, 10.0])]).unwrap();
    assert_eq!(y[0].to_f64(), [9.0, 22.0]);
    assert_eq!(y[1].to_f64(), [5.0, 16.0, 8.0, 20.0, 9.0, 22.0]);
}

#[test]
fn large_constants_stand_beside_the_text() {
    let mut graph = Graph { name: "g".into(), ..Graph::default() };
    let array = Array::from_f32(&[20], &[0.5; 20]);
    let w = graph.add_constant("w", array.clone());
    graph.outputs = vec![w];
    let text = graph.to_string();
    assert!(text.contains("const $w: f32[20] = @") && text.contains(&array.hash()), "{text}");
    round_trip::check(&graph).unwrap();
    assert!(parse(&text).unwrap_err().to_string().contains("a constant of type f32[20]"));
}

#[test]
fn broken_text_is_refused() {
    let cases = [
        ("%y = add(%x, %q)", "expected a value that is defined above"),
        ("%y = add(%x, $x)", "expected a value that is defined above"),
        ("%x = neg(%x)", "expected a name that is not taken"),
        ("%y = nonsense(%x)", "there is no operator `nonsense`"),
        ("%y = leaky_relu(%x)", "missing field `alpha`"),
        ("%y = leaky_relu(%x) {alpha = }", "expected an attribute"),
        ("%y, %z = neg(%x)", "it gives 1 values"),
        ("%y = add(%x)", "it has two operands"),
        ("%y = reshape(%x) {shape = [5]}", "can't become [5]"),
        ("const $c: f32[2] = [1.0]", "expected a constant of type f32[2]"),
        ("%y = neg(%x) graph g {}", "it has subgraphs, and no use for them"),
        ("%y = fill(%x) {shape = [2]}", "[3] is not one value"),
        ("$w = neg(%x)", "expected"),
        ("%y = slice(%x) {starts = [0], steps = [9223372036854775807], sizes = [3]}", "leaves shape [3]"),
        ("%y = tile(%x) {repeats = [9223372036854775807]}", "its size overflows"),
        ("%y = expand(%x) {shape = [4294967296, 4294967296, 3]}", "fits no memory"),
        (
            "%y = pad(%x) {mode = edge, value = 0.0, before = [-9223372036854775808], after = [9223372036854775807]}",
            "can't be added to [3]",
        ),
        (
            "%y = loop(_) {trips = 1, states = 0} graph b { input %i: i64[] input %c: bool[] }",
            "too few outputs",
        ),
        (
            "%y = loop(_) {trips = 1, states = 0} graph b { input %i: i64[] input %c: bool[] output %i }",
            "its condition is i64[], not one boolean",
        ),
        ("%y = if(%x)", "it has 0 subgraphs instead of 2"),
    ];
    for (line, problem) in cases {
        let error = parse(&format!("graph g {{\n  input %x: f32[3]\n  {line}\n}}")).unwrap_err().to_string();
        assert!(error.contains(problem), "{line}: {error}");
        let syntax = problem.starts_with("expected");
        assert!(!syntax || error.starts_with("line 3") || error.starts_with("line 4"), "{line}: {error}");
    }
}

type Change = fn(&mut Graph);

#[test]
fn the_verifier_names_what_is_wrong() {
    let graph = parse("graph g { input %x: f32[3] n: %y = neg(%x) %z = exp(%y) output %z }").unwrap();
    let broken = |change: Change| {
        let mut graph = graph.clone();
        change(&mut graph);
        verify(&graph).unwrap_err().to_string()
    };
    let rows: [(Change, &str); 7] = [
        (|g| g.values[1].name = "x".into(), "value `x`: the name is taken"),
        (|g| g.nodes.reverse(), "node `` (exp): `y` has no value yet"),
        (|g| g.nodes[1].outputs = vec![ValueId(1)], "`y` has a value already"),
        (|g| g.values[1].dtype = DType::F64, "`y` is f64[3], its operator gives f32[3]"),
        (|g| g.outputs = vec![ValueId(9)], "there is no value number 9"),
        (|g| g.nodes[0].outputs.clear(), "it writes 0 values, its operator gives 1"),
        (|g| g.values[0].constant = Some(Array::from_f32(&[1], &[0.0])), "its elements are of another type"),
    ];
    for (change, problem) in rows {
        let error = broken(change);
        assert!(error.contains(problem), "{error}");
    }
    assert!(matches!(
        verify(&Graph { outputs: vec![ValueId(0)], ..Graph::default() }),
        Err(Error::Invalid { .. })
    ));
}

const NAMES: &[&str] =
    &["x", "input", "a b", "quoted \"name\"", "", "_", "été", "1st", "a..b", "max", "tab\t", "null", "graph"];

type Type = (DType, Vec<usize>);

/// A graph of random nodes over random values; what an operator refuses is left out.
fn random_graph(random: &mut Random, inputs: &[Type], depth: usize) -> Graph {
    let mut graph = Graph { name: random.pick(NAMES).to_string(), ..Graph::default() };
    for (dtype, shape) in inputs {
        let id = graph.add_value(random.pick::<&str>(NAMES), *dtype, shape, None);
        graph.inputs.push(id);
    }
    for _ in 0..random.below(12) {
        if random.below(4) == 0 {
            let array = random_array(random);
            graph.add_constant(random.pick::<&str>(NAMES), array);
            continue;
        }
        let values: Vec<ValueId> = graph.values().map(|(id, _)| id).collect();
        let operands: Vec<ValueId> = (0..1 + random.below(3)).map(|_| *random.pick(&values)).collect();
        let added = match random.below(4) {
            0 if depth < 2 => add_control_flow(random, &mut graph, &operands, depth),
            _ => {
                let (name, attributes) = random_operator(random);
                let operator = Operator::from_attributes(name, attributes).unwrap();
                let operands: Vec<_> = operands.into_iter().map(Some).collect();
                graph.add_node(random.pick::<&str>(NAMES), operator, &operands, vec![])
            }
        };
        // Many are refused, for types and shapes are drawn as well.
        if let Ok(outputs) = added {
            graph.outputs.push(*random.pick(&outputs));
        }
    }
    if graph.outputs.is_empty() {
        graph.outputs.push(graph.inputs[0]);
    }
    remove_unread(graph)
}

/// An If, Loop or Scan whose subgraphs read the operands.
fn add_control_flow(
    random: &mut Random,
    graph: &mut Graph,
    operands: &[ValueId],
    depth: usize,
) -> Result<Vec<ValueId>, Error> {
    let mut types: Vec<Type> =
        operands.iter().map(|&id| (graph.value(id).dtype, graph.value(id).shape.clone())).collect();
    let along = json!([{"axis": 0, "backwards": random.below(2) == 0}]);
    let mut inputs: Vec<Option<ValueId>> = operands.iter().copied().map(Some).collect();
    let (name, attributes, regions) = match random.below(3) {
        0 => {
            let region = random_graph(random, &types, depth + 1);
            let condition = Array::from_values(DType::Bool, &[], [Value::Int(1)]);
            inputs = [&[Some(graph.add_constant("condition", condition))], &inputs[..], &inputs].concat();
            ("if", json!({}), vec![region.clone(), region])
        }
        1 => {
            let lead = [(DType::I64, vec![]), (DType::Bool, vec![])];
            let mut region = random_graph(random, &[&lead, &types[..]].concat(), depth + 1);
            region.outputs.insert(0, region.inputs[1]);
            inputs.insert(0, None);
            ("loop", json!({"trips": 2, "states": 0}), vec![region])
        }
        _ => {
            if types[0].1.is_empty() {
                return Ok(operands.to_vec());
            }
            types[0].1.remove(0);
            let region = random_graph(random, &types, depth + 1);
            let outputs = vec![along[0].clone(); region.outputs.len()];
            ("scan", json!({"states": 0, "inputs": along, "outputs": outputs}), vec![region])
        }
    };
    let operator = Operator::from_attributes(name, attributes).unwrap();
    graph.add_node(random.pick::<&str>(NAMES), operator, &inputs, regions)
}

fn random_types(random: &mut Random) -> Vec<Type> {
    let dtypes = [DType::F32, DType::F32, DType::F64, DType::I32, DType::Bool];
    (0..1 + random.below(3)).map(|_| (*random.pick(&dtypes), random_shape(random))).collect()
}

fn random_shape(random: &mut Random) -> Vec<usize> {
    random.pick(&[vec![], vec![1], vec![3], vec![2, 3], vec![2, 3], vec![2, 1, 3], vec![0, 2]]).clone()
}

fn random_array(random: &mut Random) -> Array {
    let computed: Vec<DType> = DType::ALL.iter().copied().filter(|dtype| !dtype.is_packed()).collect();
    let dtype = *random.pick(&computed);
    let shape = random.pick(&[vec![], vec![3], vec![2, 3], vec![5, 7], vec![0]]).clone();
    let size = shape.iter().product::<usize>();
    let reals = [0.0, -0.0, 1.0 / 3.0, -1e-30, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 7.0];
    let mut value = || match dtype.is_float() {
        true => Value::from_f64(dtype, *random.pick(&reals)),
        false => Value::from_i64(dtype, *random.pick(&[0, 1, -1, i64::MAX, i64::MIN, 1 << 20])),
    };
    let values: Vec<Value> = (0..size).map(|_| value()).collect();
    Array::from_values(dtype, &shape, values)
}

fn random_operator(random: &mut Random) -> (&'static str, Json) {
    let alpha = *random.pick(&[0.1, 1.0, -0.0, 1e-12, 1e300, 0.009999999776482582]);
    let word = *random.pick(&["f32", "i8", "bool", "u64"]);
    random
        .pick(&[
            ("neg", json!({})),
            ("add", json!({})),
            ("where", json!({})),
            ("relu", json!({})),
            ("clip", json!({})),
            ("abs", json!({})),
            ("exp", json!({})),
            ("sigmoid", json!({})),
            ("gelu", json!({"approximate": true})),
            ("prelu", json!({})),
            ("pow", json!({})),
            ("div", json!({})),
            ("max", json!({})),
            ("not", json!({})),
            ("logic", json!({"connective": "xor"})),
            ("identity", json!({})),
            ("gather", json!({"axis": 0, "batch": 0})),
            ("tile", json!({"repeats": [2, 1]})),
            ("expand", json!({"shape": [2, 2, 3]})),
            ("transpose", json!({"permutation": [1, 0]})),
            ("pad", json!({"mode": "reflect", "value": 0.0, "before": [1, 2], "after": [0, -1]})),
            ("leaky_relu", json!({"alpha": alpha})),
            ("cast", json!({"to": word})),
            ("concat", json!({"axis": 0})),
            ("reshape", json!({"shape": [3, 2]})),
            ("fill", json!({"shape": [2, 2]})),
            ("pad", json!({"mode": "edge", "value": alpha, "before": [1, 0], "after": [0, 2]})),
            ("pad", json!({"mode": "constant", "value": "NaN", "before": [1], "after": [-1]})),
            ("slice", json!({"starts": [1], "steps": [-1], "sizes": [2]})),
            ("compare", json!({"relation": "less_equal"})),
        ])
        .clone()
}

#[test]
fn random_graphs_survive_their_text_and_have_a_meaning() {
    let mut nodes = std::collections::BTreeMap::new();
    for seed in 0..2000 {
        let mut random = Random(seed);
        let types = random_types(&mut random);
        let graph = random_graph(&mut random, &types, 0);
        verify(&graph).unwrap();
        round_trip::check(&graph).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        let program = define(&graph).unwrap();
        nablac_index::verify(&program).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{graph}"));
        graph.nodes.iter().for_each(|node| *nodes.entry(node.operator.name()).or_insert(0) += 1);
    }
    // Each kind of node came through often enough to mean something.
    for operator in ["neg", "leaky_relu", "cast", "fill", "pad", "compare", "gather", "if", "loop", "scan"] {
        assert!(nodes.get(operator).is_some_and(|&count| count > 10), "{operator}: {nodes:?}");
    }
}
