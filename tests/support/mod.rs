//! What several tests need: running the program, and small ONNX files made here.

#![allow(clippy::unwrap_used, dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nablac::pipeline::{Form, Options, Stage, compile};
use nablac::samples::{self, random};
use nablac_graph::limits::Limits;
use nablac_index::{Array, DType};

#[path = "../../exporters/c/tests/toolchain/mod.rs"]
mod toolchain;

/// Says that something was not tested, past the harness, which keeps what passing tests print to itself.
pub fn skipped(what: impl std::fmt::Display) {
    let line = format!("SKIPPED: {what}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

/// What the program said.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The one JSON object on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in `{}`", self.stdout))
    }
}

/// Runs `nablac` from the project's folder.
pub fn nablac(arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_nablac"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    outcome(output)
}

fn outcome(output: Output) -> Outcome {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().expect("it ends by itself");
    Outcome { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A folder that goes away with the test.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// A path within it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file within it; gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        text(&path)
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

/// A node of an ONNX file: its operator, and the names of what it reads and writes.
pub type Node<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// An input or output of an ONNX file: its name and its dimensions, numbers or names.
pub type Port<'a> = (&'a str, &'a [&'a str]);

/// An ONNX model of `f32` tensors, as protobuf bytes.
pub fn onnx(inputs: &[Port], nodes: &[Node], outputs: &[Port], constants: &[(&str, Array)]) -> Vec<u8> {
    let mut graph = vec![];
    for (position, (operator, reads, writes)) in nodes.iter().enumerate() {
        let mut node = vec![];
        reads.iter().for_each(|name| field(&mut node, 1, name.as_bytes()));
        writes.iter().for_each(|name| field(&mut node, 2, name.as_bytes()));
        field(&mut node, 3, format!("node{position}").as_bytes());
        field(&mut node, 4, operator.as_bytes());
        field(&mut graph, 1, &node);
    }
    field(&mut graph, 2, b"test");
    for (name, array) in constants {
        let mut tensor = vec![];
        array.shape().iter().for_each(|&extent| number(&mut tensor, 1, extent as u64));
        number(&mut tensor, 2, data_type(array.dtype()));
        field(&mut tensor, 8, name.as_bytes());
        field(&mut tensor, 9, array.bytes());
        field(&mut graph, 5, &tensor);
    }
    inputs.iter().for_each(|port| field(&mut graph, 11, &value(port)));
    outputs.iter().for_each(|port| field(&mut graph, 12, &value(port)));
    let mut opset = vec![];
    number(&mut opset, 2, 17);
    let mut model = vec![];
    number(&mut model, 1, 8); // IR version 8 belongs to operator set 17
    field(&mut model, 7, &graph);
    field(&mut model, 8, &opset);
    model
}

/// ONNX's number of an element type.
fn data_type(dtype: DType) -> u64 {
    let types = [(DType::F32, 1), (DType::U8, 2), (DType::I8, 3), (DType::I32, 6), (DType::I64, 7)];
    types.iter().find(|row| row.0 == dtype).unwrap().1
}

fn value((name, dimensions): &Port) -> Vec<u8> {
    let mut shape = vec![];
    for dimension in *dimensions {
        let mut one = vec![];
        match dimension.parse() {
            Ok(extent) => number(&mut one, 1, extent),
            Err(_) => field(&mut one, 2, dimension.as_bytes()),
        }
        field(&mut shape, 1, &one);
    }
    let mut tensor = vec![];
    number(&mut tensor, 1, 1);
    field(&mut tensor, 2, &shape);
    let mut kind = vec![];
    field(&mut kind, 1, &tensor);
    let mut value = vec![];
    field(&mut value, 1, name.as_bytes());
    field(&mut value, 2, &kind);
    value
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn number(bytes: &mut Vec<u8>, id: u64, value: u64) {
    varint(bytes, id << 3);
    varint(bytes, value);
}

fn field(bytes: &mut Vec<u8>, id: u64, content: &[u8]) {
    varint(bytes, id << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

/// Options for a Cortex-M4, up to a stage.
pub fn options(after: Stage, limits: &Limits) -> Options {
    Options {
        stream: None,
        dimensions: Default::default(),
        limits: limits.clone(),
        requantization: None,
        machine: nablac_machine::Machine::load("cortex-m4").unwrap(),
        c: Default::default(),
        after,
        schedules: Default::default(),
    }
}

/// Compiles a network to C, that with every compiler at hand and every warning, and runs its self-test under sanitizers: its golden
/// vectors are the interpreter's.
pub fn check_c(path: &Path, test: &str) {
    check_c_with(path, test, |_| {});
}

/// The same with other options.
pub fn check_c_with(path: &Path, test: &str, change: impl FnOnce(&mut Options)) {
    let source = nablac::model::read(path, &Default::default()).unwrap().source;
    let limits = Limits::default();
    let definition = compile(&source, &options(Stage::Define, &limits), &mut |_| {}).unwrap();
    let Form::Index(program) = &definition else { unreachable!() };
    let inputs = random(&samples::Port::inputs(program), 2, 1);
    let outputs = nablac::engine::interpret(&definition, &inputs).unwrap();
    let vectors = inputs.into_iter().zip(outputs);
    let c = nablac_c::Options {
        vectors: vectors.map(|(inputs, outputs)| nablac_c::Vector { inputs, outputs }).collect(),
        ..Default::default()
    };
    let mut options = Options { c, ..options(Stage::C, &limits) };
    change(&mut options);
    let Form::C(_, folder) = compile(&source, &options, &mut |_| {}).unwrap() else { unreachable!() };
    let work = toolchain::Work::new(test);
    toolchain::compile_everywhere(&work, &folder, true);
    let (passed, report) = toolchain::selftest(&work, &folder);
    assert!(passed, "{}: {report}", path.display());
}
