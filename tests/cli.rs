//! The command line: exit codes, messages, and what stands where.

#![allow(clippy::unwrap_used)]

mod support;

use nablac::npz;
use nablac_index::{Array, DType, Value};
use support::{Outcome, Place, nablac, onnx, text};

const DIGITS: &str = "examples/digits.onnx";
const INPUTS: &str = "examples/digits.in.npz";
const OUTPUTS: &str = "examples/digits.out.npz";

/// Runs a command that must fail: the exit code, the error's code, and a text of its message.
fn fails(arguments: &[&str], exit_code: i32, code: &str, message: &str) -> Outcome {
    let outcome = nablac(arguments);
    assert_eq!(outcome.code, exit_code, "{arguments:?}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(&format!("error[{code}]")), "{arguments:?}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(message), "{arguments:?}: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{arguments:?}: {}", outcome.stderr);
    let json = nablac(&[arguments, &["--json"]].concat());
    assert_eq!(json.code, exit_code);
    assert_eq!(json.json()["error"]["code"], code, "{arguments:?}");
    outcome
}

fn succeeds(arguments: &[&str]) -> Outcome {
    let outcome = nablac(arguments);
    assert_eq!(outcome.code, 0, "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    outcome
}

#[test]
fn samples_are_a_sequence_when_state_is_kept() {
    let model = ".cache/conformance/tflite_recurrent/svdf_int8_000/model.tflite";
    if !std::path::Path::new(model).exists() {
        support::skipped(format!("{model} is not there; `./test` writes it"));
        return;
    }
    let samples = ["--random", "3", "--samples", "4"];
    let apart = [&["run", model, "--json"], &samples[..]].concat();
    let outputs = |more: &[&str]| succeeds(&[&apart[..], more].concat()).json()["outputs"].clone();
    let (apart, kept) = (outputs(&[]), outputs(&["--keep-state"]));
    let sample = |outputs: &serde_json::Value, n: usize| outputs[0]["samples"][n].clone();
    assert_eq!(sample(&apart, 0), sample(&kept, 0));
    assert_ne!(apart, kept);
    for more in [&[][..], &["--keep-state"]] {
        for engine in [&["--target", "host"][..], &["--after", "plan"]] {
            succeeds(&[&["verify", model], &samples[..], more, engine].concat());
        }
    }
    assert_eq!(outputs(&["--keep-state", "--target", "host"]), kept);
}

#[test]
fn files_that_are_no_model_are_malformed() {
    let place = Place::new();
    fails(&["check", &place.file("empty.onnx", "")], 7, "E0701", "is empty");
    let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for name in ["noise.onnx", "noise.tflite", "noise"] {
        fails(&["check", &place.file(name, &noise)], 7, "E0701", "");
    }
    fails(&["check", &place.file("text.onnx", "This is no model.\n")], 7, "E0701", "");
    fails(&["check", &place.file("short", b"\x18\0\0\0TFL3")], 7, "E0701", "TFLite");
}

#[test]
fn truncated_models_are_malformed_wherever_they_end() {
    let place = Place::new();
    let bytes = std::fs::read(DIGITS).unwrap();
    for length in (1..bytes.len()).step_by(bytes.len() / 40) {
        let outcome = nablac(&["check", &place.file("cut.onnx", &bytes[..length])]);
        assert_eq!(outcome.code, 7, "{length} bytes: {}", outcome.stderr);
    }
}

#[test]
fn files_that_cannot_be_read_are_usage_errors() {
    let place = Place::new();
    fails(&["check", &text(&place.path("missing.onnx"))], 2, "E0201", "missing.onnx");
    std::fs::create_dir(place.path("folder.onnx")).unwrap();
    fails(&["check", &text(&place.path("folder.onnx"))], 2, "E0201", "folder.onnx");
    fails(&["run", DIGITS, "--inputs", &text(&place.path("missing.npz"))], 2, "E0201", "missing.npz");
    assert_eq!(nablac(&["check"]).code, 2);
    assert_eq!(nablac(&["chekc", DIGITS]).code, 2);
    assert_eq!(nablac(&["show", DIGITS, "--after", "nowhere"]).code, 2);
    fails(&["show", DIGITS, "--target", "cortex-m5"], 2, "E0204", "did you mean one of cortex-m");
    fails(&["check", DIGITS, "--dim", "batch=1"], 2, "E0205", "no open dimension `batch`");
}

#[test]
fn everything_unsupported_is_told_at_once() {
    let place = Place::new();
    let bytes = onnx(
        &[("x", &["batch", "4"]), ("v", &["4"])],
        &[
            ("Fft", &["v"], &["a"]),
            ("Relu", &["a"], &["b"]),
            ("Wavelet", &["v"], &["c"]),
            ("Relu", &["x"], &["d"]),
        ],
        &[("b", &["4"]), ("c", &["4"]), ("d", &["batch", "4"])],
        &[],
    );
    let model = place.file("model.onnx", bytes);
    let outcome = fails(&["check", &model], 3, "E0303", "the model has 3 problems");
    for part in ["`node0` (Fft)", "`node2` (Wavelet)", "`--dim batch=N`"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    let outcome = fails(&["check", &model, "--dim", "batch=1"], 3, "E0301", "the model has 2 problems");
    assert!(!outcome.stderr.contains("node1"), "what follows from a fault is none: {}", outcome.stderr);
}

#[test]
fn scales_and_zero_points_that_make_no_sense_are_named() {
    let place = Place::new();
    let scale = |values: &[f32]| Array::from_f32(if values.len() == 1 { &[] } else { &[2] }, values);
    let integer = |dtype, value| Array::from_values(dtype, &[], [Value::Int(value)]);
    let weights = Array::from_values(DType::I8, &[2, 1, 1, 1], [1, -2].map(Value::Int));
    let good = [
        ("sx", scale(&[0.5])),
        ("zx", integer(DType::U8, 128)),
        ("w", weights),
        ("sw", scale(&[0.5, 0.25])),
        ("zw", integer(DType::I8, 0)),
        ("sy", scale(&[0.25])),
        ("zy", integer(DType::U8, 3)),
        ("b", Array::from_values(DType::I32, &[2], [10, 20].map(Value::Int))),
    ];
    let file = |constants: &[(&str, Array)]| {
        let nodes: [support::Node; 3] = [
            ("QuantizeLinear", &["x", "sx", "zx"], &["q"]),
            ("QLinearConv", &["q", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], &["p"]),
            ("DequantizeLinear", &["p", "sy", "zy"], &["y"]),
        ];
        let (x, y) = (["1", "1", "2", "2"], ["1", "2", "2", "2"]);
        place.file("model.onnx", onnx(&[("x", &x)], &nodes, &[("y", &y)], constants))
    };
    succeeds(&["check", &file(&good)]);
    for (name, bad, node, problem) in [
        ("sx", scale(&[0.0]), "node0", "a scale of 0"),
        ("sx", scale(&[f32::NAN]), "node0", "a scale of NaN"),
        ("sw", scale(&[0.5, -1.0]), "node1", "a scale of -1"),
        ("sy", scale(&[f32::INFINITY]), "node1", "a scale of inf"),
        ("sy", scale(&[0.5, 0.5]), "node1", "more than one scale"),
        ("sw", Array::from_f32(&[3], &[0.5; 3]), "node1", "3 scales along axis 0 of shape [2, 1, 1, 1]"),
        ("zw", integer(DType::U8, 0), "node1", "a zero point of type u8 beside integers of type i8"),
        ("zx", integer(DType::I32, 1 << 20), "node0", "i32"),
        ("b", Array::from_f32(&[2], &[1.0, 2.0]), "node1", "a bias of type f32; it is of type i32"),
        ("b", Array::from_values(DType::I32, &[3], [1, 2, 3].map(Value::Int)), "node1", "a bias of"),
    ] {
        let constants =
            good.clone().map(|(own, array)| if own == name { (own, bad.clone()) } else { (own, array) });
        let outcome = fails(&["check", &file(&constants)], 7, "E0702", problem);
        assert!(outcome.stderr.contains(&format!("`{node}`")), "{}", outcome.stderr);
    }
}

#[test]
fn an_open_dimension_is_fixed_by_name_or_position() {
    let place = Place::new();
    for (dimension, name) in [("batch", "batch"), ("", "x.0")] {
        let shape = [dimension, "2"];
        let bytes = onnx(&[("x", &shape)], &[("Relu", &["x"], &["y"])], &[("y", &shape)], &[]);
        let model = place.file("model.onnx", bytes);
        fails(&["check", &model], 3, "E0303", &format!("`--dim {name}=N`"));
        let outcome = succeeds(&["check", &model, "--dim", &format!("{name}=3"), "--json"]);
        assert_eq!(outcome.json()["inputs"][0]["shape"], serde_json::json!([3, 2]));
    }
}

#[test]
fn a_node_that_contradicts_its_operator_is_malformed() {
    let place = Place::new();
    let product: &[support::Node] = &[("MatMul", &["x", "y"], &["z"])];
    let bytes = onnx(&[("x", &["2", "3"]), ("y", &["2", "3"])], product, &[("z", &["2", "3"])], &[]);
    fails(&["check", &place.file("model.onnx", bytes)], 7, "E0702", "`node0` (MatMul)");
    let bytes = onnx(&[("x", &["2"])], &[("Relu", &["nobody"], &["y"])], &[("y", &["2"])], &[]);
    fails(&["check", &place.file("model.onnx", bytes)], 7, "E0701", "`nobody`");
}

#[test]
fn limits_have_flags() {
    for limit in ["--limit-file-bytes", "--limit-nodes", "--limit-rank", "--limit-elements"] {
        let outcome = fails(&["check", DIGITS, limit, "1"], 8, "E0801", limit);
        let (_, advice) = outcome.stderr.split_once(&format!("`{limit} ")).unwrap();
        let value = advice.split('`').next().unwrap();
        let raised = nablac(&["check", DIGITS, limit, value]);
        assert!(raised.code == 0 || raised.code == 8, "{}", raised.stderr);
        assert_eq!(nablac(&["check", DIGITS, limit, "100000"]).code, 0);
    }
}

#[test]
fn a_wrong_command_line_is_told_as_json_too() {
    for arguments in
        [&["compile"][..], &["frob"], &["check", DIGITS, "--nonsense"], &["run", DIGITS, "--random", "x"]]
    {
        let outcome = nablac(&[arguments, &["--json"]].concat());
        assert_eq!((outcome.code, &outcome.json()["error"]["code"]), (2, &"E0207".into()), "{arguments:?}");
        assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
        let plain = nablac(arguments);
        assert_eq!((plain.code, plain.stdout.as_str()), (2, ""));
    }
    assert!(succeeds(&["compile", "--help", "--json"]).stdout.contains("Usage: nablac compile"));
}

#[test]
fn comparing_no_sample_is_refused() {
    for command in ["verify", "run", "bench"] {
        let outcome = nablac(&[command, DIGITS, "--samples", "0"]);
        assert_eq!(outcome.code, 2, "{}", outcome.stdout);
        assert!(outcome.stderr.contains("at least 1"), "{}", outcome.stderr);
    }
}

#[test]
fn options_stand_under_their_own_heading() {
    for (command, option) in
        [("check", "--target"), ("compile", "--out"), ("verify", "--reference"), ("bench", "--functions")]
    {
        let help = succeeds(&[command, "--help"]).stdout;
        let (own, grouped) = help.split_once("\nLimits:").unwrap();
        assert!(own.contains(&format!("      {option} ")), "{help}");
        assert!(grouped.contains("--limit-rank") && !grouped.contains(&format!("      {option} ")), "{help}");
    }
}

#[test]
fn verify_compares_with_the_reference() {
    let arguments = ["verify", DIGITS, "--inputs", INPUTS, "--reference", OUTPUTS];
    let json = succeeds(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!((&json["passed"], &json["mismatches"]), (&true.into(), &0.into()));
    assert!(json["max_error"].as_f64().unwrap() <= json["tolerance"].as_f64().unwrap());
    assert_eq!((&json["samples"], &json["elements"]), (&10.into(), &100.into()));
    for stage in ["define", "simplify", "views", "lower", "plan"] {
        succeeds(&[&arguments[..], &["--after", stage]].concat());
    }
}

#[test]
fn verify_fails_when_one_value_is_off_by_a_hundredth_and_names_it() {
    let place = Place::new();
    let (name, array) = npz::read(OUTPUTS.as_ref()).unwrap().pop_first().unwrap();
    let (position, largest) =
        array.to_f64().into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let changed = array.values().enumerate().map(|(n, value)| match n == position {
        true => Value::F32((largest * 1.01) as f32),
        false => value,
    });
    let changed = Array::from_values(array.dtype(), array.shape(), changed);
    npz::write(&place.path("off.npz"), &[(name.clone(), changed)]).unwrap();
    let reference = text(&place.path("off.npz"));
    let arguments = ["verify", DIGITS, "--inputs", INPUTS, "--reference", &reference];
    let element = format!("output `{name}`, sample {}, index [0, {}]", position / 10, position % 10);
    let outcome = fails(&arguments, 5, "E0501", &element);
    assert!(outcome.stdout.contains("mismatches  1 of 100"), "{}", outcome.stdout);
    let json = nablac(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!((&json["passed"], &json["mismatches"]), (&false.into(), &1.into()));
    assert_eq!(json["outputs"][0]["first"][0]["sample"], position / 10);
    succeeds(&[&arguments[..], &["--tolerance", "2000"]].concat());
}

#[test]
fn arrays_that_do_not_fit_are_named() {
    let place = Place::new();
    let write = |name: &str, array: Array| {
        npz::write(&place.path("in.npz"), &[(name.to_string(), array)]).unwrap();
        text(&place.path("in.npz"))
    };
    let image = Array::from_f32(&[1, 1, 8, 8], &[0.0; 64]);
    let path = write("image", image);
    fails(&["run", DIGITS, "--inputs", &path], 2, "E0203", "input `images` is missing");
    let path = write("images", Array::from_f32(&[8, 8], &[0.0; 64]));
    fails(&["run", DIGITS, "--inputs", &path], 2, "E0203", "is [1, 1, 8, 8], but the file's array is [8, 8]");
    let path = write("images", Array::from_i64(&[1, 1, 8, 8], &[0; 64]));
    fails(&["run", DIGITS, "--inputs", &path], 2, "E0203", "is f32, but the file's array is i64");
    fails(&["run", DIGITS, "--inputs", &place.file("no.npz", "no zip")], 2, "E0203", "not an .npz file");
}

#[test]
fn run_writes_what_verify_reads() {
    let place = Place::new();
    let outputs = text(&place.path("out.npz"));
    succeeds(&["run", DIGITS, "--inputs", INPUTS, "--outputs", &outputs]);
    assert_eq!(npz::read(outputs.as_ref()).unwrap()["probabilities"].shape(), [10, 10]);
    succeeds(&["verify", DIGITS, "--inputs", INPUTS, "--reference", &outputs, "--tolerance", "0"]);
    let random = |seed: &str| succeeds(&["run", DIGITS, "--random", seed, "--json"]).stdout;
    assert_eq!(random("1"), random("1"));
    assert_ne!(random("1"), random("2"));
    let below_a_file = text(&place.path("out.npz/below.npz"));
    fails(&["run", DIGITS, "--outputs", &below_a_file], 2, "E0202", "below.npz");
}

#[test]
fn every_stage_prints_a_text_that_reads_back() {
    let show = |stage: &str| succeeds(&["show", DIGITS, "--after", stage, "-q"]).stdout;
    for stage in ["import", "fold"] {
        assert!(show(stage).starts_with("graph digits {"));
    }
    for stage in ["define", "simplify", "views"] {
        assert!(show(stage).starts_with("program digits {"));
    }
    assert!(show("lower").starts_with("loops digits {"));
    assert!(show("plan").contains(" bytes"));
    let json = succeeds(&["show", DIGITS, "--after", "plan", "--json"]).json();
    assert_eq!((&json["language"], &json["stage"]), (&"loops".into(), &"plan".into()));
}

#[test]
fn json_is_one_object_with_a_schema_and_talk_goes_to_stderr() {
    for arguments in [
        &["check", DIGITS][..],
        &["targets"],
        &["targets", "cortex-m4"],
        &["ops", "conv"],
        &["explain"],
        &["explain", "E0301"],
        &["doctor"],
        &["completions", "bash"],
    ] {
        let json = succeeds(&[arguments, &["--json"]].concat()).json();
        assert_eq!((&json["schema"], &json["command"]), (&1.into(), &arguments[0].into()));
        assert!(!succeeds(arguments).stdout.is_empty());
    }
    assert!(succeeds(&["check", DIGITS]).stderr.contains("Reading"));
    assert_eq!(succeeds(&["check", DIGITS, "--quiet"]).stderr, "");
}

#[test]
fn codes_are_explained_and_operators_found_by_any_name() {
    let outcome = succeeds(&["explain", "e0501"]);
    assert!(outcome.stdout.contains("exit code 5"), "{}", outcome.stdout);
    fails(&["explain", "E0999"], 2, "E0205", "E0999");
    for name in ["DEPTHWISE_CONV_2D", "conv", "Conv"] {
        assert!(succeeds(&["ops", name]).stdout.contains("\nconv "), "{name}");
    }
}

/// The layers in what `bench` says of one target.
fn layers(json: &serde_json::Value) -> Vec<serde_json::Value> {
    json["layers"].as_array().unwrap_or_else(|| panic!("{json:#}")).clone()
}

#[test]
fn the_layers_of_bench_add_up_to_the_whole() {
    let outcome = nablac(&["bench", DIGITS, "--target", "cortex-m4,cortex-m7", "--json"]);
    if outcome.code == 6 {
        support::skipped(&outcome.stderr);
        return;
    }
    for result in outcome.json()["results"].as_array().unwrap() {
        let layers = layers(result);
        let sum = |figure: &str| layers.iter().filter_map(|layer| layer[figure].as_u64()).sum::<u64>();
        assert_eq!(Some(sum("instructions")), result["instructions"].as_u64());
        assert_eq!(sum("estimated_cycles"), result["estimated_cycles"].as_u64().unwrap_or(0));
        let share: f64 = layers.iter().filter_map(|layer| layer["share"].as_f64()).sum();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        let of = |function: &str| layers.iter().find(|layer| layer["function"] == function);
        for other in ["digits_run", "expf"] {
            let other = of(other).unwrap_or_else(|| panic!("{other}: {result:#}"));
            assert_eq!((&other["macs"], &other["weight_bytes"]), (&0.into(), &0.into()));
        }
        let conv = of("digits_conv2").unwrap();
        assert_eq!((&conv["name"], &conv["macs"]), (&"conv2".into(), &(16 * 16 * 8 * 9).into()));
        let bytes = serde_json::json!({ "in": 4 * 8 * 16, "out": 4 * 16 * 16 });
        assert_eq!((&conv["weight_bytes"], &conv["activation_bytes"]), (&4672.into(), &bytes));
        let per_mac =
            ["instructions", "macs", "instructions_per_mac"].map(|figure| conv[figure].as_f64().unwrap());
        assert!((per_mac[0] / per_mac[1] - per_mac[2]).abs() < 1e-9, "{conv:#}");
    }
}

#[test]
fn the_layers_of_bench_are_sorted_and_cut() {
    let table = |more: &[&str]| {
        let outcome = nablac(&[&["bench", DIGITS, "--target", "host"], more].concat());
        let (_, table) = outcome.stdout.split_once("on host")?;
        Some(table.lines().skip(1).map(str::to_string).collect::<Vec<String>>())
    };
    let Some(all) = table(&[]) else {
        support::skipped("there is no C compiler");
        return;
    };
    let names = |rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| row.split("  ").next().unwrap().to_string()).collect()
    };
    assert_eq!(names(&all)[..3], ["digits_conv1", "digits_pool1", "digits_conv2"]);
    let cut = table(&["--functions", "2"]).unwrap();
    let left_out = format!("{} more", all.len() - 1 - 2);
    assert_eq!(names(&cut), ["digits_conv1", "digits_conv2", &left_out, "all"]);
    assert_eq!(cut.last().unwrap().split_whitespace().nth(1), Some("25"), "25 600 MACs: {cut:?}");
    let sorted = table(&["--functions", "2", "--sort", "share"]).unwrap();
    assert_eq!(names(&sorted), ["digits_conv2", "digits_conv1", &left_out, "all"]);
    assert_eq!(table(&["--functions", "0"]).unwrap().len(), 2);
}

#[test]
fn a_schedule_that_is_printed_gives_the_same_nests() {
    let place = Place::new();
    let show = |stage: &str, more: &[&str]| {
        let show = ["show", DIGITS, "--after", stage, "--target", "cortex-m4", "--quiet"];
        succeeds(&[&show[..], more].concat()).stdout
    };
    let file = place.file("digits.sched", show("schedule", &[]));
    assert_eq!(show("lower", &["--schedule", &file]), show("lower", &[]));
    // One line, another nest, the same numbers.
    let text = std::fs::read_to_string(&file).unwrap();
    let (begin, conv1) = text.split_at(text.find("pin conv1 {").unwrap());
    let tile = conv1.lines().find(|line| line.starts_with("  for j step")).unwrap();
    let changed =
        place.file("changed.sched", format!("{begin}{}", conv1.replacen(tile, "  for j step 1", 1)));
    assert_ne!(show("lower", &["--schedule", &changed]), show("lower", &[]));
    let reference = ["--inputs", INPUTS, "--reference", OUTPUTS];
    let verify = ["verify", DIGITS, "--after", "plan", "--schedule", &changed];
    succeeds(&[&verify[..], &reference].concat());
}

#[test]
fn a_wrong_schedule_is_shown_where_it_is_wrong() {
    let place = Place::new();
    let first = place.file("first.sched", "goal min cycles\n");
    let wrong = place.file("wrong.sched", "; two rows\npin conv1 {\n\tfor i step 2\n  for row\n}\n");
    let show =
        ["show", DIGITS, "--after", "lower", "--schedule", first.as_str(), "--schedule", wrong.as_str()];
    let outcome = fails(&show, 2, "E0208", "kernel `conv1`: it has no loop `row`");
    let excerpt = format!("--> {wrong}:4:7\n  |\n4 |   for row\n  |       ^^^\n");
    assert!(outcome.stderr.contains(&excerpt), "{}", outcome.stderr);
    let json = nablac(&[&show[..], &["--json"]].concat()).json();
    assert_eq!(json["error"]["place"], serde_json::json!({ "file": wrong, "line": 4, "column": 7 }));
    let open = place.file("open.sched", "pin conv1 {\n\tfor \"i");
    let show = ["show", DIGITS, "--after", "lower", "--schedule", open.as_str()];
    let outcome = fails(&show, 2, "E0208", "expected a closing quote on the same line");
    assert!(outcome.stderr.contains("2 | \tfor \"i\n  | \t    ^^\n"), "{}", outcome.stderr);
    let nowhere = ["show", DIGITS, "--after", "lower", "--schedule", "nowhere.sched"];
    fails(&nowhere, 2, "E0201", "nowhere.sched");
    let early = ["run", DIGITS, "--schedule", first.as_str()];
    fails(&early, 2, "E0205", "changes nothing up to stage `simplify`");
}

#[test]
fn goals_bound_what_is_compiled() {
    let place = Place::new();
    let show = |goal: &str| {
        let file = place.file("goal.sched", goal);
        nablac(&["show", DIGITS, "--after", "plan", "--schedule", &file])
    };
    assert_eq!(show("goal ram <= 64 KiB, flash <= 64 KiB, then min cycles").code, 0);
    let outcome = show("goal ram <= 100");
    assert_eq!(outcome.code, 4);
    assert!(outcome.stderr.contains("E0401"), "{}", outcome.stderr);
}
