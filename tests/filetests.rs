//! Filetests: an input, and exactly what the compiler makes of it.
//!
//! A `.nab` file under `tests/filetests` begins with a header of comment lines:
//!
//! ```text
//! ; test STAGE…            what to run: parse, verify, fold, define, simplify, views, schedule,
//!                          lower, fuse, plan, c, run
//! ; target: NAME           what the schedules are for; the host if the line is not there
//! ; schedule: LINE         a line of the schedules that are forced
//! ; optimize: GOAL         what the code is to be: time, or size
//! ; threads: N             how many threads run kernels with much work
//! ; input: NAME=WAY        how an input reaches the program: rows, or external
//! ; error: TEXT            the stage must fail, and its error contain the text
//! ; run: f([1.0, 2.0]) == [3.0]     a call: the elements of each input and output, in row-major order, on every engine;
//!                          `~=` allows floats 1e-5 × max(1, range of what is expected)
//! ; then: f([1.0, 2.0]) == [6.0]    a call that follows the one above, with what that left in the states
//! ```
//!
//! Behind it stand a graph, a program of index notation or of loop nests, and for each stage that prints, a line
//! `; ---- STAGE` with the expected text below it. `BLESS=1 cargo test --test filetests` rewrites those texts.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nablac::comparison::{Allowance, compare};
use nablac::engine;
use nablac::failure::Code;
use nablac::pipeline::{self, Form};
use nablac::samples::{Port, Sample};
use nablac::schedules::Schedules;
use nablac_graph::Requantization;
use nablac_index::lexer::Lexer;
use nablac_index::{Array, parse_array};
use nablac_loops::{Delivery, Optimize};
use nablac_machine::Machine;

/// What separates the input from expected texts.
const MARK: &str = "; ----";

/// A test as its file says it.
struct Test {
    stages: Vec<String>,
    target: String,
    schedule: String,
    optimize: Optimize,
    threads: usize,
    inputs: BTreeMap<String, Delivery>,
    errors: Vec<String>,
    /// Sequences of calls; each begins with the states' initial values.
    calls: Vec<Vec<String>>,
    /// The header and the input, as they stand in the file.
    input: String,
    /// Stages and the texts expected of them.
    sections: Vec<(String, String)>,
}

fn read(path: &Path) -> Test {
    let text = fs::read_to_string(path).unwrap();
    let mut test = Test {
        stages: vec![],
        target: "host".into(),
        schedule: String::new(),
        optimize: Optimize::default(),
        threads: 1,
        inputs: BTreeMap::new(),
        errors: vec![],
        calls: vec![],
        input: String::new(),
        sections: vec![],
    };
    for line in text.lines() {
        if let Some(stage) = line.strip_prefix(MARK) {
            test.sections.push((stage.trim().into(), String::new()));
            continue;
        }
        if let Some((_, section)) = test.sections.last_mut() {
            *section += &format!("{line}\n");
            continue;
        }
        test.input += &format!("{line}\n");
        if let Some(stages) = line.strip_prefix("; test ") {
            test.stages.extend(stages.split_whitespace().map(String::from));
        } else if let Some(target) = line.strip_prefix("; target: ") {
            test.target = target.trim().into();
        } else if let Some(line) = line.strip_prefix("; schedule: ") {
            test.schedule += &format!("{line}\n");
        } else if let Some(goal) = line.strip_prefix("; optimize: ") {
            test.optimize = Optimize::from_name(goal.trim()).expect("`; optimize:` names a goal");
        } else if let Some(threads) = line.strip_prefix("; threads: ") {
            test.threads = threads.trim().parse().expect("`; threads:` gives a number");
        } else if let Some(input) = line.strip_prefix("; input: ") {
            let (name, way) = input.trim().split_once('=').expect("`; input:` is like `x=rows`");
            let delivery = if way == "rows" { Delivery::Rows } else { Delivery::External };
            test.inputs.insert(name.into(), delivery);
        } else if let Some(error) = line.strip_prefix("; error: ") {
            test.errors.push(error.into());
        } else if let Some(call) = line.strip_prefix("; run: ") {
            test.calls.push(vec![call.into()]);
        } else if let Some(call) = line.strip_prefix("; then: ") {
            test.calls.last_mut().expect("`; then:` stands behind `; run:`").push(call.into());
        }
    }
    assert!(!test.stages.is_empty(), "the file names no stage: its first line is `; test STAGE`");
    test
}

