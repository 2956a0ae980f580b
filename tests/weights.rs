//! `--weights blob`: a network's constants in a file of their own, which is replaced without the code.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use nablac_c::Weights;
use nablac_index::{Array, DType, Value};
use support::{Place, nablac, onnx, text};

const DIGITS: &str = "examples/digits.onnx";

fn compile(model: &str, out: &Path, more: &[&str]) -> serde_json::Value {
    let out = text(out);
    let line = ["compile", model, "--target", "cortex-m4", "--weights", "blob", "--out", &out, "--json"];
    let outcome = nablac(&[&line[..], more].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json()
}

#[test]
fn the_folder_has_the_file_and_the_same_as_an_array() {
    let place = Place::new();
    let out = place.path("digits");
    let json = compile(DIGITS, &out, &[]);
    let files: Vec<&str> =
        json["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    for file in ["weights/digits_weights.bin", "weights/digits_weights.c", "weights/digits_weights.h"] {
        assert!(files.contains(&file), "{files:?}");
    }
    assert!(!files.contains(&"src/digits_weights.c"));
    let bytes = fs::read(out.join("weights/digits_weights.bin")).unwrap();
    assert_eq!((&json["weights"], json["blob_bytes"].as_u64()), (&"blob".into(), Some(bytes.len() as u64)));
    let array = fs::read_to_string(out.join("weights/digits_weights.c")).unwrap();
    let words =
        array.lines().flat_map(|line| line.split(", ")).filter_map(|word| word.trim().strip_prefix("0x"));
    let words = words.flat_map(|word| u64::from_str_radix(&word[..16], 16).unwrap().to_le_bytes());
    assert_eq!(words.collect::<Vec<u8>>(), bytes);
    let sha256: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("metadata.json")).unwrap()).unwrap();
    let digits: String = bytes[32..64].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha256["model_sha256"], digits);
}

#[test]
fn the_c_builds_everywhere_and_passes_its_own_test() {
    support::check_c_with(DIGITS.as_ref(), "digits-blob", |options| options.c.weights = Weights::Blob);
}

#[test]
fn every_target_gives_the_same_numbers() {
    for target in nablac_machine::Machine::names() {
        let samples = ["--inputs", "examples/digits.in.npz", "--reference", "examples/digits.out.npz"];
        let line = ["verify", DIGITS, "--target", target, "--weights", "blob"];
        let outcome = nablac(&[&line[..], &samples].concat());
        match outcome.code {
            6 => support::skipped(format!("{target}: {}", outcome.stderr)),
            code => assert_eq!(code, 0, "{target}: {}{}", outcome.stdout, outcome.stderr),
        }
    }
}

#[test]
fn inputs_that_stay_with_the_caller_go_with_them() {
    for (target, input) in
        [("host", "images=rows"), ("cortex-m4", "images=rows"), ("cortex-m4", "0=external")]
    {
        let line = ["verify", DIGITS, "--target", target, "--weights", "blob", "--input", input];
        let outcome = nablac(&line);
        match outcome.code {
            6 => support::skipped(format!("{target}: {}", outcome.stderr)),
            code => assert_eq!(code, 0, "{target}, {input}: {}{}", outcome.stdout, outcome.stderr),
        }
    }
}

#[test]
fn reference_networks_give_their_numbers_with_weights_apart() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return support::skipped("NABLAC_MODELS is not set, so the reference networks are not tested");
    };
    let model = text(&Path::new(&folder).join("kws/int8.tflite"));
    let (inputs, reference) = (format!("{model}.in.npz"), format!("{model}.out.npz"));
    for target in ["host", "cortex-m4"] {
        let line = ["verify", &model, "--target", target, "--weights", "blob"];
        let outcome = nablac(&[&line[..], &["--inputs", &inputs, "--reference", &reference]].concat());
        match outcome.code {
            6 => support::skipped(format!("{target}: {}", outcome.stderr)),
            code => assert_eq!(code, 0, "{target}: {}{}", outcome.stdout, outcome.stderr),
        }
    }
}

