//! The reference networks in the folder that `NABLAC_MODELS` names: each must give its framework's numbers.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use support::{Place, check_c, nablac, text};

const NETWORKS: &[&str] = &["kws", "resnet8", "vww", "ad"];

/// Every float network, or none, loudly, where they are not at hand.
fn models(networks: &[&str]) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        eprintln!("SKIPPED: NABLAC_MODELS names no folder of reference networks");
        return vec![];
    };
    let file = |network: &&str, file: &str| Path::new(&folder).join(network).join(file);
    let files: Vec<PathBuf> =
        networks.iter().flat_map(|n| [file(n, "fp32.onnx"), file(n, "fp32.tflite")]).collect();
    files.iter().for_each(|file| assert!(file.is_file(), "{} is missing", file.display()));
    files
}

/// `nablac verify` on all samples of a network; a missing tool is said loudly.
fn verify(model: &Path, more: &[&str]) {
    let [path, inputs, reference] = ["", ".in.npz", ".out.npz"].map(|end| text(model) + end);
    let arguments = ["verify", &path, "--inputs", &inputs, "--reference", &reference];
    let outcome = nablac(&[&arguments[..], more].concat());
    if outcome.code == 6 {
        eprintln!("SKIPPED {path}: {}", outcome.stderr);
        return;
    }
    assert_eq!(outcome.code, 0, "{path} {more:?}\n{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("passed: 10 samples"), "{}", outcome.stdout);
}

#[test]
fn small_networks_in_the_interpreter() {
    models(&["ad"]).iter().for_each(|model| verify(model, &["--after", "define"]));
}

#[test]
fn every_network_in_c_on_this_computer() {
    models(NETWORKS).iter().for_each(|model| verify(model, &["--target", "host"]));
}

#[test]
fn truncated_networks_are_malformed() {
    let place = Place::new();
    for model in models(&["ad"]) {
        let bytes = std::fs::read(&model).unwrap();
        for parts in 1..20 {
            let cut = place.path(model.file_name().unwrap().to_str().unwrap());
            std::fs::write(&cut, &bytes[..bytes.len() * parts / 20]).unwrap();
            let outcome = nablac(&["check", &text(&cut)]);
            assert_eq!(outcome.code, 7, "{parts}/20 of {}: {}", model.display(), outcome.stderr);
        }
    }
}

#[test]
#[ignore = "interprets eighty inferences several times"]
fn every_network_in_the_interpreter_after_every_stage() {
    for model in models(NETWORKS) {
        for stage in ["define", "views", "plan"] {
            verify(&model, &["--after", stage]);
        }
    }
}

#[test]
#[ignore = "emulates eighty inferences"]
fn every_network_in_c_on_an_emulated_cortex_m4() {
    models(NETWORKS).iter().for_each(|model| verify(model, &["--target", "cortex-m4"]));
}

#[test]
#[ignore = "compiles every network with six compilers"]
fn every_network_builds_without_a_warning_and_passes_its_self_test_under_sanitizers() {
    for model in models(NETWORKS) {
        let name = text(&model).replace(|c: char| !c.is_alphanumeric(), "_");
        check_c(&model, &name);
    }
}
