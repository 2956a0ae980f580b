//! Operators that compute each element from elements at its own place.
//!
//! The expected numbers of `cases/elementwise.json` are onnxruntime's and those of TFLite's kernels; `reference.py` writes
//! them.

#![allow(clippy::unwrap_used)]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/model.rs"]
mod model;
#[path = "support/round_trip.rs"]
mod round_trip;

#[test]
fn agree_with_the_frameworks() {
    cases::check_all(include_str!("cases/elementwise.json"));
}
