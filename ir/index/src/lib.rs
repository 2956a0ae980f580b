//! Index notation: WHAT an operator computes.
//!
//! Owns the one statement form `out[index] reduce body`, programs of such statements, their text, verifier,
//! interpreter, builder and rewrites, and the meaning of numbers. Knows nothing of operators or of machines.

pub mod arithmetic;
mod array;
mod build;
mod dtype;
mod error;
pub mod evaluate;
mod expression;
mod index;
mod interpret;
pub mod lexer;
mod parse;
mod print;
mod program;
mod rewrite;
mod scope;
mod verify;

pub use array::{Array, elements};
pub use build::{Builder, MAX_RANK, axes};
pub use dtype::{DType, Kind, Value, wrap};
pub use error::Error;
pub use evaluate::row_major_strides;
pub use expression::{Access, Binary, Expr, Rounding, Unary};
pub use index::{Atom, Index};
pub use interpret::{Memory, Session, run, run_all};
pub use parse::{parse, parse_array, parse_literal, parse_program, parse_reduce, parse_type, parse_with};
pub use print::{KEYWORDS, array_text, is_inline, literal_text};
pub use program::{
    Branch, Carry, Loop, LoopId, Program, Reduce, Repeat, Role, State, Statement, Step, Tensor, TensorId,
    for_each_carry, for_each_read, for_each_statement_mut, for_each_write, largest, smallest,
};
pub use rewrite::*;
pub use scope::{Element, Scope, is_loop_name};
pub use verify::{Rules, verify, verify_state};
