//! Operator graphs: WHICH operators a network applies.

pub mod half;
pub mod limits;
pub mod names;
pub mod source;
