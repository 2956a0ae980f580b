//! nablac compiles trained networks to C for small machines.
//!
//! Owns the pipeline from a model file to generated code, running and comparing the result, and errors with their context.
//! The command line is the program `nablac`, on top of this library.

pub mod budget;
pub mod codes;
pub mod comparison;
pub mod defaults;
pub mod engine;
pub mod failure;
pub mod folder;
pub mod fusion;
pub mod layers;
pub mod memory;
pub mod model;
pub mod npz;
pub mod pipeline;
pub mod quantize;
pub mod samples;
pub mod schedules;
