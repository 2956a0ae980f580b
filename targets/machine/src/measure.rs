//! The contract of a measurement: the generated C that goes in, the outputs and figures that come out.

pub use nablac_loops::{Feed, Optimize};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of generated C, as far as building and running it needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The folder.
    pub folder: PathBuf,
    /// The C identifier that every name in it starts with.
    pub name: String,
    /// The library's C files, relative to the folder.
    pub sources: Vec<PathBuf>,
    /// The folders with its headers, relative to the folder.
    pub include: Vec<PathBuf>,
    /// The bytes of each input.
    pub input_bytes: Vec<usize>,
    /// How it is given each input; those beyond the last are whole.
    pub feeds: Vec<Feed>,
    /// The bytes of each output.
    pub output_bytes: Vec<usize>,
    /// The bytes of the arena.
    pub arena_bytes: usize,
    /// The function of each step that the library tells its port of, by position; none if it tells nothing.
    pub steps: Vec<String>,
    /// How many threads run it; more than 1 where it comes with a pool of them.
    pub threads: usize,
    /// Whether its weights are an array that a context is given, rather than a part of the code.
    pub blob: bool,
}

/// What one inference gets or gives: the bytes of each input or output.
pub type Sample = Vec<Vec<u8>>;

/// How to build and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For how long to repeat the first sample for its shortest time, and again for that of each function; an emulator counts
    /// exactly and ignores it.
    pub timing: Duration,
    /// Whether a sample begins with what the network keeps of the one before; otherwise each begins anew.
    pub keep_state: bool,
    /// Whether to build with the address and undefined-behaviour sanitizers.
    pub sanitize: bool,
    /// What the C compiler optimizes for: `-O3` for time, `-Os` for size.
    pub optimize: Optimize,
    /// After how long a compiler or a program counts as hanging.
    pub timeout: Duration,
    /// A C compiler to use instead of the machine's.
    pub compiler: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let timeout = Duration::from_secs(600); // the largest reference network takes seconds under emulation
        Options {
            timing: Duration::ZERO,
            keep_state: false,
            sanitize: false,
            optimize: Optimize::Time,
            timeout,
            compiler: None,
        }
    }
}

/// What running an artifact gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The outputs of each sample.
    pub outputs: Vec<Sample>,
    /// What it cost.
    pub measurement: Measurement,
}

/// The figures of one inference, and of the program that makes it.
///
/// *Sizes* are read from the linked program. The harness around the model (start-up code, file transfer, the driver that
/// holds arena and context) has its own sections and is counted in `harness_bytes` alone; what the model pulls from the C
/// and maths libraries counts as the model's. Of a process, on the host or emulated, the sizes are those of the library's object
/// files, without what they pull from the system's libraries.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Measurement {
    /// Instructions from the first of the run function to its return, exact, for the first sample.
    pub instructions: Option<u64>,
    /// The fewest and the most instructions of any sample.
    pub instructions_range: Option<(u64, u64)>,
    /// Cycles of the first sample by the published instruction timings: an estimate, with zero wait states.
    pub estimated_cycles: Option<u64>,
    /// The same with the cheapest and with the dearest timings wherever the publication gives a range.
    pub estimated_cycles_range: Option<(u64, u64)>,
    /// Instructions, with the constants that the compiler put between them.
    pub text_bytes: u64,
    /// Constants.
    pub rodata_bytes: u64,
    /// Initialized variables: they take flash and RAM.
    pub data_bytes: u64,
    /// Zeroed variables, arena and context not included.
    pub bss_bytes: u64,
    /// The arena.
    pub arena_bytes: u64,
    /// The context struct.
    pub context_bytes: u64,
    /// The most stack that a call of the library takes, interrupts not included: the bound of `stack`, if that is one, else the deepest
    /// that was seen.
    pub stack_bytes: Option<u64>,
    /// The deepest stack of any sample below the call of the run function, where it is measured.
    pub stack_seen_bytes: Option<u64>,
    /// What the stack is known to take, and where, if a compiler reports it.
    pub stack: Option<StackBound>,
    /// text + rodata + data.
    pub flash_bytes: u64,
    /// arena + context + data + bss + stack, where that is known.
    pub ram_bytes: u64,
    /// Flash that the measuring harness takes beside `flash_bytes`.
    pub harness_bytes: u64,
    /// The shortest wall time of an inference; nothing under emulation.
    pub seconds: Option<f64>,
    /// What each function cost in the first sample; the dearest first. Instructions and cycles are without what it calls, time is with
    /// that.
    pub per_function: Vec<FunctionCost>,
}

/// The most stack that any call of a library takes: the frames of its functions, added up along the calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StackBound {
    /// What the deepest path takes.
    pub bytes: u64,
    /// The functions on it, outermost first.
    pub path: Vec<StackFrame>,
    /// Why it may take more. Without any, it does not.
    pub gaps: Vec<String>,
}

/// What one function has on the stack while it calls the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackFrame {
    /// Its symbol.
    pub function: String,
    /// Its frame.
    pub bytes: u64,
}

impl StackBound {
    /// The figure that counts: the bound, if it is one and no run was seen to take more, else the deepest seen. A run that takes more is
    /// a gap by itself.
    pub fn settled(bound: &mut Option<StackBound>, seen: Option<u64>) -> Option<u64> {
        let Some(bound) = bound else { return seen };
        if let Some(seen) = seen.filter(|seen| *seen > bound.bytes && bound.gaps.is_empty()) {
            bound.gaps.push(format!("a run took {seen} bytes"));
        }
        if bound.gaps.is_empty() { Some(bound.bytes) } else { seen }
    }
}

/// What one function of a program cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionCost {
    /// Its symbol.
    pub name: String,
    /// The instructions executed in it, where they are counted.
    pub instructions: Option<u64>,
    /// The estimated cycles spent in it.
    pub cycles: Option<u64>,
    /// The shortest time that all its calls of one inference took together.
    pub seconds: Option<f64>,
}

/// A place where generated C can be built and run.
pub trait Measure {
    /// Why it could not be.
    type Error;

    /// Builds the artifact in the folder `work` and runs every sample through it.
    fn measure(
        &self,
        artifact: &Artifact,
        samples: &[Sample],
        work: &Path,
        options: &Options,
    ) -> Result<Run, Self::Error>;
}
