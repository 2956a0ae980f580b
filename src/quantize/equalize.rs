//! Cross-layer equalization (Nagel et al. 2019): channels of two linear layers are given like ranges of weights.
//! ```text
//! w2 * f(w1 x + b1)  =  (w2 s) * f((w1 x + b1) / s)      for s > 0 and f(a y) = a f(y) for a > 0
//! s[c] = sqrt(range of w1[c] and b1[c] / range of w2[c])
//! ```
//! Owns which layers may trade scales: two, one behind the other, with nothing but a ReLU or a pooling between them, and no other
//! reader. The function of the float network stays, up to rounding.

use nablac_index::Array;

use super::affine::floats;
use super::network::Network;
use super::prepare::sole_reader;
use super::weights::{Parameters, channels, integer};
use crate::failure::Result;

/// `f(a y) = a f(y)` for positive `a`, channel by channel.
const HOMOGENEOUS: &[&str] = &[
    "Relu",
    "LeakyRelu",
    "PRelu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "Dropout",
    "Flatten",
];

/// Chains of more than two layers settle; the paper repeats until scales move no more.
const ROUNDS: usize = 20;

/// Scales of less than this factor are not worth a change.
const STILL: f64 = 1e-3;

/// Two steps that may trade scales.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pair {
    first: usize,
    second: usize,
    channels: usize,
}

/// The network with equalized weights; nothing if no two layers can be equalized.
pub fn equalize(network: &Network) -> Result<Option<Network>> {
    let pairs = pairs(network);
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut network = network.clone();
    own_constants(&mut network, &pairs);
    for _ in 0..ROUNDS {
        let mut moved = false;
        for pair in &pairs {
            moved |= equalize_pair(&mut network, *pair);
        }
        if !moved {
            break;
        }
    }
    for index in 0..network.steps.len() {
        if pairs.iter().any(|pair| pair.first == index || pair.second == index) {
            let node = network.steps[index].node.clone();
            network.replace(index, node)?;
        }
    }
    Ok(Some(network))
}

fn pairs(network: &Network) -> Vec<Pair> {
    let pair = |first: usize| {
        let parameters = Parameters::of(network, &network.steps[first])?;
        let mut at = sole_reader(network, first)?;
        while HOMOGENEOUS.contains(&network.steps[at].node.operator.as_str()) {
            let step = &network.steps[at];
            // Behind a Flatten a channel is a run of neighbours, if it flattens all but the batch.
            if step.node.operator == "Flatten" && integer(&step.node, "axis", 1) != 1 {
                return None;
            }
            at = sole_reader(network, at)?;
        }
        let next = Parameters::of(network, &network.steps[at])?;
        let fits = input_channels(network, at, &next)?.is_multiple_of(parameters.channels);
        fits.then_some(Pair { first, second: at, channels: parameters.channels })
    };
    (0..network.steps.len()).filter_map(pair).collect()
}

/// How many channels, or features, the data of a linear step has.
fn input_channels(network: &Network, index: usize, parameters: &Parameters) -> Option<usize> {
    let step = &network.steps[index];
    let shape = &network.types.get(step.node.inputs.first()?)?.1;
    match step.node.operator.as_str() {
        "Conv" | "ConvTranspose" => shape.get(1).copied(),
        "Gemm" if integer(&step.node, "transA", 0) == 0 => shape.get(1).copied(),
        "MatMul" if shape.len() == 2 && network.constants[&parameters.weights].shape().len() == 2 => {
            Some(shape[1])
        }
        _ => None,
    }
}

/// Gives the steps of pairs constants that nobody else reads.
fn own_constants(network: &mut Network, pairs: &[Pair]) {
    let mut steps: Vec<usize> = pairs.iter().flat_map(|pair| [pair.first, pair.second]).collect();
    steps.sort_unstable();
    steps.dedup();
    for index in steps {
        for position in 1..network.steps[index].node.inputs.len() {
            let name = network.steps[index].node.inputs[position].clone();
            if let Some(array) = network.constants.get(&name).cloned() {
                let own = network.add_constant(&format!("{name}.equalized"), array);
                network.steps[index].node.inputs[position] = own;
            }
        }
    }
}

/// The output channel of each element of a linear step's weights.
fn output_channel(
    network: &Network,
    index: usize,
    parameters: &Parameters,
) -> impl Fn(usize) -> usize + use<> {
    let shape = network.constants[&parameters.weights].shape().to_vec();
    let inner = channels(&shape, parameters.axis);
    // A transposed convolution keeps the channels of its groups one behind the other along its input channels.
    let groups = integer(&network.steps[index].node, "group", 1).max(1) as usize;
    let transposed = network.steps[index].node.operator == "ConvTranspose";
    let row = channels(&shape, 0);
    move |position| match transposed {
        true => row(position) / (shape[0] / groups).max(1) * shape[1] + inner(position),
        false => inner(position),
    }
}

/// The input channel of each element of a linear step's weights.
fn input_channel(
    network: &Network,
    index: usize,
    parameters: &Parameters,
) -> impl Fn(usize) -> usize + use<> {
    let node = &network.steps[index].node;
    let shape = network.constants[&parameters.weights].shape().to_vec();
    let groups = integer(node, "group", 1).max(1) as usize;
    let axis = match node.operator.as_str() {
        "Conv" => 1,
        "ConvTranspose" => 0,
        _ => 1 - parameters.axis,
    };
    let own = channels(&shape, axis);
    let output = channels(&shape, 0);
    let grouped = node.operator == "Conv";
    move |position| match grouped {
        true => output(position) / (shape[0] / groups).max(1) * shape[1] + own(position),
        false => own(position),
    }
}

