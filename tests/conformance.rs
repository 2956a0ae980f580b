//! The suites in `.cache/conformance`: what ONNX, ONNX Runtime and TFLite say that operators compute. `./test` writes them; see
//! `tests/conformance/suite.py` for their form, and `known_unsupported.txt` beside it for what is refused, and why.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nablac::engine::{self, Library};
use nablac::failure::{Class, Failure};
use nablac::pipeline::{Form, Options, Stage, compile};
use nablac::samples::{Port, Sample};
use nablac::{model, npz};
use nablac_graph::limits::Limits;
use nablac_index::Array;
use nablac_machine::Machine;
use serde::Deserialize;

/// `tests.json`.
#[derive(Deserialize)]
struct Index {
    tests: Vec<Case>,
}

/// One test of a suite.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    rtol: f64,
    atol: f64,
    /// The share of integers that may differ by one.
    ties: f64,
    /// Whether `.npz` can hold its arrays.
    data: bool,
    /// Of consecutive runs: how many make a sequence.
    #[serde(default)]
    steps: Option<usize>,
}

/// An input or output.
#[derive(Deserialize)]
struct Tensor {
    name: String,
}

/// What runs a network.
#[derive(Clone, Copy, PartialEq)]
enum Engine {
    /// The interpreter, after the stage.
    Interpreter(Stage),
    /// The generated C, on this target.
    C(&'static str),
}

/// Why a test did not pass.
enum Problem {
    /// nablac says that it does not support it.
    Refused(Box<Failure>),
    /// Anything else.
    Wrong(String),
}

impl From<Box<Failure>> for Problem {
    fn from(failure: Box<Failure>) -> Problem {
        match failure.code.class() {
            Class::Unsupported => Problem::Refused(failure),
            _ => Problem::Wrong(failure.to_string()),
        }
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names, with `*`, of tests that are refused.
fn known_unsupported() -> Vec<String> {
    let text = fs::read_to_string(project().join("tests/conformance/known_unsupported.txt")).unwrap();
    let rows = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    rows.filter_map(|row| row.split_whitespace().next()).map(String::from).collect()
}

/// Whether `name` is what `pattern` says, where `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|&n| rest.is_char_boundary(n)).any(|n| matches(tail, &rest[n..]))
        }),
    }
}

fn target(engine: Engine) -> &'static str {
    if let Engine::C(target) = engine { target } else { "host" }
}

fn options(after: Stage, target: &str) -> Options {
    Options {
        dimensions: BTreeMap::new(),
        limits: Limits::default(),
        requantization: None,
        stream: None,
        machine: Machine::load(target).unwrap(),
        c: nablac_c::Options { name: "model".into(), ..Default::default() },
        after,
        schedules: Default::default(),
    }
}

fn check(folder: &Path, case: &Case, engine: Engine) -> Result<(), Problem> {
    let source = model::read(&folder.join(&case.model), &Limits::default())?.source;
    let Form::Index(program) = compile(&source, &options(Stage::Define, "host"), &mut |_| {})? else {
        unreachable!()
    };
    if !case.data {
        return Ok(()); // it means something; what, no file can say
    }
    let (inputs, outputs) = (Port::inputs(&program), Port::outputs(&program));
    let form = match engine {
        Engine::Interpreter(after) => compile(&source, &options(after, target(engine)), &mut |_| {})?,
        Engine::C(_) => compile(&source, &options(Stage::C, target(engine)), &mut |_| {})?,
    };
    let given = runs(arrays(&folder.join(&case.name).join("in.npz"), &case.inputs)?, &inputs, case)?;
    let expected = runs(arrays(&folder.join(&case.name).join("out.npz"), &case.outputs)?, &outputs, case)?;
    // One sequence in C: what is built begins anew by itself.
    let sequences = if let Engine::C(_) = engine { 1 } else { given.len() };
    for (given, expected) in given.iter().zip(&expected).take(sequences) {
        let got = match &form {
            Form::C(nests, c) => {
                let library =
                    Library { folder: c, inputs: &inputs, outputs: &outputs, arena_bytes: nests.arena_bytes };
                let machine = Machine::load(target(engine)).unwrap();
                let options = nablac_run::Options { keep_state: true, ..Default::default() };
                engine::execute(&library, &machine, given, &options)?.0
            }
            form => engine::interpret_sequence(form, given)?,
        };
        for (run, (got, expected)) in got.iter().zip(expected).enumerate() {
            compare(got, expected, &outputs, case)
                .map_err(|problem| Problem::Wrong(format!("run {run}: {problem}")))?;
        }
    }
    Ok(())
}

