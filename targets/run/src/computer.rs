//! Builds a process and runs it on an emulated computer without an operating system, in Bochs: exact instructions and stack. The harness
//! has a system that starts the processor, answers the few system calls of a statically linked program and counts. It is for
//! instructions that this computer's processor lacks, and QEMU too. Sizes are those of the library's object files, as on the host.

use crate::build::{Build, PROGRAM};
use crate::command::{Tool, file_error, read, write};
use crate::counted::{self, Counted, STACK_OVERFLOW_STATUS};
use crate::image::{Loaded, loaded};
use crate::records::{RECORDS, Records};
use crate::{Artifact, Error, Measure, Options, Run, Sample, exchange, host};
use nablac_machine::{Emulator, Machine};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

const HEADER: (&str, &str) = ("nablac_computer.h", include_str!("../harness/nablac_computer.h"));
const CALL: (&str, &str) =
    ("nablac_harness_call.S", include_str!("../harness/nablac_harness_call_computer.S"));
const SYSTEM: &[(&str, &str)] = &[
    ("nablac_harness_computer_start.S", include_str!("../harness/nablac_harness_computer_start.S")),
    ("nablac_harness_computer.c", include_str!("../harness/nablac_harness_computer.c")),
];
const SECTIONS: (&str, &str) = ("nablac_computer.ld", include_str!("../harness/nablac_computer.ld"));

/// The system is built apart, in a folder of its own.
const SYSTEM_FOLDER: &str = "computer";

/// It leaves the vector registers to the program, and has no C library.
const SYSTEM_FLAGS: &[&str] =
    &["-mgeneral-regs-only", "-fno-pie", "-fno-stack-protector", "-fno-tree-loop-distribute-patterns"];

/// Where its parts are, as `nablac_computer.h` says: memory, and what the processor runs first.
const MEMORY: Range<u64> = 0x0020_0000..0x4000_0000;
const RESET: Range<u64> = 0xFFFF_F000..0x1_0000_0000;

/// What is painted to measure the stack, as for a process.
const STACK_BYTES: u64 = 1 << 20;

/// What the areas of `nablac_computer.h` have room for.
const PROGRAM_END: u64 = 0x1E00_0000;
const TEXT_BYTES: u64 = 0x0400_0000;
const INPUT_BYTES: u64 = 0x1000_0000;

const SECTOR: usize = 512;

/// A disk has whole cylinders, of 16 tracks of 63 sectors.
const CYLINDER: usize = 16 * 63 * SECTOR;

const DISK: &str = "disk.img";
const CONFIGURATION: &str = "bochsrc.txt";

/// What a build with a debugger is to do at its prompt, and how that is said.
const COMMANDS: &str = "commands.txt";
const COMMANDS_FLAG: &str = "-rc";

/// A computer with another processor under emulation.
#[derive(Debug, Clone, Copy)]
pub struct Computer<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its emulator.
    pub emulator: &'a Emulator,
    /// The emulator's name of the processor.
    pub processor: &'a str,
}

impl Measure for Computer<'_> {
    type Error = Error;

    fn measure(
        &self,
        artifact: &Artifact,
        samples: &[Sample],
        work: &Path,
        options: &Options,
    ) -> Result<Run, Error> {
        // The system has one thread: without a pool, it does all parts of a loop.
        let artifact = &Artifact { threads: 1, ..artifact.clone() };
        counted::check(self.machine, artifact, samples, options)?;
        let version = counted::tool(self.emulator).version()?;
        let mut build = Build::new(self.machine, artifact, work, options)?;
        let sizes = build.library(artifact)?;
        let flags = [
            "-DNABLAC_EMULATED".to_owned(),
            format!("-DNABLAC_RUN={}_run", artifact.name),
            format!("-DNABLAC_STACK_SIZE={STACK_BYTES:#x}"),
        ];
        write(&build.folder().join(HEADER.0), HEADER.1.as_bytes())?;
        build.harness(artifact, &[host::FILE, CALL], &flags)?;
        build.link(&["-static".to_owned()])?; // the system has no loader
        let counted = Counted::new(&build, artifact)?;
        exchange::write_samples(build.folder(), samples, Duration::ZERO, options.keep_state)?;
        self.system(&build, artifact)?;
        self.disk(build.folder())?;
        let mut records = self.run(&build, &version)?;
        let after = counted.program.address("nablac_measured_return")?;
        records.counts.by_address.remove(&after); // reached, but no part of the call
        counted.result_with(&records.counts.checked()?, samples.len(), sizes)
    }
}

