//! Whatever can go wrong between a folder of C and a figure is a named error.

use crate::common::{BOARDS, PROCESSES, computers, has_tools, rounds, run_on, spin, spin_with, tiny_with};
use nablac_machine::Machine;
use nablac_run::{Error, Options, execute};
use std::time::Duration;

const SIGNATURE: &str = "spin_status_t spin_run(spin_ctx_t *ctx)";

fn run_body(machine: &str, test: &str, body: &str, options: &Options) -> Error {
    let artifact = spin_with(&format!("{test}-source-{machine}"), &body.replace("RUN", SIGNATURE));
    run_on(machine, &artifact, &rounds(&[5]), test, options).expect_err(test)
}

#[test]
fn a_status_other_than_ok_is_reported_with_its_sample() {
    let machines = ["host", "cortex-m4", "aarch64"].into_iter().filter(|machine| has_tools(machine));
    for machine in machines.chain(computers()) {
        let body = "RUN { return ctx->rounds == 5u ? SPIN_REFUSED : SPIN_OK; }";
        let message = run_body(machine, "status", body, &Options::default()).to_string();
        assert!(message.contains("spin_run returned 7") && message.contains("sample 0"), "{message}");
    }
}

#[test]
fn a_fault_prints_the_fault_registers() {
    for machine in BOARDS.iter().filter(|machine| has_tools(machine)) {
        let body = "RUN { *(volatile uint32_t *)0xF0000000u = ctx->rounds; return SPIN_OK; }";
        let error = run_body(machine, "fault", body, &Options::default());
        let message = error.to_string();
        assert!(matches!(error, Error::Program { .. }) && message.contains("CFSR 0x0000"), "{message}");
    }
}

#[test]
fn a_process_that_a_signal_ends_is_an_error() {
    for machine in PROCESSES.iter().filter(|machine| has_tools(machine)) {
        let body = "RUN { *(volatile uint32_t *)(uintptr_t)ctx->rounds = 1u; return SPIN_OK; }";
        let error = run_body(machine, "signal", body, &Options::default());
        assert!(
            matches!(error, Error::Program { .. }) && error.to_string().contains("signal: 11"),
            "{error}"
        );
    }
}

#[test]
fn a_fault_of_a_computer_says_where() {
    for machine in computers() {
        for (test, body, fault) in [
            (
                "null",
                "*(volatile uint32_t *)(uintptr_t)ctx->rounds = 1u;",
                "processor fault 14 at 0x0000000000",
            ),
            (
                "undefined",
                "if (ctx->rounds == 5u) { __asm__ volatile(\"ud2\"); }",
                "processor fault 06 at 0x0000000000",
            ),
        ] {
            let body = format!("RUN {{ {body} return SPIN_OK; }}");
            let error = run_body(machine, test, &body, &Options::default());
            assert!(matches!(error, Error::Program { .. }) && error.to_string().contains(fault), "{error}");
        }
    }
}

#[test]
fn a_write_outside_of_the_arena_is_an_error() {
    let sample = vec![vec![0; 16]];
    let machines = ["host", "cortex-m0plus", "cortex-m4", "aarch64"].into_iter();
    for machine in machines.filter(|machine| has_tools(machine)).chain(computers()) {
        for (line, message) in [
            ("    *tiny_at(ctx, 64) = 1.0f;", "tiny wrote behind its arena; bytes that changed: "),
            ("    *(tiny_at(ctx, 0) - 16) = 1.0f;", "tiny wrote in front of its arena; bytes that changed: "),
        ] {
            let artifact = tiny_with(&format!("outside-source-{machine}"), line);
            let run =
                run_on(machine, &artifact, std::slice::from_ref(&sample), "outside", &Options::default());
            let error = run.expect_err(machine);
            assert!(matches!(error, Error::Program { .. }), "{machine}: {error}");
            assert!(error.to_string().contains(message), "{machine}: {error}");
        }
    }
}

#[test]
fn a_hang_is_an_error() {
    let options = Options { timeout: Duration::from_secs(3), ..Options::default() };
    let machines = ["host", "cortex-m4", "aarch64"].into_iter().filter(|machine| has_tools(machine));
    for machine in machines.chain(computers()) {
        let body = "RUN { volatile uint32_t *at = &ctx->rounds; while (*at != 0u) { } return SPIN_OK; }";
        let error = run_body(machine, "hang", body, &options);
        assert!(matches!(error, Error::Timeout { seconds: 3, .. }), "{error}");
    }
}

#[test]
fn too_deep_a_stack_is_an_error() {
    let boards = BOARDS.iter().map(|machine| (machine, [65u32 << 10, 100 << 10, 1 << 20]));
    let processes = PROCESSES.iter().map(|machine| (machine, [1u32 << 20, 2 << 20, 7 << 20]));
    let computers = computers().map(|machine| (machine, [1u32 << 20, 5 << 18, 2 << 20])); // in single steps
    let machines = boards.chain(processes).map(|(machine, deep)| (*machine, deep));
    for (machine, too_deep) in machines.filter(|(machine, _)| has_tools(machine)).chain(computers) {
        for bytes in too_deep {
            let error = run_body(machine, &format!("deep-{bytes}"), &deep(bytes), &Options::default());
            assert!(matches!(error, Error::StackOverflow { .. }), "{machine}, {bytes}: {error}");
        }
        let artifact =
            spin_with(&format!("deep-source-{machine}"), &deep(60 << 10).replace("RUN", SIGNATURE));
        let run = run_on(machine, &artifact, &rounds(&[5]), "deep", &Options::default()).unwrap();
        let stack = run.measurement.stack_bytes.unwrap();
        assert!((60 << 10..61 << 10).contains(&stack), "{machine}: {stack}");
    }
}

