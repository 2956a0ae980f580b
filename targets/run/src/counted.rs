//! A linked program whose run function is counted: what the emulator is to count, and what its counts, the program's report and its
//! symbols say together. How the program is built and what runs it is the emulators' matter.

use crate::build::{Build, PROGRAM};
use crate::command::{Tool, read};
use crate::counts::Counts;
use crate::cycles;
use crate::disassembly::{self, Instruction};
use crate::image::{Program, Sizes};
use crate::{
    Artifact, Error, FunctionCost, Measurement, Options, Run, Sample, StackBound, artifact, doctor, exchange,
    instruction_set, plugin, stack,
};
use nablac_machine::{Emulator, Machine};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the program ends when the model used all the stack that there is; `nablac_harness.h` has the same.
pub(crate) const STACK_OVERFLOW_STATUS: i32 = 126;

/// Nothing, if an emulator can be asked to run the samples.
pub(crate) fn check(
    machine: &Machine,
    artifact: &Artifact,
    samples: &[Sample],
    options: &Options,
) -> Result<(), Error> {
    artifact::check(artifact, samples)?;
    if options.sanitize {
        let what = "run with sanitizers; the host can".to_owned();
        return Err(Error::Unsupported { machine: machine.name.clone(), what });
    }
    doctor::require_library(machine, options.compiler.as_deref())
}

/// The emulator as a program to run.
pub(crate) fn tool(emulator: &Emulator) -> Tool<'_> {
    Tool { command: &emulator.command, package: &emulator.package, purpose: PURPOSE }
}

/// Why an emulator must be installed.
pub(crate) const PURPOSE: &str = "to emulate the target";

/// The cycles spent at each address, if there is a timing table: `[low, typical, high]`.
type Cycles = Option<BTreeMap<u64, [u64; 3]>>;

/// A program that has been linked for an emulator.
pub(crate) struct Counted<'a> {
    machine: &'a Machine,
    artifact: &'a Artifact,
    work: PathBuf,
    pub program: Program,
    /// Its instructions, if there is anything to do with them.
    instructions: Vec<Instruction>,
    /// What the stack is known to take.
    stack: Option<StackBound>,
}

impl<'a> Counted<'a> {
    /// Reads what has been linked, and checks that it has no instruction that the machine lacks.
    pub fn new(build: &Build<'a>, artifact: &'a Artifact) -> Result<Self, Error> {
        let (machine, work) = (build.machine, build.folder().to_owned());
        let program = Program::read(&read(&work.join(PROGRAM))?, PROGRAM)?;
        let instructions = match &machine.disassembler {
            Some(tool) => disassembly::disassemble(tool, &work, PROGRAM, build.options.timeout)?,
            None => Vec::new(),
        };
        instruction_set::check(machine, &program, &instructions)?;
        let stack = stack::known(artifact, build.report.as_ref(), &program, &instructions);
        Ok(Counted { machine, artifact, work, program, instructions, stack })
    }

    /// The arguments with which the emulator of that `--version` counts the run function.
    pub fn plugin(&self, version: &str) -> Result<Vec<String>, Error> {
        let entry = self.program.address(&format!("{}_run", self.artifact.name))?;
        plugin::install(version, &self.work, entry, self.program.address("nablac_measured_return")?)
    }

    /// What the run gave, after it succeeded and the plugin counted. `sizes` are those of the model.
    pub fn result(&self, samples: usize, sizes: Sizes) -> Result<Run, Error> {
        let counts = Counts::parse(&String::from_utf8_lossy(&read(&self.work.join(plugin::COUNTS))?))?;
        self.result_with(&counts, samples, sizes)
    }

    /// What the run gave, with what was counted.
    pub fn result_with(&self, counts: &Counts, samples: usize, sizes: Sizes) -> Result<Run, Error> {
        let timings = self.machine.timings()?;
        let cycles = timings.map(|table| cycles::estimate(&self.instructions, counts, &table));
        let measurement = self.measurement(sizes, counts, &cycles)?;
        Ok(Run { outputs: exchange::read_outputs(&self.work, self.artifact, samples)?, measurement })
    }

    fn measurement(&self, sizes: Sizes, counts: &Counts, cycles: &Cycles) -> Result<Measurement, Error> {
        let report = exchange::read_report(&self.work, self.artifact)?;
        let arena_bytes = self.artifact.arena_bytes as u64;
        let mut stack = self.stack.clone();
        let stack_seen_bytes = Some(report.stack_bytes);
        let stack_bytes = StackBound::settled(&mut stack, stack_seen_bytes);
        let total =
            |choice: usize| cycles.as_ref().map(|cycles| cycles.values().map(|c| c[choice]).sum::<u64>());
        Ok(Measurement {
            instructions: counts.calls.first().copied(),
            instructions_range: counts.calls.iter().min().copied().zip(counts.calls.iter().max().copied()),
            estimated_cycles: total(1),
            estimated_cycles_range: total(0).zip(total(2)),
            text_bytes: sizes.text,
            rodata_bytes: sizes.rodata,
            data_bytes: sizes.data,
            bss_bytes: sizes.bss,
            arena_bytes,
            context_bytes: report.context_bytes,
            stack_bytes,
            stack_seen_bytes,
            stack,
            flash_bytes: sizes.flash(),
            ram_bytes: arena_bytes + report.context_bytes + sizes.data + sizes.bss + stack_bytes.unwrap_or(0),
            harness_bytes: sizes.harness,
            seconds: None,
            per_function: self.per_function(counts, cycles),
        })
    }

    fn per_function(&self, counts: &Counts, cycles: &Cycles) -> Vec<FunctionCost> {
        let mut costs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (address, count) in &counts.by_address {
            let name = self.program.function_at(*address).map_or("(no symbol)", |function| &function.name);
            let cost = costs.entry(name).or_default();
            cost.0 += count.executed;
            cost.1 += cycles.as_ref().and_then(|cycles| cycles.get(address)).map_or(0, |typical| typical[1]);
        }
        let mut list: Vec<FunctionCost> = costs
            .into_iter()
            .map(|(name, (instructions, spent))| FunctionCost {
                name: name.to_owned(),
                instructions: Some(instructions),
                cycles: cycles.as_ref().map(|_| spent),
                seconds: None,
            })
            .collect();
        list.sort_by(|a, b| b.instructions.cmp(&a.instructions).then_with(|| a.name.cmp(&b.name)));
        list
    }
}
