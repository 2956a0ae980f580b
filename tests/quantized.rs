//! Random quantized operators in `.cache/conformance/tflite_quantized`: the integers that TFLite's reference kernels give, by the
//! interpreter and by C, and that a changed number is noticed. `./test` writes them; see
//! `tests/conformance/dump_tflite_quantized_tests.py` for their form.
//! `NABLAC_FAMILY=add` tests the families whose names begin so.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use nablac::failure::Class;
use nablac::pipeline::{Form, Options, Stage, compile};
use nablac::{engine, npz};
use nablac_graph::limits::Limits;
use nablac_graph::source::SourceModel;
use nablac_index::{Array, DType, Expr, Role, Step, Value};
use nablac_machine::Machine;

/// One operator with its arrays.
struct Case {
    number: String,
    source: SourceModel,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
}

/// What a family's cases came to.
#[derive(Default)]
struct Tally {
    cases: usize,
    elements: usize,
    wrong: usize,
    /// The first case that failed, and how.
    first: Option<String>,
    failed: usize,
}

/// What the files of operators that are not supported begin with.
const REFUSED: &str = "refused_";

/// The families of supported operators.
fn families() -> Vec<PathBuf> {
    files().into_iter().filter(|path| !name_of(path).starts_with(REFUSED)).collect()
}

/// The files of the suite; none, and said so, where it is not there.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/conformance/tflite_quantized");
    let Ok(entries) = fs::read_dir(&folder) else {
        support::skipped(format!("{} is not there; `./test` writes it", folder.display()));
        return vec![];
    };
    let wanted = std::env::var("NABLAC_FAMILY").unwrap_or_default();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| name_of(path).starts_with(&wanted));
    paths.sort();
    assert!(!paths.is_empty(), "no family begins with `{wanted}`");
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The cases of a family.
fn cases(path: &Path) -> Vec<Case> {
    let mut arrays: BTreeMap<String, Array> = npz::read(path).unwrap();
    let models: Vec<String> = arrays.keys().filter(|name| name.ends_with(".model")).cloned().collect();
    let case = |name: &String| {
        let number = name.trim_end_matches(".model").to_string();
        let bytes = arrays.remove(name).unwrap();
        let parsed = nablac_tflite::parse(bytes.bytes(), &Limits::default());
        let source = parsed.unwrap_or_else(|error| panic!("{}, {number}: {error}", name_of(path)));
        let mut take = |kind: &str, name: &String| arrays.remove(&format!("{number}.{kind}.{name}")).unwrap();
        let inputs = source.inputs.iter().map(|tensor| take("in", &tensor.name)).collect();
        let outputs = source.outputs.iter().map(|tensor| take("out", &tensor.name)).collect();
        Case { number, source, inputs, outputs }
    };
    models.iter().map(case).collect()
}

fn options(after: Stage) -> Options {
    Options {
        dimensions: BTreeMap::new(),
        limits: Limits::default(),
        requantization: None,
        stream: None,
        machine: Machine::load("host").unwrap(),
        c: nablac_c::Options::default(),
        after,
        schedules: Default::default(),
    }
}

/// How many elements a case's outputs have, and how many of them are wrong.
fn interpret(case: &Case) -> Result<(usize, usize), String> {
    let form = compile(&case.source, &options(Stage::Plan), &mut |_| {}).map_err(|failure| {
        let parts = failure.parts.iter().map(|part| format!("; {part}")).collect::<String>();
        format!("{failure}{parts}")
    })?;
    let outputs = engine::interpret(&form, std::slice::from_ref(&case.inputs))
        .map_err(|failure| failure.to_string())?;
    let mut elements = 0;
    let mut wrong = 0;
    for (got, expected) in outputs[0].iter().zip(&case.outputs) {
        if (got.dtype(), got.shape()) != (expected.dtype(), expected.shape()) {
            let kind = |array: &Array| format!("{}{:?}", array.dtype(), array.shape());
            return Err(format!("an output is {}, not {}", kind(got), kind(expected)));
        }
        elements += got.len();
        wrong += got.values().zip(expected.values()).filter(|(a, b)| a != b).count();
    }
    Ok((elements, wrong))
}

