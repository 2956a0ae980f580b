//! `nablac quantize`: what the quantized network is worth, that ONNX Runtime agrees, and what is refused.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use nablac::npz;
use nablac_index::{Array, Value};
use support::{Node, Outcome, Place, Port, nablac, onnx, text};

const DIGITS: &str = "examples/digits.onnx";
const TRAIN: &str = "examples/digits.train.npz";
const TEST: &str = "examples/digits.test.npz";

/// Every `step`th sample of a file; the interpreter takes its time without optimization.
fn thinned(place: &Place, file: &str, step: usize) -> String {
    let arrays = npz::read(Path::new(file)).unwrap();
    let thinned = arrays.iter().map(|(name, array)| {
        let count = array.shape()[0] / step;
        let size = array.bytes().len() / array.shape()[0];
        let bytes: Vec<u8> =
            (0..count).flat_map(|n| array.bytes()[step * n * size..][..size].to_vec()).collect();
        let shape = [&[count], &array.shape()[1..]].concat();
        (name.clone(), Array::from_bytes(array.dtype(), &shape, bytes).unwrap())
    });
    let path = place.path(&file.replace('/', "."));
    npz::write(&path, &thinned.collect::<Vec<_>>()).unwrap();
    text(&path)
}

/// Calibrated on 89 samples, measured on 90.
fn quantize_digits(place: &Place, out: &str, more: &[&str]) -> serde_json::Value {
    let evaluation = thinned(place, TEST, 4);
    quantize_digits_on(place, out, 16, &evaluation, more)
}

