//! A model's node list to a graph.
//!
//! Owns names and scopes, the folding of constants that decide shapes, and collecting every unsupported construct at once.
//! What a framework's node means is its operator's file, which reads it through `Reader`.

use std::collections::BTreeMap;

use nablac_index::{Array, DType, Value};

use crate::error::Error;
use crate::graph::{Graph, ValueId};
use crate::operator::Entry;
use crate::ops::entries;
use crate::source::{SourceDim, SourceModel, SourceNode, SourceQuantization, SourceTensor};

mod reader;

pub use reader::Reader;

/// What the user decides about an import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--dim NAME=N`: the extents of named dimensions.
    pub dimensions: BTreeMap<String, usize>,
}

/// The graph that a model means, or everything in it that is not supported.
pub fn import(model: &SourceModel, options: &Options) -> Result<Graph, Error> {
    let mut unknown = vec![];
    find_unknown(model, &mut unknown);
    if !unknown.is_empty() {
        return Err(Error::several(unknown));
    }
    let mut scope = Scope::new(model, None);
    for input in &model.inputs {
        let (dtype, shape) = input_type(input, options)?;
        scope.add_input(&input.name, dtype, &shape);
    }
    scope.import_nodes(model)?;
    Ok(scope.finish(model)?.graph)
}

/// The entry whose spelling fits a node.
fn entry_of(node: &SourceNode) -> Option<&'static Entry> {
    let fits = |entry: &&Entry| {
        entry
            .spellings
            .iter()
            .any(|s| s.framework == node.framework && s.name == node.operator && s.since <= node.version)
    };
    entries().find(fits)
}

/// Adds an error for every node that no operator's file spells, also in subgraphs.
fn find_unknown(model: &SourceModel, unknown: &mut Vec<Error>) {
    for node in &model.nodes {
        if entry_of(node).is_none() {
            let known = entries()
                .flat_map(|e| e.spellings)
                .find(|s| s.framework == node.framework && s.name == node.operator);
            let reason = match known {
                Some(s) => format!(
                    "version {} is older than {}, the first supported one: convert the model",
                    node.version, s.since
                ),
                None => "the operator is not supported; `nablac ops` lists those that are".into(),
            };
            unknown.push(Error::Unsupported {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason,
            });
        }
        for attribute in node.attributes.values() {
            if let crate::source::SourceAttribute::Graph(region) = attribute {
                find_unknown(region, unknown);
            }
        }
    }
}

fn input_type(input: &SourceTensor, options: &Options) -> Result<(DType, Vec<usize>), Error> {
    let invalid =
        |problem: &str| Error::Invalid { place: format!("input `{}`", input.name), problem: problem.into() };
    let dtype = input.dtype.ok_or_else(|| invalid("the model gives no element type"))?;
    let dimensions = input.shape.as_ref().ok_or_else(|| invalid("the model gives no shape"))?;
    let extent = |(position, dimension): (usize, &SourceDim)| match dimension {
        SourceDim::Fixed(extent) => Ok(*extent),
        SourceDim::Named(name) => {
            // A dimension without a name goes by its input and position: `x.0`.
            let name = if name.is_empty() { format!("{}.{position}", input.name) } else { name.clone() };
            let open = Error::OpenDimension { input: input.name.clone(), dimension: name.clone() };
            options.dimensions.get(&name).copied().ok_or(open)
        }
    };
    let results: Vec<_> = dimensions.iter().enumerate().map(extent).collect();
    let errors: Vec<Error> = results.iter().filter_map(|r| r.clone().err()).collect();
    match errors.is_empty() {
        true => Ok((dtype, results.into_iter().flatten().collect())),
        false => Err(Error::several(errors)),
    }
}

/// A graph under construction, with the names that its nodes use.
pub(crate) struct Scope<'a> {
    pub(crate) graph: Graph,
    names: BTreeMap<String, ValueId>,
    /// Values that could not be imported; what reads them is skipped, so that each fault is told once.
    poisoned: Vec<String>,
    quantization: &'a BTreeMap<String, SourceQuantization>,
    /// The graph around a region.
    outer: Option<&'a Scope<'a>>,
    /// Values of the graph around it that a region reads, and the inputs that stand for them.
    pub(crate) captures: Vec<ValueId>,
}

/// A region with the outer values that it reads; those are its last inputs.
pub struct Region {
    /// The region as a graph by itself.
    pub graph: Graph,
    /// Values of the graph around it, in the order of the region's last inputs.
    pub captures: Vec<ValueId>,
}

impl<'a> Scope<'a> {
    fn new(model: &'a SourceModel, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
        let graph = Graph { name: model.name.clone(), ..Graph::default() };
        Scope {
            graph,
            names: BTreeMap::new(),
            poisoned: vec![],
            quantization: &model.quantization,
            outer,
            captures: vec![],
        }
    }

