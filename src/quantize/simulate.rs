//! The quantized network in float arithmetic: values and constants rounded to what their integers stand for.
//!
//! Owns the simulation that every decision rests on, and what is measured on it: each layer against the float network, alone and at
//! its place behind all others, and the outputs of both. No integer arithmetic is run here.

use std::collections::BTreeMap;

use nablac_index::{Array, DType, Program};

use super::affine::floats;
use super::network::{Network, Step, Values};
use super::plan::{Layers, Plan, Precision};
use super::weights::{Parameters, QuantizedWeights, channels};
use crate::engine::parallel;
use crate::failure::Result;
use crate::samples::Sample;

/// What the mean error of each channel of a layer is; subtracted from its bias.
pub type Corrections = BTreeMap<usize, Vec<f64>>;

/// A network with its constants rounded.
#[derive(Clone, Debug)]
pub struct Quantized<'a> {
    /// The float network.
    pub network: &'a Network,
    /// Its layers.
    pub layers: &'a Layers,
    /// The scales of its values.
    pub plan: Plan,
    /// The integers of each linear layer that is not in float, by layer.
    pub weights: BTreeMap<usize, QuantizedWeights>,
    /// The steps that compute with other constants than the float network.
    steps: BTreeMap<usize, Step>,
}

/// How much signal, and how much of it is noise.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Ratio {
    /// The sum of squares of the float values.
    pub signal: f64,
    /// The sum of squares of the differences.
    pub noise: f64,
}

impl Ratio {
    fn add(&mut self, float: &Array, other: &Array) {
        for (a, b) in floats(float).zip(floats(other)) {
            self.signal += f64::from(a).powi(2);
            self.noise += (f64::from(a) - f64::from(b)).powi(2);
        }
    }

    /// The ratio of two arrays.
    pub fn of(float: &Array, other: &Array) -> Ratio {
        let mut ratio = Ratio::default();
        ratio.add(float, other);
        ratio
    }

    fn sum(self, other: Ratio) -> Ratio {
        Ratio { signal: self.signal + other.signal, noise: self.noise + other.noise }
    }

    /// In decibels; infinite where there is no noise.
    pub fn decibels(self) -> f64 {
        match self.noise > 0.0 {
            true => 10.0 * (self.signal / self.noise).log10(),
            false => f64::INFINITY,
        }
    }
}

/// What the layers lose by themselves: each is fed what the float network feeds it.
#[derive(Clone, Debug, Default)]
pub struct Alone {
    /// The noise of each layer.
    pub ratios: Vec<Ratio>,
    /// The mean error of each channel before the bound, by linear layer.
    pub errors: Corrections,
}

/// What the whole network loses.
#[derive(Clone, Debug, Default)]
pub struct Together {
    /// The noise at the output of each layer.
    pub ratios: Vec<Ratio>,
    /// The noise at the outputs of the network.
    pub output: Ratio,
    /// The outputs of the float network for each sample.
    pub float: Vec<Vec<Array>>,
    /// The outputs of the quantized network for each sample.
    pub quantized: Vec<Vec<Array>>,
}