/// A function that uses so many bytes of stack, and calls another with all of them in use.
fn deep(bytes: u32) -> String {
    format!(
        "static __attribute__((noinline)) void fill(volatile unsigned char *at, uint32_t count)\n\
         {{ while (count > 0u) {{ count--; at[count] = 1u; }} }}\n\
         RUN\n{{ volatile unsigned char all[{bytes}]; fill(all, {bytes}u);\n\
         return all[ctx->rounds] == 1u ? SPIN_OK : SPIN_REFUSED; }}"
    )
}

#[test]
fn a_warning_is_an_error_with_the_compilers_words() {
    for machine in ["host", "cortex-m4", "aarch64"].into_iter().filter(|machine| has_tools(machine)) {
        let body = "RUN { int8_t narrow = (int8_t)0; narrow = narrow + ctx->rounds; return narrow ? SPIN_OK : SPIN_OK; }";
        let error = run_body(machine, "warning", body, &Options::default());
        assert!(matches!(error, Error::Build { .. }) && error.to_string().contains("onversion"), "{error}");
    }
}

#[test]
fn a_missing_tool_names_the_package() {
    let on = |name: &str, change: &dyn Fn(&mut Machine), package: &str| {
        let mut machine = Machine::load(name).unwrap();
        change(&mut machine);
        let work = crate::common::work(&format!("missing-{package}"));
        let error = execute(&machine, &spin(), &rounds(&[1]), &work, &Options::default()).unwrap_err();
        assert!(error.is_missing_toolchain(), "{error}");
        assert!(error.to_string().contains(&format!("apt-get install {package}")), "{error}");
    };
    let check = |change: &dyn Fn(&mut Machine), package: &str| on("cortex-m4", change, package);
    let lacks = |machine: &mut Machine| machine.requires.push("time-travel".to_owned());
    let absent = || "no-such-tool".to_owned();
    check(&|machine| machine.compiler.command = absent(), "gcc-arm-none-eabi");
    if has_tools("cortex-m4") {
        check(&|machine| machine.emulator.as_mut().unwrap().command = absent(), "qemu-system-arm");
        check(&|machine| machine.disassembler.as_mut().unwrap().command = absent(), "binutils-arm-none-eabi");
        let without_emulator = |machine: &mut Machine| {
            lacks(machine);
            machine.emulator.as_mut().unwrap().command = absent();
        };
        on("x86-64-v4", &without_emulator, "bochs bochs-term");
        // It starts, but answers the question for the library's path with something else.
        check(&|machine| machine.compiler.command = "echo".to_owned(), "libnewlib-arm-none-eabi");
    }
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let run = |change: &dyn Fn(&mut nablac_run::Artifact), samples: &[nablac_run::Sample]| {
        let mut artifact = spin_with(
            "description",
            "spin_status_t spin_run(spin_ctx_t *ctx) { ctx->echo = 1u; return SPIN_OK; }",
        );
        change(&mut artifact);
        run_on("host", &artifact, samples, "description-run", &Options::default())
            .expect_err("refused")
            .to_string()
    };
    assert!(run(&|a| a.name = "a-b".to_owned(), &rounds(&[1])).contains("no C identifier"));
    assert!(
        run(&|a| a.sources[0] = "src/absent.c".into(), &rounds(&[1])).contains("`src/absent.c` is not in")
    );
    assert!(run(&|a| a.sources.clear(), &rounds(&[1])).contains("no source file"));
    assert!(run(&|_| (), &[]).contains("at least one"));
    assert!(run(&|_| (), &[vec![vec![0; 3]]]).contains("input 0 has 3 bytes, the model takes 4"));
    assert!(run(&|_| (), &[vec![]]).contains("it has 0 inputs, the model takes 1"));
    if has_tools("host") {
        assert!(
            run(&|a| a.arena_bytes = 12, &rounds(&[1])).contains("said to be 12 bytes, its header says 0")
        );
    }
}

#[test]
fn sanitizers_are_the_hosts() {
    let options = Options { sanitize: true, ..Options::default() };
    for machine in ["cortex-m4", "aarch64"] {
        let error = run_on(machine, &spin(), &rounds(&[1]), "sanitize", &options).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

#[test]
#[cfg(target_os = "linux")] // which tells
fn a_processor_that_lacks_what_the_machine_requires_is_told() {
    let mut machine = Machine::load("host").unwrap();
    machine.requires = vec!["time-travel".to_owned()];
    let work = crate::common::work("processor");
    let error = execute(&machine, &spin(), &rounds(&[1]), &work, &Options::default()).unwrap_err();
    assert!(
        matches!(error, Error::Processor { .. }) && error.to_string().contains("lacks time-travel"),
        "{error}"
    );
}