fn tally(path: &Path) -> Tally {
    let mut tally = Tally::default();
    for case in cases(path) {
        tally.cases += 1;
        let outcome = std::panic::catch_unwind(|| interpret(&case)).unwrap_or(Err("panicked".into()));
        let problem = match outcome {
            Ok((elements, wrong)) => {
                tally.elements += elements;
                tally.wrong += wrong;
                (wrong > 0).then(|| format!("{wrong} of {elements} elements are wrong"))
            }
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            tally.failed += 1;
            tally.first.get_or_insert(format!("{}: {problem}", case.number));
        }
    }
    tally
}

/// `work` on every path, on this computer's threads; the results in the order of the paths.
fn on_all<T: Send>(paths: &[PathBuf], work: impl Fn(&Path) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = vec![];
        while let Some((position, path)) = {
            let position = next.fetch_add(1, Ordering::Relaxed);
            paths.get(position).map(|path| (position, path))
        } {
            done.push((position, work(path)));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(position, _)| *position);
    all.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn interpreted_operators_give_the_reference_kernels_integers() {
    let paths = families();
    let tallies = on_all(&paths, tally);
    let mut failed = vec![];
    for (path, tally) in paths.iter().zip(&tallies) {
        let Tally { cases, elements, wrong, first, failed: bad } = tally;
        let name = name_of(path);
        println!("{name:32} {cases:4} cases {elements:8} elements {wrong:6} wrong, {bad:3} cases failed");
        failed.extend(first.as_ref().map(|first| format!("{name}: {bad} of {cases} cases: {first}")));
    }
    assert!(failed.is_empty(), "{} families failed\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn what_is_not_supported_is_said() {
    for path in files().iter().filter(|path| name_of(path).starts_with(REFUSED)) {
        for case in cases(path) {
            let name = name_of(path);
            let failure = compile(&case.source, &options(Stage::Plan), &mut |_| {}).expect_err(&name);
            assert_eq!(failure.code.class(), Class::Unsupported, "{name}: {failure}");
        }
    }
}

/// How many cases of each family the quick tier compiles to C.
const QUICK_CASES: usize = 5;

#[test]
fn c_gives_the_reference_kernels_integers_of_some_cases() {
    check_c(QUICK_CASES);
}

#[test]
#[ignore = "compiles tens of thousands of programs"]
fn c_gives_the_reference_kernels_integers() {
    check_c(usize::MAX);
}

fn check_c(most: usize) {
    let paths = families();
    let problems = on_all(&paths, |path| in_c(path, most));
    let failed: Vec<String> = problems.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} families failed\n{}", failed.len(), failed.join("\n"));
}

/// Cases that are one translation unit: most of what a compiler does is to begin.
const CASES_PER_UNIT: usize = 25;

/// Compiles the first cases of a family, all in one program, and runs them. Says what is wrong, if anything is.
fn in_c(path: &Path, most: usize) -> Option<String> {
    let (name, work) = (name_of(path), support::Place::new());
    let mut units: Vec<String> = vec![];
    let mut calls = vec![];
    for (position, case) in cases(path).into_iter().take(most).enumerate() {
        let own = format!("case_{}", case.number);
        let [inputs, outputs] = [case.inputs.len(), case.outputs.len()];
        let vector = nablac_c::Vector { inputs: case.inputs, outputs: case.outputs };
        let c = nablac_c::Options { name: own.clone(), vectors: vec![vector], ..Default::default() };
        let folder = match compile(&case.source, &Options { c, ..options(Stage::C) }, &mut |_| {}) {
            Ok(Form::C(_, folder)) => folder,
            Ok(_) => unreachable!(),
            Err(failure) => return Some(format!("{name}, {own}: {failure}")),
        };
        for (file, text) in folder.files.iter().filter(|(file, _)| file.extension().is_some()) {
            work.file(&file.file_name().unwrap().to_string_lossy(), text);
        }
        if position.is_multiple_of(CASES_PER_UNIT) {
            units.push("#include <stdio.h>\n#include <string.h>\n".into());
        }
        let unit = units.last_mut().unwrap();
        *unit += &unit_of(&folder, inputs, outputs);
        calls.push(own);
    }
    let files = (0..units.len()).map(|unit| format!("unit_{unit}.c")).chain(["main.c".to_string()]);
    let files: Vec<String> = files.collect();
    units.push(driver(&calls));
    files.iter().zip(&units).for_each(|(file, text)| drop(work.file(file, text)));
    let mut command = Command::new("gcc");
    command
        .args(["-std=c99", "-O1", "-ffp-contract=off", "-w", "-I."])
        .args(files)
        .args(["-o", "all", "-lm"]);
    let built = command.current_dir(work.path("")).output().unwrap();
    if !built.status.success() {
        return Some(format!("{name}: {}", String::from_utf8_lossy(&built.stderr)));
    }
    let run = Command::new(work.path("all")).output().unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    (!run.status.success()).then(|| format!("{name}: {}", report.lines().next().unwrap_or("it stopped")))
}

/// The C of one case, with a function that says whether its outputs are the reference kernels'. The names of its static functions,
/// which other cases have too, are its own by macros.
fn unit_of(folder: &nablac_c::Folder, inputs: usize, outputs: usize) -> String {
    let (own, upper) = (&folder.name, folder.name.to_uppercase());
    let mut unit = String::new();
    let helpers: Vec<&str> =
        folder.files.iter().flat_map(|(_, text)| text.lines().filter_map(helper)).collect();
    helpers.iter().for_each(|helper| unit += &format!("#define {helper} {own}_{helper}\n"));
    let sources = folder.sources.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    sources.chain([format!("{own}_vectors.c")]).for_each(|file| unit += &format!("#include \"{file}\"\n"));
    helpers.iter().for_each(|helper| unit += &format!("#undef {helper}\n"));
    unit += &format!("int {own}_holds(void)\n{{\n    static uint64_t arena[{upper}_ARENA_SIZE / 8U + 1U];\n");
    unit += &format!(
        "    {own}_ctx_t ctx;\n    int holds = {own}_init(&ctx, arena, sizeof arena) == {upper}_OK;\n"
    );
    for k in 0..inputs {
        unit += &format!(
            "    memcpy({own}_input{k}(&ctx), {own}_vectors_input{k}[0], {upper}_INPUT{k}_BYTES);\n"
        );
    }
    unit += &format!("    holds &= {own}_run(&ctx) == {upper}_OK;\n");
    for k in 0..outputs {
        let [got, expected] = [format!("{own}_output{k}(&ctx)"), format!("{own}_vectors_output{k}[0]")];
        unit += &format!("    holds &= memcmp({got}, {expected}, {upper}_OUTPUT{k}_BYTES) == 0;\n");
    }
    unit + "    return holds;\n}\n"
}

/// The name of the static inline function that a line begins, if it begins one.
fn helper(line: &str) -> Option<&str> {
    line.strip_prefix("static inline ")?.split('(').next()?.split_whitespace().last()
}

/// A program that runs the cases, and names those that fail.
fn driver(names: &[String]) -> String {
    let declared: String = names.iter().map(|own| format!("int {own}_holds(void);\n")).collect();
    let call = |own: &String| format!("    if (!{own}_holds()) {{ puts(\"{own}\"); failed = 1; }}\n");
    let calls: String = names.iter().map(call).collect();
    format!(
        "#include <stdio.h>\n{declared}int main(void)\n{{\n    int failed = 0;\n{calls}    return failed;\n}}\n"
    )
}

/// A program with one number changed, and what kind of number that was.
struct Mutant {
    kind: &'static str,
    program: nablac_index::Program,
}

/// Every way of changing one multiplier, one zero point or one weight of a program a little, one number of each kind.
fn mutants(program: &nablac_index::Program) -> Vec<Mutant> {
    let mut found: Vec<Mutant> = vec![];
    for kind in ["multiplier", "zero point"] {
        for position in 0..program.steps.len() {
            let mut mutant = program.clone();
            let Step::Statement(statement) = &mut mutant.steps[position] else { continue };
            let changed = changed(&statement.body, kind);
            if changed != statement.body {
                statement.body = changed;
                found.push(Mutant { kind, program: mutant });
                break;
            }
        }
    }
    let weights =
        program.tensors.iter().position(|t| t.dtype == DType::I8 && matches!(t.role, Role::Constant(_)));
    if let Some(tensor) = weights {
        let mut mutant = program.clone();
        let Role::Constant(array) = &program.tensors[tensor].role else { unreachable!() };
        let first = |(position, value): (usize, Value)| match position {
            0 => Value::Int(if value.as_i64() > 0 { -100 } else { 100 }),
            _ => value,
        };
        let values = array.values().enumerate().map(first);
        mutant.tensors[tensor].role = Role::Constant(Array::from_values(DType::I8, array.shape(), values));
        found.push(Mutant { kind: "weight", program: mutant });
    }
    found
}

/// The expression with its multipliers an eighth smaller, or with one more than what is added to integers.
fn changed(body: &Expr, kind: &str) -> Expr {
    body.rewrite(&mut |node| match node {
        Expr::Requantize(rounding, abc) if kind == "multiplier" => {
            let [value, multiplier, exponent] = *abc;
            let smaller = match multiplier {
                Expr::Literal(dtype, m) => Expr::Literal(dtype, Value::Int(m.as_i64() / 8 * 7)),
                other => other.binary(nablac_index::Binary::Shr, Expr::integer(DType::I32, 1)),
            };
            value.requantize(rounding, smaller, exponent)
        }
        Expr::Binary(nablac_index::Binary::Add, a, b) if kind == "zero point" => match *b {
            Expr::Literal(DType::I32, zero) => *a + Expr::integer(DType::I32, zero.as_i64() + 1),
            other => *a + other,
        },
        other => other,
    })
}

/// Families, and the kinds of numbers that their programs hold.
const MUTATED: &[(&str, &[&str])] = &[
    ("conv_2d_int8", &["multiplier", "zero point", "weight"]),
    ("depthwise_conv_2d_int8", &["multiplier", "zero point", "weight"]),
    ("fully_connected_int8", &["zero point", "weight"]),
    ("add_int8", &["multiplier", "zero point"]),
    ("mul_int8", &["multiplier", "zero point"]),
    ("mean_int8", &["multiplier", "zero point"]),
];

#[test]
fn a_changed_number_is_noticed() {
    for path in families() {
        let name = name_of(&path);
        let Some((_, kinds)) = MUTATED.iter().find(|(family, _)| *family == name) else { continue };
        let mut seen: Vec<&str> = vec![];
        // A single case may hide a change behind its activation.
        for case in cases(&path).into_iter().take(20) {
            let form = compile(&case.source, &options(Stage::Define), &mut |_| {}).unwrap();
            let Form::Index(program) = form else { unreachable!() };
            let noticed = mutants(&program)
                .into_iter()
                .filter(|mutant| nablac_index::run(&mutant.program, &case.inputs).unwrap() != case.outputs);
            seen.extend(noticed.map(|mutant| mutant.kind));
        }
        assert!(
            kinds.iter().all(|kind| seen.contains(kind)),
            "{name}: {seen:?} are noticed, not all of {kinds:?}"
        );
    }
}
