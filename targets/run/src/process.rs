//! Builds for another processor with an operating system and runs that as a process under QEMU: exact instructions and stack. Sizes
//! are those of the library's object files, as on the host.

use crate::build::{Build, PROGRAM};
use crate::command::describe;
use crate::counted::{self, Counted, STACK_OVERFLOW_STATUS};
use crate::{Artifact, Error, Measure, Options, Run, Sample, exchange, host, plugin};
use nablac_machine::{Emulator, Machine};
use std::path::Path;
use std::time::Duration;

const CALL: (&str, &str) =
    ("nablac_harness_call.S", include_str!("../harness/nablac_harness_call_process.S"));

/// What is painted to measure the stack: an eighth of what Linux gives a process, and more than generated code takes.
const STACK_BYTES: u64 = 1 << 20;

/// A processor under emulation, with this computer's operating system.
#[derive(Debug, Clone, Copy)]
pub struct Process<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its emulator.
    pub emulator: &'a Emulator,
}

impl Measure for Process<'_> {
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
        let sizes = build.library(artifact)?;
        let flags = [
            "-DNABLAC_EMULATED".to_owned(),
            format!("-DNABLAC_RUN={}_run", artifact.name),
            format!("-DNABLAC_STACK_SIZE={STACK_BYTES:#x}"),
        ];
        build.harness(artifact, &[host::FILE, CALL], &flags)?;
        build.link(&["-static".to_owned()])?; // the emulator then needs no libraries of the other processor
        let counted = Counted::new(&build, artifact)?;
        exchange::write_samples(build.folder(), samples, Duration::ZERO, options.keep_state)?;
        self.run(&build, &counted)?;
        counted.result(samples.len(), sizes)
    }
}

impl Process<'_> {
    fn run(&self, build: &Build, counted: &Counted) -> Result<(), Error> {
        let tool = counted::tool(self.emulator);
        let version = tool.version()?;
        let mut arguments: Vec<String> = match &self.emulator.processor {
            Some(processor) => ["-cpu", processor].map(str::to_owned).into(),
            None => Vec::new(),
        };
        arguments.extend(counted.plugin(&version)?);
        arguments.push(PROGRAM.to_owned());
        let ended = tool.run(&arguments, build.folder(), "run.log", build.options.timeout)?;
        match ended.status.code() {
            Some(0) => Ok(()),
            Some(STACK_OVERFLOW_STATUS) => Err(Error::StackOverflow { bytes: STACK_BYTES }),
            _ => Err(plugin::refusal(&version, &ended.output).unwrap_or_else(|| Error::Program {
                machine: self.machine.name.clone(),
                status: describe(ended.status),
                output: ended.output,
            })),
        }
    }
}
