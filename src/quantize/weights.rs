//! Weights and biases as integers.
//!
//! Owns where a linear operator keeps its output channels, and the rounding of its constants: weights of 8 or 4 bits with one scale
//! per output channel and without a zero point, biases of 32 bits in steps of input scale times weight scale.

use nablac_graph::source::{SourceAttribute, SourceNode};
use nablac_index::{Array, DType};

use super::affine::floats;
use super::network::{Network, Step};

/// The constants of a linear step.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameters {
    /// The name of the weights.
    pub weights: String,
    /// The name of the bias, if there is one.
    pub bias: Option<String>,
    /// The axis of the weights that counts output channels, of one group if the groups share them.
    pub axis: usize,
    /// The number of output channels.
    pub channels: usize,
    /// The axis of the output that counts its channels.
    pub output_axis: usize,
    /// Whether the operator takes a bias.
    pub takes_bias: bool,
}

impl Parameters {
    /// Those of a step; nothing if it is not linear in a computed value, with constants that can be rounded.
    pub fn of(network: &Network, step: &Step) -> Option<Parameters> {
        let node = &step.node;
        let (data, weights) = (node.inputs.first()?, node.inputs.get(1)?);
        let array = network.constants.get(weights).filter(|array| array.dtype() == DType::F32)?;
        let rank = array.shape().len();
        let output = &network.types.get(step.results.first()?)?.1;
        let (axis, output_axis) = match node.operator.as_str() {
            "Conv" => (0, 1),
            "ConvTranspose" => (1, 1),
            "Gemm" if plain_gemm(node) => (usize::from(integer(node, "transB", 0) == 0), 1),
            "MatMul" => (rank.checked_sub(1)?, output.len().checked_sub(1)?),
            _ => return None,
        };
        let channels = *output.get(output_axis)?;
        let fits = rank >= 2 && network.is_real(data) && channels.is_multiple_of(array.shape()[axis].max(1));
        let bias = node.inputs.get(2).filter(|name| !name.is_empty());
        let whole = |name: &String| network.constants.get(name).is_some_and(|b| b.len() == channels);
        let takes_bias = node.operator != "MatMul";
        (fits && !array.is_empty() && bias.is_none_or(whole)).then(|| Parameters {
            weights: weights.clone(),
            bias: bias.cloned(),
            axis,
            channels,
            output_axis,
            takes_bias,
        })
    }

    /// The multiplications and additions of one run.
    pub fn multiply_adds(&self, network: &Network, step: &Step) -> u64 {
        let weights = &network.constants[&self.weights];
        let per_channel = weights.len() / weights.shape()[self.axis].max(1);
        let elements =
            |name: &String| network.types.get(name).map_or(0, |(_, shape)| shape.iter().product::<usize>());
        // A transposed convolution scatters each element of its input.
        let (points, each) = match step.node.operator.as_str() {
            "ConvTranspose" => {
                (step.node.inputs.first().map_or(0, elements), weights.len() / weights.shape()[0])
            }
            _ => (step.results.first().map_or(0, elements), per_channel),
        };
        (points * each) as u64
    }
}

/// Whether a product of matrices is not scaled.
fn plain_gemm(node: &SourceNode) -> bool {
    ["alpha", "beta"].iter().all(|name| real(node, name, 1.0) == 1.0)
}

/// An attribute that is an integer.
pub fn integer(node: &SourceNode, name: &str, default: i64) -> i64 {
    match node.attributes.get(name) {
        Some(SourceAttribute::Int(value)) => *value,
        _ => default,
    }
}

/// An attribute that is a float.
pub fn real(node: &SourceNode, name: &str, default: f64) -> f64 {
    match node.attributes.get(name) {
        Some(SourceAttribute::Float(value)) => *value,
        _ => default,
    }
}

/// The channel of each element of an array along an axis.
pub fn channels(shape: &[usize], axis: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = shape[axis + 1..].iter().product();
    let extent = shape[axis];
    move |position| position / inner.max(1) % extent
}

