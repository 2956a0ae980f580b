//! `nablac run`: a model on samples.

use std::path::PathBuf;

use nablac::failure::Result;
use nablac::npz;
use nablac::samples::{self, Port, Sample};
use serde_json::{Value, json};

use super::Answer;
use super::arguments::{ModelArguments, SampleArguments};
use super::engine::EngineArguments;
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
    #[command(flatten)]
    engine: EngineArguments,
    /// Write the outputs here, one array each, stacked as the inputs are.
    #[arg(long, value_name = "OUT.npz")]
    outputs: Option<PathBuf>,
}

/// How many values of an output are printed.
const SHOWN: usize = 12;

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let network = arguments.model.network(talk)?;
    let (samples, stacking) = arguments.samples.samples(&network.inputs)?;
    let keep = arguments.samples.keep_state;
    let outcome = arguments.engine.run(&arguments.model, &network, &samples, keep, talk)?;
    let mut text = shown(&network.outputs, &outcome.outputs);
    if let Some(path) = &arguments.outputs {
        npz::write(path, &samples::join(&network.outputs, &outcome.outputs, stacking))?;
        text += &format!("all written to {}\n", path.display());
    }
    let fields = json!({
        "model": network.model.path,
        "engine": outcome.engine,
        "target": outcome.target,
        "samples": samples.len(),
        "outputs": fields(&network.outputs, &outcome.outputs),
    });
    Ok(Answer::new(fields, text))
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

/// Every output: its samples are flat lists in row-major order.
fn fields(ports: &[Port], results: &[Sample]) -> Vec<Value> {
    let values = |position: usize| -> Vec<Value> {
        results
            .iter()
            .map(|sample| match ports[position].dtype.is_float() {
                true => json!(sample[position].to_f64()),
                false => json!(sample[position].to_i64()),
            })
            .collect()
    };
    let output = |(position, port): (usize, &Port)| json!({ "name": port.name, "dtype": port.dtype.name(), "shape": port.shape, "samples": values(position) });
    ports.iter().enumerate().map(output).collect()
}
