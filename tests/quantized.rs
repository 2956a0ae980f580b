//! Random quantized operators in `.cache/conformance/tflite_quantized`: the integers that TFLite's reference kernels give, by the
//! interpreter and by C. `./test` writes them; see `tests/conformance/dump_tflite_quantized_tests.py` for their form.
//! `NABLAC_FAMILY=add` tests the families whose names begin so.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nablac::pipeline::{Form, Options, Stage, compile};
use nablac::{engine, npz};
use nablac_graph::limits::Limits;
use nablac_graph::source::SourceModel;
use nablac_index::Array;
use nablac_machine::Machine;

/// One operator with its arrays.
struct Case {
    number: String,
    source: SourceModel,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
}

/// What a family's cases came to.
#[derive(Default)]
struct Tally {
    cases: usize,
    elements: usize,
    wrong: usize,
    /// The first case that failed, and how.
    first: Option<String>,
    failed: usize,
}

/// The files of the suite; none, and said so, where it is not there.
fn families() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/conformance/tflite_quantized");
    let Ok(entries) = fs::read_dir(&folder) else {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
        return vec![];
    };
    let wanted = std::env::var("NABLAC_FAMILY").unwrap_or_default();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| name_of(path).starts_with(&wanted));
    paths.sort();
    assert!(!paths.is_empty(), "no family begins with `{wanted}`");
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The cases of a family.
fn cases(path: &Path) -> Vec<Case> {
    let mut arrays: BTreeMap<String, Array> = npz::read(path).unwrap();
    let models: Vec<String> = arrays.keys().filter(|name| name.ends_with(".model")).cloned().collect();
    let case = |name: &String| {
        let number = name.trim_end_matches(".model").to_string();
        let bytes = arrays.remove(name).unwrap();
        let parsed = nablac_tflite::parse(bytes.bytes(), &Limits::default());
        let source = parsed.unwrap_or_else(|error| panic!("{}, {number}: {error}", name_of(path)));
        let mut take = |kind: &str, name: &String| arrays.remove(&format!("{number}.{kind}.{name}")).unwrap();
        let inputs = source.inputs.iter().map(|tensor| take("in", &tensor.name)).collect();
        let outputs = source.outputs.iter().map(|tensor| take("out", &tensor.name)).collect();
        Case { number, source, inputs, outputs }
    };
    models.iter().map(case).collect()
}

fn options(after: Stage) -> Options {
    Options {
        dimensions: BTreeMap::new(),
        limits: Limits::default(),
        machine: Machine::load("host").unwrap(),
        c: nablac_c::Options::default(),
        after,
    }
}

/// How many elements a case's outputs have, and how many of them are wrong.
fn interpret(case: &Case) -> Result<(usize, usize), String> {
    let form = compile(&case.source, &options(Stage::Plan), &mut |_| {}).map_err(|failure| {
        let parts = failure.parts.iter().map(|part| format!("; {part}")).collect::<String>();
        format!("{failure}{parts}")
    })?;
    let outputs = engine::interpret(&form, &[case.inputs.clone()]).map_err(|failure| failure.to_string())?;
    let mut elements = 0;
    let mut wrong = 0;
    for (got, expected) in outputs[0].iter().zip(&case.outputs) {
        if (got.dtype(), got.shape()) != (expected.dtype(), expected.shape()) {
            let kind = |array: &Array| format!("{}{:?}", array.dtype(), array.shape());
            return Err(format!("an output is {}, not {}", kind(got), kind(expected)));
        }
        elements += got.len();
        wrong += got.values().zip(expected.values()).filter(|(a, b)| a != b).count();
    }
    Ok((elements, wrong))
}

fn tally(path: &Path) -> Tally {
    let mut tally = Tally::default();
    for case in cases(path) {
        tally.cases += 1;
        let outcome = std::panic::catch_unwind(|| interpret(&case)).unwrap_or(Err("panicked".into()));
        let problem = match outcome {
            Ok((elements, wrong)) => {
                tally.elements += elements;
                tally.wrong += wrong;
                (wrong > 0).then(|| format!("{wrong} of {elements} elements are wrong"))
            }
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            tally.failed += 1;
            tally.first.get_or_insert(format!("{}: {problem}", case.number));
        }
    }
    tally
}

/// `work` on every path, on this computer's threads; the results in the order of the paths.
fn on_all<T: Send>(paths: &[PathBuf], work: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = vec![];
        while let Some((position, path)) = {
            let position = next.fetch_add(1, Ordering::Relaxed);
            paths.get(position).map(|path| (position, path))
        } {
            done.push((position, work(path)));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(position, _)| *position);
    all.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn interpreted_operators_give_the_reference_kernels_integers() {
    let paths = families();
    let tallies = on_all(&paths, tally);
    let mut failed = vec![];
    for (path, tally) in paths.iter().zip(&tallies) {
        let Tally { cases, elements, wrong, first, failed: bad } = tally;
        let name = name_of(path);
        println!("{name:32} {cases:4} cases {elements:8} elements {wrong:6} wrong, {bad:3} cases failed");
        failed.extend(first.as_ref().map(|first| format!("{name}: {bad} of {cases} cases: {first}")));
    }
    assert!(failed.is_empty(), "{} families failed\n{}", failed.len(), failed.join("\n"));
}
