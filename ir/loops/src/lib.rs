//! Loop nests: HOW a program runs.
//!
//! Owns loops, buffers and memories, their text, verifier and interpreter, the lowering from index notation under a schedule,
//! and the memory plan. Knows nothing of operators or of any machine's instructions.

mod alike;
mod bounds;
mod error;
mod expand;
mod flatten;
mod fold;
mod fuse;
mod instruction;
mod interpret;
mod lower;
mod number;
mod optimize;
mod parse;
mod parts;
mod plan;
mod print;
mod program;
mod prune;
mod rename;
mod runs;
pub mod schedule;
mod verify;

pub use alike::{Call, Family, families};
pub use bounds::Bounds;
pub use error::Error;
pub use expand::expand;
pub use flatten::flatten;
pub use fuse::{Cuts, cuts, fuse};
pub use instruction::{Argument, Function, Instruction, Library, Operand, Parameter, Vector};
pub use interpret::{Session, operation_of, run};
pub use lower::{Cache, Capacity, Pipeline, RANKS, lower, lower_with_schedules, schedules, streamed_kernels};
pub use number::number_variables;
pub use optimize::Optimize;
pub use parse::{parse, parse_library, parse_program, parse_with};
pub use parts::{MOST_PARTS, Parts};
pub use plan::{Life, Occupancy, Proof, arena_alignment, arena_without, plan};
pub use program::{
    Buffer, Delivery, Feed, For, Kernel, Kind, Program, Receive, Register, Repeat, Role, Statement, Step,
};
pub use prune::prune;
pub use runs::runs;
pub use verify::verify;
