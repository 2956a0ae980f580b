//! Operator graphs: WHICH operators a network applies.

pub mod source;