fn quantize_digits_on(
    place: &Place,
    out: &str,
    step: usize,
    evaluation: &str,
    more: &[&str],
) -> serde_json::Value {
    let [out, calibration] = [text(&place.path(out)), thinned(place, TRAIN, step)];
    let files = ["--calibrate", &calibration, "--evaluate", evaluation, "--labels", "labels", "--out", &out];
    let outcome = nablac(&[&["quantize", DIGITS], &files[..], more, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{more:?}: {}", outcome.stderr);
    outcome.json()
}

fn number(report: &serde_json::Value, field: &str) -> f64 {
    report[field].as_f64().unwrap_or_else(|| panic!("{field} in {report:#}"))
}

#[test]
fn the_digits_keep_their_accuracy() {
    let place = Place::new();
    let report = quantize_digits_on(&place, "w8a8.onnx", 8, TEST, &[]);
    assert!((number(&report, "accuracy_before") - 98.611).abs() < 0.001, "{report:#}");
    assert!(number(&report, "drop") <= 0.3, "{report:#}");
    assert!(number(&report, "output_snr_db") > 40.0, "{report:#}");
    let layers = report["layers"].as_array().unwrap();
    let operators: Vec<&str> = layers.iter().map(|layer| layer["operator"].as_str().unwrap()).collect();
    assert_eq!(operators, ["Conv+Relu", "Conv+Relu", "Gemm", "Softmax"]); // batch normalization is folded
    assert!(layers.iter().all(|layer| layer["snr_db"].as_f64().unwrap() > 35.0), "{report:#}");
    let worst = layers.iter().min_by(|a, b| number(a, "snr_db").total_cmp(&number(b, "snr_db"))).unwrap();
    assert_eq!(report["worst"], worst["layer"]);
    assert!(number(&report, "weight_bytes_after") * 3.5 < number(&report, "weight_bytes_before"));
}

#[test]
fn four_bits_halve_the_weights_and_sixteen_lose_next_to_nothing() {
    let place = Place::new();
    let eight = quantize_digits(&place, "w8a8.onnx", &[]);
    let four = quantize_digits(&place, "w4a8.onnx", &["--scheme", "w4a8"]);
    let sixteen = quantize_digits(&place, "w8a16.onnx", &["--scheme", "w8a16"]);
    for (four, eight) in four["layers"].as_array().unwrap().iter().zip(eight["layers"].as_array().unwrap()) {
        let weights = number(four, "float_bytes") / 4.0;
        assert!(number(eight, "bytes") - number(four, "bytes") <= weights / 2.0);
        assert!(number(eight, "bytes") - number(four, "bytes") >= weights / 2.0 * 0.85); // biases have 32 bits in both
    }
    assert!(number(&four, "drop") < 2.5, "{four:#}"); // two of 90
    assert!(number(&sixteen, "output_snr_db") > number(&eight, "output_snr_db") + 5.0);
    assert!(number(&eight, "output_snr_db") > number(&four, "output_snr_db") + 10.0);
}

#[test]
fn every_method_serves_and_a_narrow_percentile_shows() {
    let place = Place::new();
    for method in ["percentile", "mse", "kl"] {
        let report = quantize_digits(&place, "q.onnx", &["--method", method]);
        assert!(number(&report, "drop") <= 1.2, "{method}: {report:#}"); // one of 90
    }
    let cut = quantize_digits(
        &place,
        "q.onnx",
        &["--method", "percentile", "--percentile", "80", "--equalize", "off"],
    );
    let whole = quantize_digits(&place, "q.onnx", &["--equalize", "off"]);
    assert!(number(&cut, "output_snr_db") < number(&whole, "output_snr_db") - 5.0);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    quantize_digits(&place, "first.onnx", &["--scheme", "w4a8"]);
    quantize_digits(&place, "second.onnx", &["--scheme", "w4a8"]);
    let [first, second] = ["first.onnx", "second.onnx"].map(|name| std::fs::read(place.path(name)).unwrap());
    assert!(first == second);
}

#[test]
fn auto_raises_layers_until_the_drop_holds() {
    let place = Place::new();
    // No two samples may be told apart differently: stricter than eight bits are.
    let report = quantize_digits(
        &place,
        "auto.onnx",
        &["--scheme", "auto", "--max-drop", "0", "--percentile", "60", "--method", "percentile"],
    );
    assert!(number(&report, "drop") <= 0.0, "{report:#}");
    let precisions: Vec<&str> =
        report["layers"].as_array().unwrap().iter().map(|l| l["precision"].as_str().unwrap()).collect();
    assert!(precisions.contains(&"w8a16") || precisions.contains(&"float"), "{precisions:?}");
}

#[test]
fn a_drop_that_is_too_large_exits_5_and_writes_nothing() {
    let place = Place::new();
    let out = text(&place.path("q.onnx"));
    let data = thinned(&place, TEST, 4);
    let arguments = ["quantize", DIGITS, "--calibrate", &data, "--labels", "labels", "--out", &out];
    let more = ["--max-drop", "1", "--method", "percentile", "--percentile", "30"];
    let outcome = nablac(&[&arguments[..], &more].concat());
    assert_eq!(outcome.code, 5, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stderr.contains("error[E0502]") && outcome.stdout.contains("worst"),
        "{}",
        outcome.stderr
    );
    assert!(!place.path("q.onnx").exists());
}

/// The program of ONNX Runtime and of ONNX's checker; nothing, with a loud word, where they are not installed.
fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/python/bin/python");
    if !program.exists() {
        support::skipped(format!("{} is missing, so ONNX Runtime has not seen the files", program.display()));
        return None;
    }
    let output = Command::new(program).arg("-c").arg(script).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Checks a file and prints the percentage of labels that ONNX Runtime gets right with it, without and with its rewrites, and the
/// operators after them.
const ACCURACY: &str = include_str!("support/quantize/accuracy.py");

/// A fourth of the digits' 360 test samples.
const THINNED_SAMPLES: f64 = 90.0;

#[test]
fn onnx_runtime_opens_the_files_and_agrees() {
    let place = Place::new();
    for scheme in ["w8a8", "w4a8", "w8a16"] {
        let report = quantize_digits(&place, "q.onnx", &["--scheme", scheme]);
        let folder = text(&place.path("."));
        let data = thinned(&place, TEST, 4);
        let Some(said) = python(ACCURACY, &[&text(&place.path("q.onnx")), &data, &folder]) else { return };
        let lines: Vec<&str> = said.lines().collect();
        for accuracy in &lines[..2] {
            let accuracy: f64 = accuracy.parse().unwrap();
            // A sample whose two largest outputs are one step apart may fall on the other side: ONNX Runtime's own rewrites move
            // one on processors without VNNI, where its sums of pairs of products saturate.
            let one = 100.0 / THINNED_SAMPLES;
            assert!((accuracy - number(&report, "accuracy_after")).abs() < 1.1 * one, "{scheme}: {said}");
        }
        if scheme == "w8a8" {
            assert!(["QLinearConv", "QGemm"].iter().all(|name| lines[2].contains(name)), "{said}");
            assert!(!lines[2].split(' ').any(|name| ["Conv", "Gemm", "Relu"].contains(&name)), "{said}");
        }
    }
}

/// Prints the share of outputs in which ONNX Runtime and a file of outputs agree, and the largest difference in steps of 1/256.
const AGREEMENT: &str = include_str!("support/quantize/agreement.py");

#[test]
fn what_nablac_reads_back_gives_onnx_runtimes_numbers() {
    let place = Place::new();
    let mut images = npz::read(Path::new(&thinned(&place, TEST, 4))).unwrap();
    images.remove("labels");
    let [inputs, outputs, model] = ["in.npz", "out.npz", "q.onnx"].map(|name| text(&place.path(name)));
    npz::write(Path::new(&inputs), &images.into_iter().collect::<Vec<_>>()).unwrap();
    quantize_digits(&place, "q.onnx", &[]);
    let outcome = nablac(&["run", &model, "--inputs", &inputs, "--outputs", &outputs]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let Some(said) = python(AGREEMENT, &[&model, &inputs, &outputs]) else { return };
    let figures: Vec<f64> = said.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    // Sums in float may fall on the other side of a tie, then a layer's element is one step off.
    assert!(figures[0] > 0.99 && figures[1] <= 3.0, "{said}");
}

/// Writes a model and its samples, quantizes it, and gives what was said.
fn quantize(place: &Place, model: Vec<u8>, samples: &[(&str, Array)], more: &[&str]) -> Outcome {
    let model = place.file("model.onnx", model);
    let data = place.path("data.npz");
    let samples: Vec<(String, Array)> =
        samples.iter().map(|(name, array)| (name.to_string(), array.clone())).collect();
    npz::write(&data, &samples).unwrap();
    let out = text(&place.path("out.onnx"));
    nablac(&[&["quantize", &model, "--calibrate", &text(&data), "--out", &out], more].concat())
}

/// Numbers between -1 and 1 without a pattern.
fn noise(shape: &[usize]) -> Array {
    let values: Vec<f32> =
        (0..shape.iter().product::<usize>()).map(|n| ((n * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect();
    Array::from_f32(shape, &values)
}

fn fails(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code, "{}{}", outcome.stdout, outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "`{part}` is not in {}", outcome.stderr);
    }
}

const X: &[Port] = &[("x", &["1", "4"])];
const PRODUCT: &[Node] = &[("MatMul", &["x", "w"], &["y"])];
const Y: &[Port] = &[("y", &["1", "3"])];

#[test]
fn what_cannot_be_quantized_is_named() {
    let place = Place::new();
    let weights = [("w", noise(&[4, 3]))];
    let product = || onnx(X, PRODUCT, Y, &weights);
    let nan = Array::from_values(
        nablac_index::DType::F32,
        &[2, 4],
        (0..8).map(|n| Value::F32(if n == 5 { f32::NAN } else { 0.5 })),
    );
    fails(&quantize(&place, product(), &[("x", nan)], &[]), 2, &["E0203", "sample 1 of input `x`"]);
    fails(&quantize(&place, product(), &[("x", noise(&[0, 4]))], &[]), 2, &["E0203", "holds no sample"]);
    fails(&quantize(&place, product(), &[("x", noise(&[2, 5]))], &[]), 2, &["E0203", "`x` is [1, 4]"]);
    let samples = [("x", noise(&[2, 4])), ("classes", noise(&[2]))];
    fails(&quantize(&place, product(), &samples, &[]), 2, &["E0203", "`--labels NAME`"]);
    fails(
        &quantize(&place, product(), &samples, &["--labels", "classes"]),
        2,
        &["E0203", "one integer per sample"],
    );
    fails(&quantize(&place, product(), &samples, &["--labels", "none"]), 2, &["E0203", "no array `none`"]);
    let huge = [("w", Array::from_f32(&[4, 3], &[3e38; 12]))];
    let ones = Array::from_f32(&[1, 4], &[1.0; 4]);
    fails(
        &quantize(&place, onnx(X, PRODUCT, Y, &huge), &[("x", ones)], &[]),
        3,
        &["E0304", "value `y` is inf"],
    );
    let shape = onnx(X, &[("Erf", &["x"], &["z"]), ("Div", &["x", "z"], &["y"])], &[("y", &["1", "4"])], &[]);
    assert_eq!(quantize(&place, shape, &[("x", noise(&[2, 4]))], &[]).code, 0);
    let none = onnx(X, &[("Div", &["x", "x"], &["y"])], &[("y", &["1", "4"])], &[]);
    fails(
        &quantize(&place, none, &[("x", noise(&[2, 4]))], &[]),
        3,
        &["E0304", "no operator that is computed with integers"],
    );
}

#[test]
fn tflite_files_are_sent_to_a_converter() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return support::skipped("NABLAC_MODELS is not set, so no TFLite file was refused");
    };
    let model = Path::new(&folder).join("ad/fp32.tflite");
    let place = Place::new();
    let [data, out] = [format!("{}.in.npz", model.display()), text(&place.path("out.onnx"))];
    let outcome = nablac(&["quantize", &text(&model), "--calibrate", &data, "--out", &out]);
    fails(&outcome, 3, &["E0304", "TFLite", "tf2onnx"]);
}

#[test]
fn silent_layers_and_channels_of_zeros_have_positive_scales() {
    let place = Place::new();
    let mut values = [0.5f32; 12];
    (0..4).for_each(|row| values[3 * row] = 0.0);
    let weights = [("w", Array::from_f32(&[4, 3], &values))];
    let nodes: &[Node] = &[("MatMul", &["x", "w"], &["z"]), ("Relu", &["z"], &["y"])];
    let samples = [("x", Array::from_f32(&[2, 4], &[-1.0; 8]))];
    let outcome = quantize(&place, onnx(X, nodes, Y, &weights), &samples, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Warning layer `node0` gives nothing but 0"), "{}", outcome.stderr);
    let script = "
import sys, onnx, onnx.numpy_helper as helper
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
scales = [helper.to_array(t) for t in model.graph.initializer if t.name.endswith('_scale')]
assert len(scales) == 3 and all((s > 0).all() for s in scales), scales
";
    python(script, &[&text(&place.path("out.onnx"))]);
}

/// Runs both files on the samples with ONNX Runtime and prints the signal-to-noise ratio of the outputs in dB, and the operators of the
/// quantized one.
const RATIO: &str = include_str!("support/quantize/ratio.py");

fn assert_ratio(place: &Place, outcome: &Outcome, at_least: f64) -> Option<String> {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let [float, quantized, data] = ["model.onnx", "out.onnx", "data.npz"].map(|name| text(&place.path(name)));
    let said = python(RATIO, &[&float, &quantized, &data])?;
    let (ratio, operators) = said.split_once('\n').unwrap();
    assert!(ratio.parse::<f64>().unwrap() > at_least, "{said}");
    Some(operators.trim().to_string())
}

/// Writes a model of an old operator set, with all that quantization meets: residuals, concatenations, splits, constants among the data,
/// groups, transposed convolutions, shared weights, and attributes that later became inputs.
const MANY_OPERATORS: &str = include_str!("support/quantize/many_operators.py");

#[test]
fn a_network_of_many_operators_is_integers_from_end_to_end() {
    let place = Place::new();
    let [model, data, out] = ["model.onnx", "data.npz", "out.onnx"].map(|name| text(&place.path(name)));
    if python(MANY_OPERATORS, &[&model]).is_none() {
        return;
    }
    npz::write(Path::new(&data), &[("x".to_string(), noise(&[8, 3, 8, 8]))]).unwrap();
    // 16-bit activations need operator set 21, where more attributes have become inputs.
    for (scheme, ratio) in [("w8a8", 25.0), ("w8a16", 35.0), ("w4a8", 5.0)] {
        let outcome = nablac(&["quantize", &model, "--calibrate", &data, "--out", &out, "--scheme", scheme]);
        let operators = assert_ratio(&place, &outcome, ratio).unwrap();
        assert!(operators.starts_with("QuantizeLinear DequantizeLinear"), "{operators}");
        assert!(operators.ends_with("QuantizeLinear DequantizeLinear"), "{operators}");
    }
}

#[test]
fn products_are_scaled_shifted_and_summed_as_in_the_float_network() {
    let place = Place::new();
    let nodes: &[Node] = &[
        ("MatMul", &["x", "w"], &["p"]),
        ("Mul", &["p", "a"], &["m"]),
        ("Add", &["m", "b"], &["z"]),
        ("Relu", &["z"], &["r"]),
        ("Gemm", &["r", "v", "c"], &["y"]),
    ];
    let constants = [
        ("w", noise(&[4, 3])),
        ("a", noise(&[3])),
        ("b", noise(&[3])),
        ("v", noise(&[3, 2])),
        ("c", noise(&[1, 2])),
    ];
    let model = onnx(X, nodes, &[("y", &["1", "2"])], &constants);
    for scheme in ["w8a8", "w8a16"] {
        let outcome = quantize(&place, model.clone(), &[("x", noise(&[50, 4]))], &["--scheme", scheme]);
        let Some(operators) = assert_ratio(&place, &outcome, 30.0) else { return };
        assert_eq!(operators.matches("Gemm").count(), 2, "{operators}");
        assert!(!operators.contains("MatMul") && !operators.contains("Mul") && !operators.contains("Add"));
    }
}

#[test]
fn the_labels_and_samples_of_a_report_are_counted() {
    let place = Place::new();
    let report = quantize_digits(&place, "q.onnx", &["--equalize", "on", "--no-bias-correction"]);
    let expected = BTreeMap::from([("calibration_samples", 89.0), ("evaluation_samples", 90.0)]);
    expected.iter().for_each(|(field, count)| assert_eq!(number(&report, field), *count));
    assert_eq!(report["equalized"], true);
}
