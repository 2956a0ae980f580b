//! The command line: reads arguments, calls the library, and says what came of it.
//!
//! Owns the commands, one file each, and their common ways: results go to stdout (as one JSON object with `--json`), talk and
//! progress to stderr, and the exit code is the failure's class.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use nablac::failure::{Class, Code, Failure, Result};
use serde_json::{Map, Value, json};

mod arguments;
mod bench;
mod check;
mod compile;
mod completions;
mod doctor;
mod engine;
mod explain;
mod fit;
mod ops;
mod quantize;
mod report;
mod run;
mod show;
mod talk;
mod targets;
mod text;
mod verify;

use talk::Talk;

/// The version of the JSON objects that `--json` prints. It changes when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// Compiles trained networks to C for small machines.
///
/// A model file (ONNX or TFLite) goes in; a folder of plain C99 without heap or dependencies comes out, with an arena of
/// exactly known size. Every stage can be printed, run and checked on the way.
#[derive(Parser)]
#[command(name = "nablac", version, max_term_width = 110, after_help = AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    /// Print the result as one JSON object; its `schema` is the version of its fields.
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
Examples:
  nablac check model.onnx                                      what is not supported, all at once
  nablac compile model.onnx --target cortex-m4 --out out/model C for a Cortex-M4
  nablac verify model.onnx --target host --inputs in.npz --reference out.npz
  nablac bench model.tflite --target cortex-m4,cortex-m7       instructions, flash and RAM, emulated
  nablac fit model.tflite --ram 32K --flash 256K --all-targets where it fits, and what less memory costs
  nablac quantize model.onnx --calibrate data.npz --out int8.onnx
  nablac show model.onnx --after define                        the network in index notation

Exit codes:
  0 ok  1 a bug in nablac  2 usage  3 not supported  4 does not fit the budget  5 outputs differ
  6 tool missing  7 malformed model  8 limit hit          `nablac explain CODE` says more about an error";

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Show(show::Arguments),
    Compile(compile::Arguments),
    Run(run::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Fit(fit::Arguments),
    Quantize(quantize::Arguments),
    Targets(targets::Arguments),
    Ops(ops::Arguments),
    Explain(explain::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

/// What a command has to say: the same as fields and as text, and a failure that came with it.
struct Answer {
    fields: Value,
    text: String,
    failure: Option<Box<Failure>>,
}

impl Answer {
    fn new(fields: Value, text: impl Into<String>) -> Answer {
        Answer { fields, text: text.into(), failure: None }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let name = command_name();
    let arguments = CommandLine::try_parse().unwrap_or_else(|error| refuse(&name, &error));
    let talk = Talk::new(arguments.quiet);
    report::install();
    install_panic_hook();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(arguments.command, &talk)));
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::new(Code::Panic, "nablac panicked")));
    talk.end();
    let (answer, failure) = match outcome {
        Ok(answer) => (Some((answer.fields, answer.text)), answer.failure),
        Err(failure) => (None, Some(failure)),
    };
    if arguments.json {
        print(&json_text(&name, answer.map(|(fields, _)| fields), failure.as_deref()));
    } else if let Some((_, text)) = answer {
        print(&text);
    }
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            let code = failure.exit_code();
            if failure.code != Code::Panic {
                eprintln!("{:?}", miette::Report::new(*failure)); // the hook has said it already otherwise
            }
            ExitCode::from(code)
        }
    }
}

/// Ends the program over a command line that is not understood, or that asks for help: text as clap writes it, and
/// with `--json` the error as an object too.
fn refuse(name: &str, error: &clap::Error) -> ! {
    if error.use_stderr() && std::env::args().any(|argument| argument == "--json") {
        let text = error.to_string();
        let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        print(&json_text(name, None, Some(&*Failure::new(Code::CommandLine, message.trim()))));
    }
    error.exit()
}

fn run(command: Command, talk: &Talk) -> Result<Answer> {
    match command {
        Command::Check(arguments) => check::run(&arguments, talk),
        Command::Show(arguments) => show::run(&arguments, talk),
        Command::Compile(arguments) => compile::run(&arguments, talk),
        Command::Run(arguments) => run::run(&arguments, talk),
        Command::Verify(arguments) => verify::run(&arguments, talk),
        Command::Bench(arguments) => bench::run(&arguments, talk),
        Command::Fit(arguments) => fit::run(&arguments, talk),
        Command::Quantize(arguments) => quantize::run(&arguments, talk),
        Command::Targets(arguments) => targets::run(&arguments),
        Command::Ops(arguments) => ops::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
    }
}

/// The subcommand as it was called; clap has made sure that there is one.
fn command_name() -> String {
    let known: Vec<String> = CommandLine::command().get_subcommands().map(|c| c.get_name().into()).collect();
    std::env::args().skip(1).find(|argument| known.contains(argument)).unwrap_or_default()
}

/// The one JSON object of a command: `schema`, `command`, its fields, and `error` if it failed.
fn json_text(command: &str, fields: Option<Value>, failure: Option<&Failure>) -> String {
    let mut object = Map::from_iter([("schema".into(), json!(SCHEMA)), ("command".into(), json!(command))]);
    if let Some(Value::Object(fields)) = fields {
        object.extend(fields);
    }
    if let Some(failure) = failure {
        object.insert("error".into(), failure.json());
    }
    format!("{:#}\n", Value::Object(object))
}

/// Writes to stdout. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let result = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("cannot write to stdout: {error}");
        std::process::exit(i32::from(Class::Usage as u8));
    }
}

/// A panic is our bug: say so, and where.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("nablac panicked: this is a bug in nablac (E0101), not in your model.\n{panic}");
        eprintln!("Please report it with the model, the command line and this message.");
    }));
}
