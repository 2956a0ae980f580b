//! Builds a folder of generated C, runs it on this computer or on an emulated one, and measures it: outputs, executed
//! instructions, estimated cycles, sizes, stack. It owns the test harness around the generated library (driver, start-up
//! code, linker script) and the counting plugin. It does not know how the C came about, nor what its outputs should be.
//!
//! [`execute`] is the way in. The folder it works in is the caller's: give a temporary one, or one to keep.

mod artifact;
mod build;
mod command;
mod computer;
mod counted;
mod counts;
mod cycles;
mod disassembly;
mod doctor;
mod driver;
mod emulator;
mod error;
mod exchange;
mod host;
mod image;
mod instruction_set;
mod plugin;
mod process;
mod processor;
mod records;
mod stack;
mod steps;

pub use computer::Computer;
pub use doctor::{ToolStatus, doctor};
pub use emulator::Emulated;
pub use error::Error;
pub use host::Host;
pub use nablac_machine::measure::{
    Artifact, FunctionCost, Measure, Measurement, Optimize, Options, Run, Sample, StackBound, StackFrame,
};
pub use process::Process;

use nablac_machine::Machine;
use std::path::Path;

/// Builds the artifact for the machine in the folder `work`, and runs every sample through it.
pub fn execute(
    machine: &Machine,
    artifact: &Artifact,
    samples: &[Sample],
    work: &Path,
    options: &Options,
) -> Result<Run, Error> {
    let Some(emulator) = &machine.emulator else {
        return Host { machine }.measure(artifact, samples, work, options);
    };
    if processor::suffices(machine) {
        return Host { machine }.measure(artifact, samples, work, options);
    }
    if let Some(board) = &emulator.machine {
        return Emulated { machine, emulator, board }.measure(artifact, samples, work, options);
    }
    match &emulator.computer {
        Some(processor) => {
            Computer { machine, emulator, processor }.measure(artifact, samples, work, options)
        }
        None => Process { machine, emulator }.measure(artifact, samples, work, options),
    }
}
