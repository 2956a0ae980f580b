//! What each layer of a network costs.
//!
//! Owns the join of a measurement, which knows C functions, with what the compiler knows of the kernels that they are. Kernels that are
//! alike are one function, and one row.

use std::collections::BTreeMap;

use nablac_index::TensorId;
use nablac_loops::{Kernel, Program, Repeat, Role, Step};
use nablac_run::Measurement;
use serde::Serialize;

/// A kernel, or several that are one function, and its cost; or a function that is none, such as one of the C library, and its cost.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Layer {
    /// The first kernel's name, or else the function's.
    pub name: String,
    /// The kernels' names.
    pub kernels: Vec<String>,
    /// The C function.
    pub function: String,
    /// The multiply-accumulates of one inference, those with padding included.
    pub macs: u64,
    /// The instructions of the first sample. Nothing if there is no count: none was made, the kernel stands in a branch that was
    /// not taken, or the C compiler merged it with one that does the same.
    pub instructions: Option<u64>,
    /// Instructions by multiply-accumulates.
    pub instructions_per_mac: Option<f64>,
    /// The estimated cycles of the first sample.
    pub estimated_cycles: Option<u64>,
    /// Estimated cycles by multiply-accumulates.
    pub cycles_per_mac: Option<f64>,
    /// The cycles that its nest should take by the analytic model of `nablac_predictor`; nothing where the machine's file says nothing
    /// of a pipeline.
    pub predicted_cycles: Option<u64>,
    /// The shortest time of its calls in one inference, together.
    pub seconds: Option<f64>,
    /// Multiply-accumulates by time.
    pub macs_per_second: Option<f64>,
    /// Its part, from 0 to 1, of all cycles where they are estimated, else of all instructions, or of the layers' time.
    pub share: Option<f64>,
    /// The constants that it reads, in all its calls.
    pub weight_bytes: u64,
    /// What else it reads and writes.
    pub activation_bytes: Activations,
}

/// The sizes of the buffers that a kernel reads and writes, each once. Constants are left out, and what nobody else reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Activations {
    /// Those that it reads, but for those that it writes too.
    #[serde(rename = "in")]
    pub read: u64,
    /// Those that it writes.
    #[serde(rename = "out")]
    pub written: u64,
}

/// The layers of a program in the order in which they run, then the other functions, the dearest first. Their instructions are
/// those of the measurement, as are their cycles. `functions` are the C functions by kernel, `predicted` the cycles of kernels.
pub fn layers(
    nests: &Program,
    functions: &BTreeMap<String, String>,
    predicted: &BTreeMap<String, f64>,
    measurement: &Measurement,
) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![];
    for kernel in nests.kernels() {
        let mut next = layer(nests, functions, kernel);
        next.predicted_cycles = predicted.get(&kernel.name).map(|cycles| cycles.round() as u64);
        match layers.iter_mut().find(|layer| layer.function == next.function) {
            Some(layer) => *layer = Layer::together(layer, next),
            None => layers.push(next),
        }
    }
    let kernels = layers.len();
    for cost in &measurement.per_function {
        // The compiler names its variants of a function `NAME.constprop.0` and the like.
        let plain = cost.name.split('.').next().unwrap_or_default();
        let position = layers[..kernels].iter().position(|layer| layer.function == plain);
        let position = position.unwrap_or_else(|| {
            let name = cost.name.clone();
            layers.push(Layer { function: name.clone(), name, ..Layer::default() });
            layers.len() - 1
        });
        let layer = &mut layers[position];
        layer.instructions = plus(layer.instructions, cost.instructions);
        layer.estimated_cycles = plus(layer.estimated_cycles, cost.cycles);
        layer.seconds = plus(layer.seconds, cost.seconds);
    }
    let counted = measurement.estimated_cycles.or(measurement.instructions);
    let time = layers.iter().filter_map(|layer| layer.seconds).reduce(|sum, more| sum + more);
    for layer in &mut layers {
        layer.divide();
        layer.share = ratio(layer.estimated_cycles.or(layer.instructions), counted.unwrap_or(0))
            .or_else(|| Some(layer.seconds? / time.filter(|sum| *sum > 0.0)?));
    }
    layers
}