/// Trades scales between two steps; whether they moved.
fn equalize_pair(network: &mut Network, pair: Pair) -> bool {
    let of = |index: usize| Parameters::of(network, &network.steps[index]);
    let (Some(first), Some(second)) = (of(pair.first), of(pair.second)) else { return false };
    let output = output_channel(network, pair.first, &first);
    let input = input_channel(network, pair.second, &second);
    let features = input_channels(network, pair.second, &second).unwrap_or(pair.channels) / pair.channels;
    let input = move |position| input(position) / features.max(1);
    let mut ranges = [
        extremes(&network.constants[&first.weights], pair.channels, &output),
        extremes(&network.constants[&second.weights], pair.channels, &input),
    ];
    // A bias is the weight of a 1: a channel with little else would otherwise grow without bound.
    for (range, b) in
        ranges[0].iter_mut().zip(first.bias.iter().flat_map(|bias| floats(&network.constants[bias])))
    {
        *range = range.max(f64::from(b.abs()));
    }
    let scale = |c: usize| match ranges[0][c] > 0.0 && ranges[1][c] > 0.0 {
        true => (ranges[0][c] / ranges[1][c]).sqrt(),
        false => 1.0, // a channel without weights on one side has nothing to trade
    };
    let scales: Vec<f64> = (0..pair.channels).map(scale).collect();
    let mut rescale = |name: &String, factor: &dyn Fn(usize) -> f64| {
        let array = &network.constants[name];
        let values: Vec<f32> =
            floats(array).enumerate().map(|(at, x)| (f64::from(x) * factor(at)) as f32).collect();
        let array = Array::from_f32(array.shape(), &values);
        network.constants.insert(name.clone(), array);
    };
    rescale(&first.weights, &|at| 1.0 / scales[output(at)]);
    if let Some(bias) = &first.bias {
        rescale(bias, &|at| 1.0 / scales[at]);
    }
    rescale(&second.weights, &|at| scales[input(at)]);
    scales.iter().any(|s| (s - 1.0).abs() > STILL)
}

/// The largest magnitude of each channel.
fn extremes(weights: &Array, count: usize, channel: &dyn Fn(usize) -> usize) -> Vec<f64> {
    let mut extremes = vec![0.0f64; count];
    for (position, w) in floats(weights).enumerate() {
        let extreme = &mut extremes[channel(position)];
        *extreme = extreme.max(f64::from(w.abs()));
    }
    extremes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::quantize::fixture::{network, node};
    use crate::samples;

    fn outputs(network: &Network) -> Vec<f32> {
        let samples = samples::random(&network.inputs, 3, 5);
        let run = |sample| {
            let mut values = network.start(sample);
            for step in &network.steps {
                let results = step.run(&step.program, &step.gather(&values)).unwrap();
                values.extend(step.results.iter().cloned().zip(results));
            }
            floats(&network.results(&values)[0]).collect::<Vec<f32>>()
        };
        samples.iter().flat_map(run).collect()
    }

    #[test]
    fn equalization_keeps_the_float_function() {
        let network = network();
        let equalized = equalize(&network).unwrap().unwrap();
        assert_ne!(equalized.constants.len(), network.constants.len());
        let largest = outputs(&network).iter().fold(0.0f32, |largest, y| largest.max(y.abs()));
        for (before, after) in outputs(&network).iter().zip(outputs(&equalized)) {
            assert!((before - after).abs() < 1e-5 * largest, "{before} {after}");
        }
    }

    #[test]
    fn channels_that_traded_scales_have_like_ranges() {
        let equalized = equalize(&network()).unwrap().unwrap();
        let pairs = pairs(&equalized);
        assert_eq!(
            pairs.iter().map(|pair| (pair.first, pair.second)).collect::<Vec<_>>(),
            [(0, 2), (2, 4), (4, 7)]
        );
        for pair in pairs {
            let [first, second] =
                [pair.first, pair.second].map(|at| Parameters::of(&equalized, &equalized.steps[at]).unwrap());
            let output = output_channel(&equalized, pair.first, &first);
            let input = input_channel(&equalized, pair.second, &second);
            let features = input_channels(&equalized, pair.second, &second).unwrap() / pair.channels;
            let weights = |name: &String| &equalized.constants[name];
            let mut before = extremes(weights(&first.weights), pair.channels, &output);
            for (range, b) in before.iter_mut().zip(first.bias.iter().flat_map(|bias| floats(weights(bias))))
            {
                *range = range.max(f64::from(b.abs()));
            }
            let after = extremes(weights(&second.weights), pair.channels, &|at| input(at) / features);
            for (before, after) in before.iter().zip(after) {
                assert!((before / after).ln().abs() < 0.01, "{before} {after}");
            }
        }
    }

    #[test]
    fn layers_with_another_reader_or_a_bound_between_them_are_left_alone() {
        let mut network = network();
        network.outputs.push("r1".into());
        assert_eq!(pairs(&network).len(), 2);
        let bounds = BTreeMap::from([
            ("low".to_string(), Array::from_f32(&[], &[0.0])),
            ("high".to_string(), Array::from_f32(&[], &[6.0])),
        ]);
        network.constants.extend(bounds);
        network.replace(5, node("Clip", &["c3", "low", "high"], "r3", &[])).unwrap();
        assert_eq!(pairs(&network).len(), 1);
    }
}