    fn add_input(&mut self, name: &str, dtype: DType, shape: &[usize]) -> ValueId {
        let id = self.graph.add_value(name, dtype, shape, None);
        self.graph.inputs.push(id);
        self.names.insert(name.into(), id);
        id
    }

    fn import_nodes(&mut self, model: &SourceModel) -> Result<(), Error> {
        let mut errors = vec![];
        for node in &model.nodes {
            match self.import_node(model, node) {
                Ok(()) => {}
                Err(error @ Error::Unsupported { .. }) => {
                    errors.push(error);
                    self.poisoned.extend(node.outputs.iter().cloned());
                }
                Err(error) => return Err(error),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(Error::several(errors)) }
    }

    fn import_node(&mut self, model: &SourceModel, node: &SourceNode) -> Result<(), Error> {
        if node.inputs.iter().any(|name| self.poisoned.contains(name)) {
            self.poisoned.extend(node.outputs.iter().cloned());
            return Ok(());
        }
        let Some(entry) = entry_of(node) else { return Ok(()) }; // told by `find_unknown`
        let mut inputs = vec![];
        for name in &node.inputs {
            inputs.push(if name.is_empty() { None } else { Some(self.resolve(model, name, node)?) });
        }
        let first = self.graph.values.len();
        let outputs = (entry.import)(&mut Reader::new(self, model, node, inputs))?;
        for (position, (name, &id)) in
            node.outputs.iter().zip(&outputs).enumerate().filter(|(_, (n, _))| !n.is_empty())
        {
            // A value made by this node takes the model's name for it; one that only passes through keeps its own.
            let fresh = id.0 as usize >= first && !outputs[..position].contains(&id);
            if fresh && !self.graph.values().any(|(_, v)| v.name == *name) {
                self.graph.values[id.0 as usize].name = name.clone();
            }
            self.names.insert(name.clone(), id);
        }
        if let Some(name) = node.outputs.iter().skip(outputs.len()).find(|name| !name.is_empty()) {
            return Err(Error::Unsupported {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason: format!("its output `{name}` is not supported"),
            });
        }
        Ok(())
    }

    fn resolve(&mut self, model: &SourceModel, name: &str, node: &SourceNode) -> Result<ValueId, Error> {
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        if let Some(array) = model.constants.get(name) {
            let array = dequantized(array, self.quantization.get(name));
            let id = self.graph.add_constant(name, array);
            self.names.insert(name.into(), id);
            return Ok(id);
        }
        self.capture(name).ok_or_else(|| Error::Malformed {
            node: node.name.clone(),
            operator: node.operator.clone(),
            problem: format!("its input `{name}` is written by no node before it"),
        })
    }

    /// Looks a name up in the graphs around a region, and makes it an input of the region.
    fn capture(&mut self, name: &str) -> Option<ValueId> {
        let outer = self.outer?;
        let id = *outer.names.get(name)?;
        let value = outer.graph.value(id).clone();
        let inner = match value.constant {
            Some(array) => {
                let inner = self.graph.add_constant(name, array);
                self.names.insert(name.into(), inner);
                inner
            }
            None => {
                self.captures.push(id);
                self.add_input(name, value.dtype, &value.shape)
            }
        };
        Some(inner)
    }

    fn finish(mut self, model: &SourceModel) -> Result<Region, Error> {
        for output in &model.outputs {
            let id = match self.names.get(&output.name) {
                Some(&id) => Some(id),
                None => match model.constants.get(&output.name) {
                    Some(array) => Some(self.graph.add_constant(&output.name, array.clone())),
                    None => self.capture(&output.name),
                },
            };
            let place = format!("output `{}`", output.name);
            let id = id.ok_or(Error::Invalid { place, problem: "is written by no node".into() })?;
            self.graph.outputs.push(id);
        }
        Ok(Region { graph: self.graph, captures: self.captures })
    }
}

/// Weights stored as integers with a scale, in a model whose arithmetic is float (TFLite's dynamic-range files), are their
/// real values: `scale * (q - zero_point)`.
fn dequantized(array: &Array, quantization: Option<&SourceQuantization>) -> Array {
    let Some(q) = quantization.filter(|q| !q.scales.is_empty() && array.dtype().bytes() == 1) else {
        return array.clone();
    };
    let inner: usize = array.shape().iter().skip(q.axis + 1).product();
    let extent = array.shape().get(q.axis).copied().unwrap_or(1);
    let value = |(position, value): (usize, Value)| {
        let channel = if q.scales.len() == 1 { 0 } else { position / inner.max(1) % extent };
        let zero_point = q.zero_points.get(channel).or(q.zero_points.first()).copied().unwrap_or(0);
        Value::F32(q.scales[channel.min(q.scales.len() - 1)] * (value.as_i64() - zero_point) as f32)
    };
    Array::from_values(DType::F32, array.shape(), array.values().enumerate().map(value))
}
