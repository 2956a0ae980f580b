//! What holds of every program: its text reads back, and rewrites keep its values.

#![allow(clippy::unwrap_used)]

mod random;

use nablac_index::{Array, Program, Session, assign_layouts, parse_with, simplify, verify};

const PROGRAMS: u64 = 3000;

#[test]
fn what_is_printed_reads_back() {
    for seed in 0..PROGRAMS {
        let (program, _) = random::program(seed);
        verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{program}"));
        let text = program.to_string();
        let read =
            parse_with(&text, &program.constants()).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        assert_eq!(read, program, "seed {seed}\n{text}");
    }
}

/// The outputs of two runs, the second with what the first has left.
fn run_twice(program: &Program, inputs: &[Array]) -> Vec<Array> {
    let mut session = Session::new(program);
    [session.run(inputs).unwrap(), session.run(inputs).unwrap()].concat()
}

/// `rewrite` gives a program that verifies and computes the same bits.
fn keeps_values(rewrite: fn(Program) -> Program) {
    for seed in 0..PROGRAMS {
        let (program, inputs) = random::program(seed);
        let rewritten = rewrite(program.clone());
        verify(&rewritten).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{program}\n{rewritten}"));
        let (expected, found) = (run_twice(&program, &inputs), run_twice(&rewritten, &inputs));
        let same = expected.iter().zip(&found).all(|(a, b)| {
            a.shape() == b.shape()
                && a.values().zip(b.values()).all(|(x, y)| x.as_f64() == y.as_f64() || x == y)
        });
        assert!(
            same,
            "seed {seed}\n{program}\n{rewritten}\n{:?}\n{:?}",
            expected[0].to_f64(),
            found[0].to_f64()
        );
    }
}

#[test]
fn simplification_keeps_values() {
    keeps_values(simplify);
}

#[test]
fn layouts_keep_values() {
    keeps_values(|program| assign_layouts(simplify(program)));
}