/// Weights and bias as integers.
#[derive(Clone, PartialEq, Debug)]
pub struct QuantizedWeights {
    /// How many bits a weight has: 8 or 4.
    pub bits: u32,
    /// The shape of the weights.
    pub shape: Vec<usize>,
    /// The axis that scales vary along.
    pub axis: usize,
    /// The integers of the weights.
    pub integers: Vec<i8>,
    /// The scale of each index of the axis.
    pub scales: Vec<f32>,
    /// The integers of the bias and their scales, one per output channel.
    pub bias: Option<(Vec<i32>, Vec<f32>)>,
}

impl QuantizedWeights {
    /// Rounds weights, and a bias that is added to their products with data of scale `input_scale`.
    pub fn new(
        weights: &Array,
        axis: usize,
        bits: u32,
        bias: Option<&[f32]>,
        input_scale: f32,
    ) -> QuantizedWeights {
        let largest = (1i32 << (bits - 1)) - 1;
        let values: Vec<f32> = floats(weights).collect();
        let channel = channels(weights.shape(), axis);
        let count = weights.shape()[axis];
        let mut rows = vec![vec![]; count];
        values.iter().enumerate().for_each(|(position, &w)| rows[channel(position)].push(w));
        let mut scales: Vec<f32> = rows.iter().map(|row| scale_of(row, largest)).collect();
        // A channel of zeros takes the coarsest of the other scales: any is exact, but none may be 0.
        let coarsest = scales.iter().copied().fold(0.0, f32::max);
        let filling = if coarsest > 0.0 { coarsest } else { 1.0 };
        scales.iter_mut().filter(|scale| **scale == 0.0).for_each(|scale| *scale = filling);
        for (position, b) in bias.iter().flat_map(|bias| bias.iter().enumerate()) {
            // A bias that is large beside its weights: it takes half of the accumulator's range at most.
            let least = (f64::from(b.abs()) / (f64::from(input_scale) * f64::from(1 << 30))) as f32;
            scales[position % count] = scales[position % count].max(least);
        }
        let integer = |(position, w): (usize, &f32)| {
            (w / scales[channel(position)]).round_ties_even().clamp(-largest as f32, largest as f32) as i8
        };
        let integers = values.iter().enumerate().map(integer).collect();
        let bias = bias.map(|bias| {
            let steps: Vec<f32> = (0..bias.len()).map(|c| input_scale * scales[c % count]).collect();
            let rounded = bias
                .iter()
                .zip(&steps)
                .map(|(b, step)| (f64::from(*b) / f64::from(*step)).round_ties_even() as i32);
            (rounded.collect(), steps)
        });
        QuantizedWeights { bits, shape: weights.shape().to_vec(), axis, integers, scales, bias }
    }

    /// The weights that the integers stand for.
    pub fn weights(&self) -> Array {
        let channel = channels(&self.shape, self.axis);
        let real = |(position, &w): (usize, &i8)| f32::from(w) * self.scales[channel(position)];
        let values: Vec<f32> = self.integers.iter().enumerate().map(real).collect();
        Array::from_f32(&self.shape, &values)
    }

    /// The bias that the integers stand for.
    pub fn bias(&self) -> Option<Array> {
        self.bias.as_ref().map(|(integers, scales)| {
            let values: Vec<f32> = integers.iter().zip(scales).map(|(&b, &scale)| b as f32 * scale).collect();
            Array::from_f32(&[values.len()], &values)
        })
    }

    /// The integers of the weights as a file holds them.
    pub fn packed(&self) -> Vec<u8> {
        match self.bits {
            4 => self
                .integers
                .chunks(2)
                .map(|pair| (pair[0] as u8 & 15) | (pair.get(1).map_or(0, |&w| w as u8) << 4))
                .collect(),
            _ => self.integers.iter().map(|&w| w as u8).collect(),
        }
    }

    /// The bytes of integers and scales.
    pub fn bytes(&self) -> usize {
        let weights = (self.integers.len() * self.bits as usize).div_ceil(8) + 4 * self.scales.len();
        weights + self.bias.as_ref().map_or(0, |(bias, _)| 4 * bias.len())
    }
}

