//! A machine: its registers, vector width, memories, and the tools that build and run code for it.

use crate::{Error, TimingTable, instructions, size};
use nablac_loops::Library;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The machines that come with the compiler, by name. A new one is a file in `data/` and a row here.
const BUILT_IN: &[(&str, &str)] = &[
    ("host", include_str!("../data/host.toml")),
    ("cortex-m0plus", include_str!("../data/cortex-m0plus.toml")),
    ("cortex-m3", include_str!("../data/cortex-m3.toml")),
    ("cortex-m4", include_str!("../data/cortex-m4.toml")),
    ("cortex-m7", include_str!("../data/cortex-m7.toml")),
    ("cortex-m33", include_str!("../data/cortex-m33.toml")),
    ("cortex-m55", include_str!("../data/cortex-m55.toml")),
    ("x86-64-v3", include_str!("../data/x86-64-v3.toml")),
    ("x86-64-v4", include_str!("../data/x86-64-v4.toml")),
    ("aarch64", include_str!("../data/aarch64.toml")),
];

/// A target: a processor with its memories, and the tools to build and run code for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What `--target` calls it.
    pub name: String,
    /// One line for a person.
    pub description: String,
    /// The instruction set, as the vendor names it (`armv7e-m`), or `host`.
    pub architecture: String,
    /// Width of an address and of a general register.
    pub word_bits: u32,
    /// Which floating-point arithmetic the hardware does.
    pub float_unit: FloatUnit,
    /// Width of a vector register, or of the general register that packed instructions work on; 0 without either.
    pub simd_bits: u32,
    /// How many registers generated code may use.
    pub registers: Registers,
    /// Whether a load or a store may have any address. Where it may not, one that is not aligned must fail when it is emulated too.
    #[serde(default = "most_have_it")]
    pub unaligned_access: bool,
    /// Whether a program may run on several threads that share its memory.
    #[serde(default)]
    pub threads: bool,
    /// Which instructions a program may have; nothing if all that the processor it runs on knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_set: Option<InstructionSet>,
    /// The memories, in the order in which they are to be filled; empty if they need no planning.
    pub memories: Vec<Memory>,
    /// What this computer's processor must have to run the programs, as its operating system calls it. Where it has not, an emulator
    /// runs them, if one is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The C compiler.
    pub compiler: Compiler,
    /// The tool that lists a program's instructions, where they are to be checked or their cycles estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disassembler: Option<Tool>,
    /// How to run a program; nothing if only this computer does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<Emulator>,
    /// Which library of hardware instructions it has; nothing if generated code needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// What the processor starts in a cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
    /// The data caches, the first level first; none where memory answers at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// Which instruction timing table applies; nothing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing_table: Option<String>,
    /// Where the facts in this file come from.
    pub sources: Vec<String>,
}

/// The widest type that the hardware computes with in floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatUnit {
    /// Floating point is library calls.
    None,
    /// 32-bit operations in hardware, 64-bit ones as library calls.
    Single,
    /// 32-bit and 64-bit operations in hardware.
    Double,
}

/// Registers that generated code may use: without the stack pointer and the program counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registers {
    /// Integer and address registers.
    pub general: u32,
    /// Registers that hold one `f32` each, be they whole vector registers or parts of them.
    pub float: u32,
    /// Registers of `simd_bits`.
    #[serde(default)]
    pub vector: u32,
}

/// What a processor starts in a cycle; one instruction after the other where a machine's file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Instructions of any kind.
    pub issues: u32,
    /// Loads of a vector register.
    pub loads: u32,
    /// Multiply-accumulates on vector registers.
    pub multiplies: u32,
    /// The cycles from a multiply-accumulate to the next one that goes on with its result.
    pub latency: u32,
    /// Stores.
    #[serde(default = "one")]
    pub stores: u32,
    /// What a load takes beyond its place among the instructions, if no load stands in front of it.
    #[serde(default)]
    pub first_load: u32,
    /// What a jump that is taken takes beyond its place among the instructions.
    #[serde(default)]
    pub branch: u32,
}

fn one() -> u32 {
    1
}

/// One instruction after the other.
impl Default for Pipeline {
    fn default() -> Self {
        Pipeline { issues: 1, loads: 1, multiplies: 1, latency: 1, stores: 1, first_load: 0, branch: 0 }
    }
}

/// A level of data caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How much it holds.
    #[serde(deserialize_with = "size::deserialize")]
    pub bytes: u64,
    /// What it gets from behind it in a long run of reads, in bytes a cycle.
    pub refill: u32,
}

/// What a processor has of the Thumb instructions, by the assembler's names without suffix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionSet {
    /// The 16-bit ones that it lacks: it has all others.
    pub narrow_except: Vec<String>,
    /// The 32-bit ones that it has: it lacks all others.
    pub wide_only: Vec<String>,
}

/// One memory of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Its name in schedules and linker scripts.
    pub name: String,
    /// Its first address.
    pub base: u64,
    /// How many bytes it has.
    #[serde(deserialize_with = "size::deserialize")]
    pub size: u64,
    /// What may be placed in it.
    pub holds: Vec<Role>,
    /// What moving one machine word to or from it costs in a long run of accesses.
    pub cycles_per_word: f64,
}

/// What a program places in a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    Code,
    /// Weights and other data that never change.
    Constants,
    /// The arena, contexts and initialized variables.
    Data,
    /// The stack.
    Stack,
}

/// A program that must be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What to run.
    pub command: String,
    /// The Debian package that has it.
    pub package: String,
}