impl Computer<'_> {
    /// Builds the system; gives what of it is in memory and what the processor runs first, as files.
    fn system(&self, program: &Build, artifact: &Artifact) -> Result<(), Error> {
        let folder = program.folder().join(SYSTEM_FOLDER);
        let mut build = Build::new(self.machine, artifact, &folder, program.options)?;
        for (name, text) in [HEADER, SECTIONS] {
            write(&folder.join(name), text.as_bytes())?;
        }
        let mut flags = Build::freestanding();
        flags.extend(SYSTEM_FLAGS.iter().map(|flag| (*flag).to_owned()));
        build.files(SYSTEM, &flags)?;
        let script = format!("-Wl,-T,{}", SECTIONS.0);
        let flags = ["-nostdlib", "-static", "-no-pie", "-Wl,--no-warn-rwx-segments", &script];
        build.link(&flags.map(str::to_owned))?;
        let bytes = read(&folder.join(PROGRAM))?;
        for (name, part) in [("system.img", MEMORY), ("reset.img", RESET)] {
            write(&program.folder().join(name), &loaded(&bytes, PROGRAM, part)?.bytes)?;
        }
        Ok(())
    }

    /// Writes the disk: what the system is to know, the program's memory, its input.
    fn disk(&self, folder: &Path) -> Result<(), Error> {
        let Loaded { base, mut bytes, entry, text } = loaded(&read(&folder.join(PROGRAM))?, PROGRAM, MEMORY)?;
        let input = exchange::read_samples(folder)?;
        bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        let end = base + bytes.len() as u64;
        for (what, size, room) in [
            ("memory", end, PROGRAM_END),
            ("instructions", text.end - text.start, TEXT_BYTES),
            ("input", input.len() as u64, INPUT_BYTES),
        ] {
            if size > room {
                let what =
                    format!("run a program with so much {what}: {size} bytes, and there is room for {room}");
                return Err(Error::Unsupported { machine: self.machine.name.clone(), what });
            }
        }
        let request = [base, end, entry, text.start, text.end, input.len() as u64];
        let mut disk: Vec<u8> = request.into_iter().flat_map(u64::to_le_bytes).collect();
        disk.resize(SECTOR, 0);
        disk.extend(bytes);
        disk.extend(input);
        disk.resize(disk.len().next_multiple_of(CYLINDER), 0);
        write(&folder.join(DISK), &disk)
    }

    fn run(&self, build: &Build, version: &str) -> Result<Records, Error> {
        let (tool, folder) = (counted::tool(self.emulator), build.folder());
        write(&folder.join(CONFIGURATION), self.configuration().as_bytes())?;
        write(&folder.join(COMMANDS), b"continue\n")?;
        for stale in [RECORDS, &format!("{DISK}.lock")] {
            remove(&folder.join(stale))?;
        }
        let mut arguments: Vec<String> = ["-q", "-f", CONFIGURATION].map(str::to_owned).into();
        if self.has_debugger(&tool, build)? {
            arguments.extend([COMMANDS_FLAG, COMMANDS].map(str::to_owned));
        }
        let ended = tool.run(&arguments, folder, "run.log", build.options.timeout)?;
        if !folder.join(RECORDS).exists() {
            let reason = format!("it does not start:\n{}", ended.output);
            return Err(Error::UnsupportedEmulator { emulator: version.to_owned(), reason });
        }
        let records = Records::parse(&read(&folder.join(RECORDS))?)?;
        let machine = self.machine.name.clone();
        match records.status {
            Some(0) => records.write_files(folder).map(|()| records),
            Some(status) if status == STACK_OVERFLOW_STATUS as u32 => {
                Err(Error::StackOverflow { bytes: STACK_BYTES })
            }
            Some(status) => {
                Err(Error::Program { machine, status: format!("status {status}"), output: records.text })
            }
            None => Err(Error::Program {
                machine,
                status: "no status".to_owned(),
                output: records.text + &ended.output,
            }),
        }
    }

    /// Whether the emulator was built with a debugger: it then stops at a prompt before the first instruction.
    fn has_debugger(&self, tool: &Tool, build: &Build) -> Result<bool, Error> {
        let help = tool.run(&["--help".to_owned()], build.folder(), "help.log", build.options.timeout)?;
        Ok(help.output.contains(COMMANDS_FLAG))
    }

    /// A disk, a port that goes to a file, and one tick for each instruction. There must be a display and its memory: a terminal that
    /// nobody looks at, and any bytes.
    fn configuration(&self) -> String {
        format!(
            "config_interface: textconfig\n\
             display_library: term\n\
             cpu: model={}, ips=100000000, reset_on_triple_fault=0\n\
             megs: {}\n\
             romimage: file=reset.img\n\
             vgaromimage: file=reset.img\n\
             optramimage1: file=system.img, address={:#x}\n\
             ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
             ata0-master: type=disk, path={DISK}, mode=flat\n\
             parport1: enabled=1, file={RECORDS}\n\
             clock: sync=none\n\
             panic: action=fatal\n\
             error: action=report\n\
             info: action=ignore\n",
            self.processor,
            MEMORY.end >> 20,
            MEMORY.start,
        )
    }
}

/// Removes a file that an earlier run may have left.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(file_error("remove", path, source))
        }
        _ => Ok(()),
    }
}
