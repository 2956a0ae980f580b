//! Post-training quantization: a float ONNX model in, the same network in integers out, as ONNX in QDQ form.
//!
//! Owns the order of the steps, in one function: fold, equalize, calibrate, choose scales, correct biases, measure, write. Decisions
//! rest on a simulation in float arithmetic, so that they do not depend on how integers are compiled.
//!
//! Activations are 8-bit integers with one scale and zero point each, or 16-bit with zero at 0; weights are 8-bit or 4-bit with one
//! scale per output channel; biases are 32-bit.

use nablac_graph::source::SourceModel;
use nablac_onnx::Document;

use crate::failure::{Code, Failure, Result};
use crate::samples::{Port, Sample};

pub mod affine;
pub mod calibrate;
pub mod equalize;
#[cfg(test)]
mod fixture;
pub mod network;
pub mod operators;
pub mod opset;
pub mod plan;
pub mod prepare;
pub mod range;
pub mod report;
pub mod search;
pub mod simulate;
pub mod weights;
pub mod write;

use network::Network;
use plan::Precision;
use range::Method;
use report::Report;
use search::{Candidate, Evaluation, Manner, Score, Search};

/// How exactly the network is to compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// Every layer alike.
    All(Precision),
    /// Weights and activations of 8 bits, but for layers that lose too much.
    Auto,
}

/// Whether weights are equalized across layers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equalize {
    /// If the outputs have less noise then, on the calibration data.
    IfBetter,
    /// Wherever two layers allow it.
    Always,
    /// Nowhere.
    Never,
}

/// What the user decides about a quantization.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// How exactly the network is to compute.
    pub scheme: Scheme,
    /// How ranges are chosen.
    pub method: Method,
    /// Whether weights are equalized across layers.
    pub equalize: Equalize,
    /// Whether biases take up the mean error of their layer.
    pub correct_bias: bool,
    /// The points that may be lost; `auto` takes one if nothing is said.
    pub max_drop: Option<f64>,
}

/// What `Scheme::Auto` may lose where nothing is said: a point.
pub const AUTO_DROP: f64 = 1.0;

/// A quantized network.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// What came of it.
    pub report: Report,
}

/// Quantizes a network. `source` and `document` are the same file, `inputs` its inputs with all dimensions fixed; ranges and biases
/// are found on the samples `calibration`. `begin` hears what is under way.
pub fn quantize(
    source: &SourceModel,
    document: Document,
    inputs: &[Port],
    calibration: &[Sample],
    evaluation: &Evaluation,
    options: &Options,
    begin: &mut dyn FnMut(&str, &str),
) -> Result<Outcome> {
    check(source, &document)?;
    begin("Preparing", "the network: folding, and one program per node");
    let mut network = Network::new(source, inputs)?;
    prepare::prepare(&mut network)?;
    let manner = Manner { method: options.method, correct_bias: options.correct_bias };
    let candidate = choose(network, calibration, options, begin)?;
    let layers = candidate.layers.layers.len();
    let precisions = match options.scheme {
        Scheme::All(precision) => vec![precision; layers],
        Scheme::Auto => {
            let max_drop = options.max_drop.unwrap_or(AUTO_DROP);
            let search = Search { candidate: &candidate, manner, calibration, evaluation, max_drop };
            search.run(&mut |precisions| {
                let raised = precisions.iter().filter(|p| **p != Precision::W8A8).count();
                begin("Searching", &format!("with {raised} of {layers} layers at higher precision"));
            })?
        }
    };
    begin("Quantizing", &format!("{layers} layers"));
    let (quantized, alone) = candidate.quantized(&precisions, manner, calibration)?;
    begin("Evaluating", &format!("on {} samples", evaluation.samples.len()));
    let together = quantized.together(&evaluation.samples)?;
    let score = Score::of(&together, evaluation.labels.as_deref());
    let report = Report::new(&quantized, &alone, &together, score, candidate.equalized);
    Ok(Outcome { bytes: write::write(&quantized, document)?, report })
}

/// The network as it is, or with equalized weights.
fn choose(
    network: Network,
    calibration: &[Sample],
    options: &Options,
    begin: &mut dyn FnMut(&str, &str),
) -> Result<Candidate> {
    let equalized = match options.equalize {
        Equalize::Never => None,
        _ => equalize::equalize(&network)?,
    };
    let (network, equalized) = match (options.equalize, equalized) {
        (_, None) => (network, false),
        (Equalize::Always, Some(other)) => (other, true),
        (_, Some(other)) => {
            begin("Equalizing", "and comparing the network with what it was");
            let some = spread(calibration, COMPARED);
            let better =
                output_decibels(&other, &some, options)? > output_decibels(&network, &some, options)?;
            (if better { other } else { network }, better)
        }
    };
    begin("Calibrating", &format!("on {} samples", calibration.len()));
    Candidate::new(network, equalized, calibration)
}

/// How many samples tell whether equalization helps.
const COMPARED: usize = 50;

/// At most `count` of the samples, evenly spread: files are often sorted by class.
fn spread(samples: &[Sample], count: usize) -> Vec<Sample> {
    let kept = count.min(samples.len());
    (0..kept).map(|n| samples[n * samples.len() / kept].clone()).collect()
}

fn output_decibels(network: &Network, samples: &[Sample], options: &Options) -> Result<f64> {
    let candidate = Candidate::new(network.clone(), false, samples)?;
    let precision = match options.scheme {
        Scheme::All(precision) => precision,
        Scheme::Auto => Precision::W8A8,
    };
    let precisions = vec![precision; candidate.layers.layers.len()];
    let quantized = candidate.uncorrected(&precisions, options.method)?;
    Ok(quantized.together(samples)?.output.decibels())
}

/// What rules a model out, whatever it computes.
fn check(source: &SourceModel, document: &Document) -> Result<()> {
    if let Some(node) = source.nodes.iter().find(|node| {
        let operator = node.operator.as_str();
        operators::QUANTIZED.contains(&operator) || operator.starts_with("com.microsoft::QLinear")
    }) {
        let message = format!("the model is quantized already: node `{}` ({})", node.name, node.operator);
        return Err(
            Failure::new(Code::Quantization, message).help("quantize the float model that it was made from")
        );
    }
    if source.nodes.len() != document.nodes.len() {
        return Err(Failure::new(Code::BrokenStage, "the model's nodes are not those of its file"));
    }
    if document.opset() == 0 {
        return Err(Failure::new(Code::Quantization, "the model uses no operator of the default domain"));
    }
    Ok(())
}
