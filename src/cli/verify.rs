//! `nablac verify`: whether a model gives the numbers that it should.

use std::path::PathBuf;

use nablac::comparison::{Allowance, Comparison, compare};
use nablac::failure::{Code, Failure, Result};
use nablac::npz;
use nablac::samples::{self, Sample};
use serde_json::json;

use super::Answer;
use super::arguments::{ModelArguments, Network, SampleArguments, factor};
use super::engine::{EngineArguments, interpret};
use super::talk::Talk;
use super::text;

/// Compare a model's outputs with a reference: the framework's outputs in a file, or else the interpreter's.
///
/// Integers must be equal (`--lsb N` allows a difference of N). Floats may differ by 1e-5 x max(1, range of the reference),
/// where the range is the largest less the smallest value of that output; `--tolerance X` allows X times as much. Exits 5,
/// and names the first elements that differ, if one differs by more.
///
/// Without `--reference` the outputs are compared with those of the network just as its operators define it.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    samples: SampleArguments,
    #[command(flatten)]
    engine: EngineArguments,
    /// An .npz file with the expected outputs, one array each under the output's name, stacked as the inputs are.
    #[arg(long, value_name = "REF.npz", requires = "inputs")]
    reference: Option<PathBuf>,
    /// Allow floats X times the tolerance.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = factor)]
    tolerance: f64,
    /// Allow integers to differ by N.
    #[arg(long, value_name = "N", default_value_t = 0)]
    lsb: u64,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let network = arguments.model.network(talk)?;
    let (samples, _) = arguments.samples.samples(&network.inputs)?;
    let keep = arguments.samples.keep_state;
    let expected = reference(arguments, &network, &samples, talk)?;
    let outcome = arguments.engine.run(&arguments.model, &network, &samples, keep, talk)?;
    let allowance = Allowance { factor: arguments.tolerance, steps: arguments.lsb };
    let comparisons = compare(&network.outputs, &outcome.outputs, &expected, allowance);
    let mut answer = answer(samples.len(), &comparisons);
    answer.fields["model"] = json!(network.model.path);
    answer.fields["engine"] = json!(outcome.engine);
    answer.fields["target"] = json!(outcome.target);
    answer.fields["reference"] = json!(arguments.reference);
    Ok(answer)
}

fn reference(
    arguments: &Arguments,
    network: &Network,
    samples: &[Sample],
    talk: &Talk,
) -> Result<Vec<Sample>> {
    let Some(path) = &arguments.reference else {
        talk.begin(
            "Running",
            &format!("{} in the interpreter, for reference", text::count(samples.len(), "sample")),
        );
        return interpret(&network.definition, samples, arguments.samples.keep_state);
    };
    let (expected, _) = samples::cut(&network.outputs, &npz::read(path)?, "output")?;
    if expected.len() != samples.len() {
        let message = format!("there are {} samples, but {} references", samples.len(), expected.len());
        return Err(Failure::new(Code::Samples, message));
    }
    Ok(expected)
}

fn answer(samples: usize, comparisons: &[Comparison]) -> Answer {
    let largest = comparisons.iter().map(|c| c.max_error).fold(0.0, f64::max);
    let mismatches: usize = comparisons.iter().map(|c| c.mismatches).sum();
    let elements: usize = comparisons.iter().map(|c| c.elements).sum();
    let fields = json!({
        "passed": mismatches == 0,
        "samples": samples,
        "elements": elements,
        "max_error": largest,
        "tolerance": comparisons.iter().map(|c| c.tolerance).fold(f64::INFINITY, f64::min),
        "mismatches": mismatches,
        "outputs": comparisons,
    });
    let mut text = String::new();
    for comparison in comparisons {
        text += &described(comparison);
    }
    let verdict = if mismatches == 0 { "passed" } else { "FAILED" };
    text += &format!("{verdict}: {samples} samples, {elements} elements, {mismatches} mismatches\n");
    let mut answer = Answer::new(fields, text);
    if let Some(failed) = comparisons.iter().find(|c| c.mismatches > 0) {
        let first = &failed.first[0];
        let message = format!(
            "output `{}`, sample {}, index {:?}: got {}, expected {}",
            failed.output, first.sample, first.index, first.got, first.expected
        );
        let help = "`--tolerance X` and `--lsb N` allow more; `--after define` runs the network as its operators define it";
        answer.failure = Some(Failure::new(Code::Mismatch, message).help(help));
    }
    answer
}

fn described(comparison: &Comparison) -> String {
    let mut text = format!(
        "output {}\n  max_error   {:e}\n  tolerance   {:e}\n  mismatches  {} of {}\n",
        comparison.output,
        comparison.max_error,
        comparison.tolerance,
        comparison.mismatches,
        comparison.elements
    );
    for m in &comparison.first {
        text +=
            &format!("  sample {} index {:?}: got {}, expected {}\n", m.sample, m.index, m.got, m.expected);
    }
    text
}
