//! What can go wrong between a folder of generated C and its measurement, and whose fault it is.

use std::path::PathBuf;

/// Why an artifact could not be built, run or measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("`{tool}` is needed {purpose} and is not installed; on Debian: apt-get install {package}")]
    MissingTool {
        /// The program.
        tool: String,
        /// The Debian package that has it.
        package: String,
        /// What it is for.
        purpose: &'static str,
    },
    /// The emulator is there, but cannot measure what we need.
    #[error("cannot measure with {emulator}: {reason}")]
    UnsupportedEmulator {
        /// The emulator's name and version.
        emulator: String,
        /// What it lacks.
        reason: String,
    },
    /// The options ask for what the machine cannot do.
    #[error("machine `{machine}` cannot {what}")]
    Unsupported {
        /// The machine.
        machine: String,
        /// What was asked of it.
        what: String,
    },
    /// This computer's processor lacks what the machine has.
    #[error("this computer's processor cannot run programs for `{machine}`: it lacks {}", missing.join(", "))]
    Processor {
        /// The machine.
        machine: String,
        /// What the processor lacks, as the operating system calls it.
        missing: Vec<String>,
    },
    /// The artifact's description does not fit what it describes.
    #[error("the artifact `{name}` is not as described: {reason}")]
    Artifact {
        /// The artifact.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// A sample does not have the inputs that the artifact takes.
    #[error("sample {sample}: {reason}")]
    Sample {
        /// Which sample, from 0.
        sample: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A compiler, linker or disassembler failed.
    #[error("{command}\nfailed with {status}:\n{output}")]
    Build {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// The program failed: it faulted, or the model returned an error.
    #[error("the program failed on `{machine}` with {status}: {output}")]
    Program {
        /// Where it ran.
        machine: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// The program has instructions that the processor which emulates the machine knows, and the machine does not.
    #[error("the program has instructions that `{machine}` lacks: {}", listed(found))]
    ForeignInstructions {
        /// The machine.
        machine: String,
        /// The instructions, each with its function and address.
        found: Vec<String>,
    },
    /// The program read or wrote at an address that the machine does not allow.
    #[error("`{function}` makes an unaligned access at {address:#x}, which `{machine}` does not allow")]
    UnalignedAccess {
        /// Where it ran.
        machine: String,
        /// The function that does it.
        function: String,
        /// The address of the instruction.
        address: u64,
    },
    /// The program needed more stack than there is.
    #[error("the model used all {bytes} bytes of stack")]
    StackOverflow {
        /// The size of the stack.
        bytes: u64,
    },
    /// A process did not end in time and was ended.
    #[error("{command}\ndid not end within {seconds} seconds")]
    Timeout {
        /// The whole command line.
        command: String,
        /// How long it had.
        seconds: u64,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that a tool or the program wrote is not as agreed.
    #[error("`{file}` is malformed: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine's own data are wrong.
    #[error(transparent)]
    Machine(#[from] nablac_machine::Error),
}

/// The first few, and how many more.
fn listed(found: &[String]) -> String {
    const SHOWN: usize = 5; // enough to see whether it is one place or a whole library
    let more = found.len().saturating_sub(SHOWN);
    let list = found[..found.len() - more].join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

impl Error {
    /// Whether something must be installed, rather than corrected.
    pub fn is_missing_toolchain(&self) -> bool {
        matches!(self, Error::MissingTool { .. } | Error::UnsupportedEmulator { .. })
    }
}