/// The scale with which `row` is rounded to `-largest..=largest`.
fn scale_of(row: &[f32], largest: i32) -> f32 {
    let extreme = row.iter().fold(0.0f32, |extreme, w| extreme.max(w.abs()));
    let full = extreme / largest as f32;
    if full < f32::MIN_POSITIVE {
        return 0.0;
    }
    // With few steps it pays to cut the largest weights off; with 127 it never did by more than a hundredth of the error.
    if largest > 7 {
        return full;
    }
    let error = |scale: f32| -> f64 {
        let rounded = |w: f32| (w / scale).round_ties_even().clamp(-largest as f32, largest as f32) * scale;
        row.iter().map(|&w| f64::from(rounded(w) - w).powi(2)).sum()
    };
    const PARTS: u8 = 50; // from the full range down to half of it, in steps of one percent
    let scales = (0..=PARTS).map(|part| full * (1.0 - f32::from(part) / 100.0));
    scales
        .map(|scale| (error(scale), scale))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(full, |(_, scale)| scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_has_its_scale_and_rounds_to_half_a_step() {
        let weights = Array::from_f32(&[2, 3], &[0.5, -1.0, 0.25, 100.0, 3.0, -7.0]);
        for (axis, scales) in
            [(0, vec![1.0 / 127.0, 100.0 / 127.0]), (1, vec![100.0 / 127.0, 3.0 / 127.0, 7.0 / 127.0])]
        {
            let quantized = QuantizedWeights::new(&weights, axis, 8, None, 1.0);
            assert_eq!(quantized.scales, scales);
            let channel = channels(&[2, 3], axis);
            for (position, (w, q)) in floats(&weights).zip(floats(&quantized.weights())).enumerate() {
                assert!((w - q).abs() <= 0.5001 * scales[channel(position)], "{w} {q}");
            }
        }
    }

    #[test]
    fn channels_of_zeros_have_a_positive_scale() {
        let weights = Array::from_f32(&[3, 2], &[0.0, 0.0, 1.0, 2.0, 0.0, -0.0]);
        let quantized = QuantizedWeights::new(&weights, 0, 8, Some(&[1.0, 1.0, 0.0]), 0.5);
        assert_eq!(quantized.scales, [2.0 / 127.0; 3]);
        assert_eq!(floats(&quantized.bias().unwrap()).next().unwrap(), 127.0 / 127.0);
        let zeros = QuantizedWeights::new(&Array::from_f32(&[1, 1], &[0.0]), 0, 4, None, 1.0);
        assert_eq!((zeros.scales[0], zeros.integers[0]), (1.0, 0));
    }

    #[test]
    fn a_large_bias_coarsens_its_channel_and_stays_within_32_bits() {
        let weights = Array::from_f32(&[2, 1], &[1e-6, 1.0]);
        let quantized = QuantizedWeights::new(&weights, 0, 8, Some(&[1e4, 1.0]), 1e-4);
        let (integers, _) = quantized.bias.clone().unwrap();
        assert!(integers[0] > 1 << 29 && integers[0] <= (1 << 30) + 64, "{integers:?}");
        let bias: Vec<f32> = floats(&quantized.bias().unwrap()).collect();
        assert!((bias[0] - 1e4).abs() < 0.01 && (bias[1] - 1.0).abs() < 1e-6, "{bias:?}");
    }

    #[test]
    fn four_bits_are_packed_the_first_in_the_lower_half() {
        let weights = Array::from_f32(&[1, 3], &[7.0, -7.0, 1.0]);
        let quantized = QuantizedWeights::new(&weights, 0, 4, None, 1.0);
        assert_eq!(quantized.integers, [7, -7, 1]);
        assert_eq!(quantized.packed(), [0x97, 0x01]);
        assert_eq!(quantized.bytes(), 2 + 4);
    }

    #[test]
    fn four_bits_cut_off_what_stands_alone() {
        let mut row = vec![0.1f32; 100];
        row.iter_mut().enumerate().for_each(|(n, w)| *w = (n as f32 / 100.0 - 0.5) * 2.0);
        row.push(1.6);
        let quantized = QuantizedWeights::new(&Array::from_f32(&[1, 101], &row), 0, 4, None, 1.0);
        assert!(quantized.scales[0] < 1.6 / 7.0);
    }
}
