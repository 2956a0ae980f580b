//! Compiles a library and the harness around it, and links them. The flags for C of our own are here and nowhere else.

use crate::command::{Tool, absolute, file_error, read, write};
use crate::image::{self, Sizes};
use crate::stack::{self, Report};
use crate::{Artifact, Error, Optimize, Options, driver};
use nablac_machine::{Compiler, Machine};
use std::fs;
use std::path::{Path, PathBuf};

/// What every C file of ours must stand: generated code is a product, and users build it with flags of their own.
const STRICT: &[&str] = &[
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wdouble-promotion",
    "-Wshadow",
    "-Wundef",
    "-Wvla",
    "-Werror",
];

/// Flags that decide the numbers and the sizes. Contraction of `a * b + c` is the generated code's to decide, not the C
/// compiler's. A section per function lets the linker drop what is not called; unwind tables nobody would read.
const CODE: &[&str] =
    &["-ffp-contract=off", "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables"];

/// The harness draws on no C library, so that all that a program pulls from it is the model's.
const HARNESS: &[&str] = &["-ffreestanding", "-fno-builtin"];

/// What a program of several threads is compiled and linked with.
const PTHREAD: &str = "-pthread";

/// The executable that linking makes.
pub(crate) const PROGRAM: &str = "program.elf";

const DRIVER: &str = "nablac_driver.c";
const HEADER: (&str, &str) = ("nablac_harness.h", include_str!("../harness/nablac_harness.h"));

/// A build of one artifact for one machine.
pub(crate) struct Build<'a> {
    pub machine: &'a Machine,
    pub options: &'a Options,
    folder: PathBuf,
    /// Whether the library runs on several threads.
    threads: bool,
    include: Vec<String>,
    objects: Vec<String>,
    /// What the compiler says of the library's functions; nothing if it does not report, or not of what users build.
    pub report: Option<Report>,
}

