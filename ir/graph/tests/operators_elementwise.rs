//! Operators that compute each element from elements at its own place.
//!
//! The expected numbers of `cases/elementwise.json` are onnxruntime's and those of TFLite's kernels; `reference.py` writes
//! them.

mod support;

#[test]
fn agree_with_the_frameworks() {
    support::check_cases(include_str!("cases/elementwise.json"));
}
