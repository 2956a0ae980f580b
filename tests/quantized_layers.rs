//! Every quantized layer of the reference networks by itself, fed what ONNX Runtime computes for its inputs. `./test` cuts the
//! networks into layers where `NABLAC_MODELS` is set; see `tests/conformance/dump_quantized_layers.py`.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use support::nablac;

/// What a layer's integers may differ by: sums of integers are exact, and ONNX Runtime's of floats are not, so that what lies
/// between two steps may fall to either side.
const STEPS: f64 = 1.0;

/// Of so many elements one may differ.
const ELEMENTS_PER_MISMATCH: u64 = 100_000;

/// The layers of all networks; none, with a loud word, where they are not there.
fn layers() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/conformance/layers");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).map(|all| all.map(|e| e.unwrap().path()).collect()).unwrap_or_default();
        entries.sort();
        entries
    };
    let networks = entries(&folder);
    if networks.is_empty() {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
    }
    let models = networks.iter().flat_map(|network| entries(network));
    models.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")).collect()
}

#[test]
#[ignore = "builds 67 programs"]
fn layers_fed_the_references_inputs_are_within_one_step() {
    let (mut elements, mut mismatches) = (0, 0);
    for model in layers() {
        let [inputs, reference] = ["in.npz", "out.npz"].map(|side| model.with_extension(side));
        let [path, inputs, reference] = [&model, &inputs, &reference].map(|path| path.to_str().unwrap());
        let files = ["--inputs", inputs, "--reference", reference, "--target", "host", "--json"];
        let outcome = nablac(&[&["verify", path], &files[..]].concat());
        assert!([0, 5].contains(&outcome.code), "{path}: {}", outcome.stderr); // 5: elements differ
        let outcome = outcome.json();
        assert!(outcome["max_error"].as_f64().unwrap() <= STEPS, "{path}: {outcome}");
        let [own, wrong] = ["elements", "mismatches"].map(|field| outcome[field].as_u64().unwrap());
        if wrong > 0 {
            println!("{path}: {wrong} of {own} elements differ by 1");
        }
        elements += own;
        mismatches += wrong;
    }
    println!("{mismatches} of {elements} elements differ, each by 1");
    assert!(mismatches * ELEMENTS_PER_MISMATCH <= elements, "{mismatches} of {elements}");
}
