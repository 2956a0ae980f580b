//! `nablac run`: a model on samples.

use std::path::PathBuf;

use nablac::engine;
use nablac::failure::Result;
use nablac::npz;
use nablac::pipeline::Stage;
use nablac::samples::{self, Port, Sample};
use nablac_machine::Machine;
use serde_json::{Value, json};

use super::Answer;
use super::arguments::{ModelArguments, SampleArguments, inputs_of, outputs_of, stage};
use super::talk::Talk;

/// Run a model on samples.
///
/// Without `--target` the interpreter runs it, which needs no C compiler.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    samples: SampleArguments,
    /// Write the outputs here, one array each, stacked as the inputs are.
    #[arg(long, value_name = "OUT.npz")]
    outputs: Option<PathBuf>,
    /// The stage whose result the interpreter runs; see `nablac show --help`.
    #[arg(long, value_name = "STAGE", default_value = "simplify", value_parser = stage)]
    after: Stage,
}

/// How many values of an output are printed.
const SHOWN: usize = 12;

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let model = arguments.model.read(talk)?;
    let program = arguments.model.define(&model, talk)?;
    let (inputs, outputs) = (inputs_of(&model, &program), outputs_of(&model, &program));
    let (samples, stacking) = arguments.samples.samples(&inputs)?;
    let form = arguments.model.compile(&model, &Machine::load("host")?, arguments.after, talk)?;
    talk.begin("Running", &format!("{} samples in the interpreter", samples.len()));
    let results = engine::interpret(&form, &samples)?;
    talk.end();
    let mut text = shown(&outputs, &results);
    if let Some(path) = &arguments.outputs {
        npz::write(path, &samples::join(&outputs, &results, stacking))?;
        text += &format!("all written to {}\n", path.display());
    }
    Ok(Answer::new(fields(&outputs, &results), text))
}

/// The first values of each output of each sample.
fn shown(ports: &[Port], results: &[Sample]) -> String {
    let mut text = String::new();
    for (number, sample) in results.iter().enumerate() {
        for (port, array) in ports.iter().zip(sample) {
            let values: Vec<String> = array
                .values()
                .take(SHOWN)
                .map(|value| nablac_index::literal_text(array.dtype(), value, false))
                .collect();
            let more = if array.len() > SHOWN { ", …" } else { "" };
            text += &format!("sample {number}  {port} = [{}{more}]\n", values.join(", "));
        }
    }
    text
}

/// Every value: `outputs` maps a name to a list of samples, each a flat list in row-major order.
fn fields(ports: &[Port], results: &[Sample]) -> Value {
    let values = |position: usize| -> Vec<Value> {
        results
            .iter()
            .map(|sample| match ports[position].dtype.is_float() {
                true => json!(sample[position].to_f64()),
                false => json!(sample[position].to_i64()),
            })
            .collect()
    };
    let outputs = ports.iter().enumerate().map(|(position, port)| {
        json!({ "name": port.name, "dtype": port.dtype.name(), "shape": port.shape, "samples": values(position) })
    });
    json!({ "engine": "interp", "samples": results.len(), "outputs": outputs.collect::<Vec<_>>() })
}