/// The first word that is no comment says the language.
fn parse(text: &str) -> Result<Form, String> {
    let mut words =
        text.lines().filter(|line| !line.trim_start().starts_with(';')).flat_map(str::split_whitespace);
    let form = match words.next() {
        Some("graph") => nablac_graph::parse(text).map(Form::Graph).map_err(|e| e.to_string()),
        Some("program") => nablac_index::parse(text).map(Form::Index).map_err(|e| e.to_string()),
        Some("loops") => nablac_loops::parse(text).map(Form::Loops).map_err(|e| e.to_string()),
        other => Err(format!("`graph`, `program` or `loops` is expected, not {other:?}")),
    }?;
    Ok(form)
}

fn verify(form: &Form) -> Result<(), String> {
    match form {
        Form::Graph(graph) => nablac_graph::verify(graph).map_err(|e| e.to_string()),
        Form::Index(program) | Form::Schedule(program, _) => {
            nablac_index::verify(program).map_err(|e| e.to_string())
        }
        Form::Loops(nests) => nablac_loops::verify(nests).map_err(|e| e.to_string()),
        Form::C(..) => Ok(()), // the C compiler says
    }
}

/// The stages that make something, in the order of the pipeline.
const STAGES: &[&str] =
    &["fold", "quantize", "define", "simplify", "views", "schedule", "lower", "fuse", "plan", "c"];

/// What stage `name` makes of the form; a form that is further on already stays what it is.
fn apply(name: &str, form: Form, test: &Test) -> Result<Form, String> {
    let machine = Machine::load(&test.target).map_err(|e| e.to_string())?;
    let capacity = pipeline::capacity(&machine, test.optimize, test.threads).map_err(|e| e.to_string())?;
    let mut schedules = Schedules::default();
    schedules.add("schedule", test.schedule.clone()).map_err(|e| e.to_string())?;
    let form = match (name, form) {
        ("fold", Form::Graph(graph)) => Form::Graph(nablac_graph::fold_constants(graph)),
        ("quantize", Form::Graph(graph)) => {
            Form::Graph(nablac_graph::fuse_quantization(graph, Requantization::F32))
        }
        ("define", Form::Graph(graph)) => {
            Form::Index(nablac_graph::define(&graph).map_err(|e| e.to_string())?)
        }
        ("simplify", Form::Index(program)) => Form::Index(nablac_index::simplify(program)),
        ("views", Form::Index(program)) => {
            let program = nablac_index::simplify(nablac_index::assign_layouts(program));
            Form::Index(nablac_index::fit_steps(program))
        }
        ("schedule", Form::Index(program)) => {
            let text =
                pipeline::schedule_text(&program, &capacity, &schedules.parsed).map_err(|e| e.to_string())?;
            Form::Schedule(program, text)
        }
        ("lower", Form::Schedule(program, _)) => {
            let nests = nablac_loops::lower(&program, &capacity, &schedules.parsed);
            Form::Loops(nests.map_err(|e| e.to_string())?)
        }
        ("fuse", Form::Loops(nests)) => {
            let nests = nablac_loops::fuse(nests, &schedules.parsed, &test.inputs);
            Form::Loops(nests.map_err(|e| e.to_string())?)
        }
        ("plan", Form::Loops(nests)) => Form::Loops(nablac_loops::plan(nests)),
        ("c", Form::Loops(nests)) => {
            let options = nablac_c::Options { optimize: test.optimize, ..Default::default() };
            let folder = nablac_c::export(&nests, &options).map_err(|e| e.to_string())?;
            Form::C(nests, folder)
        }
        (_, form) => form,
    };
    verify(&form).map_err(|error| format!("after {name}: {error}"))?;
    Ok(form)
}

