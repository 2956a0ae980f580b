//! What holds of every program that is lowered: the nests verify, compute the same values, also when buffers share an
//! arena, and their text reads back.

#![allow(clippy::unwrap_used)]

#[path = "../../index/tests/random/mod.rs"]
mod random;

use nablac_index::{assign_layouts, simplify};
use nablac_loops::schedule::Schedules;
use nablac_loops::{Capacity, Session, lower, parse_with, plan, verify};

const PROGRAMS: u64 = 3000;

#[test]
fn lowering_and_planning_keep_values() {
    for seed in 0..PROGRAMS {
        let (source, inputs) = random::program(seed);
        let capacity = Capacity {
            float_registers: [4, 16, 32][seed as usize % 3],
            general_registers: [8, 14][seed as usize % 2],
            ..Capacity::default()
        };
        // The second run begins with what the first has left in the states.
        let mut session = nablac_index::Session::new(&source);
        let expected = [session.run(&inputs).unwrap(), session.run(&inputs).unwrap()].concat();
        let program = if seed % 2 == 0 { source.clone() } else { assign_layouts(simplify(source.clone())) };
        let lowered = lower(&program, &capacity, &Schedules::default()).unwrap();
        let planned = plan(lowered.clone());
        for (stage, nests) in [("lower", lowered), ("plan", planned)] {
            verify(&nests).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{program}\n{nests}"));
            let mut session = Session::new(&nests);
            let mut run = || {
                session
                    .run(&inputs)
                    .unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{program}\n{nests}"))
            };
            let found = [run(), run()].concat();
            let same = expected.iter().zip(&found).all(|(a, b)| {
                a.shape() == b.shape()
                    && a.values().zip(b.values()).all(|(x, y)| x.as_f64() == y.as_f64() || x == y)
            });
            assert!(same, "seed {seed} {stage}\n{program}\n{nests}\n{expected:?}\n{found:?}");
            let read = parse_with(&nests.to_string(), &nests.constants()).unwrap();
            assert_eq!(read, nests, "seed {seed} {stage}\n{nests}");
        }
    }
}

#[test]
fn loops_over_nothing_are_not_run_to_plan_memory() {
    for [n, m] in [[2_000_000_000, 0], [0, 2_000_000_000]] {
        let text = format!(
            "program p {{ input x: f32[{n}, {m}] output y: f32[{n}, {m}] y[i, j] = x[i, j] * 2.0 for i:{n} j:{m} }}"
        );
        let program = nablac_index::parse(&text).unwrap();
        let capacity =
            Capacity { float_registers: 16, general_registers: 14, library: None, ..Capacity::default() };
        let nests = plan(lower(&program, &capacity, &Schedules::default()).unwrap());
        assert_eq!(verify(&nests), Ok(()));
    }
}

#[test]
fn nests_know_their_multiply_accumulates() {
    // A product of what is read counts, also beyond the edges and in every repetition; a factor alone does not.
    let rows = [
        ("y[i] += x[i + u - 1 else 0.0] * w[u] for i:5 u:3", "", 15),
        ("y[i] += (x[i] - 1.0) * (w[u] + 2.0) for i:5 u:3", "", 15),
        ("y[i] += x[i] * 0.5 for i:5 u:3", "", 0),
        ("y[i] max= x[i] * w[u] for i:5 u:3", "", 0),
        ("y[i] = x[i] * x[i] for i:5", "", 0),
        ("repeat t:4 { y[i] += x[t] * w[u] for i:5 u:3 }", "", 60),
        (
            "s[i] = 0.0 for i:5 s[i] += x[i] * w[u] for i:5 u:3 y[i] = s[i] * s[i] for i:5",
            "local s: f32[5]",
            15,
        ),
    ];
    for (steps, declared, expected) in rows {
        let text =
            format!("program p {{ input x: f32[5] input w: f32[3] {declared} output y: f32[5] {steps} }}");
        let program = nablac_index::parse(&text).unwrap();
        nablac_index::verify(&program).unwrap();
        let capacity = Capacity { float_registers: 16, general_registers: 14, ..Capacity::default() };
        let nests = lower(&program, &capacity, &Schedules::default()).unwrap();
        let macs: u64 = nests.kernels().iter().map(|kernel| kernel.macs).sum();
        assert_eq!(macs, expected, "{steps}\n{nests}");
    }
}
