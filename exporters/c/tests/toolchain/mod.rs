//! Compiles generated folders with every compiler at hand, and runs them.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nablac_c::{Folder, Options, Vector, export};
use nablac_index::{Array, DType};
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

/// Compiles every file with every compiler, without linking.
pub fn compile_everywhere(work: &Work, folder: &Folder) {
    let root = work.write(folder);
    for (compiler, language) in compilers() {
        for file in c_files(&root, folder) {
            let mut command = Command::new(compiler);
            command.args(language).args(STRICT).args(includes(&root, folder)).args(["-O2", "-c", "-o"]);
            must(command.arg(work.path().join("object.o")).arg(file));
        }
    }
}

/// Builds the self-test and a program that writes its outputs, with sanitizers, and runs both. The self-test must pass, and the
/// outputs are returned per vector.
pub fn run_sanitized(work: &Work, program: &Program, folder: &Folder, options: &Options) -> Vec<Vec<Array>> {
    let root = work.write(folder);
    let (compiler, language) = compilers()[0];
    let build = |files: Vec<String>, executable: &str| {
        let mut command = Command::new(compiler);
        command.args(language).args(STRICT).args(includes(&root, folder));
        command.args([
            "-O1",
            "-g",
            "-ffp-contract=off",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
        ]);
        let path = root.join(executable);
        must(command.args(files).arg("-o").arg(&path).arg("-lm"));
        path
    };
    must(&mut Command::new(build(c_files(&root, folder), "selftest")));
    let dump = root.join("dump.c");
    fs::write(&dump, dump_source(program, folder)).unwrap();
    let mut files: Vec<String> =
        folder.sources.iter().map(|path| root.join(path).display().to_string()).collect();
    files.push(root.join(format!("test/{}_vectors.c", folder.name)).display().to_string());
    files.push(dump.display().to_string());
    let bytes = must(&mut Command::new(build(files, "dump")));
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
    format!(
        "#include \"{name}.h\"\n#include \"{name}_vectors.h\"\n#include <stdio.h>\n#include <string.h>\n\
         int main(void) {{\nstatic uint64_t arena[{upper}_ARENA_SIZE / 8U + 1U];\n{name}_ctx_t ctx;\n\
         if ({name}_init(&ctx, arena, sizeof arena) != {upper}_OK) return 1;\n\
         for (size_t v = 0; v < {upper}_VECTORS; v++) {{\n{body}}}\nreturn 0;\n}}\n"
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

/// The same bits, but for which not-a-number it is.
pub fn same(a: &Array, b: &Array) -> bool {
    let number = |array: &Array, i: usize| array.get(i);
    let equal = |i: usize| {
        let (x, y) = (number(a, i), number(b, i));
        x == y || (a.dtype().is_float() && x.as_f64().is_nan() && y.as_f64().is_nan())
    };
    a.dtype() == b.dtype() && a.shape() == b.shape() && (0..a.len()).all(equal)
}

/// Exports, compiles everywhere, runs, and compares with the interpreter bit for bit.
pub fn check(test: &str, program: &Program, inputs: Vec<Vec<Array>>) -> Folder {
    let options = options(program, inputs);
    let folder = export(program, &options).unwrap_or_else(|error| panic!("{error}\n{program}"));
    assert_eq!(export(program, &options).unwrap(), folder, "the same program gives the same bytes");
    let work = Work::new(test);
    compile_everywhere(&work, &folder);
    let found = run_sanitized(&work, program, &folder, &options);
    for (vector, outputs) in options.vectors.iter().zip(&found) {
        for (expected, found) in vector.outputs.iter().zip(outputs) {
            assert!(
                same(expected, found),
                "{program}\n{expected:?} {:?}\n{found:?} {:?}",
                expected.to_f64(),
                found.to_f64()
            );
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
        nablac_index::Value::from_f64(dtype, if dtype.is_float() { x / 8.0 } else { x })
    };
    Array::from_values(dtype, shape, (0..count).map(value))
}
