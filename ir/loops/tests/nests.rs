//! What holds of every nest: its text is read back, and rewrites keep its meaning.

#![allow(clippy::unwrap_used)]

use nablac_loops::{Kernel, Program, Step, expand, number_variables, parse_with, run, verify};

mod random;

/// As many programs as a second allows.
const PROGRAMS: u64 = 400;

#[test]
fn what_is_printed_is_read_back() {
    for seed in 0..PROGRAMS {
        let program = random::program(seed);
        verify(&program).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{program}"));
        let text = program.to_string();
        let read = parse_with(&text, &program.constants());
        assert_eq!(read.as_ref(), Ok(&program), "seed {seed}:\n{text}");
        assert_eq!(read.unwrap().to_string(), text);
    }
}

#[test]
fn writing_out_unrolled_loops_changes_nothing() {
    for seed in 0..PROGRAMS {
        let program = random::program(seed);
        let inputs = random::inputs(&program, seed);
        let expanded = number_variables(Program { steps: expand_steps(&program.steps), ..program.clone() });
        verify(&expanded).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{program}\n{expanded}"));
        let results = run(&program, &inputs).unwrap();
        assert_eq!(run(&expanded, &inputs).unwrap(), results, "seed {seed}:\n{program}");
    }
}

#[test]
fn numbers_are_canonical_already_where_a_text_was_read() {
    for seed in 0..PROGRAMS {
        let program = random::program(seed);
        assert_eq!(number_variables(program.clone()), program, "seed {seed}");
    }
}

fn expand_steps(steps: &[Step]) -> Vec<Step> {
    let each = |step: &Step| match step {
        Step::Kernel(kernel) => Step::Kernel(Kernel { ..expand(kernel).unwrap() }),
        Step::Repeat { counter, extent, carried, body } => Step::Repeat {
            counter: counter.clone(),
            extent: *extent,
            carried: carried.clone(),
            body: expand_steps(body),
        },
        Step::Branch { condition, then, otherwise } => Step::Branch {
            condition: *condition,
            then: expand_steps(then),
            otherwise: expand_steps(otherwise),
        },
    };
    steps.iter().map(each).collect()
}
