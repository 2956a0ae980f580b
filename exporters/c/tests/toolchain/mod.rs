//! Compiles generated folders with every compiler at hand, and runs them.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nablac_c::{Folder, Options, Vector, export};
use nablac_index::{Array, DType, Value};
use nablac_loops::{Program, run};

/// Every warning that generated code must not cause.
const STRICT: &[&str] = &[
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

/// Compiler and language.
const COMPILERS: &[(&str, &[&str])] = &[
    ("gcc", &["-std=c99"]),
    ("g++", &["-x", "c++", "-std=c++17"]),
    ("clang", &["-std=c99"]),
    ("clang++", &["-x", "c++", "-std=c++17"]),
    (
        "arm-none-eabi-gcc",
        &["-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    ),
    ("arm-none-eabi-g++", &["-x", "c++", "-std=c++17", "-mcpu=cortex-m4", "-mthumb"]),
];

/// A program's outputs as the interpreter has them, for its options.
pub fn options(program: &Program, inputs: Vec<Vec<Array>>) -> Options {
    let vector = |inputs: Vec<Array>| Vector { outputs: run(program, &inputs).unwrap(), inputs };
    Options {
        version: "0.1.0".into(),
        vectors: inputs.into_iter().map(vector).collect(),
        ..Options::default()
    }
}

/// A folder on disk that goes when the test ends.
pub struct Work {
    path: PathBuf,
}

impl Work {
    pub fn new(test: &str) -> Work {
        let path = std::env::temp_dir().join(format!("nablac-c-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Work { path }
    }

    pub fn write(&self, folder: &Folder) -> PathBuf {
        let root = self.path.join(&folder.name);
        for (path, text) in &folder.files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if let Some(blob) = &folder.blob {
            fs::write(root.join(&blob.file), &blob.bytes).unwrap();
        }
        root
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The compilers that this machine has; says which are missing.
pub fn compilers() -> Vec<(&'static str, &'static [&'static str])> {
    let present =
        |compiler: &str| Command::new(compiler).arg("--version").output().is_ok_and(|o| o.status.success());
    let (found, missing): (Vec<_>, Vec<_>) = COMPILERS.iter().partition(|(compiler, _)| present(compiler));
    for (compiler, _) in missing {
        eprintln!("SKIPPED: there is no `{compiler}` on this machine");
    }
    assert!(
        found.iter().any(|(compiler, _)| *compiler == "gcc" || *compiler == "clang"),
        "no C compiler at all"
    );
    found
}

fn includes(root: &Path, folder: &Folder) -> Vec<String> {
    let mut paths: Vec<String> =
        folder.include.iter().map(|path| format!("-I{}", root.join(path).display())).collect();
    paths.push(format!("-I{}", root.join("test").display()));
    paths
}

/// All C files of a folder, the self-test's included.
fn c_files(root: &Path, folder: &Folder) -> Vec<String> {
    let files = folder.files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "c"));
    files.map(|(path, _)| root.join(path).display().to_string()).collect()
}

fn must(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    output.stdout
}

/// Compiles the library, and its self-test too where that is asked for, with every compiler.
pub fn compile_everywhere(work: &Work, folder: &Folder, with_tests: bool) {
    let root = work.write(folder);
    let tests = root.join("test");
    // Bare metal has no threads.
    let hosted = |compiler: &str| folder.threads == 1 || !compiler.starts_with("arm-");
    for (compiler, language) in compilers().into_iter().filter(|(compiler, _)| hosted(compiler)) {
        let files = c_files(&root, folder);
        for file in files.iter().filter(|file| with_tests || !Path::new(file).starts_with(&tests)) {
            let mut command = Command::new(compiler);
            command.args(language).args(STRICT).args(includes(&root, folder)).args(["-O2", "-c", "-o"]);
            must(command.arg(work.path().join("object.o")).arg(file));
        }
    }
}

/// Builds an executable in the folder, with sanitizers that end it at once.
fn build_sanitized(root: &Path, folder: &Folder, files: Vec<String>, executable: &str) -> PathBuf {
    build_with(&["-fsanitize=address,undefined"], root, folder, files, executable)
}

fn build_with(flags: &[&str], root: &Path, folder: &Folder, files: Vec<String>, executable: &str) -> PathBuf {
    let (compiler, language) = compilers()[0];
    let mut command = Command::new(compiler);
    command.args(language).args(STRICT).args(includes(root, folder));
    command.args(["-O1", "-ffp-contract=off", "-fno-sanitize-recover=all"]).args(flags);
    if folder.threads > 1 {
        command.arg("-pthread");
    }
    let path = root.join(executable);
    must(command.args(files).arg("-o").arg(&path).arg("-lm"));
    path
}

/// Builds a program of one C file around the library, without its self-test, and runs it with these arguments; gives what it prints.
pub fn program_around(work: &Work, folder: &Folder, source: &str, arguments: &[&str]) -> String {
    let root = work.write(folder);
    let main = root.join("main.c");
    fs::write(&main, source).unwrap();
    let files = folder.sources.iter().chain(folder.blob.iter().map(|blob| &blob.source));
    let mut files: Vec<String> = files.map(|path| root.join(path).display().to_string()).collect();
    files.push(main.display().to_string());
    let program = build_sanitized(&root, folder, files, "around");
    let bytes = must(Command::new(program).current_dir(work.path()).args(arguments));
    String::from_utf8(bytes).unwrap()
}

/// Runs the self-test; gives whether it passed, and its report.
pub fn selftest(work: &Work, folder: &Folder) -> (bool, String) {
    let root = work.write(folder);
    let output =
        Command::new(build_sanitized(&root, folder, c_files(&root, folder), "selftest")).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same as a program whose threads are watched: every access that races is reported. They look so often for work before they sleep.
pub fn threads_selftest(work: &Work, folder: &Folder, looks: u32) -> (bool, String) {
    let root = work.write(folder);
    let looks = format!("-D{}_POOL_LOOKS={looks}", folder.name.to_uppercase());
    let flags = ["-fsanitize=thread", &looks];
    let program = build_with(&flags, &root, folder, c_files(&root, folder), "threads");
    let output = Command::new(program).output().unwrap();
    let report = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&report).into_owned())
}

/// The outputs of every vector, from a program of its own.
pub fn outputs(work: &Work, program: &Program, folder: &Folder, options: &Options) -> Vec<Vec<Array>> {
    let root = work.write(folder);
    let dump = root.join("dump.c");
    fs::write(&dump, dump_source(program, folder)).unwrap();
    let mut files: Vec<String> =
        folder.sources.iter().map(|path| root.join(path).display().to_string()).collect();
    files.extend(folder.blob.iter().map(|blob| root.join(&blob.source).display().to_string()));
    files.push(root.join(format!("test/{}_vectors.c", folder.name)).display().to_string());
    files.push(dump.display().to_string());
    let bytes = must(&mut Command::new(build_sanitized(&root, folder, files, "dump")));
    split(&bytes, program, options.vectors.len())
}

/// A program that writes all outputs of all vectors to its standard output.
fn dump_source(program: &Program, folder: &Folder) -> String {
    let (name, upper) = (&folder.name, folder.name.to_uppercase());
    let mut body = String::new();
    for (k, id) in program.inputs().into_iter().enumerate() {
        if !program.buffer(id).is_empty() {
            body += &format!(
                "memcpy({name}_input{k}(&ctx), {name}_vectors_input{k}[v], {upper}_INPUT{k}_BYTES);\n"
            );
        }
    }
    body += &format!("if ({name}_run(&ctx) != {upper}_OK) return 2;\n");
    for k in 0..program.outputs().len() {
        body += &format!("fwrite({name}_output{k}(&ctx), 1, {upper}_OUTPUT{k}_BYTES, stdout);\n");
    }
    let (header, start) = match folder.threads {
        1 => (String::new(), String::new()),
        threads => (
            format!("#include \"{name}_pool.h\"\n"),
            format!(
                "static {name}_pool_t pool;\n\
                 if ({name}_pool_start(&pool, {threads}) != {upper}_OK) return 3;\n\
                 if ({name}_set_pool(&ctx, &pool) != {upper}_OK) return 4;\n"
            ),
        ),
    };
    let (weights_header, weights) = match folder.blob {
        None => (String::new(), String::new()),
        Some(_) => (
            format!("#include \"{name}_weights.h\"\n"),
            format!(
                "if ({name}_set_weights(&ctx, {name}_weights, sizeof {name}_weights) != {upper}_OK) return 5;\n"
            ),
        ),
    };
    let stop = if folder.threads == 1 { String::new() } else { format!("{name}_pool_stop(&pool);\n") };
    format!(
        "#include \"{name}.h\"\n{header}{weights_header}#include \"{name}_vectors.h\"\n#include <stdio.h>\n#include <string.h>\n\
         int main(void) {{\nstatic uint64_t arena[{upper}_ARENA_SIZE / 8U + 1U];\n{name}_ctx_t ctx;\n\
         if ({name}_init(&ctx, arena, sizeof arena) != {upper}_OK) return 1;\n{weights}{start}\
         for (size_t v = 0; v < {upper}_VECTORS; v++) {{\n{body}}}\n{stop}return 0;\n}}\n"
    )
}

fn split(bytes: &[u8], program: &Program, vectors: usize) -> Vec<Vec<Array>> {
    let mut rest = bytes;
    let mut output = |id| {
        let buffer = program.buffer(id);
        let (own, behind) = rest.split_at(buffer.bytes());
        rest = behind;
        Array::from_bytes(buffer.dtype, &buffer.shape, own).unwrap()
    };
    let found = (0..vectors).map(|_| program.outputs().into_iter().map(&mut output).collect()).collect();
    assert!(rest.is_empty());
    found
}

/// The first element whose bits differ, but for which not-a-number it is: its position and both values.
fn first_difference(a: &Array, b: &Array) -> Option<(usize, Value, Value)> {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    let both_nan = |x: Value, y: Value| a.dtype().is_float() && x.as_f64().is_nan() && y.as_f64().is_nan();
    let values = (0..a.len()).map(|i| (i, a.get(i), b.get(i)));
    values.into_iter().find(|(_, x, y)| x != y && !both_nan(*x, *y))
}

/// Exports, compiles everywhere, runs the self-test, and compares with the interpreter bit for bit.
pub fn check(test: &str, program: &Program, inputs: Vec<Vec<Array>>) -> Folder {
    check_with(test, program, &options(program, inputs))
}

/// The same with options.
pub fn check_with(test: &str, program: &Program, options: &Options) -> Folder {
    let folder = check_code(test, program, options, true);
    let work = Work::new(&format!("{test}-selftest"));
    let (passed, report) = selftest(&work, &folder);
    assert!(passed, "{report}");
    folder
}

/// The same without the self-test, where that is larger than the library.
pub fn check_library(test: &str, program: &Program, inputs: Vec<Vec<Array>>, with_tests: bool) -> Folder {
    check_code(test, program, &options(program, inputs), with_tests)
}

fn check_code(test: &str, program: &Program, options: &Options, with_tests: bool) -> Folder {
    let folder = export(program, options).unwrap_or_else(|error| panic!("{error}\n{program}"));
    assert_eq!(export(program, options).unwrap(), folder, "the same program gives the same bytes");
    let work = Work::new(test);
    compile_everywhere(&work, &folder, with_tests);
    let found = outputs(&work, program, &folder, options);
    for (vector, outputs) in options.vectors.iter().zip(&found) {
        for (expected, found) in vector.outputs.iter().zip(outputs) {
            let difference = first_difference(expected, found);
            assert!(difference.is_none(), "{program}\n{difference:?}");
        }
    }
    folder
}

/// The text of one file of a folder.
pub fn file<'a>(folder: &'a Folder, path: &str) -> &'a str {
    let found = folder.files.iter().find(|(own, _)| own == Path::new(path));
    &found.unwrap_or_else(|| panic!("no file {path}")).1
}

/// An array of small numbers that differ from each other.
pub fn counting(dtype: DType, shape: &[usize], seed: usize) -> Array {
    let count: usize = shape.iter().product();
    let value = |i: usize| {
        let x = ((i * 7 + seed * 5 + 3) % 23) as f64 - 11.0;
        Value::from_f64(dtype, if dtype.is_float() { x / 8.0 } else { x })
    };
    Array::from_values(dtype, shape, (0..count).map(value))
}