/// A C compiler and the flags that select the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiler {
    /// What to run.
    pub command: String,
    /// The Debian package that has it.
    pub package: String,
    /// The Debian package of its C library, where that is a separate one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// The environment variable that names another compiler to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Flags that select the processor; no warnings, no optimization.
    pub flags: Vec<String>,
}

/// An emulator, and what it is to emulate: a whole board, a process of an operating system, or a computer without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// What to run.
    pub command: String,
    /// The Debian package that has it.
    pub package: String,
    /// The emulator's name of the board: the program is all that runs on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The emulator's name of the processor that runs the program as a process; nothing on a board, which has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The emulator's name of the processor of a computer that runs nothing but the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computer: Option<String>,
}

impl Machine {
    /// The names of the machines that come with the compiler.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Every machine that comes with the compiler.
    pub fn all() -> Result<Vec<Machine>, Error> {
        BUILT_IN.iter().map(|(name, text)| Machine::parse(text, name)).collect()
    }

    /// The machine of that name, or else the one that the file of that path describes.
    pub fn load(name_or_path: &str) -> Result<Machine, Error> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Machine::parse(text, name);
        }
        let path = Path::new(name_or_path);
        if !path.exists() && !name_or_path.ends_with(".toml") {
            return Err(Error::Unknown { name: name_or_path.to_owned(), near: near_names(name_or_path) });
        }
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Machine::parse(&text, name_or_path)
    }

    /// The machine that a file's text describes; `file` is how errors call the file.
    pub fn parse(text: &str, file: &str) -> Result<Machine, Error> {
        let machine: Machine = toml::from_str(text)
            .map_err(|error| Error::Malformed { file: file.to_owned(), message: error.to_string() })?;
        match machine.contradiction() {
            None => Ok(machine),
            Some(reason) => Err(Error::Inconsistent { file: file.to_owned(), reason }),
        }
    }

    /// The first memory that may hold `role`.
    pub fn memory_for(&self, role: Role) -> Option<&Memory> {
        self.memories.iter().find(|memory| memory.holds.contains(&role))
    }

    /// The instruction timings, if any are known.
    pub fn timings(&self) -> Result<Option<TimingTable>, Error> {
        self.timing_table.as_deref().map(TimingTable::load).transpose()
    }

    /// The hardware instructions that schedules may use, if it has any.
    pub fn library(&self) -> Result<Option<Library>, Error> {
        self.instructions.as_deref().map(instructions::load).transpose()
    }

    fn contradiction(&self) -> Option<String> {
        if self.name.is_empty() {
            return Some("`name` is empty".to_owned());
        }
        if ![32, 64].contains(&self.word_bits) {
            return Some(format!("`word_bits` is {}; it must be 32 or 64", self.word_bits));
        }
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if let Some(memory) = self.memories.iter().find(|memory| !is_name(&memory.name)) {
            return Some(format!("memory `{}` is not named by letters, digits and `_`", memory.name));
        }
        if let Some(memory) = self.memories.iter().find(|memory| !memory.is_possible()) {
            return Some(format!(
                "memory `{}` has no bytes, ends past the last address or costs nothing",
                memory.name
            ));
        }
        for (index, memory) in self.memories.iter().enumerate() {
            if let Some(other) = self.memories[..index].iter().find(|other| other.overlaps(memory)) {
                return Some(format!("memories `{}` and `{}` overlap", other.name, memory.name));
            }
        }
        if let Some(emulator) = &self.emulator
            && [&emulator.machine, &emulator.processor, &emulator.computer].into_iter().flatten().count() != 1
        {
            let reason = "the emulator needs either a `machine`, the board, or a `processor`, which runs a process, or a `computer`, which \
                          runs nothing else";
            return Some(reason.to_owned());
        }
        if self.threads && self.emulator.is_some() && self.requires.is_empty() {
            return Some("the emulators run one thread, but the machine has `threads`".to_owned());
        }
        if self.emulator.as_ref().is_some_and(|emulator| emulator.machine.is_some())
            && !self.requires.is_empty()
        {
            let reason = "`requires` speaks of this computer's processor, but the programs are for a board";
            return Some(reason.to_owned());
        }
        let roles = [Role::Code, Role::Constants, Role::Data, Role::Stack];
        if self.emulator.as_ref().is_some_and(|emulator| emulator.machine.is_some())
            && let Some(role) = roles.into_iter().find(|role| self.memory_for(*role).is_none())
        {
            return Some(format!("a board is emulated, but no memory holds {role:?}").to_lowercase());
        }
        let to_apply = [
            ("a `timing_table`", self.timing_table.is_some()),
            ("an `instruction_set`", self.instruction_set.is_some()),
        ];
        if let (None, Some((what, _))) = (&self.disassembler, to_apply.iter().find(|(_, given)| *given)) {
            return Some(format!("there is {what}, but no `disassembler` to apply it with"));
        }
        None
    }
}

impl Memory {
    fn is_possible(&self) -> bool {
        self.size > 0 && self.base.checked_add(self.size).is_some() && self.cycles_per_word > 0.0
    }

    fn overlaps(&self, other: &Memory) -> bool {
        self.name == other.name || (self.base < other.base + other.size && other.base < self.base + self.size)
    }
}

fn most_have_it() -> bool {
    true
}

/// Built-in names that look like `name`, the most similar first; all of them if none does.
fn near_names(name: &str) -> Vec<String> {
    const ALIKE: f64 = 0.75; // of 1.0: lets one or two wrong letters in ten pass, and no other word
    let mut scored: Vec<(f64, &str)> =
        Machine::names().map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close: Vec<String> =
        scored.iter().filter(|(score, _)| *score >= ALIKE).map(|(_, known)| (*known).to_owned()).collect();
    if close.is_empty() { Machine::names().map(str::to_owned).collect() } else { close }
}
