//! Threads: networks give the same bits on any number of them, whoever decides what runs in parallel; and who has none is told so.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use nablac_index::{Array, DType, Value};
use serde_json::Value as Json;
use support::{Place, nablac, onnx, text};

const DIGITS: &str = "examples/digits.onnx";

/// The outputs of a model on random samples.
fn outputs(model: &str, more: &[&str]) -> Json {
    let run = ["run", model, "--random", "1", "--samples", "2", "--json"];
    let outcome = nablac(&[&run[..], more].concat());
    assert_eq!(outcome.code, 0, "{model} {more:?}: {}", outcome.stderr);
    outcome.json()["outputs"].clone()
}

fn weights(shape: &[usize]) -> Array {
    let value = |n: usize| Value::from_f64(DType::F32, (n * 37 % 101) as f64 / 101.0 - 0.5);
    Array::from_values(DType::F32, shape, (0..shape.iter().product()).map(value))
}

/// Two convolutions, of which the second has rows that no number of threads divides, a sum of both ways, and a matrix product.
fn network() -> Vec<u8> {
    let constants =
        [("v", weights(&[16, 8, 3, 3])), ("w", weights(&[16, 16, 3, 3])), ("m", weights(&[96, 80]))];
    let nodes: [support::Node; 7] = [
        ("Conv", &["x", "v"], &["a"]),
        ("Relu", &["a"], &["b"]),
        ("Conv", &["b", "w"], &["c"]),
        ("Add", &["c", "c"], &["d"]),
        ("Relu", &["d"], &["e"]),
        ("GlobalAveragePool", &["e"], &["y"]),
        ("MatMul", &["q", "m"], &["z"]),
    ];
    onnx(
        &[("x", &["1", "8", "33", "34"]), ("q", &["64", "96"])],
        &nodes,
        &[("y", &["1", "16", "1", "1"]), ("e", &["1", "16", "29", "30"]), ("z", &["64", "80"])],
        &constants,
    )
}

/// The targets of this computer that it has the processor for.
fn targets() -> Vec<&'static str> {
    let has = |flag: &str| fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains(flag));
    [("host", ""), ("x86-64-v3", " avx2 "), ("x86-64-v4", " avx512_vnni ")]
        .into_iter()
        .filter(|(_, flag)| flag.is_empty() || has(flag))
        .map(|(target, _)| target)
        .collect()
}

#[test]
fn the_rule_takes_kernels_with_much_work_and_changes_no_bit() {
    let place = Place::new();
    let model = place.file("net.onnx", network());
    let expected = outputs(&model, &["--after", "plan", "--engine", "interp"]);
    for target in targets() {
        let serial = outputs(&model, &["--target", target]);
        let schedule = ["show", &model, "--after", "schedule", "--target", target, "--threads", "3"];
        let schedule = nablac(&schedule).stdout;
        assert_eq!(schedule.matches(" parallel 3").count(), 3, "{schedule}");
        for threads in ["2", "3", "4"] {
            let parallel = outputs(&model, &["--target", target, "--threads", threads]);
            assert_eq!(parallel, serial, "{target}, {threads} threads");
        }
        let planned =
            outputs(&model, &["--after", "plan", "--engine", "interp", "--target", target, "--threads", "3"]);
        assert_eq!(planned, serial, "{target}, in the interpreter");
    }
    // Sums in vector registers may be fused; without them nothing differs.
    assert_eq!(outputs(&model, &["--target", "host"]), expected);
}

#[test]
fn a_pin_takes_what_it_names_and_changes_no_bit() {
    let place = Place::new();
    for target in targets() {
        let serial = outputs(DIGITS, &["--target", target]);
        let show = ["show", DIGITS, "--after", "schedule", "--target", target];
        let schedule = nablac(&show).stdout;
        for parts in ["parallel 2", "parallel 3", "parallel"] {
            let changed = schedule.replace("  for i\n", &format!("  for i {parts}\n"));
            assert_ne!(changed, schedule);
            let file = place.file("digits.sched", changed);
            let threads = if parts == "parallel" { "4" } else { "1" };
            let parallel = outputs(DIGITS, &["--target", target, "--schedule", &file, "--threads", threads]);
            assert_eq!(parallel, serial, "{target}, {parts}");
        }
    }
}

