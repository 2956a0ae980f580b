//! Networks that should not fit: kernels that run row by row, inputs that stay with the caller, and what `fit` says.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use nablac_loops::{Delivery, Optimize};
use serde_json::Value as Json;
use support::{nablac, skipped, text};

const DIGITS: &str = "examples/digits.onnx";

/// The arenas that rows of the input need at most, in bytes, and their instructions beside those of whole tensors: a goal of the project.
const BOUNDS: &[(&str, u64)] = &[("kws", 7_000), ("resnet8", 18_000), ("vww", 18_000)];
const MOST_INSTRUCTIONS: f64 = 1.15;

/// Whether what emulates a Cortex-M4 is there; says loudly that a test is skipped otherwise.
fn can_emulate() -> bool {
    let tools = ["qemu-system-arm", "arm-none-eabi-gcc"];
    let missing = tools.into_iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    missing.into_iter().for_each(|tool| skipped(format!("{tool} is missing")));
    missing.is_none()
}

#[test]
fn inputs_that_stay_with_the_caller_pass_the_self_test() {
    for (test, delivery) in [("digits-rows", Delivery::Rows), ("digits-external", Delivery::External)] {
        support::check_c_with(DIGITS.as_ref(), test, |options| {
            options.schedules.inputs = vec![("0".into(), delivery)];
            options.schedules.optimize = Optimize::Ram;
        });
    }
}

#[test]
fn less_memory_gives_the_same_outputs() {
    let outputs = |more: &[&str]| {
        let arguments = ["run", DIGITS, "--samples", "3", "--engine", "interp", "--after", "plan", "--json"];
        let outcome = nablac(&[&arguments[..], more].concat());
        assert_eq!(outcome.code, 0, "{more:?}: {}", outcome.stderr);
        outcome.json()["outputs"].clone()
    };
    let arena = |more: &[&str]| {
        let shown =
            nablac(&[&["show", DIGITS, "--after", "plan", "--target", "cortex-m4"][..], more].concat());
        let words: Vec<&str> = shown.stdout.split_whitespace().collect();
        words[3].parse::<usize>().unwrap_or_else(|_| panic!("{more:?}: {}{}", shown.stdout, shown.stderr))
    };
    let (whole, least) = (arena(&[]), arena(&["--optimize", "ram", "--input", "images=rows"]));
    assert!(least < whole, "{least} bytes instead of {whole}");
    let expected = outputs(&[]);
    for more in [
        &["--optimize", "ram"][..],
        &["--ram", "1800"],
        &["--input", "0=rows"],
        &["--input", "images=external"],
    ] {
        assert_eq!(outputs(more), expected, "{more:?}");
    }
}

#[test]
fn what_binds_is_named_where_nothing_fits() {
    let outcome = nablac(&["show", DIGITS, "--after", "plan", "--target", "cortex-m4", "--ram", "256"]);
    assert_eq!(outcome.code, 4);
    assert!(
        outcome.stderr.contains("256 are allowed") && outcome.stderr.contains("` binds: `"),
        "{}",
        outcome.stderr
    );
    let smallest = outcome.stderr.split("`--ram ").nth(1).and_then(|text| text.split('`').next()).unwrap();
    let again = nablac(&["show", DIGITS, "--after", "plan", "--target", "cortex-m4", "--ram", smallest]);
    assert_eq!(again.code, 0, "{}", again.stderr);
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let outcome = nablac(&["show", DIGITS, "--after", "plan", "--input", "picture=rows"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("the model has no input `picture`"), "{}", outcome.stderr);
}

#[test]
fn fit_says_what_less_memory_costs() {
    if !can_emulate() {
        return;
    }
    let fit =
        |more: &[&str]| nablac(&[&["fit", DIGITS, "--target", "cortex-m4", "--json"][..], more].concat());
    let outcome = fit(&["--ram", "3K", "--flash", "64K"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let target = outcome.json()["targets"][0].clone();
    assert_eq!(target["fits"], Json::Bool(true));
    let configurations = target["configurations"].as_array().unwrap().clone();
    let figure = |own: &Json, name: &str| own[name].as_u64().unwrap();
    assert!(configurations.len() > 1);
    assert!(
        configurations
            .windows(2)
            .all(|pair| figure(&pair[1], "arena_bytes") < figure(&pair[0], "arena_bytes"))
    );
    let fits = |own: &Json| figure(own, "ram_bytes") <= 3072 && figure(own, "flash_bytes") <= 65536;
    assert!(configurations.iter().all(|own| own["fits"].as_bool() == Some(fits(own))));
    let outcome = fit(&["--ram", "256"]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the smallest takes"), "{}", outcome.stderr);
}

#[test]
#[ignore = "runs three networks under emulation, twice"]
fn rows_of_the_reference_networks_take_little_memory_and_time() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return skipped("NABLAC_MODELS is not set, so the reference networks are not run by rows");
    };
    if !can_emulate() {
        return;
    }
    for (name, most) in BOUNDS {
        let model = text(&Path::new(&folder).join(name).join("int8.tflite"));
        let bench = |more: &[&str]| {
            let outcome = nablac(&[&["bench", &model, "--target", "cortex-m4", "--json"][..], more].concat());
            assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
            outcome.json()
        };
        let (whole, rows) = (bench(&[]), bench(&["--optimize", "ram", "--input", "0=rows"]));
        let arena = rows["arena_bytes"].as_u64().unwrap();
        assert!(arena <= *most, "{name} takes {arena} bytes");
        let [before, after] = [&whole, &rows].map(|own| own["instructions"].as_u64().unwrap() as f64);
        assert!(after <= before * MOST_INSTRUCTIONS, "{name}: {after} instructions instead of {before}");
        let given = [format!("{model}.in.npz"), format!("{model}.out.npz")];
        let verify = ["verify", &model, "--target", "cortex-m4", "--optimize", "ram", "--input", "0=rows"];
        let outcome = nablac(&[&verify[..], &["--inputs", &given[0], "--reference", &given[1]]].concat());
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
    }
}