impl Layer {
    /// Two layers that are the same function.
    fn together(first: &Layer, second: Layer) -> Layer {
        let kernels = [&first.kernels[..], &second.kernels[..]].concat();
        let (name, function) = (first.name.clone(), first.function.clone());
        Layer { name, function, kernels, ..Layer::sum("", &[first.clone(), second]) }
    }

    /// Several layers as one of that name, which is no function.
    pub fn sum(name: &str, layers: &[Layer]) -> Layer {
        let some = |figure: &dyn Fn(&Layer) -> Option<u64>| {
            layers.iter().filter_map(figure).reduce(|sum, more| sum.saturating_add(more))
        };
        let all = |figure: &dyn Fn(&Layer) -> u64| some(&|layer| Some(figure(layer))).unwrap_or(0);
        let mut sum = Layer {
            name: name.into(),
            function: name.into(),
            macs: all(&|layer| layer.macs),
            instructions: some(&|layer| layer.instructions),
            estimated_cycles: some(&|layer| layer.estimated_cycles),
            predicted_cycles: some(&|layer| layer.predicted_cycles),
            seconds: layers.iter().filter_map(|layer| layer.seconds).reduce(|sum, more| sum + more),
            share: layers.iter().filter_map(|layer| layer.share).reduce(|sum, more| sum + more),
            weight_bytes: all(&|layer| layer.weight_bytes),
            activation_bytes: Activations {
                read: all(&|layer| layer.activation_bytes.read),
                written: all(&|layer| layer.activation_bytes.written),
            },
            ..Layer::default()
        };
        sum.divide();
        sum
    }

    /// Sets what follows from the counts.
    fn divide(&mut self) {
        self.instructions_per_mac = ratio(self.instructions, self.macs);
        self.cycles_per_mac = ratio(self.estimated_cycles, self.macs);
        let timed = self.seconds.filter(|seconds| *seconds > 0.0 && self.macs > 0);
        self.macs_per_second = timed.map(|seconds| self.macs as f64 / seconds);
    }
}

/// The sum of those that are known.
fn plus<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn ratio(count: Option<u64>, of: u64) -> Option<f64> {
    count.filter(|_| of > 0).map(|count| count as f64 / of as f64)
}

/// A kernel before anything is known of its cost.
fn layer(nests: &Program, functions: &BTreeMap<String, String>, kernel: &Kernel) -> Layer {
    let mut written = kernel.writes(nests.buffers.len());
    let read = kernel.reads(nests.buffers.len()).into_iter().filter(|id| !written.contains(id));
    let is_constant = |id: &TensorId| matches!(nests.buffer(*id).role, Role::Constant(_));
    let (constants, others): (Vec<TensorId>, Vec<TensorId>) = read.partition(is_constant);
    let wanted = wanted(nests, kernel);
    written.retain(|id| nests.buffer(*id).role != Role::Local || wanted.contains(id));
    let bytes = |ids: &[TensorId]| ids.iter().map(|id| nests.buffer(*id).bytes() as u64).sum();
    Layer {
        name: kernel.name.clone(),
        kernels: vec![kernel.name.clone()],
        function: functions.get(&kernel.name).cloned().unwrap_or_default(),
        macs: kernel.macs,
        weight_bytes: bytes(&constants),
        activation_bytes: Activations { read: bytes(&others), written: bytes(&written) },
        ..Layer::default()
    }
}