#[test]
fn one_thread_is_what_it_was_without_threads() {
    let place = Place::new();
    let compile = |out: &str, more: &[&str]| {
        let out = text(&place.path(out));
        let compile = ["compile", DIGITS, "--target", "host", "--out", &out, "--json"];
        let outcome = nablac(&[&compile[..], more].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.json()
    };
    let (plain, one) = (compile("plain", &[]), compile("one", &["--threads", "1"]));
    assert_eq!((&plain["files"], &one["threads"]), (&one["files"], &1.into()));
    for file in plain["files"].as_array().unwrap() {
        let [a, b] =
            ["plain", "one"].map(|out| fs::read(place.path(out).join(file.as_str().unwrap())).unwrap());
        assert_eq!(a, b, "{file}");
    }
    let pinned = place.file("two.sched", "pin conv1 { for i parallel 2 for j for f for u for v }");
    let two = compile("two", &["--schedule", &pinned]);
    let has = |file: &str| two["files"].as_array().unwrap().iter().any(|own| own == file);
    assert!(has("include/digits_pool.h") && has("port/digits_pool.c") && two["threads"] == 2, "{two}");
}

#[test]
fn bench_says_how_many_threads_it_ran_on() {
    let place = Place::new();
    let model = place.file("net.onnx", network());
    let bench = |more: &[&str]| nablac(&[&["bench", &model, "--target", "host"], more].concat());
    assert_eq!(bench(&["--threads", "2", "--json"]).json()["threads"], 2);
    let threads = |outcome: support::Outcome| outcome.stdout.lines().any(|line| line.starts_with("threads"));
    assert!(threads(bench(&["--threads", "2"])) && !threads(bench(&[])));
}

#[test]
fn who_has_no_threads_is_told_so() {
    let refused = |arguments: &[&str], part: &str| {
        let outcome = nablac(arguments);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    };
    for target in ["cortex-m4", "aarch64"] {
        let message = format!("`{target}` has no threads, but 2 are asked for");
        refused(&["show", DIGITS, "--after", "lower", "--target", target, "--threads", "2"], &message);
    }
    refused(
        &["bench", DIGITS, "--target", "host,cortex-m0plus", "--threads", "2"],
        "`cortex-m0plus` has no threads",
    );
    refused(&["run", DIGITS, "--target", "host", "--threads", "0"], "it must be at least 1");
    refused(&["run", DIGITS, "--target", "host", "--threads", "999"], "at most 256 are supported");
    refused(&["run", DIGITS, "--threads", "2"], "`--threads` changes nothing up to stage `simplify`");
    let place = Place::new();
    let pin = place.file("p.sched", "pin conv1 {\n  for i parallel 2\n  for j for f for u for v\n}\n");
    let show = ["show", DIGITS, "--after", "lower", "--target", "cortex-m7", "--schedule", &pin];
    refused(&show, "`cortex-m7` has no threads");
    refused(&show, "2 |   for i parallel 2\n  |   ^^^");
}

#[test]
#[ignore = "builds each reference network four times"]
fn reference_networks_give_the_same_bits_on_any_number_of_threads() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return support::skipped("NABLAC_MODELS is not set, so the reference networks are not tested");
    };
    for network in ["resnet8", "kws", "vww", "ad"] {
        for file in ["fp32.onnx", "int8.tflite"] {
            let model = text(&Path::new(&folder).join(network).join(file));
            for target in targets() {
                let serial = outputs(&model, &["--target", target]);
                for threads in ["2", "3"] {
                    let parallel = outputs(&model, &["--target", target, "--threads", threads]);
                    assert_eq!(parallel, serial, "{network}/{file} on {target}, {threads} threads");
                }
            }
        }
    }
}