/// The form after each stage, the input itself first.
fn forms(form: Form, test: &Test) -> Result<Vec<(&'static str, Form)>, String> {
    let mut forms = vec![("parse", form)];
    for &stage in STAGES {
        let next = apply(stage, forms[forms.len() - 1].1.clone(), test)?;
        forms.push((stage, next));
    }
    Ok(forms)
}

/// What a stage prints; nothing for those that only check.
fn printed(stage: &str, test: &Test) -> Result<Option<String>, String> {
    let form = parse(&test.input)?;
    if stage == "parse" {
        let text = form.text();
        let again = parse(&text)?.text();
        assert_eq!(again, text, "the printed text reads back as another program");
        return Ok(Some(text));
    }
    verify(&form)?;
    match stage {
        "verify" => Ok(None),
        "run" => run(test, form).map(|()| None),
        _ => {
            assert!(STAGES.contains(&stage), "there is no stage `{stage}`");
            let forms = forms(form, test)?;
            Ok(forms.into_iter().find(|(name, _)| *name == stage).map(|(_, form)| form.text()))
        }
    }
}

fn run(test: &Test, form: Form) -> Result<(), String> {
    assert!(!test.calls.is_empty(), "`run` needs a line `; run: f(…) == …`");
    let forms = forms(form, test)?;
    let (inputs, outputs) = forms.iter().find_map(|(_, form)| ports(form)).ok_or("nothing that runs")?;
    let sequences = test.calls.iter().filter(|calls| calls.len() > 1).cloned();
    let alone: Vec<String> = test.calls.iter().filter(|calls| calls.len() == 1).flatten().cloned().collect();
    for (calls, in_sequence) in [(alone, false)].into_iter().chain(sequences.map(|calls| (calls, true))) {
        run_calls(&calls, in_sequence, &forms, &inputs, &outputs)?;
    }
    Ok(())
}

