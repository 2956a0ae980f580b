//! A small network gives the same numbers everywhere, and its figures are those of the model alone.

use crate::common::{emulated, has_tools, run_on, tiny, work};
use nablac_run::{Optimize, Options, Run, Sample};
use std::process::Command;
use std::time::Duration;

/// Writes past the end of the context.
const BEYOND: &str = "spin_status_t spin_run(spin_ctx_t *ctx)\n{\n    (&ctx->rounds)[ctx->rounds] = 1u;\n    return SPIN_OK;\n}";

fn samples(count: usize) -> Vec<Sample> {
    let value = |sample: usize, index: usize| ((sample * 7 + index * 3) % 11) as f32 / 4.0 - 1.0;
    let bytes = |sample: usize| (0..4).flat_map(|index| value(sample, index).to_le_bytes()).collect();
    (0..count).map(|sample| vec![bytes(sample)]).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// The same network in `f64`, read from the same weights file.
fn expected(input: &[f32]) -> Vec<f64> {
    let text = std::fs::read_to_string(tiny().folder.join("src/tiny_weights.c")).unwrap();
    let numbers: Vec<f64> = text
        .split(|c: char| "{},\n ;=".contains(c))
        .filter_map(|word| word.strip_suffix('f')?.parse().ok())
        .collect();
    let (w1, rest) = numbers.split_at(32);
    let (b1, rest) = rest.split_at(8);
    let (w2, b2) = rest.split_at(24);
    let layer = |w: &[f64], b: &[f64], x: &[f64]| -> Vec<f64> {
        let row = |i: usize| w[i * x.len()..(i + 1) * x.len()].iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        b.iter().enumerate().map(|(i, b)| b + row(i)).collect()
    };
    let x: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
    let h: Vec<f64> = layer(w1, b1, &x).iter().map(|h| h.max(0.0)).collect();
    let e: Vec<f64> = layer(w2, b2, &h).iter().map(|z| z.exp()).collect();
    e.iter().map(|value| value / e.iter().sum::<f64>()).collect()
}

fn assert_right(run: &Run, machine: &str) {
    for (sample, output) in samples(10).iter().zip(&run.outputs) {
        let (got, wanted) = (floats(&output[0]), expected(&floats(&sample[0])));
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((f64::from(*got) - wanted).abs() < 1e-6, "{machine}: {got} against {wanted}");
        }
    }
}

#[test]
fn emulated_machines_compute_what_the_host_computes() {
    let hosts = ["host", "x86-64-v3", "x86-64-v4"].into_iter().filter(|machine| has_tools(machine));
    for machine in hosts.chain(emulated()) {
        let run = run_on(machine, &tiny(), &samples(10), "network", &Options::default()).unwrap();
        assert_eq!(run.outputs.len(), 10);
        assert_right(&run, machine);
    }
}

#[test]
fn the_host_measures_time_and_sizes() {
    if !has_tools("host") {
        return;
    }
    let options = Options { timing: Duration::from_millis(20), ..Options::default() };
    let run = run_on("host", &tiny(), &samples(10), "time", &options).unwrap();
    let measured = &run.measurement;
    assert_right(&run, "host");
    assert!(
        measured.seconds.is_some_and(|seconds| seconds > 0.0 && seconds < 1e-3),
        "{:?}",
        measured.seconds
    );
    assert!(measured.rodata_bytes >= 4 * (32 + 8 + 24 + 3) && measured.text_bytes > 0);
    assert_eq!((measured.instructions, measured.stack_bytes), (None, None));
}

#[test]
fn sanitizers_pass_a_correct_library_and_catch_a_wrong_one() {
    let options = Options { sanitize: true, ..Options::default() };
    for compiler in ["gcc", "clang"] {
        if Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("SKIPPED: {compiler} is not installed");
            continue;
        }
        let options = Options { compiler: Some(compiler.to_owned()), ..options.clone() };
        assert_right(&run_on("host", &tiny(), &samples(10), compiler, &options).unwrap(), compiler);
        let wrong = crate::common::spin_with(&format!("overflow-{compiler}"), BEYOND);
        let error =
            run_on("host", &wrong, &crate::common::rounds(&[1 << 16]), "overflow", &options).unwrap_err();
        assert!(
            error.to_string().contains("Sanitizer") || error.to_string().contains("runtime error"),
            "{error}"
        );
    }
}

#[test]
fn figures_are_the_models_own() {
    if !has_tools("cortex-m4") {
        return;
    }
    let run = run_on("cortex-m4", &tiny(), &samples(3), "figures", &Options::default()).unwrap();
    let measured = &run.measurement;
    let names: Vec<&str> = measured.per_function.iter().map(|function| function.name.as_str()).collect();
    assert!(names.contains(&"tiny_run") && names.iter().any(|name| name.contains("expf")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("nablac") || *name == "main"), "{names:?}");
    let sum: u64 = measured.per_function.iter().map(|function| function.instructions.unwrap()).sum();
    assert_eq!(Some(sum), measured.instructions);
    let cycles: u64 = measured.per_function.iter().filter_map(|function| function.cycles).sum();
    assert_eq!(Some(cycles), measured.estimated_cycles);
    assert_eq!(measured.arena_bytes, 64);
    assert_eq!(measured.context_bytes, 4);
    let weights = 4 * (32 + 8 + 24 + 3);
    let object_rodata = weights..weights + 64; // and expf's few constants
    assert!(object_rodata.contains(&measured.rodata_bytes), "{}", measured.rodata_bytes);
    assert!(measured.harness_bytes > 1000 && measured.harness_bytes < 4000, "{}", measured.harness_bytes);
    assert_eq!(measured.flash_bytes, measured.text_bytes + measured.rodata_bytes + measured.data_bytes);
    let map = std::fs::read_to_string(work("figures-cortex-m4").join("program.map")).unwrap();
    let pulled: Vec<&str> = map.lines().take_while(|line| !line.contains("Discarded")).collect();
    assert!(!pulled.iter().any(|line| line.contains("printf") || line.contains("memcpy")), "{pulled:?}");
}

#[test]
fn small_code_is_smaller_and_slower_or_equal() {
    if !has_tools("cortex-m4") {
        return;
    }
    let fast = run_on("cortex-m4", &tiny(), &samples(1), "fast", &Options::default()).unwrap().measurement;
    let options = Options { optimize: Optimize::Size, ..Options::default() };
    let small = run_on("cortex-m4", &tiny(), &samples(1), "small", &options).unwrap().measurement;
    assert!(small.text_bytes < fast.text_bytes && small.instructions >= fast.instructions);
}