/// A convolution, a maximum and a dense layer, with weights that `seed` says, and inner values of that name.
fn network(seed: usize, name: &str, bias: bool) -> Vec<u8> {
    let weights = |shape: &[usize]| {
        let value = |n: usize| Value::from_f64(DType::F32, ((n * 37 + seed * 11) % 101) as f64 / 101.0 - 0.5);
        Array::from_values(DType::F32, shape, (0..shape.iter().product()).map(value))
    };
    let constants = [("v", weights(&[4, 2, 3, 3])), ("b", weights(&[4])), ("w", weights(&[4, 5]))];
    let [a, r, p, f] = ["a", "r", "p", "f"].map(|end| format!("{name}/{end}"));
    let reads: &[&str] = if bias { &["x", "v", "b"] } else { &["x", "v"] };
    let nodes: [support::Node; 5] = [
        ("Conv", reads, &[&a]),
        ("Relu", &[&a], &[&r]),
        ("GlobalAveragePool", &[&r], &[&p]),
        ("Flatten", &[&p], &[&f]),
        ("MatMul", &[&f, "w"], &["y"]),
    ];
    onnx(&[("x", &["1", "2", "6", "6"])], &nodes, &[("y", &["1", "5"])], &constants)
}

/// Compiles a network into a folder of that name; all are called `net`.
fn compiled(place: &Place, folder: &str, bytes: Vec<u8>) -> std::path::PathBuf {
    fs::create_dir(place.path(folder)).unwrap();
    let model = place.file(&format!("{folder}/net.onnx"), bytes);
    let out = place.path(folder).join("out");
    compile(&model, &out, &[]);
    out
}

/// What a self-test says with the code of one folder, and the weights and golden vectors of another.
fn selftest(place: &Place, code: &Path, weights: &Path) -> (bool, String) {
    let program = place.path("selftest");
    let file = |folder: &Path, name: &str| text(&folder.join(name));
    let include = ["include", "port"].map(|folder| format!("-I{}", file(code, folder)));
    let output = Command::new("cc")
        .args(["-std=c99", "-ffp-contract=off", "-O1", "-o", &text(&program)])
        .args(include)
        .args([format!("-I{}", file(weights, "weights")), format!("-I{}", file(weights, "test"))])
        .args([file(code, "src/net.c"), file(weights, "weights/net_weights.c")])
        .args(
            ["net_selftest.c", "net_selftest_main.c", "net_vectors.c"]
                .map(|name| file(weights, &format!("test/{name}"))),
        )
        .arg("-lm")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = Command::new(program).output().unwrap();
    (run.status.success(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn weights_trained_again_run_on_the_code_that_is_there() {
    let place = Place::new();
    let old = compiled(&place, "old", network(1, "net_1", true));
    let again = compiled(&place, "again", network(2, "net_2", true));
    let other = compiled(&place, "other", network(2, "net_1", false));
    let header = |folder: &Path| fs::read_to_string(folder.join("include/net.h")).unwrap();
    let layout = |folder: &Path| {
        let header = header(folder);
        header.lines().find(|line| line.contains("define NET_WEIGHTS_LAYOUT")).unwrap().to_string()
    };
    assert_eq!(layout(&old), layout(&again));
    let (passed, report) = selftest(&place, &old, &again);
    assert!(passed, "{report}");
    assert_ne!(layout(&old), layout(&other));
    let (passed, report) = selftest(&place, &old, &other);
    assert!(!passed && report.contains("net: weights: FAILED"), "{report}");
}

#[test]
fn an_interpreter_has_no_place_for_weights() {
    let outcome = nablac(&["run", DIGITS, "--weights", "blob"]);
    assert!(outcome.code == 2 && outcome.stderr.contains("`--weights` chooses"), "{}", outcome.stderr);
    let outcome = nablac(&["compile", DIGITS, "--target", "host", "--weights", "flash", "--out", "x"]);
    assert!(
        outcome.code == 2 && outcome.stderr.contains("the places are code and blob"),
        "{}",
        outcome.stderr
    );
}
