//! Building, running and measuring hand-written libraries in the form of generated C, on the host and under emulation.
#![allow(clippy::unwrap_used)] // the helpers are tests too

mod calibration;
mod common;
mod failures;
mod instructions;
mod networks;
mod processors;
mod stack;
mod trials;