fn compare(got: &Sample, expected: &Sample, outputs: &[Port], case: &Case) -> Result<(), String> {
    let mut off_by_one = 0;
    for ((got, expected), port) in got.iter().zip(expected).zip(outputs) {
        off_by_one +=
            close(got, expected, case).map_err(|problem| format!("output `{}`: {problem}", port.name))?;
    }
    let elements: usize = expected.iter().map(Array::len).sum();
    match off_by_one as f64 <= case.ties * elements as f64 {
        true => Ok(()),
        false => Err(format!("{off_by_one} of {elements} elements differ by one")),
    }
}

/// The sequences of runs that a case's arrays hold.
fn runs(arrays: Sample, ports: &[Port], case: &Case) -> Result<Vec<Vec<Sample>>, Problem> {
    let Some(steps) = case.steps else { return Ok(vec![vec![arrays]]) };
    let named = ports.iter().map(|port| port.name.clone()).zip(arrays).collect();
    let (samples, _) = nablac::samples::cut(ports, &named, "array")?;
    Ok(samples.chunks(steps).map(<[Sample]>::to_vec).collect())
}

/// The arrays of a file, in the order of the model's inputs or outputs.
fn arrays(path: &Path, tensors: &[Tensor]) -> Result<Sample, Problem> {
    let mut arrays = npz::read(path)?;
    let missing = |name: &str| Problem::Wrong(format!("{} has no `{name}`", path.display()));
    tensors.iter().map(|t| arrays.remove(&t.name).ok_or_else(|| missing(&t.name))).collect()
}

/// `|got - expected| <= atol + rtol * |expected|`, as the suites' authors compare. Integers must be equal; where some may differ by one,
/// gives how many do.
fn close(got: &Array, expected: &Array, case: &Case) -> Result<usize, String> {
    if (got.dtype(), got.shape()) != (expected.dtype(), expected.shape()) {
        let kind = |array: &Array| format!("{}{:?}", array.dtype(), array.shape());
        return Err(format!("is {}, not {}", kind(got), kind(expected)));
    }
    let exact = !got.dtype().is_float();
    let mut off_by_one = 0;
    for (position, (g, e)) in got.values().zip(expected.values()).enumerate() {
        let (a, b) = (g.as_f64(), e.as_f64());
        if exact && case.ties > 0.0 && (a - b).abs() == 1.0 {
            off_by_one += 1;
            continue;
        }
        let near = (a - b).abs() <= case.atol + case.rtol * b.abs();
        if !(g == e || (a.is_nan() && b.is_nan()) || a == b || (near && !exact)) {
            return Err(format!("element {position}: got {a}, expected {b}"));
        }
    }
    Ok(off_by_one)
}

/// Runs a suite; says loudly when it is not there.
fn suite(name: &str, engine: Engine) {
    let folder: PathBuf = project().join(".cache/conformance").join(name);
    let Ok(index) = fs::read_to_string(folder.join("tests.json")) else {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
        return;
    };
    let index: Index = serde_json::from_str(&index).unwrap();
    let known = known_unsupported();
    let is_known = |case: &Case| known.iter().any(|pattern| matches(pattern, &case.name));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = vec![];
        while let Some(case) = index.tests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = std::panic::catch_unwind(|| check(&folder, case, engine));
            failed.extend(verdict(case, is_known(case), outcome));
        }
        failed
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    failed.sort();
    let (count, total) = (failed.len(), index.tests.len());
    assert!(failed.is_empty(), "{count} of {total} tests of {name} failed\n{}", failed.join("\n"));
}

/// What is wrong with an outcome, if anything is.
fn verdict(case: &Case, known: bool, outcome: std::thread::Result<Result<(), Problem>>) -> Option<String> {
    let name = &case.name;
    match (outcome, known) {
        (Ok(Ok(())), false) | (Ok(Err(Problem::Refused(_))), true) => None,
        (Ok(Ok(())), true) => {
            Some(format!("{name}: is supported now: delete its row in known_unsupported.txt"))
        }
        (Ok(Err(Problem::Refused(failure))), false) => {
            let parts = failure.parts.iter().map(|part| format!("; {part}")).collect::<String>();
            Some(format!("{name}: refused: {failure}{parts}"))
        }
        (Ok(Err(Problem::Wrong(problem))), _) => Some(format!("{name}: {problem}")),
        (Err(_), _) => Some(format!("{name}: panicked")),
    }
}

