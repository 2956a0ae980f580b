//! A float network whose nodes run one by one.
//!
//! Owns the step from a model's node list to programs, one per node, and the values that flow between them under the names of the
//! file: what quantization measures and changes is the value of a name. What a node computes is its operator's file.

use std::collections::{BTreeMap, BTreeSet};

use nablac_graph::names::UniqueNames;
use nablac_graph::source::{SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_graph::{Graph, define, fold_constants, import};
use nablac_index::{Array, DType, Program};

use crate::failure::{Code, Failure, Result};
use crate::samples::{Port, Sample};

/// A network as steps.
#[derive(Clone, Debug)]
pub struct Network {
    /// What the caller gives.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<String>,
    /// Values that are known at compile time.
    pub constants: BTreeMap<String, Array>,
    /// Type and shape of every value that is computed or given.
    pub types: BTreeMap<String, (DType, Vec<usize>)>,
    /// What is computed, in order.
    pub steps: Vec<Step>,
    /// Constants that the file does not have.
    pub made_constants: BTreeSet<String>,
    names: UniqueNames,
}

/// One node of the file.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node.
    pub node: SourceNode,
    /// Its position in the file.
    pub position: usize,
    /// The values that the program takes, in its order.
    pub arguments: Vec<String>,
    /// The values that the program gives, in its order.
    pub results: Vec<String>,
    /// What it computes.
    pub program: Program,
}

/// The values of one run, by name.
pub type Values = BTreeMap<String, Array>;

impl Network {
    /// The steps of a model whose inputs are `inputs`.
    pub fn new(source: &SourceModel, inputs: &[Port]) -> Result<Network> {
        let mut names = UniqueNames::default();
        let written = source.nodes.iter().flat_map(|node| node.inputs.iter().chain(&node.outputs));
        written.chain(source.constants.keys()).for_each(|name| names.reserve(name));
        let mut network = Network {
            names,
            made_constants: BTreeSet::new(),
            inputs: inputs.to_vec(),
            outputs: source.outputs.iter().map(|output| output.name.clone()).collect(),
            constants: source.constants.clone(),
            types: inputs.iter().map(|p| (p.name.clone(), (p.dtype, p.shape.clone()))).collect(),
            steps: vec![],
        };
        for (position, node) in source.nodes.iter().enumerate() {
            network.add(node, position)?;
        }
        network.remove_unread();
        Ok(network)
    }

    /// Adds a node behind the others; one that depends on no input becomes constants.
    fn add(&mut self, node: &SourceNode, position: usize) -> Result<()> {
        if node.attributes.values().any(|attribute| matches!(attribute, SourceAttribute::Graph(_))) {
            let message =
                format!("node `{}` ({}) has subgraphs, which are not quantized", node.name, node.operator);
            return Err(Failure::new(Code::Quantization, message).help(
                "a constant condition is resolved by onnxsim; otherwise quantize the parts of the model",
            ));
        }
        let (graph, step) = self.step(node, position, &BTreeMap::new())?;
        for &id in &graph.outputs {
            let value = graph.value(id);
            self.types.insert(value.name.clone(), (value.dtype, value.shape.clone()));
        }
        let reads = graph.read_counts();
        if graph.inputs.iter().any(|id| reads[id.0 as usize] > 0) {
            self.steps.push(step);
            return Ok(());
        }
        let zeros = |name: &String| {
            let (dtype, shape) = &self.types[name];
            let bytes = vec![0; shape.iter().product::<usize>() * dtype.bytes()];
            Array::from_bytes(*dtype, shape, bytes)
        };
        let arguments: Vec<Array> = step.arguments.iter().filter_map(zeros).collect();
        let results = step.run(&step.program, &arguments)?;
        self.constants.extend(step.results.iter().cloned().zip(results));
        Ok(())
    }

    /// A node by itself, with other constants in the place of some of its own.
    pub fn step(
        &self,
        node: &SourceNode,
        position: usize,
        replaced: &BTreeMap<String, Array>,
    ) -> Result<(Graph, Step)> {
        let graph = fold_constants(self.graph(&[node], replaced)?);
        let names =
            |ids: &[nablac_graph::ValueId]| ids.iter().map(|&id| graph.value(id).name.clone()).collect();
        let program = nablac_index::simplify(define(&graph)?);
        nablac_index::verify(&program).map_err(|error| Failure::new(Code::BrokenStage, error))?;
        let step = Step {
            node: node.clone(),
            position,
            arguments: names(&graph.inputs),
            results: names(&graph.outputs),
            program,
        };
        Ok((graph, step))
    }

