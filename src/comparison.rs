//! Whether outputs are what they should be.
//!
//! Owns the tolerance: integers may differ by a number of steps, floats by `1e-5 × max(1, range of the reference)`, where the
//! range is the largest less the smallest value of that output over all samples.

use nablac_index::{Array, Value};
use serde::Serialize;

use crate::samples::{Port, Sample};

/// What another order of the same f32 sums may cost over a whole network, relative to the output's range.
const FLOAT_TOLERANCE: f64 = 1e-5;

/// How many elements that differ are named.
const NAMED: usize = 10;

/// How far outputs may differ.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Allowance {
    /// A factor on the tolerance of floats.
    pub factor: f64,
    /// How much integers may differ.
    pub steps: u64,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { factor: 1.0, steps: 0 }
    }
}

/// How one output compares with its reference, over all samples.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// The output's name.
    pub output: String,
    /// The number of elements compared.
    pub elements: usize,
    /// The largest difference; `null` in JSON where it is not finite.
    pub max_error: f64,
    /// The largest difference that is allowed.
    pub tolerance: f64,
    /// How many elements differ by more.
    pub mismatches: usize,
    /// The first of them.
    pub first: Vec<Mismatch>,
}

/// An element that differs by more than is allowed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mismatch {
    /// Counted from 0.
    pub sample: usize,
    /// The position in the output.
    pub index: Vec<usize>,
    /// What came.
    pub got: f64,
    /// What should have come.
    pub expected: f64,
}

/// Compares every output of every sample with its reference.
pub fn compare(ports: &[Port], got: &[Sample], expected: &[Sample], allowance: Allowance) -> Vec<Comparison> {
    let output = |(position, port): (usize, &Port)| {
        let pairs: Vec<(&Array, &Array)> =
            got.iter().zip(expected).map(|(got, expected)| (&got[position], &expected[position])).collect();
        compare_output(port, &pairs, allowance)
    };
    ports.iter().enumerate().map(output).collect()
}

/// Compares the samples of one output.
fn compare_output(port: &Port, pairs: &[(&Array, &Array)], allowance: Allowance) -> Comparison {
    let tolerance = match port.dtype.is_float() {
        true => {
            FLOAT_TOLERANCE * allowance.factor * range(pairs.iter().map(|(_, expected)| *expected)).max(1.0)
        }
        false => allowance.steps as f64,
    };
    let mut comparison = Comparison {
        output: port.name.clone(),
        elements: 0,
        max_error: 0.0,
        tolerance,
        mismatches: 0,
        first: vec![],
    };
    for (sample, (got, expected)) in pairs.iter().enumerate() {
        for (position, (g, e)) in got.values().zip(expected.values()).enumerate() {
            comparison.elements += 1;
            let error = distance(g, e);
            comparison.max_error = comparison.max_error.max(error);
            if error > tolerance {
                comparison.mismatches += 1;
                if comparison.first.len() < NAMED {
                    let index = coordinates(position, got.shape());
                    comparison.first.push(Mismatch { sample, index, got: g.as_f64(), expected: e.as_f64() });
                }
            }
        }
    }
    comparison
}

/// The largest less the smallest of the finite values.
fn range<'a>(arrays: impl Iterator<Item = &'a Array>) -> f64 {
    let values = arrays.flat_map(|array| array.to_f64()).filter(|x| x.is_finite());
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if high >= low { high - low } else { 0.0 }
}

/// How far apart two values are. Two that are not numbers are equal, as are equal infinities.
fn distance(got: Value, expected: Value) -> f64 {
    if let (Value::Int(a), Value::Int(b)) = (got, expected) {
        return a.abs_diff(b) as f64;
    }
    let (a, b) = (got.as_f64(), expected.as_f64());
    match a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if (a - b).is_nan() => f64::INFINITY,
        false => (a - b).abs(),
    }
}

fn coordinates(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (at, extent) in index.iter_mut().zip(shape).rev() {
        *at = position % extent;
        position /= extent;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_index::DType;

    fn compare_floats(got: &[f32], expected: &[f32], factor: f64) -> Comparison {
        let shape = [got.len() / 2, 2];
        let port = Port { name: "y".into(), dtype: DType::F32, shape: shape.to_vec() };
        let (got, expected) = (Array::from_f32(&shape, got), Array::from_f32(&shape, expected));
        compare(&[port], &[vec![got]], &[vec![expected]], Allowance { factor, steps: 0 }).remove(0)
    }

    #[test]
    fn the_tolerance_of_floats_grows_with_the_range_and_the_factor() {
        assert_eq!(compare_floats(&[0.0, 0.0], &[0.0, 0.5], 1.0).tolerance, 1e-5);
        assert_eq!(compare_floats(&[0.0, 0.0], &[-10.0, 10.0], 1.0).tolerance, 20.0 * 1e-5);
        assert_eq!(compare_floats(&[0.0, 0.0], &[0.0, 0.5], 3.0).tolerance, 3.0 * 1e-5);
    }

    #[test]
    fn the_first_elements_that_differ_are_named() {
        let comparison = compare_floats(&[0.0, 1.0, 2.0, 3.5], &[0.0, 1.0, 2.0, 3.0], 1.0);
        assert_eq!((comparison.mismatches, comparison.max_error), (1, 0.5));
        let expected = Mismatch { sample: 0, index: vec![1, 1], got: 3.5, expected: 3.0 };
        assert_eq!(comparison.first, [expected]);
    }

    #[test]
    fn what_is_not_a_number_equals_only_itself() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert_eq!(compare_floats(&[nan, inf], &[nan, inf], 1.0).mismatches, 0);
        assert_eq!(compare_floats(&[nan, 1.0], &[1.0, nan], 1.0).mismatches, 2);
        assert_eq!(compare_floats(&[inf, -inf], &[-inf, 1.0], 1.0).mismatches, 2);
    }

    #[test]
    fn integers_are_equal_or_a_number_of_steps_apart() {
        let port = Port { name: "y".into(), dtype: DType::I8, shape: vec![2] };
        let array = |x: i64| Array::from_values(DType::I8, &[2], [Value::Int(-128), Value::Int(x)]);
        let compare = |steps| {
            compare(
                std::slice::from_ref(&port),
                &[vec![array(3)]],
                &[vec![array(1)]],
                Allowance { factor: 9.0, steps },
            )
            .remove(0)
        };
        assert_eq!((compare(1).mismatches, compare(1).max_error), (1, 2.0));
        assert_eq!(compare(2).mismatches, 0);
    }
}