impl<'a> Quantized<'a> {
    /// Rounds the constants of a network; `corrections` are taken off the biases.
    pub fn new(
        network: &'a Network,
        layers: &'a Layers,
        plan: Plan,
        corrections: &Corrections,
    ) -> Result<Quantized<'a>> {
        let mut quantized =
            Quantized { network, layers, plan, weights: BTreeMap::new(), steps: BTreeMap::new() };
        for (number, layer) in layers.layers.iter().enumerate() {
            let precision = quantized.plan.precisions[number];
            if precision == Precision::Float {
                continue;
            }
            if let Some(parameters) = &layer.parameters {
                let correction = corrections.get(&number).filter(|_| parameters.takes_bias);
                let bias = bias(network, parameters.bias.as_ref(), correction);
                let scale = layer
                    .inputs
                    .first()
                    .and_then(|name| quantized.plan.values.get(name))
                    .map_or(1.0, |q| q.scale);
                let weights = &network.constants[&parameters.weights];
                let bits = precision.weight_bits();
                let rounded = QuantizedWeights::new(weights, parameters.axis, bits, bias.as_deref(), scale);
                quantized.replace_constants(layer.steps[0], parameters, &rounded)?;
                quantized.weights.insert(number, rounded);
            }
        }
        quantized.round_operands()?;
        Ok(quantized)
    }

    /// A linear step with other weights, and a bias even where it had none.
    fn replace_constants(
        &mut self,
        index: usize,
        parameters: &Parameters,
        weights: &QuantizedWeights,
    ) -> Result<()> {
        let step = &self.network.steps[index];
        let mut node = step.node.clone();
        let mut constants = BTreeMap::from([(parameters.weights.clone(), weights.weights())]);
        if let Some(bias) = weights.bias() {
            let name = parameters.bias.clone().unwrap_or_else(|| format!("{}.bias", parameters.weights));
            node.inputs.resize(3, String::new());
            node.inputs[2] = name.clone();
            constants.insert(name, bias);
        }
        let replaced = self.network.step(&node, step.position, &constants)?.1;
        self.steps.insert(index, replaced);
        Ok(())
    }

    /// Rounds constants that are read as data.
    fn round_operands(&mut self) -> Result<()> {
        let mut constants: BTreeMap<usize, BTreeMap<String, Array>> = BTreeMap::new();
        for (&(index, position), q) in &self.plan.operands {
            let name = &self.network.steps[index].node.inputs[position];
            let rounded = q.round(&self.network.constants[name]);
            constants.entry(index).or_default().insert(name.clone(), rounded);
        }
        for (index, constants) in constants {
            let step = &self.network.steps[index];
            let replaced = self.network.step(&step.node, step.position, &constants)?.1;
            self.steps.insert(index, replaced);
        }
        Ok(())
    }

    fn program(&self, index: usize) -> &Program {
        &self.steps.get(&index).unwrap_or(&self.network.steps[index]).program
    }

    fn rounded(&self, name: &str, array: Array) -> Array {
        match self.plan.values.get(name).filter(|_| array.dtype() == DType::F32) {
            Some(q) => q.round(&array),
            None => array,
        }
    }

    /// Measures every layer by itself.
    pub fn alone(&self, samples: &[Sample]) -> Result<Alone> {
        let measured = parallel(samples.len(), |at| self.sample_alone(&samples[at]));
        let layers = &self.layers.layers;
        let mut alone = Alone { ratios: vec![Ratio::default(); layers.len()], errors: BTreeMap::new() };
        let count = samples.len() as f64;
        for sample in measured {
            let sample = sample?;
            alone.ratios.iter_mut().zip(sample.ratios).for_each(|(ratio, more)| *ratio = ratio.sum(more));
            for (layer, errors) in sample.errors {
                let sums = alone.errors.entry(layer).or_insert_with(|| vec![0.0; errors.len()]);
                sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error / count);
            }
        }
        Ok(alone)
    }

    fn sample_alone(&self, sample: &Sample) -> Result<Alone> {
        let network = self.network;
        let mut values = network.start(sample);
        for step in &network.steps {
            let results = step.run(&step.program, &step.gather(&values))?;
            values.extend(step.results.iter().cloned().zip(results));
        }
        let mut alone = Alone::default();
        for (number, layer) in self.layers.layers.iter().enumerate() {
            let mut own = Values::new();
            for &index in &layer.steps {
                let step = &network.steps[index];
                let argument = |name: &String| {
                    own.get(name).cloned().or_else(|| Some(self.rounded(name, values.get(name)?.clone())))
                };
                let arguments: Vec<Array> = step.arguments.iter().filter_map(argument).collect();
                let results = step.run(self.program(index), &arguments)?;
                own.extend(step.results.iter().cloned().zip(results));
            }
            if let Some(parameters) = &layer.parameters {
                let name = &network.steps[layer.steps[0]].results[0];
                alone.errors.insert(number, mean_errors(&values[name], &own[name], parameters.output_axis));
            }
            let output = self.rounded(&layer.output, own[&layer.output].clone());
            alone.ratios.push(Ratio::of(&values[&layer.output], &output));
        }
        Ok(alone)
    }

    /// Runs both networks on every sample and compares them layer by layer.
    pub fn together(&self, samples: &[Sample]) -> Result<Together> {
        let runs = parallel(samples.len(), |at| self.sample_together(&samples[at]));
        let mut together =
            Together { ratios: vec![Ratio::default(); self.layers.layers.len()], ..Together::default() };
        for run in runs {
            let run = run?;
            together.ratios.iter_mut().zip(run.ratios).for_each(|(ratio, more)| *ratio = ratio.sum(more));
            together.output = together.output.sum(run.output);
            together.float.extend(run.float);
            together.quantized.extend(run.quantized);
        }
        Ok(together)
    }

    fn sample_together(&self, sample: &Sample) -> Result<Together> {
        let network = self.network;
        let layer_of: BTreeMap<&String, usize> =
            self.layers.layers.iter().enumerate().map(|(number, layer)| (&layer.output, number)).collect();
        let mut ratios = vec![Ratio::default(); self.layers.layers.len()];
        let mut float = network.start(sample);
        let mut own: Values =
            float.iter().map(|(name, array)| (name.clone(), self.rounded(name, array.clone()))).collect();
        for (index, (step, dead)) in network.steps.iter().zip(network.last_reads()).enumerate() {
            let expected = step.run(&step.program, &step.gather(&float))?;
            let given = step.run(self.program(index), &step.gather(&own))?;
            for ((name, expected), given) in step.results.iter().zip(expected).zip(given) {
                let given = self.rounded(name, given);
                if let Some(&layer) = layer_of.get(name) {
                    ratios[layer].add(&expected, &given);
                }
                float.insert(name.clone(), expected);
                own.insert(name.clone(), given);
            }
            for name in dead {
                float.remove(&name);
                own.remove(&name);
            }
        }
        let (float, quantized) = (network.results(&float), network.results(&own));
        let mut output = Ratio::default();
        float
            .iter()
            .zip(&quantized)
            .filter(|(a, _)| a.dtype() == DType::F32)
            .for_each(|(a, b)| output.add(a, b));
        Ok(Together { ratios, output, float: vec![float], quantized: vec![quantized] })
    }
}

