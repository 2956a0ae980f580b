//! Which values become integers, and with which scales.
//!
//! Owns the division of a network into layers and the groups of values that share a scale. A layer is a step that computes, with the
//! bound behind it; between the two nothing is rounded. What passes elements on joins what it reads and writes into one group.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::DType;

use super::affine::{Bits, Quantization, floats};
use super::network::{Network, Step};
use super::operators::{Data, Known, Role, role};
use super::prepare::sole_reader;
use super::range::{Histogram, Method};
use super::weights::Parameters;

/// How exactly a layer computes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Precision {
    /// Weights of 4 bits, activations of 8.
    W4A8,
    /// Weights and activations of 8 bits.
    W8A8,
    /// Weights of 8 bits, activations of 16.
    W8A16,
    /// In float.
    Float,
}

impl Precision {
    /// How many bits a weight has.
    pub fn weight_bits(self) -> u32 {
        match self {
            Precision::W4A8 => 4,
            Precision::W8A8 | Precision::W8A16 => 8,
            Precision::Float => 32,
        }
    }

    /// `w8a8`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::W4A8 => "w4a8",
            Precision::W8A8 => "w8a8",
            Precision::W8A16 => "w8a16",
            Precision::Float => "float",
        }
    }
}

/// What is computed between two roundings.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The steps: one, or one and the bound behind it.
    pub steps: Vec<usize>,
    /// The constants of a linear layer.
    pub parameters: Option<Parameters>,
    /// The values that it reads as integers.
    pub inputs: Vec<String>,
    /// The value that it gives.
    pub output: String,
    known: Option<Known>,
}

/// Values that have one scale.
#[derive(Clone, Debug, Default)]
struct Group {
    /// The values, and constants that are read beside them.
    values: BTreeSet<String>,
    /// Those that no view writes.
    sources: BTreeSet<String>,
}

/// A network divided.
#[derive(Clone, Debug)]
pub struct Layers {
    /// What computes, in order.
    pub layers: Vec<Layer>,
    groups: Vec<Group>,
}

/// The scales of a network.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Of the values that are integers.
    pub values: BTreeMap<String, Quantization>,
    /// Of constants that are read as data: by step and the position of the input.
    pub operands: BTreeMap<(usize, usize), Quantization>,
    /// The precision of each layer.
    pub precisions: Vec<Precision>,
}

/// The inputs of a step that hold reals: their positions and names.
fn data_inputs<'a>(network: &Network, step: &'a Step) -> Vec<(usize, &'a String)> {
    let Some((_, data)) = role(&step.node.operator) else { return vec![] };
    let count = if data == Data::First { 1 } else { usize::MAX };
    let real = |name: &str| {
        network.is_real(name) || network.constants.get(name).is_some_and(|array| array.dtype() == DType::F32)
    };
    let all = step.node.inputs.iter().enumerate().take(count).filter(|(_, name)| !name.is_empty());
    all.filter(|(_, name)| real(name)).collect()
}

/// Whether a step computes with integers of its data.
fn computes(network: &Network, step: &Step) -> bool {
    let Some((role, _)) = role(&step.node.operator) else { return false };
    let real = step
        .results
        .iter()
        .chain(step.node.inputs.first())
        .all(|name| network.is_real(name) || network.constants.contains_key(name));
    real && match role {
        Role::View => false,
        // Products of two computed matrices are as good as products with weights.
        Role::Linear => step.node.operator == "MatMul" || Parameters::of(network, step).is_some(),
        _ => true,
    }
}

impl Layers {
    /// Divides a network.
    pub fn new(network: &Network) -> Layers {
        let mut layers: Vec<Layer> = vec![];
        let mut taken = BTreeSet::new();
        for (index, step) in network.steps.iter().enumerate() {
            if taken.contains(&index) || !computes(network, step) {
                continue;
            }
            let mut steps = vec![index];
            let is_bound =
                |other: usize| matches!(role(&network.steps[other].node.operator), Some((Role::Bound, _)));
            if let Some(bound) =
                sole_reader(network, index).filter(|&other| is_bound(other) && !is_bound(index))
            {
                steps.push(bound);
                taken.insert(bound);
            }
            layers.push(Layer::new(network, steps));
        }
        let groups = groups(network, &layers);
        Layers { layers, groups }
    }

    /// Every value that becomes integers when all layers do.
    pub fn values(&self) -> BTreeSet<String> {
        self.groups.iter().flat_map(|group| group.values.iter().cloned()).collect()
    }

