//! Counting is exact: a loop of known length gives its known number of instructions, cycles and bytes of stack.

use crate::common::{BOARDS, emulated, has_tools, rounds, run_on, spin};
use nablac_run::Options;

/// Instructions of `spin_run` that are not in its loop, and the bytes of stack that it takes: two registers of 32 bits that are
/// pushed and popped to return, or one of 64 bits in the 16 bytes that AArch64 aligns to, and a return, or one of 64 bits and the
/// return's address.
fn around(machine: &str) -> (u64, u64) {
    if BOARDS.contains(&machine) { (5, 8) } else { (6, 16) }
}

#[test]
fn a_loop_of_known_length_gives_its_exact_instructions() {
    for machine in emulated() {
        let (around, stack) = around(machine);
        let counts = [1000, 1, 4_000_000];
        let run = run_on(machine, &spin(), &rounds(&counts), "calibration", &Options::default()).unwrap();
        let measured = run.measurement;
        assert_eq!(measured.instructions, Some(2 * 1000 + around), "{machine}");
        assert_eq!(measured.instructions_range, Some((2 + around, 2 * 4_000_000 + around)), "{machine}");
        assert_eq!(run.outputs, rounds(&counts), "{machine}");
        assert_eq!(measured.stack_bytes, Some(stack), "{machine}");
        assert_eq!(measured.context_bytes, 8, "{machine}");
        assert_eq!(measured.ram_bytes, 8 + stack, "{machine}: context and stack");
        assert_eq!(measured.per_function.len(), 1, "{machine}: {:?}", measured.per_function);
        assert_eq!(measured.per_function[0].name, "spin_run", "{machine}");
    }
}

#[test]
fn the_timing_table_prices_every_instruction_of_the_loop() {
    if !has_tools("cortex-m4") {
        return;
    }
    let run = run_on("cortex-m4", &spin(), &rounds(&[1000]), "timing", &Options::default()).unwrap();
    // push 1+2, ldr 2, str behind it 1, 1000 subs, 1000 bne of which 999 jump, movs 1, pop 1+2 with a jump.
    let cycles = |refill: u64| 3 + 2 + 1 + 1000 + 1000 + 999 * refill + 1 + 3 + refill;
    assert_eq!(run.measurement.estimated_cycles, Some(cycles(2)));
    assert_eq!(run.measurement.estimated_cycles_range, Some((cycles(1), cycles(3))));
    let without_table = run_on("cortex-m7", &spin(), &rounds(&[10]), "timing", &Options::default());
    assert!(
        without_table.is_err() || without_table.is_ok_and(|run| run.measurement.estimated_cycles.is_none())
    );
}
