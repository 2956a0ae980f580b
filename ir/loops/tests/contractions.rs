//! Random sums of products give the same values on packed operands, with instructions for them, as by definition.

#![allow(clippy::unwrap_used)]

mod products;

use nablac_index::{Array, DType, Value};

use nablac_loops::schedule::Schedules;
use nablac_loops::{Role, Statement, lower, parse_with, plan, run, verify};
use products::{LIBRARIES, Numbers, capacity, input, program, reals};

const PROGRAMS: u64 = 120;

#[test]
fn packed_operands_keep_values() {
    keep_values(&program);
}

#[test]
fn reals_side_by_side_keep_values() {
    keep_values(&reals);
}

fn keep_values(program: &dyn Fn(&mut Numbers) -> String) {
    let mut used = 0;
    for seed in 0..PROGRAMS {
        let mut numbers = Numbers(seed);
        let text = program(&mut numbers);
        let source = nablac_index::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        nablac_index::verify(&source).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        let inputs = [input(&mut numbers, &source)];
        let expected = nablac_index::run(&source, &inputs).unwrap();
        for text in LIBRARIES.iter().skip(seed as usize % 2).step_by(2) {
            let lowered = lower(&source, &capacity(text), &Schedules::default()).unwrap();
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

/// Lowers a program for the first machine, and holds it to its definition.
fn assert_kept(text: &str, inputs: &[Array]) {
    let source = nablac_index::parse(text).unwrap();
    nablac_index::verify(&source).unwrap();
    let nests = lower(&source, &capacity(LIBRARIES[0]), &Schedules::default()).unwrap();
    verify(&nests).unwrap_or_else(|e| panic!("{e}\n{nests}"));
    assert_eq!(run(&nests, inputs).unwrap(), nablac_index::run(&source, inputs).unwrap(), "{nests}");
}

#[test]
fn sums_that_go_on_with_others_keep_them() {
    let bytes = |values: &[i64]| Array::from_values(DType::I8, &[4], values.iter().map(|&v| Value::Int(v)));
    let text = "program p {
      input x: i8[4]
      input z: i8[4]
      const b: i32[3] = [5, 6, 7]
      const w: i8[3, 4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
      output y: i32[3]
      y[o] = b[o] for o:3
      y[o] += i32(x[k]) * i32(w[o, k]) for o:3 k:4
      y[o] += i32(z[k]) * i32(w[o, k]) for o:3 k:4
    }";
    assert_kept(text, &[bytes(&[1, -2, 3, 100]), bytes(&[-128, 127, 0, 9])]);
}

#[test]
fn each_branch_has_its_own_constants() {
    let text = "program p {
      input choice: bool[]
      input x: i8[4]
      const v: i8[3, 4] = [-1, 2, -3, 4, -5, 6, -7, 8, -9, 10, -11, 12]
      const w: i8[3, 4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
      output y: i32[3]
      if choice {
        y[o] += i32(x[k]) * i32(v[o, k]) for o:3 k:4
      } else {
        y[o] += i32(x[k]) * i32(w[o, k]) for o:3 k:4
      }
    }";
    let x = Array::from_values(DType::I8, &[4], [1, -2, 3, 100].map(Value::Int));
    for choice in [true, false] {
        assert_kept(text, &[Array::from_values(DType::Bool, &[], [Value::Int(choice.into())]), x.clone()]);
    }
}
