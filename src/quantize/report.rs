//! What came of a quantization, layer by layer.
//!
//! Owns the figures: ranges, scales, signal-to-noise ratios, bytes and the score. How they are printed is the command's matter.

use nablac_index::{Array, DType};
use serde::Serialize;

use super::plan::{Layer, Precision};
use super::search::Score;
use super::simulate::{Alone, Quantized, Ratio, Together};

/// One layer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The name of the node in the file.
    pub layer: String,
    /// What it computes, such as `Conv+Relu`.
    pub operator: String,
    /// `w8a8`, `w4a8`, `w8a16` or `float`.
    pub precision: String,
    /// The bits of a weight; absent in a layer without weights.
    pub weight_bits: Option<u32>,
    /// The bits of what it gives; 32 in float.
    pub activation_bits: u32,
    /// The reals that its smallest and largest integer stand for.
    pub range: Option<[f32; 2]>,
    /// The scale of what it gives.
    pub scale: Option<f32>,
    /// The zero point of what it gives.
    pub zero_point: Option<i32>,
    /// Signal to noise of what it gives in the quantized network, in dB; absent without noise.
    pub snr_db: Option<f64>,
    /// The same of this layer alone, fed what the float network feeds it.
    pub own_snr_db: Option<f64>,
    /// Signal to noise of its weights, in dB.
    pub weight_snr_db: Option<f64>,
    /// Multiplications and additions of one run.
    pub multiply_adds: u64,
    /// The bytes of its weights and bias before.
    pub float_bytes: usize,
    /// The bytes of its weights, scales and bias after.
    pub bytes: usize,
    /// Whether its values were all 0 on the calibration data, so that its scale says nothing.
    pub silent: bool,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The layers, in order.
    pub layers: Vec<Row>,
    /// The layer with the lowest ratio in the quantized network.
    pub worst: Option<String>,
    /// Whether weights were equalized across layers.
    pub equalized: bool,
    /// Signal to noise at the outputs, in dB; absent without noise.
    pub output_snr_db: Option<f64>,
    /// How often the float and the quantized network have the same largest output, in percent.
    pub agreement: Option<f64>,
    /// The percentage of labels that the float network gets right.
    pub accuracy_before: Option<f64>,
    /// The percentage of labels that the quantized network gets right.
    pub accuracy_after: Option<f64>,
    /// What is lost, in points: of accuracy if there are labels, else of agreement.
    pub drop: Option<f64>,
    /// The bytes of all constants before.
    pub weight_bytes_before: usize,
    /// The bytes of all constants after.
    pub weight_bytes_after: usize,
}

impl Report {
    /// The report of a quantized network.
    pub fn new(
        quantized: &Quantized,
        alone: &Alone,
        together: &Together,
        score: Option<Score>,
        equalized: bool,
    ) -> Report {
        let layers = &quantized.layers.layers;
        let rows: Vec<Row> =
            (0..layers.len()).map(|number| row(quantized, alone, together, number)).collect();
        let lowest = |a: &&Row, b: &&Row| decibels(a).total_cmp(&decibels(b));
        let before = float_bytes(quantized);
        let saved: usize = rows.iter().map(|row| row.float_bytes).sum();
        Report {
            worst: rows.iter().filter(|row| row.snr_db.is_some()).min_by(lowest).map(|row| row.layer.clone()),
            equalized,
            output_snr_db: finite(together.output),
            agreement: score.map(|score| score.agreement),
            accuracy_before: score.and_then(|score| score.accuracy).map(|(before, _)| before),
            accuracy_after: score.and_then(|score| score.accuracy).map(|(_, after)| after),
            drop: score.map(|score| score.drop()),
            weight_bytes_before: before,
            weight_bytes_after: before - saved + rows.iter().map(|row| row.bytes).sum::<usize>(),
            layers: rows,
        }
    }
}

fn decibels(row: &Row) -> f64 {
    row.snr_db.unwrap_or(f64::INFINITY)
}

fn finite(ratio: Ratio) -> Option<f64> {
    Some(ratio.decibels()).filter(|decibels| decibels.is_finite())
}

/// The bytes of the real constants that the float network reads.
fn float_bytes(quantized: &Quantized) -> usize {
    let network = quantized.network;
    let mut names: Vec<&String> = network.steps.iter().flat_map(|step| &step.node.inputs).collect();
    names.sort_unstable();
    names.dedup();
    let real = names.into_iter().filter_map(|name| network.constants.get(name));
    real.filter(|array| array.dtype() == DType::F32).map(|array| array.bytes().len()).sum()
}

fn row(quantized: &Quantized, alone: &Alone, together: &Together, number: usize) -> Row {
    let network = quantized.network;
    let layer: &Layer = &quantized.layers.layers[number];
    let precision = quantized.plan.precisions[number];
    let q = quantized.plan.values.get(&layer.output);
    let step = &network.steps[layer.steps[0]];
    let weights = quantized.weights.get(&number);
    let constant = |name: &String| network.constants.get(name);
    let parameters = layer.parameters.as_ref();
    let own: Vec<&Array> = parameters
        .iter()
        .flat_map(|p| [constant(&p.weights), p.bias.as_ref().and_then(constant)])
        .flatten()
        .collect();
    let float_bytes = own.iter().map(|array| array.bytes().len()).sum();
    let weight_ratio = weights.zip(own.first()).map(|(weights, float)| Ratio::of(float, &weights.weights()));
    Row {
        layer: step.node.name.clone(),
        operator: layer.operators(network),
        precision: precision.name().into(),
        weight_bits: parameters.map(|_| precision.weight_bits()),
        activation_bits: q.filter(|_| precision != Precision::Float).map_or(32, |q| q.bits.count()),
        range: q.map(|q| [q.range().0, q.range().1]),
        scale: q.map(|q| q.scale),
        zero_point: q.map(|q| q.zero_point),
        snr_db: finite(together.ratios[number]),
        own_snr_db: finite(alone.ratios[number]),
        weight_snr_db: weight_ratio.and_then(finite),
        multiply_adds: parameters.map_or(0, |p| p.multiply_adds(network, step)),
        float_bytes,
        bytes: weights.map_or(float_bytes, |weights| weights.bytes()),
        silent: together.ratios[number].signal == 0.0,
    }
}
