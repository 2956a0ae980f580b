//! Builds and runs on this computer. It measures time, that of each function too; instructions and stack it leaves to the emulators.

use crate::build::{Build, PROGRAM};
use crate::command::{Tool, describe};
use crate::{
    Artifact, Error, Measure, Measurement, Options, Run, Sample, StackBound, artifact, exchange, processor,
    stack, steps,
};
use nablac_machine::Machine;
use std::path::Path;

/// The harness in a process of an operating system.
pub(crate) const FILE: (&str, &str) =
    ("nablac_harness_host.c", include_str!("../harness/nablac_harness_host.c"));

/// This computer, as the machine describes it.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The machine: which compiler to use.
    pub machine: &'a Machine,
}

impl Measure for Host<'_> {
    type Error = Error;

    fn measure(
        &self,
        artifact: &Artifact,
        samples: &[Sample],
        work: &Path,
        options: &Options,
    ) -> Result<Run, Error> {
        artifact::check(artifact, samples)?;
        let missing = processor::missing(self.machine);
        if !missing.is_empty() {
            return Err(Error::Processor { machine: self.machine.name.clone(), missing });
        }
        let mut build = Build::new(self.machine, artifact, work, options)?;
        let sizes = build.library(artifact)?;
        build.harness(artifact, &[FILE], &[])?;
        build.link(&[])?;
        exchange::write_samples(build.folder(), samples, options.timing, options.keep_state)?;
        self.run(build.folder(), options)?;
        let report = exchange::read_report(build.folder(), artifact)?;
        let arena_bytes = artifact.arena_bytes as u64;
        let mut stack = build.report.as_ref().map(|report| stack::bound(artifact, report, None));
        let stack_bytes = StackBound::settled(&mut stack, None);
        let measurement = Measurement {
            instructions: None,
            instructions_range: None,
            estimated_cycles: None,
            estimated_cycles_range: None,
            text_bytes: sizes.text,
            rodata_bytes: sizes.rodata,
            data_bytes: sizes.data,
            bss_bytes: sizes.bss,
            arena_bytes,
            context_bytes: report.context_bytes,
            stack_bytes,
            stack_seen_bytes: None,
            stack,
            flash_bytes: sizes.flash(),
            ram_bytes: arena_bytes + report.context_bytes + sizes.data + sizes.bss + stack_bytes.unwrap_or(0),
            harness_bytes: 0,
            seconds: Some(report.nanoseconds as f64 * 1e-9),
            per_function: steps::measure(self.machine, artifact, &samples[0], &work.join("steps"), options)?,
        };
        let outputs = exchange::read_outputs(build.folder(), artifact, samples.len())?;
        Ok(Run { outputs, measurement })
    }
}

impl Host<'_> {
    fn run(&self, folder: &Path, options: &Options) -> Result<(), Error> {
        let program = folder.join(PROGRAM).display().to_string();
        let tool = Tool { command: &program, package: "", purpose: "to run the model" };
        let ended = tool.run(&[], folder, "run.log", options.timeout)?;
        if ended.status.success() {
            return Ok(());
        }
        let machine = self.machine.name.clone();
        Err(Error::Program { machine, status: describe(ended.status), output: ended.output })
    }
}