/// The bias of a layer without its mean error.
fn bias(network: &Network, name: Option<&String>, correction: Option<&Vec<f64>>) -> Option<Vec<f32>> {
    let own: Option<Vec<f32>> = name.map(|name| floats(&network.constants[name]).collect());
    match (own, correction) {
        (None, None) => None,
        (Some(own), None) => Some(own),
        (own, Some(errors)) => {
            let own = own.unwrap_or_else(|| vec![0.0; errors.len()]);
            Some(own.iter().zip(errors).map(|(b, error)| (f64::from(*b) - error) as f32).collect())
        }
    }
}

/// The mean of `got - expected` for each channel.
fn mean_errors(expected: &Array, got: &Array, axis: usize) -> Vec<f64> {
    let channel = channels(expected.shape(), axis);
    let count = expected.shape()[axis];
    let mut sums = vec![0.0; count];
    for (position, (e, g)) in floats(expected).zip(floats(got)).enumerate() {
        sums[channel(position)] += f64::from(g) - f64::from(e);
    }
    let each = (expected.len() / count.max(1)).max(1) as f64;
    sums.into_iter().map(|sum| sum / each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::fixture::network;
    use crate::quantize::range::Method;
    use crate::quantize::search::{Candidate, Manner};
    use crate::samples;

    fn candidate() -> (Candidate, Vec<Sample>) {
        let network = network();
        let samples = samples::random(&network.inputs, 8, 3);
        (Candidate::new(network, false, &samples).unwrap(), samples)
    }

    #[test]
    fn the_mean_error_of_each_channel_goes_into_its_bias() {
        let (candidate, samples) = candidate();
        let precisions = vec![Precision::W4A8; candidate.layers.layers.len()];
        let manner = |correct_bias| Manner { method: Method::MinMax, correct_bias };
        let (plain, before) = candidate.quantized(&precisions, manner(false), &samples).unwrap();
        let (corrected, _) = candidate.quantized(&precisions, manner(true), &samples).unwrap();
        let after = corrected.alone(&samples).unwrap();
        for (layer, errors) in &after.errors {
            let (_, steps) = corrected.weights[layer].bias.as_ref().unwrap();
            for (error, step) in errors.iter().zip(steps) {
                assert!(error.abs() < 1e-4 + f64::from(*step), "layer {layer}: {error}, in steps of {step}");
            }
        }
        assert!(before.errors.values().flatten().any(|error| error.abs() > 0.05), "{:?}", before.errors);
        assert!(plain.weights.values().any(|weights| weights.bias.is_none()));
        assert!(corrected.weights.values().all(|weights| weights.bias.is_some()));
    }

    #[test]
    fn nothing_is_lost_in_float_and_less_with_more_bits() {
        let (candidate, samples) = candidate();
        let ratio = |precision| {
            let precisions = vec![precision; candidate.layers.layers.len()];
            let quantized = candidate.uncorrected(&precisions, Method::MinMax).unwrap();
            quantized.together(&samples).unwrap().output.decibels()
        };
        let ratios = [Precision::W4A8, Precision::W8A8, Precision::W8A16, Precision::Float].map(ratio);
        assert!(ratios.windows(2).all(|pair| pair[0] < pair[1]), "{ratios:?}");
        assert_eq!(ratios[3], f64::INFINITY);
    }

    #[test]
    fn the_first_layer_loses_the_same_alone_as_at_its_place() {
        let (candidate, samples) = candidate();
        let precisions = vec![Precision::W8A8; candidate.layers.layers.len()];
        let quantized = candidate.uncorrected(&precisions, Method::MinMax).unwrap();
        let (alone, together) = (quantized.alone(&samples).unwrap(), quantized.together(&samples).unwrap());
        assert_eq!(alone.ratios[0], together.ratios[0]);
        assert!(alone.ratios[2].noise < together.ratios[2].noise);
    }
}
