//! `nablac bench` bounds the stack of whole networks: no run takes more, and where the way to the deepest place is always taken, little less.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use support::{nablac, text};

/// Bytes between variables that nobody writes: two functions, each with less than the 8 bytes that frames are aligned to.
const PADDING: u64 = 16;

fn check(model: &str, targets: &[&str], more: &[&str]) {
    for target in targets {
        let outcome = nablac(&[&["bench", model, "--target", target, "--json"], more].concat());
        if outcome.code == 6 {
            support::skipped(format!("{target}: {}", outcome.stderr));
            continue;
        }
        assert_eq!(outcome.code, 0, "{target}: {}", outcome.stderr);
        let json = outcome.json();
        let figure = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("{name}: {json:#}"));
        let (bound, seen) = (figure("stack_bytes"), figure("stack_seen_bytes"));
        assert_eq!(json["stack"]["gaps"], serde_json::json!([]), "{model} on {target}");
        let path = json["stack"]["path"].as_array().unwrap();
        let sum: u64 = path.iter().map(|frame| frame["bytes"].as_u64().unwrap()).sum();
        assert_eq!((sum, json["stack"]["bytes"].as_u64()), (bound, Some(bound)), "{model} on {target}");
        assert!(seen <= bound && bound <= seen + PADDING, "{model} on {target}: {seen} seen, {path:?}");
        let ram = ["arena_bytes", "context_bytes", "data_bytes", "bss_bytes", "stack_bytes"].map(figure);
        assert_eq!(figure("ram_bytes"), ram.iter().sum::<u64>());
    }
}

#[test]
fn a_float_networks_stack_is_what_its_calls_take() {
    check("examples/digits.onnx", &["cortex-m0plus", "cortex-m4", "cortex-m55"], &[]);
}

#[test]
fn weights_apart_and_inputs_of_the_callers_are_on_the_way() {
    for input in ["whole", "rows", "external"] {
        let input = format!("images={input}");
        check("examples/digits.onnx", &["cortex-m4"], &["--weights", "blob", "--input", &input]);
    }
}

#[test]
fn reference_networks_stacks_are_what_their_calls_take() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return support::skipped("NABLAC_MODELS is not set, so the reference networks are not tested");
    };
    check(&text(&Path::new(&folder).join("kws/int8.tflite")), &["cortex-m4"], &[]);
}

#[test]
fn the_report_names_the_way_and_what_is_not_known() {
    let outcome = nablac(&["bench", "examples/digits.onnx", "--target", "cortex-m4"]);
    match outcome.code {
        6 => support::skipped(outcome.stderr),
        _ => assert!(outcome.stdout.contains("cortex-m4's stack: digits_run "), "{}", outcome.stdout),
    }
    let host = nablac(&["bench", "examples/digits.onnx", "--timing", "0.05"]);
    assert!(host.stdout.contains("is not bounded") && host.stdout.contains("`expf`"), "{}", host.stdout);
}
