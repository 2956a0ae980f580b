//! Broken models, through the whole pipeline: whatever the bytes, the answer is a result or an error that is not our fault.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use nablac::failure::Class;
use nablac::model;
use nablac::pipeline::{Stage, compile};
use nablac_graph::limits::Limits;
use support::{Node, Place, onnx, options};

/// How many broken copies of each model are tried.
const COPIES: u64 = 400;

/// The same numbers on every computer.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// A copy with a few bytes changed: to anything, to a neighbouring value, or to those of a large number.
fn broken(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut copy = bytes.to_vec();
    for _ in 0..1 + random(&mut state) % 4 {
        let at = random(&mut state) as usize % copy.len();
        copy[at] = match random(&mut state) % 3 {
            0 => random(&mut state) as u8,
            1 => copy[at].wrapping_add(1),
            _ => 0xff,
        };
    }
    copy
}

fn try_copies(path: &Path) {
    let place = Place::new();
    let bytes = std::fs::read(path).unwrap();
    // Bounds that keep the work of a model that still makes sense small.
    let limits = Limits { elements: 1 << 20, nodes: 1000, ..Limits::default() };
    for seed in 0..COPIES {
        let copy = place.file(&path.file_name().unwrap().to_string_lossy(), broken(&bytes, seed));
        let outcome = std::panic::catch_unwind(|| -> nablac::failure::Result<()> {
            let source = model::read(copy.as_ref(), &limits)?.source;
            compile(&source, &options(Stage::Plan, &limits), &mut |_| {}).map(drop)
        });
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                assert_ne!(
                    failure.code.class(),
                    Class::Bug,
                    "{} broken by {seed}: {failure}",
                    path.display()
                );
            }
            Err(_) => panic!("{} broken by {seed} panics", path.display()),
        }
    }
}

#[test]
fn broken_copies_of_the_example() {
    try_copies("examples/digits.onnx".as_ref());
}

/// Small models of every operator, where `./test` has written them.
fn broken_copies_of_a_suite(suite: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/conformance").join(suite);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
        return;
    };
    let mut models: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    models.sort();
    for path in models.iter().step_by(7) {
        let model = [path.join("model.onnx"), path.join("model.tflite")];
        model.iter().filter(|model| model.is_file()).for_each(|model| try_copies(model));
    }
}

#[test]
#[ignore = "tries tens of thousands of models"]
fn broken_copies_of_onnx_operators() {
    broken_copies_of_a_suite("onnx");
}

#[test]
#[ignore = "tries tens of thousands of models"]
fn broken_copies_of_quantized_onnx_operators() {
    broken_copies_of_a_suite("onnx_quantized");
}

#[test]
#[ignore = "tries tens of thousands of models"]
fn broken_copies_of_tflite_operators() {
    broken_copies_of_a_suite("tflite");
}

#[test]
fn a_long_chain_of_maps_makes_no_deep_expression() {
    let place = Place::new();
    let names: Vec<String> = (0..=300).map(|n| format!("v{n}")).collect();
    let edges: Vec<[&str; 2]> = names.windows(2).map(|pair| [pair[0].as_str(), pair[1].as_str()]).collect();
    let nodes: Vec<Node> = edges.iter().map(|pair| ("Tanh", &pair[..1], &pair[1..])).collect();
    let bytes = onnx(&[("v0", &["4"])], &nodes, &[("v300", &["4"])], &[]);
    let source = model::read(place.file("chain.onnx", bytes).as_ref(), &Limits::default()).unwrap().source;
    let form = compile(&source, &options(Stage::Plan, &Limits::default()), &mut |_| {}).unwrap();
    let longest = form.text().lines().map(str::len).max().unwrap();
    assert!(longest < 4000, "a line of {longest} characters");
}
