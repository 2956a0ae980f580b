//! Machines as data: what a target's processor, memories and tools are, and how long its instructions take. One TOML
//! file describes one machine; a user's own machine is such a file too. This crate also owns the contract of a
//! measurement (the artifact that goes in, the figures that come out), so that a search can ask for measurements without
//! knowing how they are made. It starts no compiler, no emulator and no other process.

mod error;
mod instructions;
mod machine;
pub mod measure;
mod size;
mod timing;

pub use error::Error;
pub use machine::{
    Cache, Compiler, Emulator, FloatUnit, InstructionSet, Machine, Memory, Pipeline, Registers, Role, Tool,
};
pub use size::parse_size;
pub use timing::{InstructionClass, TimingTable};
