//! Random sums of products on integers give the same values on packed operands, with instructions for them, as by definition.

mod products;

use nablac_loops::schedule::Schedules;
use nablac_loops::{Capacity, Role, Statement, lower, parse_with, plan, run, verify};
use products::{LIBRARIES, Numbers, input, library, program};

const PROGRAMS: u64 = 200;

#[test]
fn packed_operands_keep_values() {
    let mut used = 0;
    for seed in 0..PROGRAMS {
        let mut numbers = Numbers(seed);
        let text = program(&mut numbers);
        let source = nablac_index::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        nablac_index::verify(&source).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        let inputs = [input(&mut numbers, &source)];
        let expected = nablac_index::run(&source, &inputs).unwrap();
        for text in LIBRARIES {
            let library = Some(library(text));
            let capacity =
                Capacity { float_registers: 32, general_registers: 14, library, ..Capacity::default() };
            let lowered = lower(&source, &capacity, &Schedules::default()).unwrap();
            let planned = plan(lowered.clone());
            for (stage, nests) in [("lower", lowered), ("plan", planned)] {
                verify(&nests).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{source}\n{nests}"));
                let found = run(&nests, &inputs).unwrap();
                assert_eq!(found, expected, "seed {seed} {stage}\n{source}\n{nests}");
                let read = parse_with(&nests.to_string(), &nests.constants()).unwrap();
                assert_eq!(read, nests, "seed {seed} {stage}\n{nests}");
                for kernel in nests.kernels() {
                    kernel.visit(&mut |s| used += usize::from(matches!(s, Statement::Use { .. })));
                }
                assert!(nests.buffers.iter().all(|b| b.role != Role::Local || b.len() < 100_000));
            }
        }
    }
    assert!(used > 10 * PROGRAMS as usize, "only {used} instructions");
}