impl<'a> Build<'a> {
    /// A build in the folder `work`, which is made if need be.
    pub fn new(
        machine: &'a Machine,
        artifact: &Artifact,
        work: &Path,
        options: &'a Options,
    ) -> Result<Self, Error> {
        fs::create_dir_all(work).map_err(|source| file_error("create", work, source))?;
        let source = absolute(&artifact.folder)?;
        let include =
            artifact.include.iter().map(|path| format!("-I{}", source.join(path).display())).collect();
        let threads = artifact.threads > 1;
        let (objects, report) = (Vec::new(), None);
        Ok(Build { machine, options, folder: absolute(work)?, threads, include, objects, report })
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Compiles the library, with a report of its functions where the compiler has one; gives the sizes of its object files.
    pub fn library(&mut self, artifact: &Artifact) -> Result<Sizes, Error> {
        if self.options.sanitize || !self.reports()? {
            return self.library_with(artifact, &[]);
        }
        let sizes = self.library_with(artifact, &[stack::FLAG.to_owned()])?;
        let mut report = Report::default();
        for index in 0..artifact.sources.len() {
            let file = self.folder.join(format!("library_{index}.ci"));
            // There is none of a file in assembly.
            if file.is_file() {
                report.add(&String::from_utf8_lossy(&read(&file)?));
            }
        }
        self.report = Some(report);
        Ok(sizes)
    }

    /// Whether the compiler can report: GCC from its version 10 on.
    fn reports(&self) -> Result<bool, Error> {
        let arguments = [stack::FLAG, "-E", "-x", "c", "-"].map(str::to_owned);
        let ended =
            self.tool(&self.command()).run(&arguments, &self.folder, "report.log", self.options.timeout)?;
        Ok(ended.status.success())
    }

    /// The same, with flags of its own.
    pub fn library_with(&mut self, artifact: &Artifact, flags: &[String]) -> Result<Sizes, Error> {
        let source = absolute(&artifact.folder)?;
        let mut sizes = Sizes::default();
        for (index, file) in artifact.sources.iter().enumerate() {
            let object = format!("library_{index}.o");
            self.compile(&source.join(file), &object, flags)?;
            sizes += image::object_sizes(&read(&self.folder.join(&object))?, &object)?;
        }
        Ok(sizes)
    }

    /// Compiles the driver and the harness's fixed files, given as names and texts.
    pub fn harness(
        &mut self,
        artifact: &Artifact,
        files: &[(&str, &str)],
        flags: &[String],
    ) -> Result<(), Error> {
        write(&self.folder.join(HEADER.0), HEADER.1.as_bytes())?;
        let driver = driver::source(artifact);
        self.files(&[files, &[(DRIVER, driver.as_str())]].concat(), flags)
    }

    /// Compiles fixed files, given as names and texts.
    pub fn files(&mut self, files: &[(&str, &str)], flags: &[String]) -> Result<(), Error> {
        for (name, text) in files.iter().copied() {
            write(&self.folder.join(name), text.as_bytes())?;
            let stem = name.split('.').next().unwrap_or(name).trim_start_matches("nablac_harness_");
            let object = format!("nablac_harness_{}.o", stem.trim_start_matches("nablac_"));
            self.compile(Path::new(name), &object, flags)?;
        }
        Ok(())
    }

    /// Links everything compiled so far.
    pub fn link(&self, flags: &[String]) -> Result<(), Error> {
        let mut arguments = self.machine.compiler.flags.clone();
        arguments.extend(self.sanitizers());
        arguments.extend(self.threads.then(|| PTHREAD.to_owned()));
        arguments.extend(self.objects.iter().cloned());
        arguments.extend(flags.iter().cloned());
        arguments.extend(["-lm", "-o", PROGRAM].map(str::to_owned));
        self.run(&arguments, "link.log")
    }

    /// The flags for a freestanding harness.
    pub fn freestanding() -> Vec<String> {
        HARNESS.iter().map(|flag| (*flag).to_owned()).collect()
    }

    fn compile(&mut self, source: &Path, object: &str, flags: &[String]) -> Result<(), Error> {
        let mut arguments = self.machine.compiler.flags.clone();
        arguments.extend(STRICT.iter().chain(CODE).map(|flag| (*flag).to_owned()));
        arguments.push(if self.options.optimize == Optimize::Size { "-Os" } else { "-O3" }.to_owned());
        arguments.extend(self.sanitizers());
        arguments.extend(self.threads.then(|| PTHREAD.to_owned()));
        arguments.extend(flags.iter().cloned());
        arguments.extend(self.include.iter().cloned());
        arguments.extend(["-I.", "-c"].map(str::to_owned));
        arguments.push(source.display().to_string());
        arguments.extend(["-o".to_owned(), object.to_owned()]);
        self.objects.push(object.to_owned());
        self.run(&arguments, &format!("{object}.log"))
    }

    fn sanitizers(&self) -> Vec<String> {
        let flags: &[&str] = match self.options.sanitize {
            true => &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"],
            false => &[],
        };
        flags.iter().map(|flag| (*flag).to_owned()).collect()
    }

    fn run(&self, arguments: &[String], log: &str) -> Result<(), Error> {
        let command = self.command();
        let tool = self.tool(&command);
        tool.run(arguments, &self.folder, log, self.options.timeout)?.success().map(drop)
    }

    fn command(&self) -> String {
        compiler_command(&self.machine.compiler, self.options.compiler.as_deref())
    }

    fn tool<'c>(&'c self, command: &'c str) -> Tool<'c> {
        Tool { command, package: &self.machine.compiler.package, purpose: "to compile the C" }
    }
}

/// The C compiler to use: the one asked for, else the one that the environment names, else the machine's.
pub(crate) fn compiler_command(compiler: &Compiler, asked_for: Option<&str>) -> String {
    let named = || std::env::var(compiler.environment.as_deref()?).ok().filter(|name| !name.is_empty());
    asked_for.map(str::to_owned).or_else(named).unwrap_or_else(|| compiler.command.clone())
}
