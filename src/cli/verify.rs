//! `nablac verify`: whether a model gives the numbers that it should.

use std::path::PathBuf;

use nablac::comparison::{Allowance, Comparison, compare};
use nablac::engine;
use nablac::failure::{Code, Failure, Result};
use nablac::npz;
use nablac::pipeline::{Form, Stage};
use nablac::samples::{self, Port, Sample};
use nablac_machine::Machine;
use serde_json::json;

use super::Answer;
use super::arguments::{ModelArguments, SampleArguments, factor, inputs_of, outputs_of, stage};
use super::talk::Talk;

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
    /// An .npz file with the expected outputs, one array each under the output's name, stacked as the inputs are.
    #[arg(long, value_name = "REF.npz", requires = "inputs")]
    reference: Option<PathBuf>,
    /// Allow floats X times the tolerance.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = factor)]
    tolerance: f64,
    /// Allow integers to differ by N.
    #[arg(long, value_name = "N", default_value_t = 0)]
    lsb: u64,
    /// The stage whose result the interpreter runs; see `nablac show --help`.
    #[arg(long, value_name = "STAGE", default_value = "simplify", value_parser = stage)]
    after: Stage,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let model = arguments.model.read(talk)?;
    let program = arguments.model.define(&model, talk)?;
    let (inputs, outputs) = (inputs_of(&model, &program), outputs_of(&model, &program));
    let (samples, _) = arguments.samples.samples(&inputs)?;
    let expected = reference(arguments, &outputs, Form::Index(program), &samples, talk)?;
    let form = arguments.model.compile(&model, &Machine::load("host")?, arguments.after, talk)?;
    talk.begin("Running", &format!("{} samples in the interpreter", samples.len()));
    let got = engine::interpret(&form, &samples)?;
    talk.end();
    let allowance = Allowance { factor: arguments.tolerance, steps: arguments.lsb };
    Ok(answer(samples.len(), &compare(&outputs, &got, &expected, allowance)))
}

fn reference(
    arguments: &Arguments,
    outputs: &[Port],
    definition: Form,
    samples: &[Sample],
    talk: &Talk,
) -> Result<Vec<Sample>> {
    let Some(path) = &arguments.reference else {
        talk.begin("Running", &format!("{} samples in the interpreter, for reference", samples.len()));
        return engine::interpret(&definition, samples);
    };
    let (expected, _) = samples::cut(outputs, &npz::read(path)?, "output")?;
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
