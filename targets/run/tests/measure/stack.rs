//! The bound of the stack: no run takes more, and little less where the way to the deepest place is always taken; what has no bound is said.

use crate::common::{BOARDS, has_tools, rounds, run_on, spin, spin_with, tiny, work};
use nablac_run::{Measurement, Options};

/// What a function of the library does that the tests replace.
const RUN: &str = "spin_status_t spin_run(spin_ctx_t *ctx)";

fn measured(machine: &str, test: &str, body: &str) -> Measurement {
    let artifact = spin_with(&format!("{test}-{machine}"), &body.replace("RUN", RUN));
    run_on(machine, &artifact, &rounds(&[5]), test, &Options::default()).unwrap().measurement
}

fn boards() -> impl Iterator<Item = &'static str> {
    BOARDS.iter().copied().filter(|machine| has_tools(machine))
}

#[test]
fn no_run_takes_more_than_the_bound() {
    for machine in boards() {
        let sample = vec![vec![0; 16]];
        let run = run_on(machine, &tiny(), &[sample], "stack", &Options::default()).unwrap();
        let bound = run.measurement.stack.unwrap();
        let seen = run.measurement.stack_seen_bytes.unwrap();
        assert_eq!(bound.gaps, [""; 0], "{machine}");
        assert_eq!(run.measurement.stack_bytes, Some(bound.bytes), "{machine}");
        assert_eq!(bound.path[0].function, "tiny_run", "{machine}");
        assert_eq!(bound.path.iter().map(|frame| frame.bytes).sum::<u64>(), bound.bytes, "{machine}");
        assert!(seen <= bound.bytes, "{machine}: {seen} {bound:?}");
    }
}

/// What is compiled and what is in a library: two frames of known size, `memset` between them, and a division of 64 bits.
const CERTAIN: &str = "#include <string.h>
static __attribute__((noinline)) uint64_t inner(volatile unsigned char *at, uint64_t by)
{ volatile unsigned char all[200]; memset((void *)all, at[0], sizeof all); return (uint64_t)all[by] / (by + at[1]); }
RUN
{ volatile unsigned char all[100]; memset((void *)all, 1, sizeof all);
  return inner(all, ctx->rounds) == 0u ? SPIN_OK : SPIN_REFUSED; }";

#[test]
fn a_certain_way_takes_what_is_said() {
    for machine in boards() {
        let figures = measured(machine, "certain", CERTAIN);
        let (bound, seen) = (figures.stack.unwrap(), figures.stack_seen_bytes.unwrap());
        assert_eq!(bound.gaps, [""; 0], "{machine}");
        // What is left are bytes between variables that nobody writes, and words of a division that small numbers do not take.
        assert!(seen <= bound.bytes && bound.bytes <= seen + 32, "{machine}: {seen} {bound:?}");
        let names: Vec<&str> = bound.path.iter().map(|frame| frame.function.as_str()).collect();
        assert!(
            bound.bytes > 300 && names.starts_with(&["spin_run", "inner"]) && names.len() > 2,
            "{machine}: {names:?}"
        );
    }
}

#[test]
fn instructions_alone_give_the_bound_of_assembly() {
    for machine in boards() {
        let run = run_on(machine, &spin(), &rounds(&[3]), "assembly", &Options::default()).unwrap();
        let bound = run.measurement.stack.unwrap();
        assert_eq!((bound.bytes, bound.gaps.len()), (8, 0), "{machine}: {bound:?}");
    }
}

