//! What holds of every nest: its text is read back, and rewrites keep its meaning.

#![allow(clippy::unwrap_used)]

use nablac_loops::{Program, Repeat, Step, expand, number_variables, parse_with, prune, run, verify};

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
fn writing_out_unrolled_loops_and_dropping_what_never_runs_changes_nothing() {
    for seed in 0..PROGRAMS {
        let program = random::program(seed);
        let inputs = random::inputs(&program, seed);
        let expanded = number_variables(Program {
            steps: expand_steps(&program, &program.steps, &mut vec![]),
            ..program.clone()
        });
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

fn expand_steps(program: &Program, steps: &[Step], counters: &mut Vec<usize>) -> Vec<Step> {
    let mut each = |step: &Step| match step {
        Step::Kernel(kernel) => Step::Kernel(prune(program, &expand(kernel).unwrap(), counters)),
        Step::Repeat(repeat) => {
            counters.push(repeat.extent);
            let body = expand_steps(program, &repeat.body, counters);
            counters.pop();
            Step::Repeat(Repeat { body, ..repeat.clone() })
        }
        Step::Receive(receive) => Step::Receive(receive.clone()),
        Step::Branch { condition, then, otherwise } => Step::Branch {
            condition: *condition,
            then: expand_steps(program, then, counters),
            otherwise: expand_steps(program, otherwise, counters),
        },
    };
    steps.iter().map(&mut each).collect()
}