#[test]
fn onnx_by_definition() {
    suite("onnx", Engine::Interpreter(Stage::Define));
}

#[test]
fn onnx_as_planned() {
    suite("onnx", Engine::Interpreter(Stage::Plan));
}

#[test]
fn onnx_quantized_by_definition() {
    suite("onnx_quantized", Engine::Interpreter(Stage::Define));
}

#[test]
fn onnx_quantized_as_planned() {
    suite("onnx_quantized", Engine::Interpreter(Stage::Plan));
}

#[test]
fn tflite_by_definition() {
    suite("tflite", Engine::Interpreter(Stage::Define));
}

#[test]
fn tflite_as_planned() {
    suite("tflite", Engine::Interpreter(Stage::Plan));
}

#[test]
#[ignore = "builds a program for each of a thousand tests"]
fn onnx_in_c() {
    suite("onnx", Engine::C("host"));
}

#[test]
fn tflite_recurrent_by_definition() {
    suite("tflite_recurrent", Engine::Interpreter(Stage::Define));
}

#[test]
fn tflite_recurrent_as_planned() {
    suite("tflite_recurrent", Engine::Interpreter(Stage::Plan));
}

/// Some of the suite in an emulated microcontroller, bit for bit.
#[test]
fn tflite_recurrent_on_cortex_m4() {
    let folder = project().join(".cache/conformance/tflite_recurrent");
    let Ok(index) = fs::read_to_string(folder.join("tests.json")) else {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
        return;
    };
    let index: Index = serde_json::from_str(&index).unwrap();
    let chosen = ["lstm_int8_000", "lstm_int8_001", "svdf_int8_000", "lstm_float_000"];
    let cases: Vec<&Case> = index.tests.iter().filter(|case| chosen.contains(&case.name.as_str())).collect();
    assert_eq!(cases.len(), chosen.len());
    for case in cases {
        match check(&folder, case, Engine::C("cortex-m4")) {
            Ok(()) => {}
            Err(Problem::Refused(failure)) => panic!("{}: {failure}", case.name),
            Err(Problem::Wrong(problem)) => panic!("{}: {problem}", case.name),
        }
    }
}

#[test]
#[ignore = "builds programs for each of hundreds of tests"]
fn tflite_recurrent_in_c() {
    suite("tflite_recurrent", Engine::C("host"));
}

#[test]
#[ignore = "builds a program for each of two hundred files"]
fn onnx_quantized_in_c() {
    suite("onnx_quantized", Engine::C("host"));
}

#[test]
#[ignore = "builds a program for each of a thousand tests"]
fn tflite_in_c() {
    suite("tflite", Engine::C("host"));
}

/// What quantized operators become, before and after folding, reads back from its text.
#[test]
fn quantized_graphs_read_back() {
    let folder = project().join(".cache/conformance/onnx_quantized");
    let Ok(index) = fs::read_to_string(folder.join("tests.json")) else { return }; // said so above
    let index: Index = serde_json::from_str(&index).unwrap();
    for case in &index.tests {
        let source = model::read(&folder.join(&case.model), &Limits::default()).unwrap().source;
        for stage in [Stage::Import, Stage::Quantize] {
            let Form::Graph(graph) = compile(&source, &options(stage, "host"), &mut |_| {}).unwrap() else {
                unreachable!()
            };
            let read = nablac_graph::parse_with(&graph.to_string(), &graph.constants());
            assert_eq!(read.as_ref(), Ok(&graph), "{}", case.name);
        }
    }
}

#[test]
fn patterns_stand_for_any_characters() {
    assert!(matches("test_cast*FLOAT16*", "test_cast_FLOAT16_to_FLOAT"));
    assert!(matches("*.unbound", "test_pad.unbound") && matches("a", "a"));
    assert!(!matches("test_max_float16", "test_max_float16_x") && !matches("*.unbound", "unbound"));
}
