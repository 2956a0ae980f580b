//! Models built in memory, and what the importer makes of them.

mod builder;
mod graphs;
mod malformed;
mod options;
mod tensors;

use nablac_graph::limits::{Fault, Limits};
use nablac_graph::source::SourceModel;

use crate::{Error, parse};
use builder::{Value, Value::*, encode, table};

/// Enumerators that the tests use.
const ADD: i32 = 0;
const RELU: i32 = 19;

/// A model before it is encoded.
#[derive(Clone)]
struct Model {
    version: u32,
    codes: Vec<Value>,
    subgraphs: Vec<Subgraph>,
    buffers: Vec<Value>,
}

#[derive(Clone)]
struct Subgraph {
    tensors: Vec<Value>,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    operators: Vec<Value>,
}

impl Model {
    fn encode(&self) -> Vec<u8> {
        let subgraph = |s: &Subgraph| {
            table(vec![
                (0, Tables(s.tensors.clone())),
                (1, I32s(s.inputs.clone())),
                (2, I32s(s.outputs.clone())),
                (3, Tables(s.operators.clone())),
                (4, Text("main".into())),
            ])
        };
        encode(&table(vec![
            (0, U32(self.version)),
            (1, Tables(self.codes.clone())),
            (2, Tables(self.subgraphs.iter().map(subgraph).collect())),
            (4, Tables(self.buffers.clone())),
        ]))
    }

    fn import(&self) -> Result<SourceModel, Error> {
        parse(&self.encode(), &Limits::default())
    }

    fn main(&mut self) -> &mut Subgraph {
        &mut self.subgraphs[0]
    }

    /// Adds a constant of this type, and returns its tensor.
    fn constant(&mut self, name: &str, kind: i8, shape: &[i32], data: &[u8]) -> i32 {
        self.buffers.push(table(vec![(0, Bytes(data.to_vec()))]));
        let buffer = self.buffers.len() as u32 - 1;
        self.main().tensors.push(tensor(name, kind, shape, vec![(2, U32(buffer))]));
        self.main().tensors.len() as i32 - 1
    }
}

fn tensor(name: &str, kind: i8, shape: &[i32], more: Vec<(usize, Value)>) -> Value {
    let mut fields = vec![(0, I32s(shape.to_vec())), (1, I8(kind)), (3, Text(name.into()))];
    fields.extend(more);
    table(fields)
}

fn code(number: i32) -> Value {
    table(vec![(0, I8(number.min(127) as i8)), (2, I32(2)), (3, I32(number))])
}

fn operator(code: u32, inputs: &[i32], outputs: &[i32], more: Vec<(usize, Value)>) -> Value {
    let mut fields = vec![(0, U32(code)), (1, I32s(inputs.to_vec())), (2, I32s(outputs.to_vec()))];
    fields.extend(more);
    table(fields)
}

/// `y = relu(x + w)`; tensors x, w, s, y.
fn small() -> Model {
    let floats: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let options = table(vec![(0, I8(1))]);
    Model {
        version: 3,
        codes: vec![code(ADD), code(RELU)],
        subgraphs: vec![Subgraph {
            tensors: vec![
                tensor("x", 0, &[1, 3], vec![(7, I32s(vec![-1, 3]))]),
                tensor("w", 0, &[3], vec![(2, U32(1))]),
                tensor("s", 0, &[1, 3], vec![]),
                tensor("y", 0, &[1, 3], vec![]),
            ],
            inputs: vec![0],
            outputs: vec![3],
            operators: vec![
                operator(0, &[0, 1], &[2], vec![(3, U8(11)), (4, options)]),
                operator(1, &[2], &[3], vec![]),
            ],
        }],
        buffers: vec![table(vec![]), table(vec![(0, Bytes(floats))])],
    }
}

/// The import of [`small`] with `change` made to it.
fn changed(change: impl FnOnce(&mut Model)) -> Result<SourceModel, Error> {
    let mut model = small();
    change(&mut model);
    model.import()
}

/// Asserts whose fault it is, and that the message has all of `parts`.
#[track_caller]
fn assert_fails(result: Result<SourceModel, Error>, fault: Fault, parts: &[&str]) {
    let error = result.expect_err("an error is expected");
    let text = error.to_string();
    assert_eq!(error.fault(), fault, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