/// The machine's compiler without its report, as clang is, or GCC before its version 10.
#[cfg(unix)]
fn silent_compiler(machine: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = work(&format!("silent-{machine}")).join("compiler");
    let compiler = nablac_machine::Machine::load(machine).unwrap().compiler.command;
    let script = format!(
        "#!/bin/sh\nfor word in \"$@\"; do case \"$word\" in -fcallgraph-info*) exit 1;; esac; done\nexec {compiler} \"$@\"\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn instructions_say_what_the_report_says() {
    for machine in boards() {
        let silent = Options { compiler: Some(silent_compiler(machine)), ..Options::default() };
        let certain = spin_with(&format!("both-source-{machine}"), &CERTAIN.replace("RUN", RUN));
        for (artifact, sample) in [(tiny(), vec![vec![0; 16]]), (certain, rounds(&[5])[0].clone())] {
            let bound = |test: &str, options: &Options| {
                run_on(machine, &artifact, std::slice::from_ref(&sample), test, options)
                    .unwrap()
                    .measurement
                    .stack
                    .unwrap()
            };
            let (reported, followed) = (bound("reported", &Options::default()), bound("followed", &silent));
            assert_eq!((&reported.gaps, &followed.gaps), (&vec![], &vec![]), "{machine}");
            assert_eq!(followed.bytes, reported.bytes, "{machine}: {followed:?} {reported:?}");
        }
    }
}

#[test]
fn a_far_jump_is_no_call() {
    // More between a branch and its target than a branch of Armv6-M reaches.
    let lines = "    at[0] = at[1] + 3u; at[2] = at[3] ^ at[0];\n".repeat(400);
    let body = format!(
        "RUN\n{{\n  volatile uint32_t at[4] = {{1u, 2u, 3u, 4u}};\n  for (uint32_t i = 0; i < ctx->rounds; i++) {{\n{lines}  }}\n  return at[0] == 0u ? SPIN_REFUSED : SPIN_OK;\n}}"
    );
    for machine in boards() {
        let figures = measured(machine, "far", &body);
        let (bound, seen) = (figures.stack.unwrap(), figures.stack_seen_bytes.unwrap());
        assert_eq!(bound.gaps, [""; 0], "{machine}");
        assert!(seen <= bound.bytes && bound.bytes <= seen + 8, "{machine}: {seen} {bound:?}");
    }
}

#[test]
fn what_has_no_bound_is_named() {
    let rows = [
        (
            "pointer",
            "static uint32_t one(uint32_t x) { return x; }\nuint32_t (*spin_pointer)(uint32_t) = one;\nextern uint32_t (*spin_pointer)(uint32_t);\nRUN { return spin_pointer(ctx->rounds) > 9u ? SPIN_REFUSED : SPIN_OK; }",
            "`spin_run` calls through a pointer",
        ),
        (
            "recursion",
            "static __attribute__((noinline)) uint32_t sum(volatile uint32_t *x) { volatile uint32_t y = *x; y--; return y == 0u ? 1u : sum(&y) + y; }\nRUN { volatile uint32_t x = ctx->rounds; return sum(&x) > 99u ? SPIN_REFUSED : SPIN_OK; }",
            "`sum` calls itself",
        ),
        (
            "alloca",
            "RUN { volatile unsigned char *all = __builtin_alloca(ctx->rounds); all[0] = 1u; return all[0] == 1u ? SPIN_OK : SPIN_REFUSED; }",
            "the frame of `spin_run` depends on values",
        ),
    ];
    for machine in ["cortex-m0plus", "cortex-m4"].into_iter().filter(|machine| has_tools(machine)) {
        for (test, body, gap) in rows {
            let figures = measured(machine, test, body);
            let bound = figures.stack.unwrap();
            assert_eq!(bound.gaps, [gap], "{machine}, {test}");
            assert_eq!(
                figures.stack_bytes, figures.stack_seen_bytes,
                "{machine}, {test}: what was seen counts"
            );
        }
    }
    if has_tools("host") {
        let figures = run_on("host", &tiny(), &[vec![vec![0; 16]]], "unknown", &Options::default())
            .unwrap()
            .measurement;
        let bound = figures.stack.unwrap();
        assert!(
            bound.gaps.iter().any(|gap| gap.contains("`expf`")) && figures.stack_bytes.is_none(),
            "{bound:?}"
        );
    }
}