    /// The graph that consecutive nodes mean by themselves; their outputs are those of the last.
    pub fn graph(&self, nodes: &[&SourceNode], replaced: &BTreeMap<String, Array>) -> Result<Graph> {
        let written: BTreeSet<&String> = nodes.iter().flat_map(|node| &node.outputs).collect();
        let mut alone = SourceModel { name: "step".into(), ..SourceModel::default() };
        let mut seen = BTreeSet::new();
        let reads = nodes.iter().flat_map(|node| &node.inputs).filter(|name| !name.is_empty());
        for name in reads.filter(|name| !written.contains(name)) {
            if let Some(array) = replaced.get(name).or(self.constants.get(name)) {
                alone.constants.insert(name.clone(), array.clone());
            } else if seen.insert(name) {
                alone.inputs.push(self.tensor(name));
            }
        }
        let last = nodes.last().map_or(&[][..], |node| &node.outputs);
        for name in last.iter().filter(|name| !name.is_empty()) {
            alone.outputs.push(SourceTensor { name: name.clone(), dtype: None, shape: None });
        }
        alone.nodes = nodes.iter().map(|&node| node.clone()).collect();
        Ok(import(&alone, &import::Options::default())?)
    }

    fn tensor(&self, name: &str) -> SourceTensor {
        let known = self.types.get(name);
        SourceTensor {
            name: name.into(),
            dtype: known.map(|(dtype, _)| *dtype),
            shape: known.map(|(_, shape)| shape.iter().map(|&n| SourceDim::Fixed(n)).collect()),
        }
    }

    /// Gives the step at `index` another node, and makes its program anew.
    pub fn replace(&mut self, index: usize, node: SourceNode) -> Result<()> {
        let position = self.steps[index].position;
        self.steps[index] = self.step(&node, position, &BTreeMap::new())?.1;
        Ok(())
    }

    /// A name that no value has, made from `name`.
    pub fn fresh_name(&mut self, name: &str) -> String {
        self.names.fresh(name)
    }

    /// Adds a constant; gives its name, made from `name`.
    pub fn add_constant(&mut self, name: &str, array: Array) -> String {
        let name = self.fresh_name(name);
        self.constants.insert(name.clone(), array);
        self.made_constants.insert(name.clone());
        name
    }

    fn remove_unread(&mut self) {
        let mut read: BTreeSet<String> = self.outputs.iter().cloned().collect();
        let mut kept = vec![];
        for step in std::mem::take(&mut self.steps).into_iter().rev() {
            if step.results.iter().any(|name| read.contains(name)) {
                read.extend(step.arguments.iter().cloned());
                kept.push(step);
            }
        }
        kept.reverse();
        self.steps = kept;
    }

    /// How many times each value is read, by steps and as an output.
    pub fn read_counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        let reads =
            self.steps.iter().flat_map(|step| step.node.inputs.iter().filter(|name| !name.is_empty()));
        reads.chain(&self.outputs).for_each(|name| *counts.entry(name.as_str()).or_default() += 1);
        counts
    }

    /// The index of the step that writes a value.
    pub fn producer(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.results.iter().any(|result| result == name))
    }

    /// The steps that read a value, by index.
    pub fn readers(&self, name: &str) -> Vec<usize> {
        let reads = |step: &Step| step.node.inputs.iter().any(|input| input == name);
        self.steps.iter().enumerate().filter(|(_, step)| reads(step)).map(|(index, _)| index).collect()
    }

    /// Whether a value is computed or given, and real.
    pub fn is_real(&self, name: &str) -> bool {
        !self.constants.contains_key(name)
            && self.types.get(name).is_some_and(|(dtype, _)| *dtype == DType::F32)
    }

    /// For each step, the values that nothing behind it reads.
    pub fn last_reads(&self) -> Vec<Vec<String>> {
        let mut seen: BTreeSet<&String> = self.outputs.iter().collect();
        let mut dead = vec![vec![]; self.steps.len()];
        for (index, step) in self.steps.iter().enumerate().rev() {
            for name in step.arguments.iter().chain(&step.results) {
                if seen.insert(name) {
                    dead[index].push(name.clone());
                }
            }
        }
        dead
    }

    /// The values that a run begins with.
    pub fn start(&self, sample: &Sample) -> Values {
        self.inputs.iter().map(|port| port.name.clone()).zip(sample.iter().cloned()).collect()
    }

    /// The outputs, once all steps have run.
    pub fn results(&self, values: &Values) -> Vec<Array> {
        let value = |name: &String| values.get(name).or(self.constants.get(name)).cloned();
        self.outputs.iter().filter_map(value).collect()
    }
}

impl Step {
    /// Runs a program of this step: its own, or one with other constants.
    pub fn run(&self, program: &Program, arguments: &[Array]) -> Result<Vec<Array>> {
        nablac_index::run(program, arguments)
            .map_err(|error| Failure::new(Code::BrokenStage, format!("node `{}`: {error}", self.node.name)))
    }

    /// What the program takes, from `values`.
    pub fn gather(&self, values: &Values) -> Vec<Array> {
        self.arguments.iter().filter_map(|name| values.get(name).cloned()).collect()
    }
}