fn run_calls(
    texts: &[String],
    in_sequence: bool,
    forms: &[(&'static str, Form)],
    inputs: &[Port],
    outputs: &[Port],
) -> Result<(), String> {
    let mut calls = vec![];
    for call in texts {
        calls.push(parse_call(call, inputs, outputs).map_err(|error| format!("`{call}`: {error}"))?);
    }
    let samples: Vec<Sample> = calls.iter().map(|call| call.0.clone()).collect();
    for (stage, form) in forms.iter().filter(|_| !samples.is_empty()) {
        let Some(got) = outputs_of(form, inputs, outputs, &samples, in_sequence)? else { continue };
        for ((call, (_, expected, exact)), got) in texts.iter().zip(&calls).zip(&got) {
            let allowance = Allowance { factor: if *exact { 0.0 } else { 1.0 }, steps: 0 };
            for c in compare(outputs, std::slice::from_ref(got), std::slice::from_ref(expected), allowance) {
                assert_eq!(c.mismatches, 0, "`{call}` after {stage}: {:?}", c.first);
            }
        }
    }
    Ok(())
}

/// The inputs and outputs of a form that says them.
fn ports(form: &Form) -> Option<(Vec<Port>, Vec<Port>)> {
    match form {
        Form::Graph(_) | Form::C(..) => None,
        Form::Index(program) | Form::Schedule(program, _) => {
            Some((Port::inputs(program), Port::outputs(program)))
        }
        Form::Loops(nests) => {
            let port = |id| {
                let buffer = nests.buffer(id);
                Port { name: buffer.name.clone(), dtype: buffer.dtype, shape: buffer.shape.clone() }
            };
            Some((
                nests.inputs().into_iter().map(port).collect(),
                nests.outputs().into_iter().map(port).collect(),
            ))
        }
    }
}

/// What an engine gives: the interpreter of the form's language, or a C compiler if this computer has one.
fn outputs_of(
    form: &Form,
    inputs: &[Port],
    outputs: &[Port],
    samples: &[Sample],
    in_sequence: bool,
) -> Result<Option<Vec<Sample>>, String> {
    let Form::C(nests, folder) = form else {
        let got = match in_sequence {
            true => engine::interpret_sequence(form, samples),
            false => engine::interpret(form, samples),
        };
        return got.map(Some).map_err(|e| e.to_string());
    };
    let library = engine::Library { folder, inputs, outputs, arena_bytes: nests.arena_bytes };
    let host = Machine::load("host").map_err(|e| e.to_string())?;
    let options = nablac_run::Options { sanitize: true, keep_state: in_sequence, ..Default::default() };
    match engine::execute(&library, &host, samples, &options) {
        Ok((outputs, _)) => Ok(Some(outputs)),
        Err(failure) if failure.code == Code::MissingTool => {
            support::skipped(format!("the generated C: {failure}"));
            Ok(None)
        }
        Err(failure) => Err(failure.to_string()),
    }
}

/// `name([elements], …) == [elements], …`: the inputs, the outputs, and whether they must be equal.
fn parse_call(
    call: &str,
    inputs: &[Port],
    outputs: &[Port],
) -> Result<(Sample, Sample, bool), nablac_index::Error> {
    let exact = !call.contains("~=");
    let mut lexer = Lexer::new(&call.replace("~=", "=="))?;
    let array = |lexer: &mut Lexer, port: &Port| -> Result<Array, nablac_index::Error> {
        parse_array(lexer, port.dtype, &port.shape, &Default::default())
    };
    let arrays = |lexer: &mut Lexer, ports: &[Port]| -> Result<Sample, nablac_index::Error> {
        let mut found = vec![];
        for (position, port) in ports.iter().enumerate() {
            if position > 0 {
                lexer.expect_sign(",")?;
            }
            found.push(array(lexer, port)?);
        }
        Ok(found)
    };
    lexer.expect_name("the program's name")?;
    lexer.expect_sign("(")?;
    let given = arrays(&mut lexer, inputs)?;
    lexer.expect_sign(")")?;
    lexer.expect_sign("==")?;
    Ok((given, arrays(&mut lexer, outputs)?, exact))
}

/// Runs a file; with `bless` it is rewritten where it differs.
fn check(path: &Path, bless: bool) {
    let test = read(path);
    let mut sections = vec![];
    let mut failed = vec![];
    for stage in &test.stages {
        match printed(stage, &test) {
            Ok(Some(text)) => sections.push((stage.clone(), text)),
            Ok(None) => {}
            Err(error) => failed.push(error),
        }
    }
    let failed = failed.join("\n");
    match test.errors.is_empty() {
        true => assert!(failed.is_empty(), "{failed}"),
        false => assert!(!failed.is_empty(), "an error is expected, but there is none"),
    }
    for error in &test.errors {
        assert!(failed.contains(error), "expected an error with `{error}`, got `{failed}`");
    }
    let expected: Vec<(String, String)> =
        test.sections.iter().map(|(stage, text)| (stage.clone(), format!("{}\n", text.trim()))).collect();
    sections.iter_mut().for_each(|(_, text)| *text = format!("{}\n", text.trim()));
    if expected != sections && bless {
        let texts = sections.iter().map(|(stage, text)| format!("\n{MARK} {stage}\n{text}"));
        fs::write(path, format!("{}\n{}", test.input.trim_end(), texts.collect::<String>())).unwrap();
        return;
    }
    for ((stage, text), (wanted, wanted_text)) in sections.iter().zip(&expected) {
        assert_eq!(stage, wanted, "the sections stand in the order of the stages");
        assert!(text == wanted_text, "after {stage}, expected:\n{wanted_text}\ngot:\n{text}");
    }
    assert_eq!(sections.len(), expected.len(), "a section for each stage that prints; BLESS=1 writes them");
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "nab") {
            found.push(entry);
        }
    }
}

#[test]
fn filetests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut found = vec![];
    files(&root, &mut found);
    assert!(!found.is_empty(), "no file under {}", root.display());
    let mut failures = vec![];
    for path in &found {
        let outcome = std::panic::catch_unwind(|| check(path, bless));
        if let Err(panic) = outcome {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or(panic.downcast_ref::<&str>().map(|text| text.to_string()));
            let name = path.strip_prefix(&root).unwrap().display();
            failures.push(format!("{name}: {}", message.unwrap_or_default()));
        }
    }
    let (count, total) = (failures.len(), found.len());
    assert!(failures.is_empty(), "{count} of {total} files failed\n\n{}", failures.join("\n\n"));
}
