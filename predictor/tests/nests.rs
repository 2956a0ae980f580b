//! Predictions for nests that are small enough to count by hand.

#![allow(clippy::unwrap_used)]

use nablac_loops::{Program, parse};
use nablac_machine::{Cache, Machine, Pipeline};
use nablac_predictor::{Prediction, predict, predictions};

/// A machine that starts one instruction after the other.
fn plain() -> Machine {
    Machine { pipeline: Some(Pipeline::default()), caches: vec![], ..Machine::load("cortex-m4").unwrap() }
}

fn of(text: &str, machine: &Machine) -> Prediction {
    let program = program(text);
    predict(&program, program.kernels()[0], machine).unwrap()
}

fn program(text: &str) -> Program {
    parse(text).unwrap()
}

const SCALED: &str = "loops p {
    input x: f32[100]  output y: f32[100]
    kernel scale { for i in 0..100 { y[i] = x[i] * 2.0 } }
}";

#[test]
fn a_map_loads_multiplies_and_stores_each_element_and_ends_each_iteration() {
    let counts = of(SCALED, &plain()).counts;
    assert_eq!((counts.loads, counts.multiplies, counts.stores), (100.0, 100.0, 100.0));
    // A pointer to each buffer, a comparison, a jump.
    assert_eq!((counts.instructions, counts.branches), (100.0 * (3.0 + 4.0), 100.0));
}

#[test]
fn what_is_there_already_is_not_loaded_again_and_unrolled_loops_have_no_end() {
    let text = "loops p {
        input x: f32[8]  output y: f32[4]
        kernel sums { for i in 0..4 unroll { y[i] = x[i] + x[i + 1] } }
    }";
    let counts = of(text, &plain()).counts;
    assert_eq!((counts.loads, counts.stores, counts.branches), (5.0, 4.0, 0.0));
}

#[test]
fn a_chain_of_sums_waits_for_itself_unless_there_are_several() {
    let sums = |n: usize| {
        format!(
            "loops p {{
                input x: f32[64, 4]  input w: f32[64]  output y: f32[4]
                kernel dot {{
                    register acc: f32[{n}]
                    for k in 0..64 {{ for j in 0..{n} unroll {{ acc[j] += x[k, j] * w[k] }} }}
                }}
            }}"
        )
    };
    let mut machine = plain();
    machine.pipeline =
        Some(Pipeline { issues: 8, loads: 8, multiplies: 8, latency: 4, ..Pipeline::default() });
    let (one, four) = (of(&sums(1), &machine), of(&sums(4), &machine));
    assert_eq!((one.cycles, one.parts.limit().0), (64.0 * 4.0, "latency"));
    assert_eq!(four.cycles, one.cycles); // four times as much in the same time
    assert_eq!(four.counts.multiplies, 4.0 * one.counts.multiplies);
}

#[test]
fn bounds_that_outer_loops_move_count_on_average() {
    let text = "loops p {
        input x: f32[16]  output y: f32[16]
        kernel window { for i in 0..16 { for u in max(0, 1 - i)..min(3, 17 - i) { y[i] = x[i + u - 1] } } }
    }";
    // 14 windows of three, two of two.
    assert_eq!(of(text, &plain()).counts.stores, 46.0);
}

#[test]
fn what_fits_a_cache_comes_once_and_what_does_not_comes_for_every_pass() {
    let text = "loops p {
        input x: f32[1024]  output y: f32[8]
        kernel passes { for i in 0..8 { for k in 0..1024 { y[i] += x[k] } } }
    }";
    let refill = |bytes: u64| {
        let caches = vec![Cache { bytes, refill: 4 }];
        of(text, &Machine { caches, ..plain() }).parts.refills[0]
    };
    assert_eq!(refill(8192), 1024.0 + 8.0);
    // Each pass has all of x, and its own element of y.
    assert_eq!(refill(2048), 8.0 * (1024.0 + 1024.0));
}

#[test]
fn repetitions_count_as_often_as_they_run() {
    let text = "loops p {
        input x: f32[4]  local s: f32[4]  local n: f32[4]  output y: f32[4]
        kernel first { for i in 0..4 { n[i] = x[i] } }
        repeat t:10 carrying s = x then n { kernel again { for i in 0..4 { n[i] = s[i] + 1.0 } } }
        kernel last { for i in 0..4 { y[i] = s[i] } }
    }";
    let program = program(text);
    let all = predictions(&program, &plain()).unwrap();
    let again = program.kernels().into_iter().find(|kernel| kernel.name == "again").unwrap();
    assert_eq!(all["again"].cycles, 10.0 * predict(&program, again, &plain()).unwrap().cycles);
    assert_eq!(all.len(), 3);
}

#[test]
fn more_sums_than_registers_are_loaded_and_stored_around_their_updates() {
    let sums = |n: usize| {
        format!(
            "loops p {{
                input x: f32[64, 64]  output y: f32[64]
                kernel dot {{
                    register acc: f32[{n}]
                    for k in 0..64 {{ for j in 0..{n} unroll {{ acc[j] += x[k, j] }} }}
                }}
            }}"
        )
    };
    let machine = plain();
    let registers = machine.registers.float as usize;
    assert_eq!(of(&sums(registers - 2), &machine).counts.stores, 0.0);
    assert_eq!(of(&sums(registers + 8), &machine).counts.stores, 64.0 * 10.0);
}
