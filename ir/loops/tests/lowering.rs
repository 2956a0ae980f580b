//! Lowering and the memory plan keep a program's meaning.

#![allow(clippy::unwrap_used)]

use nablac_index::{Array, DType, Value};
use nablac_loops::{Capacity, lower, parse_with, plan, run, verify};

/// Lowers and plans a program of index notation, runs both forms, and compares: exactly, as the order of sums is the same.
fn check(text: &str) {
    let law = nablac_index::parse(text).unwrap();
    nablac_index::verify(&law).unwrap();
    let inputs: Vec<Array> = law
        .inputs()
        .into_iter()
        .map(|id| {
            let (dtype, shape) = (law.dtype(id), law.shape(id));
            let count: usize = shape.iter().product();
            let value = |i: usize| {
                Value::from_f64(
                    dtype,
                    ((i * 7 + 3) % 11) as f64 / if dtype.is_float() { 4.0 } else { 1.0 } - 1.0,
                )
            };
            Array::from_values(dtype, shape, (0..count).map(value))
        })
        .collect();
    let expected = nablac_index::run(&law, &inputs).unwrap();
    let lowered = lower(&law, Capacity { float_registers: 16 });
    for program in [lowered.clone(), plan(lowered)] {
        verify(&program).unwrap_or_else(|error| panic!("{error}\n{program}"));
        assert_eq!(parse_with(&program.to_string(), &program.constants()).unwrap(), program, "{program}");
        let results = run(&program, &inputs).unwrap();
        for (result, expected) in results.iter().zip(&expected) {
            let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
            let floats = expected.dtype() == DType::F32;
            let equal = if floats {
                result.to_f64().into_iter().zip(expected.to_f64()).all(close)
            } else {
                result == expected
            };
            assert!(equal, "{:?}\n{:?}\n{program}", result.to_f64(), expected.to_f64());
        }
    }
}

#[test]
fn a_padded_strided_convolution_with_its_bias_and_activation() {
    check(
        "program conv {
           input  x: f32[1, 9, 7, 2]
           input  w: f32[5, 3, 3, 2]
           input  b: f32[5]
           local  t: f32[1, 5, 4, 5]
           output y: f32[1, 5, 4, 5]
           t[0, i, j, f] = b[f] for i:5 j:4 f:5
           t[0, i, j, f] += x[0, 2i + u - 1, 2j + v - 1, c else 0.0] * w[f, u, v, c] for i:5 j:4 f:5 u:3 v:3 c:2
           y[0, i, j, f] = max(t[0, i, j, f], 0.0) for i:5 j:4 f:5
         }",
    );
}

#[test]
fn softmax_and_a_position() {
    check(
        "program softmax {
           input  x: f32[3, 6]
           local  m: f32[3]
           local  s: f32[3]
           output y: f32[3, 6]
           output p: i64[3]
           m[i] max= x[i, k] for i:3 k:6
           s[i] += exp(x[i, k] - m[i]) for i:3 k:6
           y[i, k] = exp(x[i, k] - m[i]) / s[i] for i:3 k:6
           p[i] argmax= x[i, k] for i:3 k:6
         }",
    );
}

#[test]
fn state_goes_from_one_iteration_to_the_next() {
    check(
        "program scan {
           input  x: i32[4, 3]
           const  zero: i32[3] = [0, 0, 0]
           local  h: i32[3]
           local  next: i32[3]
           output y: i32[4, 3]
           repeat t:4 carrying h = zero then next {
             next[i] = h[i] * 3 + x[t, i] for i:3
             y[t, i] = next[i] for i:3
           }
         }",
    );
}

#[test]
fn pooling_and_a_reshape() {
    check(
        "program pool {
           input  x: f32[1, 6, 5, 3]
           local  m: f32[1, 3, 3, 3]
           output y: f32[27]
           m[0, i, j, c] max= x[0, 2i + u, 2j + v - 1, c else -inf] for i:3 j:3 c:3 u:2 v:2
           y[k] = m[0, k / 9, k / 3 % 3, k % 3] for k:27
         }",
    );
}
