//! What sets one processor apart: instructions and accesses that the Cortex-M0+ lacks, loops and vectors that the Cortex-M55 adds.

use crate::common::{has_tools, rounds, run_on, spin, spin_with, work};
use nablac_machine::Machine;
use nablac_run::{Artifact, Error, Options, execute};

const M0PLUS: &str = "cortex-m0plus";

fn with_body(test: &str, body: &str) -> Artifact {
    spin_with(
        &format!("{test}-source"),
        &format!("spin_status_t spin_run(spin_ctx_t *ctx)\n{{ {body} return SPIN_OK; }}"),
    )
}

#[test]
fn every_unaligned_access_fails_on_a_machine_without_them() {
    if !has_tools(M0PLUS) {
        return;
    }
    let at = |kind: &str, offset: u32| format!("*({kind} volatile *)((uintptr_t)ctx + {offset}u)");
    let rows = [
        ("word", format!("ctx->echo = {};", at("uint32_t", 1))),
        ("half-aligned-word", format!("ctx->echo = {};", at("uint32_t", 2))),
        ("halfword", format!("ctx->echo = {};", at("uint16_t", 3))),
        ("stored-word", format!("{} = 1u;", at("uint32_t", 3))),
        ("stored-halfword", format!("{} = 1u;", at("uint16_t", 1))),
    ];
    for (test, body) in rows {
        let artifact = with_body(test, &body);
        let error = run_on(M0PLUS, &artifact, &rounds(&[5]), test, &Options::default()).expect_err(test);
        let Error::UnalignedAccess { function, address, .. } = &error else { panic!("{test}: {error}") };
        assert!(function == "spin_run" && *address > 0, "{error}");
        run_on("cortex-m3", &artifact, &rounds(&[5]), test, &Options::default()).expect(test);
    }
    let aligned = with_body("aligned", &format!("ctx->echo = {};", at("uint16_t", 2)));
    run_on(M0PLUS, &aligned, &rounds(&[5]), "aligned", &Options::default()).unwrap();
}

#[test]
fn instructions_that_the_processor_lacks_are_found_even_if_they_never_run() {
    if !has_tools(M0PLUS) {
        return;
    }
    for (test, code, expected) in [
        ("wide", ".inst.w 0xfbb0f0f1", "`udiv r0, r0, r1` in `spin_run` at 0x"),
        ("narrow", ".inst.n 0xb101", "`cbz r1, "),
        ("undefined", ".inst.n 0xb6f0", "an undefined instruction in `spin_run`"),
    ] {
        let body = format!("if (ctx->rounds == 0u) {{ __asm__ volatile(\"{code}\"); }}");
        let artifact = with_body(test, &body);
        let error = run_on(M0PLUS, &artifact, &rounds(&[5]), test, &Options::default()).expect_err(test);
        assert!(matches!(error, Error::ForeignInstructions { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        run_on("cortex-m3", &artifact, &rounds(&[5]), test, &Options::default()).expect(test);
    }
}

#[test]
fn a_library_for_another_processor_is_found() {
    if !has_tools(M0PLUS) {
        return;
    }
    let mut machine = Machine::load(M0PLUS).unwrap();
    machine.compiler.flags[0] = "-mcpu=cortex-m3".to_owned();
    let (artifact, samples) = (crate::common::tiny(), [vec![vec![0; 16]]]);
    let error = execute(&machine, &artifact, &samples, &work("library"), &Options::default()).unwrap_err();
    let Error::ForeignInstructions { found, .. } = &error else { panic!("{error}") };
    assert!(found.iter().any(|place| place.contains("`expf`")), "{found:?}");
    assert!(error.to_string().contains(&format!("and {} more", found.len() - 5)), "{error}");
}

#[test]
fn the_harness_pulls_nothing_from_a_library() {
    for machine in crate::common::BOARDS.iter().filter(|machine| has_tools(machine)) {
        run_on(machine, &spin(), &rounds(&[1]), "alone", &Options::default()).unwrap();
        let map = std::fs::read_to_string(work(&format!("alone-{machine}")).join("program.map")).unwrap();
        assert!(!map.contains("Archive member included"), "{machine}: {map}");
    }
}

#[test]
fn low_overhead_loops_and_vectors_are_counted() {
    if !has_tools("cortex-m55") {
        return;
    }
    let code = "dls lr, %1\\n1: vaddva.u32 %0, q0\\n le lr, 1b";
    let body = format!(
        "uint32_t sum = 0u; __asm__ volatile(\"vmov.i32 q0, #3\\n {code}\" : \"+Te\"(sum) : \"r\"(ctx->rounds) : \"lr\", \"s0\", \"s1\", \
         \"s2\", \"s3\"); ctx->echo = sum;"
    );
    let artifact = with_body("vectors", &body);
    let run = run_on("cortex-m55", &artifact, &rounds(&[1000, 1]), "vectors", &Options::default()).unwrap();
    assert_eq!(run.outputs, rounds(&[12_000, 12]), "four lanes of 3 a round");
    let (fewest, most) = run.measurement.instructions_range.unwrap();
    assert_eq!(most - fewest, 2 * 999, "two instructions a round");
}

#[test]
fn an_instruction_of_an_extension_fails_where_the_processor_has_none() {
    if !has_tools("aarch64") {
        return;
    }
    let sdot = "if (ctx->rounds == 5u) { __asm__ volatile(\".inst 0x4e829420\" : : : \"v0\"); }"; // of Armv8.2: v0, v1, v2
    let artifact = with_body("extension", sdot);
    let run = |rounds_| run_on("aarch64", &artifact, &rounds(&[rounds_]), "extension", &Options::default());
    run(4).unwrap();
    let error = run(5).unwrap_err();
    assert!(matches!(error, Error::Program { .. }) && error.to_string().contains("signal: 4"), "{error}");
    let mut newer = Machine::load("aarch64").unwrap();
    newer.emulator.as_mut().unwrap().processor = Some("max".to_owned());
    execute(&newer, &artifact, &rounds(&[5]), &work("extension-max"), &Options::default()).unwrap();
}