    /// The scales that follow from what was seen.
    pub fn plan(
        &self,
        network: &Network,
        precisions: &[Precision],
        seen: &BTreeMap<String, Histogram>,
        method: Method,
    ) -> Plan {
        let mut plan = Plan { precisions: precisions.to_vec(), ..Plan::default() };
        let of_layers = self.layers.iter().zip(precisions);
        let integer: Vec<(&Layer, Precision)> =
            of_layers.map(|(l, p)| (l, *p)).filter(|(_, p)| *p != Precision::Float).collect();
        for group in &self.groups {
            let touches =
                |layer: &Layer| group.values.iter().any(|v| *v == layer.output || layer.inputs.contains(v));
            let around: Vec<Precision> =
                integer.iter().filter(|(layer, _)| touches(layer)).map(|(_, p)| *p).collect();
            if around.is_empty() {
                continue;
            }
            let bits = if around.contains(&Precision::W8A16) { Bits::Sixteen } else { Bits::Eight };
            let quantization = self.quantization(network, group, bits, seen, method);
            let real = group.values.iter().filter(|name| network.is_real(name));
            plan.values.extend(real.map(|name| (name.clone(), quantization)));
        }
        self.plan_operands(network, &integer, &mut plan);
        plan
    }

    /// Constants among the data: a view's have the scale of what it joins them with, others their own.
    fn plan_operands(&self, network: &Network, integer: &[(&Layer, Precision)], plan: &mut Plan) {
        let constant = |name: &str| network.constants.get(name);
        for (layer, precision) in integer {
            let index = layer.steps[0];
            let bits = if *precision == Precision::W8A16 { Bits::Sixteen } else { Bits::Eight };
            for (position, name) in data_inputs(network, &network.steps[index]) {
                if let Some(array) = constant(name) {
                    let (low, high) =
                        floats(array).fold((0.0f32, 0.0f32), |(low, high), x| (low.min(x), high.max(x)));
                    let q = Quantization::of_range(low.into(), high.into(), bits);
                    plan.operands.insert((index, position), q);
                }
            }
        }
        for (index, step) in network.steps.iter().enumerate() {
            let joined = step.results.first().and_then(|name| plan.values.get(name)).copied();
            if let (Some((Role::View, _)), Some(q)) = (role(&step.node.operator), joined) {
                for (position, _) in
                    data_inputs(network, step).iter().filter(|(_, name)| constant(name).is_some())
                {
                    plan.operands.insert((index, *position), q);
                }
            }
        }
    }

    fn quantization(
        &self,
        network: &Network,
        group: &Group,
        bits: Bits,
        seen: &BTreeMap<String, Histogram>,
        method: Method,
    ) -> Quantization {
        let known = |name: &String| {
            self.layers.iter().find(|layer| layer.output == *name).and_then(|layer| layer.known)
        };
        let all: Vec<Option<Known>> = group.sources.iter().map(known).collect();
        if let Some(Some(one)) = all.first()
            && all.iter().all(|other| *other == Some(*one))
        {
            return of_known(*one, bits);
        }
        let (mut low, mut high) = (0.0f64, 0.0f64);
        for name in &group.sources {
            let range = match (known(name), network.constants.get(name), seen.get(name)) {
                (Some(Known::Unit), ..) => (0.0, 1.0),
                (Some(Known::Symmetric), ..) => (-1.0, 1.0),
                (_, Some(array), _) => floats(array)
                    .map(f64::from)
                    .fold((0.0, 0.0), |(l, h): (f64, f64), x| (l.min(x), h.max(x))),
                (.., Some(histogram)) => histogram.range(method, bits),
                _ => (0.0, 0.0),
            };
            (low, high) = (low.min(range.0), high.max(range.1));
        }
        Quantization::of_range(low, high, bits)
    }
}

fn of_known(known: Known, bits: Bits) -> Quantization {
    match (bits, known) {
        (Bits::Eight, Known::Unit) => Quantization { scale: 1.0 / 256.0, zero_point: -128, bits },
        (Bits::Eight, Known::Symmetric) => Quantization { scale: 1.0 / 128.0, zero_point: 0, bits },
        (Bits::Sixteen, _) => Quantization { scale: 1.0 / 32768.0, zero_point: 0, bits },
    }
}

impl Layer {
    fn new(network: &Network, steps: Vec<usize>) -> Layer {
        let first = &network.steps[steps[0]];
        let last = &network.steps[steps[steps.len() - 1]];
        let known = match role(&last.node.operator) {
            Some((Role::Ranged(known), _)) => Some(known),
            _ => None,
        };
        let parameters = Parameters::of(network, first);
        let data = data_inputs(network, first).into_iter().map(|(_, name)| name.clone());
        let mut inputs: Vec<String> = data.filter(|name| network.is_real(name)).collect();
        if parameters.is_none() && first.node.operator == "MatMul" {
            inputs = first.node.inputs.iter().filter(|name| network.is_real(name)).cloned().collect();
        }
        Layer { inputs, parameters, output: last.results[0].clone(), known, steps }
    }

