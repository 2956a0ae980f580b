//! Index notation: WHAT an operator computes.

mod array;
mod dtype;

pub use array::{Array, elements};
pub use dtype::{DType, Kind, Value, wrap};