/// What others than the kernel read: other kernels, and the steps and states that pass values on.
fn wanted(nests: &Program, kernel: &Kernel) -> Vec<TensorId> {
    fn pass_on(steps: &[Step], found: &mut Vec<TensorId>) {
        for step in steps {
            match step {
                Step::Kernel(_) => {}
                Step::Receive(_) => {}
                Step::Repeat(Repeat { carried, body, .. }) => {
                    found.extend(carried.iter().flat_map(|(_, initial, next)| [initial, next]));
                    pass_on(body, found);
                }
                Step::Branch { condition, then, otherwise } => {
                    found.push(*condition);
                    [then, otherwise].into_iter().for_each(|steps| pass_on(steps, found));
                }
            }
        }
    }
    let others = nests.kernels().into_iter().filter(|other| other.name != kernel.name);
    let mut found: Vec<TensorId> = others.flat_map(|other| other.reads(nests.buffers.len())).collect();
    found.extend(nests.states().map(|(_, state)| state.next));
    pass_on(&nests.steps, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_run::FunctionCost;

    const NESTS: &str = "loops p {
        input x: f32[4]  const w: f32[2] = [1.0, 2.0]  local t: f32[4]  local s: f32[4]  output y: f32[4]
        kernel first { macs 8 for i in 0..4 { t[i] = 0.0 for u in 0..2 { t[i] += x[i] * w[u] } } }
        kernel last { for i in 0..4 { s[i] = t[i] } for i in 0..4 { y[i] = s[i] } }
    }";

    fn measured(cycles: bool) -> Measurement {
        let cost = |(name, instructions): (&str, u64)| FunctionCost {
            name: name.into(),
            instructions: Some(instructions),
            cycles: cycles.then_some(2 * instructions),
            seconds: None,
        };
        let rows = [("p_first", 50), ("memcpy.part.0", 40), ("p_last", 6), ("p_first.constprop.0", 4)];
        Measurement {
            instructions: Some(100),
            estimated_cycles: cycles.then_some(200),
            per_function: rows.map(cost).to_vec(),
            ..Measurement::default()
        }
    }

    fn joined(measurement: &Measurement) -> Vec<Layer> {
        let nests = nablac_loops::parse(NESTS).unwrap();
        let functions = [("first", "p_first"), ("last", "p_last")];
        let functions = functions.map(|(kernel, function)| (kernel.into(), function.into())).into();
        let predicted = [("first".to_string(), 99.6)].into();
        layers(&nests, &functions, &predicted, measurement)
    }

    #[test]
    fn costs_belong_to_kernels_by_their_functions_whatever_the_compiler_makes_of_those() {
        let layers = joined(&measured(true));
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["first", "last", "memcpy.part.0"]);
        let first = &layers[0];
        assert_eq!((first.instructions, first.estimated_cycles, first.macs), (Some(54), Some(108), 8));
        assert_eq!((first.predicted_cycles, layers[1].predicted_cycles), (Some(100), None));
        assert_eq!((first.instructions_per_mac, first.cycles_per_mac), (Some(6.75), Some(13.5)));
        assert_eq!((first.share, layers[1].instructions_per_mac), (Some(0.54), None));
        assert_eq!((first.weight_bytes, first.activation_bytes.read, layers[1].weight_bytes), (8, 16, 0));
        assert_eq!(layers[1].activation_bytes, Activations { read: 16, written: 16 });
        let all = Layer::sum("all", &layers);
        assert_eq!((all.instructions, all.instructions_per_mac), (Some(100), Some(12.5)));
        assert_eq!((all.share, all.activation_bytes.written), (Some(1.0), 32));
    }

    #[test]
    fn without_cycles_shares_are_of_instructions_and_without_either_there_are_none() {
        assert_eq!(joined(&measured(false))[2].share, Some(0.4));
        let layers = joined(&Measurement::default());
        assert_eq!(layers.len(), 2);
        assert!(layers.iter().all(|layer| layer.share.is_none() && layer.instructions.is_none()));
    }

    #[test]
    fn where_nothing_is_counted_shares_are_of_time() {
        let cost = |name: &str, seconds: f64| FunctionCost {
            name: name.into(),
            instructions: None,
            cycles: None,
            seconds: Some(seconds),
        };
        let per_function = vec![cost("p_first", 3e-6), cost("p_last", 1e-6)];
        let layers = joined(&Measurement { seconds: Some(5e-6), per_function, ..Measurement::default() });
        assert_eq!((layers[0].share, layers[1].share), (Some(0.75), Some(0.25)));
        assert_eq!((layers[0].macs_per_second, layers[1].macs_per_second), (Some(8.0 / 3e-6), None));
        assert_eq!(Layer::sum("all", &layers).seconds, Some(4e-6));
    }
}
