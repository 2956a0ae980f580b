//! Builds for a microcontroller and runs under QEMU: exact instructions, estimated cycles, sizes and stack. All samples run
//! in one start of the emulator.

use crate::build::{Build, PROGRAM};
use crate::command::{Ended, Tool, describe, read, write};
use crate::counts::Counts;
use crate::disassembly::{self, Instruction};
use crate::exchange::Report;
use crate::image::Program;
use crate::{
    Artifact, Error, FunctionCost, Measure, Measurement, Options, Run, Sample, artifact, cycles, doctor,
    exchange, instruction_set, plugin,
};
use nablac_machine::{Emulator, Machine, Role};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const FILES: &[(&str, &str)] = &[
    ("nablac_harness_semihosting.c", include_str!("../harness/nablac_harness_semihosting.c")),
    ("nablac_harness_call.S", include_str!("../harness/nablac_harness_call.S")),
];
const SECTIONS: (&str, &str) = ("nablac_sections.ld", include_str!("../harness/nablac_sections.ld"));
const MEMORIES: &str = "nablac_memories.ld";

/// More than any network that runs on a microcontroller takes: reaching the end of it is an error, not a figure.
const STACK_BYTES: u64 = 64 << 10;

/// How the program ends when it cannot go on; `nablac_harness.h` has the same.
const STACK_OVERFLOW_STATUS: i32 = 126;
const UNALIGNED_STATUS: i32 = 124;
const UNALIGNED_PASSES_STATUS: i32 = 123;

/// A microcontroller under emulation.
#[derive(Debug, Clone, Copy)]
pub struct Emulated<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its emulator.
    pub emulator: &'a Emulator,
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
        artifact::check(artifact, samples)?;
        if options.sanitize {
            let what = "run with sanitizers; the host can".to_owned();
            return Err(Error::Unsupported { machine: self.machine.name.clone(), what });
        }
        doctor::require_library(self.machine, options.compiler.as_deref())?;
        let mut build = Build::new(self.machine, artifact, work, options)?;
        let work = build.folder().to_owned();
        self.build(&mut build, artifact)?;
        let program = Program::read(&read(&work.join(PROGRAM))?, PROGRAM)?;
        let instructions = self.instructions(&work, options)?;
        instruction_set::check(self.machine, &program, &instructions)?;
        exchange::write_samples(&work, samples, 0)?;
        self.run(&work, &program, artifact, options)?;
        let report = exchange::read_report(&work, artifact)?;
        let counts = Counts::parse(&String::from_utf8_lossy(&read(&work.join(plugin::COUNTS))?))?;
        let cycles = self.estimate(&instructions, &counts)?;
        let measurement = measurement(artifact, &program, &report, &counts, cycles.as_ref());
        let outputs = exchange::read_outputs(&work, artifact, samples.len())?;
        Ok(Run { outputs, measurement })
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

    fn run(
        &self,
        work: &Path,
        program: &Program,
        artifact: &Artifact,
        options: &Options,
    ) -> Result<(), Error> {
        let tool = Tool {
            command: &self.emulator.command,
            package: &self.emulator.package,
            purpose: "to emulate the target",
        };
        let version = tool.version()?;
        let entry = program.address(&format!("{}_run", artifact.name))?;
        let exit = program.address("nablac_measured_return")?;
        let mut arguments: Vec<String> =
            ["-M", &self.emulator.machine, "-kernel", PROGRAM].map(str::to_owned).into();
        arguments.extend(["-display", "none", "-serial", "none", "-monitor", "none"].map(str::to_owned));
        arguments.extend(["-semihosting-config", "enable=on,target=native"].map(str::to_owned));
        arguments.extend(plugin::install(&version, work, entry, exit)?);
        let ended = tool.run(&arguments, work, "run.log", options.timeout)?;
        self.verdict(ended, &version, program)
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

    /// The program's instructions, if there is anything to do with them.
    fn instructions(&self, work: &Path, options: &Options) -> Result<Vec<Instruction>, Error> {
        let wanted = self.machine.instruction_set.is_some() || self.machine.timing_table.is_some();
        match &self.machine.disassembler {
            Some(tool) if wanted => disassembly::disassemble(tool, work, PROGRAM, options.timeout),
            _ => Ok(Vec::new()),
        }
    }

    fn estimate(
        &self,
        instructions: &[Instruction],
        counts: &Counts,
    ) -> Result<Option<BTreeMap<u64, [u64; 3]>>, Error> {
        Ok(self.machine.timings()?.map(|table| cycles::estimate(instructions, counts, &table)))
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

fn measurement(
    artifact: &Artifact,
    program: &Program,
    report: &Report,
    counts: &Counts,
    cycles: Option<&BTreeMap<u64, [u64; 3]>>,
) -> Measurement {
    let sizes = program.sizes;
    let arena_bytes = artifact.arena_bytes as u64;
    let total = |choice: usize| cycles.map(|cycles| cycles.values().map(|c| c[choice]).sum::<u64>());
    Measurement {
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
        stack_bytes: Some(report.stack_bytes),
        flash_bytes: sizes.flash(),
        ram_bytes: arena_bytes + report.context_bytes + sizes.data + sizes.bss + report.stack_bytes,
        harness_bytes: sizes.harness,
        seconds: None,
        per_function: per_function(program, counts, cycles),
    }
}

fn per_function(
    program: &Program,
    counts: &Counts,
    cycles: Option<&BTreeMap<u64, [u64; 3]>>,
) -> Vec<FunctionCost> {
    let mut costs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (address, count) in &counts.by_address {
        let name = program.function_at(*address).map_or("(no symbol)", |function| &function.name);
        let cost = costs.entry(name).or_default();
        cost.0 += count.executed;
        cost.1 += cycles.and_then(|cycles| cycles.get(address)).map_or(0, |typical| typical[1]);
    }
    let mut list: Vec<FunctionCost> = costs
        .into_iter()
        .map(|(name, (instructions, spent))| FunctionCost {
            name: name.to_owned(),
            instructions,
            cycles: cycles.map(|_| spent),
        })
        .collect();
    list.sort_by(|a, b| b.instructions.cmp(&a.instructions).then_with(|| a.name.cmp(&b.name)));
    list
}
