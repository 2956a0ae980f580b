//! Loop nests: HOW a program runs.
//!
//! Owns loops, buffers and memories, their text, verifier and interpreter, the lowering from index notation under a schedule,
//! and the memory plan. Knows nothing of operators or of any machine's instructions.

mod error;
mod lower;
mod plan;
mod program;

pub use error::Error;
pub use lower::{Capacity, lower};
pub use plan::{arena_alignment, plan};
pub use program::{Buffer, For, Kernel, Kind, Program, Register, Role, Statement, Step};