    /// The operators, such as `Conv+Relu`.
    pub fn operators(&self, network: &Network) -> String {
        let names = self.steps.iter().map(|&index| network.steps[index].node.operator.as_str());
        names.collect::<Vec<_>>().join("+")
    }
}

/// The values that layers read and write as integers, joined where a view passes elements on.
fn groups(network: &Network, layers: &[Layer]) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![];
    let mut join = |names: &[&String]| {
        let touched = |group: &Group| names.iter().any(|name| group.values.contains(*name));
        let (mut with, without): (Vec<Group>, Vec<Group>) =
            std::mem::take(&mut groups).into_iter().partition(touched);
        let mut joined = with.pop().unwrap_or_default();
        with.into_iter().for_each(|group| joined.values.extend(group.values));
        joined.values.extend(names.iter().map(|name| name.to_string()));
        groups = without;
        groups.push(joined);
    };
    for layer in layers {
        layer.inputs.iter().for_each(|name| join(&[name]));
        join(&[&layer.output]);
    }
    let views: Vec<&Step> = network.steps.iter().filter(|step| is_view(network, step)).collect();
    for step in &views {
        let inputs = data_inputs(network, step).into_iter().map(|(_, name)| name);
        join(&inputs.chain(&step.results).collect::<Vec<_>>());
    }
    let passed: BTreeSet<&String> = views.iter().flat_map(|step| &step.results).collect();
    for group in &mut groups {
        group.sources = group.values.iter().filter(|name| !passed.contains(name)).cloned().collect();
    }
    groups
}

fn is_view(network: &Network, step: &Step) -> bool {
    let real = step.results.iter().all(|name| network.is_real(name));
    real && matches!(role(&step.node.operator), Some((Role::View, _)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::fixture::{network, node, noise};

    fn plan(network: &Network, precisions: &[Precision]) -> (Layers, Plan) {
        let layers = Layers::new(network);
        let mut seen = BTreeMap::new();
        for (number, name) in layers.values().into_iter().enumerate() {
            let mut histogram = Histogram::default();
            histogram.add([-1.0, 1.0 + number as f32].into_iter());
            seen.insert(name, histogram);
        }
        let plan = layers.plan(network, precisions, &seen, Method::MinMax);
        (layers, plan)
    }

    #[test]
    fn nothing_is_rounded_between_a_sum_and_its_bound_and_views_share_a_scale() {
        let network = network();
        let (layers, plan) = plan(&network, &[Precision::W8A8; 4]);
        let steps: Vec<&[usize]> = layers.layers.iter().map(|layer| &layer.steps[..]).collect();
        assert_eq!(steps, [&[0, 1][..], &[2, 3], &[4, 5], &[7]]);
        assert_eq!(
            plan.values.keys().map(String::as_str).collect::<Vec<_>>(),
            ["f", "r1", "r2", "r3", "x", "y"]
        );
        assert_eq!(plan.values["f"], plan.values["r3"]);
        assert_ne!(plan.values["r1"].scale, plan.values["r2"].scale);
    }

    #[test]
    fn a_layer_of_higher_precision_has_wide_values_around_it_and_float_has_none() {
        let network = network();
        let precisions = [Precision::Float, Precision::Float, Precision::W8A16, Precision::W8A8];
        let (_, plan) = plan(&network, &precisions);
        let bits: Vec<(&str, u32)> =
            plan.values.iter().map(|(name, q)| (name.as_str(), q.bits.count())).collect();
        assert_eq!(bits, [("f", 16), ("r2", 16), ("r3", 16), ("y", 8)]);
    }

    #[test]
    fn a_known_range_needs_no_data_and_constants_beside_data_are_rounded() {
        let mut network = network();
        network.constants.insert("k".into(), noise(&[4, 1, 1], 9));
        network.replace(1, node("Sigmoid", &["c1"], "r1", &[])).unwrap();
        network.replace(3, node("PRelu", &["c2", "k"], "r2", &[])).unwrap();
        let (layers, plan) = plan(&network, &[Precision::W8A8; 6]);
        let q = plan.values["r1"];
        assert_eq!((q.scale, q.zero_point), (1.0 / 256.0, -128));
        assert!(plan.values.contains_key("c1"), "a sigmoid is a layer of its own");
        assert_eq!(layers.layers.len(), 6);
        assert_eq!(plan.operands.keys().copied().collect::<Vec<_>>(), [(3, 1)]);
    }
}
