//! Checking the cases of `tests/cases` in every form that a graph has.

use nablac_graph::{fold_constants, import, run, verify};
use nablac_index::Array;
use serde_json::Value as Json;

use crate::model::{array, model};
use crate::round_trip;

/// How far a float may be from the reference: absolutely below 1, relative to the value beyond.
const TOLERANCE: f64 = 1e-5;

/// Checks every case of a file; says all that fail.
pub fn check_all(text: &str) {
    let cases: Vec<Json> = serde_json::from_str(text).unwrap();
    assert!(!cases.is_empty());
    let failures: Vec<String> =
        cases.iter().filter_map(|case| check(case).err().map(|e| format!("{}: {e}", case["name"]))).collect();
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

/// The imported graph and the folded one are well-formed, survive their text, and give the expected outputs.
fn check(case: &Json) -> Result<(), String> {
    let inputs: Vec<Array> = case["inputs"].as_array().unwrap().iter().map(array).collect();
    let expected: Vec<Array> = case["outputs"].as_array().unwrap().iter().map(array).collect();
    let graph = import(&model(&case["model"]), &Default::default()).map_err(|e| e.to_string())?;
    for graph in [graph.clone(), fold_constants(graph)] {
        verify(&graph).map_err(|e| e.to_string())?;
        round_trip::check(&graph)?;
        let outputs = run(&graph, &inputs).map_err(|e| format!("{e}\n{graph}"))?;
        if outputs.len() != expected.len() {
            return Err(format!("{} outputs instead of {}", outputs.len(), expected.len()));
        }
        outputs.iter().zip(&expected).try_for_each(|(y, expected)| near(y, expected))?;
    }
    Ok(())
}

fn near(y: &Array, expected: &Array) -> Result<(), String> {
    if (y.dtype(), y.shape()) != (expected.dtype(), expected.shape()) {
        return Err(format!("{y:?} instead of {expected:?}"));
    }
    let close = |a: f64, b: f64| {
        let float = expected.dtype().is_float();
        a == b || a.is_nan() && b.is_nan() || float && (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
    };
    match y.to_f64().into_iter().zip(expected.to_f64()).position(|(a, b)| !close(a, b)) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {:?} instead of {:?}", y.to_f64()[i], expected.to_f64()[i])),
    }
}
