//! The artifacts that the tests run, and whether the tools for it are there.

use nablac_machine::Machine;
use nablac_run::{Artifact, Error, Options, Run, Sample, doctor, execute};
use std::fs;
use std::path::{Path, PathBuf};

/// The machines that are emulated with their memories, where nothing but the program runs.
pub const BOARDS: &[&str] =
    &["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"];

/// The machines that are emulated as processes.
pub const PROCESSES: &[&str] = &["aarch64"];

/// The machines that are emulated as computers without an operating system, where this computer lacks their instructions.
pub const COMPUTERS: &[&str] = &["x86-64-v4"];

/// Every machine that is emulated here and whose tools are installed.
pub fn emulated() -> impl Iterator<Item = &'static str> {
    BOARDS.iter().chain(PROCESSES).copied().filter(|machine| has_tools(machine)).chain(computers())
}

/// Those of the computers that are emulated here and whose tools are installed.
pub fn computers() -> impl Iterator<Item = &'static str> {
    let is_needed = |machine: &str| {
        let emulator = Machine::load(machine).unwrap().emulator.unwrap().command;
        let here = doctor().unwrap().iter().any(|tool| tool.tool == emulator);
        if !here {
            eprintln!("SKIPPED on {machine}: this computer runs its programs by itself");
        }
        here
    };
    COMPUTERS.iter().copied().filter(move |machine| is_needed(machine) && has_tools(machine))
}

/// Two dense layers and a softmax.
pub fn tiny() -> Artifact {
    artifact("tiny", &["src/tiny.c", "src/tiny_weights.c"], 16, 12, 64)
}

/// A loop of known length.
pub fn spin() -> Artifact {
    artifact("spin", &["src/spin.c", "src/spin_run.S"], 4, 4, 0)
}

fn artifact(name: &str, sources: &[&str], input: usize, output: usize, arena: usize) -> Artifact {
    Artifact {
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts").join(name),
        name: name.to_owned(),
        sources: sources.iter().map(PathBuf::from).collect(),
        include: vec![PathBuf::from("include"), PathBuf::from("src")],
        input_bytes: vec![input],
        feeds: vec![],
        output_bytes: vec![output],
        arena_bytes: arena,
        steps: vec![],
        threads: 1,
        blob: false,
    }
}

/// The loop's C files with another body of `spin_run`, in a folder of its own.
pub fn spin_with(test: &str, body: &str) -> Artifact {
    let mut artifact = spin();
    let folder = work(test).join("artifact");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::create_dir_all(folder.join("include")).unwrap();
    for file in ["include/spin.h", "src/spin.c"] {
        fs::copy(artifact.folder.join(file), folder.join(file)).unwrap();
    }
    let source = format!("#include \"spin.h\"\n\n{body}\n");
    fs::write(folder.join("src/spin_run.c"), source).unwrap();
    artifact.folder = folder;
    artifact.sources[1] = PathBuf::from("src/spin_run.c");
    artifact
}

/// The two dense layers with a line more at the end of `tiny_run`, in a folder of its own.
pub fn tiny_with(test: &str, line: &str) -> Artifact {
    let mut artifact = tiny();
    let folder = work(test).join("artifact");
    for file in ["src/tiny.c", "src/tiny_weights.c", "src/tiny_weights.h", "include/tiny.h"] {
        let text = fs::read_to_string(artifact.folder.join(file)).unwrap();
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        let end = "    return TINY_OK;\n}\n";
        let text = match file {
            "src/tiny.c" => text.strip_suffix(end).unwrap().to_owned() + line + "\n" + end,
            _ => text,
        };
        fs::write(folder.join(file), text).unwrap();
    }
    artifact.folder = folder;
    artifact
}

/// A fresh folder for one test on one machine.
pub fn work(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether the machine's tools are installed; says loudly that a test is skipped if they are not.
pub fn has_tools(machine: &str) -> bool {
    let missing: Vec<String> = doctor()
        .unwrap()
        .into_iter()
        .filter(|tool| tool.found.is_none() && tool.needed_by.iter().any(|name| name == machine))
        .map(|tool| format!("{} ({})", tool.tool, tool.install))
        .collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED on {machine}: not installed: {}", missing.join(", "));
    }
    missing.is_empty()
}

pub fn run_on(
    machine: &str,
    artifact: &Artifact,
    samples: &[Sample],
    test: &str,
    options: &Options,
) -> Result<Run, Error> {
    execute(&Machine::load(machine).unwrap(), artifact, samples, &work(&format!("{test}-{machine}")), options)
}

pub fn rounds(counts: &[u32]) -> Vec<Sample> {
    counts.iter().map(|count| vec![count.to_le_bytes().to_vec()]).collect()
}
