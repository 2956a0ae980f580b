//! Says which tools the machines need, which are there, and how to install the others.

use crate::Error;
use crate::build::compiler_command;
use crate::command::Tool;
use crate::{counted, disassembly, processor};
use nablac_machine::{Compiler, Machine};
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// A tool, and whether it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolStatus {
    /// The command, the library's file, or the processor.
    pub tool: String,
    /// What it is for.
    pub purpose: &'static str,
    /// The machines that need it.
    pub needed_by: Vec<String>,
    /// What it says about its version; nothing if it is not installed.
    pub found: Option<String>,
    /// How to install it.
    pub install: String,
}

/// Every tool that some built-in machine needs, each once.
pub fn doctor() -> Result<Vec<ToolStatus>, Error> {
    let mut found: Vec<ToolStatus> = Vec::new();
    for machine in Machine::all()? {
        for status in tools_of(&machine) {
            match found.iter_mut().find(|known| known.tool == status.tool) {
                Some(known) => known.needed_by.extend(status.needed_by),
                None => found.push(status),
            }
        }
    }
    Ok(found)
}

fn tools_of(machine: &Machine) -> Vec<ToolStatus> {
    let compiler = compiler_command(&machine.compiler, None);
    let mut tools = vec![status(machine, &compiler, &machine.compiler.package, "to compile the C")];
    if let Some(package) = &machine.compiler.library {
        tools.push(library_status(machine, &compiler, package));
    }
    if !machine.requires.is_empty() {
        tools.push(processor_status(machine));
        if processor::suffices(machine) {
            return tools; // what emulates it is not needed here
        }
    }
    if let Some(tool) = &machine.disassembler {
        tools.push(status(machine, &tool.command, &tool.package, disassembly::PURPOSE));
    }
    if let Some(tool) = &machine.emulator {
        tools.push(status(machine, &tool.command, &tool.package, counted::PURPOSE));
    }
    tools
}

fn status(machine: &Machine, command: &str, package: &str, purpose: &'static str) -> ToolStatus {
    ToolStatus {
        tool: command.to_owned(),
        purpose,
        needed_by: vec![machine.name.clone()],
        found: Tool { command, package, purpose }.version().ok(),
        install: format!("apt-get install {package}"),
    }
}

fn processor_status(machine: &Machine) -> ToolStatus {
    let missing = processor::missing(machine);
    ToolStatus {
        tool: format!("processor of {}", machine.name),
        purpose: "to run the C",
        needed_by: vec![machine.name.clone()],
        found: match &machine.emulator {
            _ if missing.is_empty() => Some("this computer's".to_owned()),
            Some(emulator) => Some(format!(
                "emulated ({}): this computer's has no {}",
                emulator.command,
                missing.join(", ")
            )),
            None => None,
        },
        install: format!("take a computer with {}", missing.join(", ")),
    }
}

fn library_status(machine: &Machine, compiler: &str, package: &str) -> ToolStatus {
    ToolStatus {
        tool: format!("libm.a of {compiler}"),
        purpose: "to link the C",
        needed_by: vec![machine.name.clone()],
        found: library_path(compiler, &machine.compiler),
        install: format!("apt-get install {package}"),
    }
}

/// An error that says what to install, if the compiler is there without its C library. The compiler's own words would be
/// that some header does not exist.
pub(crate) fn require_library(machine: &Machine, asked_for: Option<&str>) -> Result<(), Error> {
    let Some(package) = &machine.compiler.library else { return Ok(()) };
    let command = compiler_command(&machine.compiler, asked_for);
    let purpose = "to compile the C";
    Tool { command: &command, package: &machine.compiler.package, purpose }.version()?;
    match library_path(&command, &machine.compiler) {
        Some(_) => Ok(()),
        None => Err(Error::MissingTool {
            tool: format!("the C library of {command}"),
            package: package.clone(),
            purpose: "to link the C",
        }),
    }
}

/// Where the compiler finds its maths library; it answers with the bare name if it finds none.
fn library_path(command: &str, compiler: &Compiler) -> Option<String> {
    let output = Command::new(command).args(&compiler.flags).arg("-print-file-name=libm.a").output().ok()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Path::new(&path).is_absolute().then_some(path)
}
