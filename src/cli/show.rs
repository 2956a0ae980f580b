//! `nablac show`: what a stage of the compiler makes, as text.

use nablac::failure::Result;
use nablac::pipeline::{Form, Stage};
use nablac_machine::Machine;
use serde_json::json;

use super::Answer;
use super::arguments::{ModelArguments, ScheduleArguments, stage};
use super::talk::Talk;

/// Print what a stage of the compiler makes.
///
/// The stages, in order:
///
///   import    the operators of the model
///   fold      the operators, with what depends on constants alone computed
///   quantize  the operators, on integers where values are quantized on both sides
///   define    what each operator computes, in index notation
///   simplify  the same with maps and views inlined into their readers
///   views     the same with tensors laid out as windows move over them
///   schedule  how the loops of each kernel run, as a file for `--schedule`
///   lower     loop nests over buffers
///   plan      the same with every buffer at its place in the arena
///   c         the C file with the network's functions; `nablac compile` writes all files
///
/// Large constants print as the hash of their contents.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The stage.
    #[arg(long, value_name = "STAGE", default_value = "import", value_parser = stage)]
    after: Stage,
    /// What the schedule is for; see `nablac targets`. It matters from the stage `schedule` on.
    #[arg(long, value_name = "TARGET", default_value = "host")]
    target: String,
    #[command(flatten)]
    schedule: ScheduleArguments,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machine = Machine::load(&arguments.target)?;
    let schedules = arguments.schedule.read()?;
    let model = arguments.model.read(talk)?;
    let form =
        arguments.model.compile(&model, &machine, arguments.after, &schedules, Default::default(), talk)?;
    let language = match &form {
        Form::Graph(_) => "graph",
        Form::Index(_) => "index",
        Form::Schedule(..) => "schedule",
        Form::Loops(_) => "loops",
        Form::C(..) => "c",
    };
    let text = form.text();
    Ok(Answer::new(json!({ "stage": arguments.after.name(), "language": language, "text": text }), text))
}
