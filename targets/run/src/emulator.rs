//! Builds for a microcontroller and runs under QEMU: exact instructions, estimated cycles, sizes and stack. All samples run
//! in one start of the emulator.

use crate::build::{Build, PROGRAM};
use crate::command::{Ended, describe, write};
use crate::counted::{self, Counted, STACK_OVERFLOW_STATUS};
use crate::image::Program;
use crate::{Artifact, Error, Measure, Options, Run, Sample, exchange, plugin};
use nablac_machine::{Emulator, Machine, Role};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const FILES: &[(&str, &str)] = &[
    ("nablac_harness_semihosting.c", include_str!("../harness/nablac_harness_semihosting.c")),
    ("nablac_harness_call.S", include_str!("../harness/nablac_harness_call.S")),
];
const SECTIONS: (&str, &str) = ("nablac_sections.ld", include_str!("../harness/nablac_sections.ld"));
const MEMORIES: &str = "nablac_memories.ld";

/// More than any network that runs on a microcontroller takes: reaching the end of it is an error, not a figure.
const STACK_BYTES: u64 = 64 << 10;

/// How else the program ends when it cannot go on; `nablac_harness.h` has the same.
const UNALIGNED_STATUS: i32 = 124;
const UNALIGNED_PASSES_STATUS: i32 = 123;

/// A microcontroller under emulation.
#[derive(Debug, Clone, Copy)]
pub struct Emulated<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its emulator.
    pub emulator: &'a Emulator,
    /// The emulator's name of the board.
    pub board: &'a str,
}

impl Measure for Emulated<'_> {
    type Error = Error;

    fn measure(
        &self,
        artifact: &Artifact,
        samples: &[Sample],
        work: &Path,
        options: &Options,
    ) -> Result<Run, Error> {
        counted::check(self.machine, artifact, samples, options)?;
        let mut build = Build::new(self.machine, artifact, work, options)?;
        self.build(&mut build, artifact)?;
        let counted = Counted::new(&build, artifact)?;
        exchange::write_samples(build.folder(), samples, Duration::ZERO, options.keep_state)?;
        self.run(&build, &counted)?;
        counted.result(samples.len(), counted.program.sizes)
    }
}

impl Emulated<'_> {
    fn build(&self, build: &mut Build, artifact: &Artifact) -> Result<(), Error> {
        build.library(artifact)?;
        let mut flags = Build::freestanding();
        flags.extend(["-DNABLAC_EMULATED".to_owned(), format!("-DNABLAC_RUN={}_run", artifact.name)]);
        if !self.machine.unaligned_access {
            flags.push("-DNABLAC_TRAP_UNALIGNED".to_owned());
        }
        build.harness(artifact, FILES, &flags)?;
        write(&build.folder().join(SECTIONS.0), SECTIONS.1.as_bytes())?;
        write(&build.folder().join(MEMORIES), self.linker_memories().as_bytes())?;
        let flags =
            ["-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-Wl,-Map=program.map"];
        let scripts = ["-T", MEMORIES, "-T", SECTIONS.0];
        build.link(&flags.iter().chain(&scripts).map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
    }

    /// The machine's memories as the linker wants them, with an alias for each role.
    fn linker_memories(&self) -> String {
        let mut text = "MEMORY\n{\n".to_owned();
        for memory in &self.machine.memories {
            let _ = writeln!(
                text,
                "    {} : ORIGIN = {:#x}, LENGTH = {:#x}",
                memory.name, memory.base, memory.size
            );
        }
        text.push_str("}\n");
        for role in [Role::Code, Role::Constants, Role::Data, Role::Stack] {
            if let Some(memory) = self.machine.memory_for(role) {
                let _ = writeln!(
                    text,
                    "REGION_ALIAS(\"{}\", {})",
                    format!("{role:?}").to_uppercase(),
                    memory.name
                );
            }
        }
        let _ = writeln!(text, "NABLAC_STACK_SIZE = {STACK_BYTES:#x};");
        text
    }

    fn run(&self, build: &Build, counted: &Counted) -> Result<(), Error> {
        let tool = counted::tool(self.emulator);
        let version = tool.version()?;
        let mut arguments: Vec<String> = ["-M", self.board, "-kernel", PROGRAM].map(str::to_owned).into();
        arguments.extend(["-display", "none", "-serial", "none", "-monitor", "none"].map(str::to_owned));
        arguments.extend(["-semihosting-config", "enable=on,target=native"].map(str::to_owned));
        arguments.extend(counted.plugin(&version)?);
        let ended = tool.run(&arguments, build.folder(), "run.log", build.options.timeout)?;
        self.verdict(ended, &version, &counted.program)
    }

    /// What the way in which the program ended means.
    fn verdict(&self, ended: Ended, emulator: &str, program: &Program) -> Result<(), Error> {
        let overflow = Error::StackOverflow { bytes: STACK_BYTES };
        let machine = self.machine.name.clone();
        match ended.status.code() {
            Some(0) => Ok(()),
            Some(STACK_OVERFLOW_STATUS) => Err(overflow),
            Some(UNALIGNED_STATUS) => {
                let address = word_after(&ended.output, "PC 0x").unwrap_or_default();
                let function = program.function_at(address).map_or("(no symbol)", |function| &function.name);
                Err(Error::UnalignedAccess { machine, function: function.to_owned(), address })
            }
            Some(UNALIGNED_PASSES_STATUS) => {
                let reason = format!("it lets unaligned accesses pass, and `{machine}` does not");
                Err(Error::UnsupportedEmulator { emulator: emulator.to_owned(), reason })
            }
            _ if is_below(&ended.output, program.address("nablac_stack_limit")?) => Err(overflow),
            _ => Err(plugin::refusal(emulator, &ended.output).unwrap_or_else(|| Error::Program {
                machine,
                status: describe(ended.status),
                output: ended.output,
            })),
        }
    }
}

/// Whether the emulator gave up because a fault could not be taken, with the stack pointer below `limit`: where nothing is
/// mapped there, an overflow ends like this.
fn is_below(output: &str, limit: u64) -> bool {
    output.contains("Lockup") && word_after(output, "R13=").is_some_and(|pointer| pointer < limit)
}

/// The hexadecimal number behind the first `label`.
fn word_after(output: &str, label: &str) -> Option<u64> {
    let digits = output.split(label).nth(1)?.split_whitespace().next()?;
    u64::from_str_radix(digits, 16).ok()
}
