//! A model's node list to a graph.
//!
//! Owns names and scopes, the folding of constants that decide shapes, and collecting every unsupported construct at once.
//! What a framework's node means is its operator's file, which reads it through `Reader`.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{Array, DType};

use crate::error::Error;
use crate::fold::constant_of;
use crate::graph::{Graph, Quantized, ValueId};
use crate::limits::Limits;
use crate::operator::Entry;
use crate::ops::entries;
use crate::quantization::{Quantization, Requantization};
use crate::rewrite::{name_outputs, remove_unread};
use crate::source::{SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};

mod quantization;
mod reader;
mod state;

pub use reader::Reader;

/// What the user decides about an import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--dim NAME=N`: the extents of named dimensions.
    pub dimensions: BTreeMap<String, usize>,
    /// What the tensors that nodes compute may grow to.
    pub limits: Limits,
    /// `--requantize`: how integers get from one scale to another; each framework has its own way.
    pub requantization: Option<Requantization>,
}

/// The graph that a model means, or everything in it that is not supported.
pub fn import(model: &SourceModel, options: &Options) -> Result<Graph, Error> {
    let mut errors = vec![];
    find_unknown(model, &mut errors);
    let mut scope = Scope::new(model, None, options);
    for input in &model.inputs {
        match input_type(input, options) {
            Ok((dtype, shape)) => {
                let id = scope.add_input(&input.name, dtype, &shape);
                match scope.quantization_of(&input.name, id) {
                    Ok(quantization) => scope.graph.values[id.0 as usize].quantization = quantization,
                    Err(error) => errors.push(error),
                }
            }
            Err(error) => {
                errors.push(error);
                scope.poisoned.push(input.name.clone());
            }
        }
    }
    for state in &model.states {
        if let Err(error) = scope.add_state(state) {
            errors.push(error);
            scope.poisoned.push(state.name.clone());
        }
    }
    // What is wrong with the nodes that these leave readable is told in the same breath.
    match scope.import_nodes(model) {
        Err(error) if errors.is_empty() || error.is_unsupported() => errors.push(error),
        _ => {}
    }
    if !errors.is_empty() {
        return Err(Error::several(errors));
    }
    let graph = scope.finish_states(model)?.finish(model)?.graph;
    let names: Vec<&str> = model.outputs.iter().map(|output| output.name.as_str()).collect();
    Ok(remove_unread(name_outputs(graph, &names)))
}

/// What a value is called in texts. Converters to TFLite join the names of all nodes that they fused into one by `;`, the
/// result's first.
fn legible(name: &str) -> &str {
    name.split(';').find(|part| !part.is_empty()).unwrap_or(name)
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
        if let Some(reason) = unknown_operator(node) {
            unknown.push(Error::Unsupported {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason,
            });
        }
        for attribute in node.attributes.values() {
            if let SourceAttribute::Graph(region) = attribute {
                find_unknown(region, unknown);
            }
        }
    }
}

fn unknown_operator(node: &SourceNode) -> Option<String> {
    if entry_of(node).is_some() {
        return None;
    }
    let known = entries()
        .flat_map(|e| e.spellings)
        .find(|s| s.framework == node.framework && s.name == node.operator);
    Some(match known {
        Some(s) => format!(
            "version {} is older than {}, the first supported one: convert the model",
            node.version, s.since
        ),
        None => "the operator is not supported; `nablac ops` lists those that are".into(),
    })
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
    if !errors.is_empty() {
        return Err(Error::several(errors));
    }
    let shape: Vec<usize> = results.into_iter().flatten().collect();
    options.limits.check_shape(&shape, || format!("input `{}`", input.name))?;
    Ok((dtype, shape))
}

/// A graph under construction, with the names that its nodes use.
pub(crate) struct Scope<'a> {
    pub(crate) graph: Graph,
    names: BTreeMap<String, ValueId>,
    /// Values that could not be imported; what reads them is skipped, so that each fault is told once.
    poisoned: Vec<String>,
    quantization: &'a BTreeMap<String, Quantization>,
    packed: &'a BTreeSet<String>,
    options: &'a Options,
    /// The graph around a region.
    outer: Option<&'a Scope<'a>>,
    /// Values of the graph around it that a region reads, and the inputs that stand for them.
    captures: Vec<ValueId>,
}

/// What an input of a region is known to be when the region is imported.
#[derive(Clone, Debug)]
pub enum Given {
    /// Its type and shape; it becomes an input of the region's graph.
    Type(DType, Vec<usize>),
    /// Its elements; it becomes a constant of the region's graph.
    Known(Array),
}

/// A region with the outer values that it reads; those are its last inputs.
pub struct Region {
    /// The region as a graph by itself.
    pub graph: Graph,
    /// Values of the graph around it, in the order of the region's last inputs.
    pub captures: Vec<ValueId>,
}

impl<'a> Scope<'a> {
    fn new(model: &'a SourceModel, outer: Option<&'a Scope<'a>>, options: &'a Options) -> Scope<'a> {
        let graph = Graph { name: model.name.clone(), ..Graph::default() };
        Scope {
            graph,
            names: BTreeMap::new(),
            poisoned: vec![],
            quantization: &model.quantization,
            packed: &model.packed,
            outer,
            options,
            captures: vec![],
        }
    }

    fn add_input(&mut self, name: &str, dtype: DType, shape: &[usize]) -> ValueId {
        let id = self.graph.add_value(name, dtype, shape, None);
        self.graph.inputs.push(id);
        self.names.insert(name.into(), id);
        id
    }

    fn add_constant(&mut self, name: &str, array: Array) -> ValueId {
        // A constant with a joined name bears its node's: it must not take the name of what the node computes.
        let own = match legible(name) {
            short if short == name => name.to_string(),
            short => format!("{short}.constant"),
        };
        let id = self.graph.add_constant(&own, array);
        self.names.insert(name.into(), id);
        id
    }

    fn import_nodes(&mut self, model: &SourceModel) -> Result<(), Error> {
        let mut errors = vec![];
        for node in &model.nodes {
            match self.import_node(model, node) {
                Ok(()) => {}
                Err(error) if error.is_unsupported() => {
                    errors.push(error);
                    self.poisoned.extend(node.outputs.iter().cloned());
                }
                Err(error) => return Err(error),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(Error::several(errors)) }
    }

    fn import_node(&mut self, model: &SourceModel, node: &SourceNode) -> Result<(), Error> {
        if reads(node).into_iter().any(|name| self.poisoned.iter().any(|p| p == name)) {
            self.poisoned.extend(node.outputs.iter().cloned());
            return Ok(());
        }
        let Some(entry) = entry_of(node) else {
            self.poisoned.extend(node.outputs.iter().cloned()); // told by `find_unknown`
            return Ok(());
        };
        let mut inputs = vec![];
        for name in &node.inputs {
            inputs.push(if name.is_empty() { None } else { Some(self.resolve(model, name, node)?) });
        }
        let first = self.graph.values.len();
        let quantized = self.quantized_outputs(model, node)?;
        let outputs = (entry.import)(&mut Reader::new(self, model, node, inputs, quantized.clone())?)?;
        self.check_scales(node, &outputs, &quantized)?;
        for (position, (name, &id)) in
            node.outputs.iter().zip(&outputs).enumerate().filter(|(_, (n, _))| !n.is_empty())
        {
            // A value made by this node takes the model's name for it; one that only passes through keeps its own.
            let fresh = id.0 as usize >= first && !outputs[..position].contains(&id);
            if fresh && !self.graph.values().any(|(_, v)| v.name == legible(name)) {
                self.graph.values[id.0 as usize].name = legible(name).into();
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

    /// What a node writes must stand for what its file says that it does: a node that only passes its operand on, or that has
    /// several outputs, may say otherwise.
    fn check_scales(
        &self,
        node: &SourceNode,
        outputs: &[ValueId],
        declared: &[Option<Quantized>],
    ) -> Result<(), Error> {
        let differs = |(id, declared): (&ValueId, &Option<Quantized>)| {
            let own = self.graph.quantized(*id);
            own.is_some() && declared.is_some() && own != *declared
        };
        match outputs.iter().zip(declared).position(differs) {
            None => Ok(()),
            Some(position) => Err(Error::Unsupported {
                node: node.name.clone(),
                operator: node.operator.clone(),
                reason: format!("its output `{}` has another scale than it is given", node.outputs[position]),
            }),
        }
    }

    fn resolve(&mut self, model: &SourceModel, name: &str, node: &SourceNode) -> Result<ValueId, Error> {
        self.find(model, name)?.ok_or_else(|| Error::Malformed {
            node: node.name.clone(),
            operator: node.operator.clone(),
            problem: format!("its input `{name}` is written by no node before it"),
        })
    }

    /// The value of a name: a node's, a constant of the file, or one of the graphs around a region.
    fn find(&mut self, model: &SourceModel, name: &str) -> Result<Option<ValueId>, Error> {
        if let Some(&id) = self.names.get(name) {
            return Ok(Some(id));
        }
        let Some(array) = model.constants.get(name) else { return Ok(self.capture(name)) };
        let id = self.add_constant(name, array.clone());
        self.graph.values[id.0 as usize].quantization = self.quantization_of(name, id)?;
        Ok(Some(id))
    }

    /// Whether a name is that of a constant whose integers have fewer bits in the file.
    fn is_packed(&self, name: &str) -> bool {
        self.packed.contains(name) || self.outer.is_some_and(|outer| outer.is_packed(name))
    }

    /// Makes the names that a subgraph reads from outside values of this graph, with their elements if those are known: the
    /// subgraph looks them up here only, and captures what is not constant.
    fn bring(&mut self, model: &SourceModel, region: &SourceModel) -> Result<(), Error> {
        for name in free_names(region) {
            if let Some(id) = self.find(model, name)? {
                constant_of(&mut self.graph, id);
            }
        }
        Ok(())
    }

    /// Looks a name up in the graph around a region, and makes it an input of the region.
    fn capture(&mut self, name: &str) -> Option<ValueId> {
        let outer = self.outer?;
        let id = *outer.names.get(name)?;
        let value = outer.graph.value(id).clone();
        Some(match value.constant {
            Some(array) => self.add_constant(name, array),
            None => {
                self.captures.push(id);
                self.add_input(name, value.dtype, &value.shape)
            }
        })
    }

    fn finish(mut self, model: &SourceModel) -> Result<Region, Error> {
        for output in &model.outputs {
            let id = self.find(model, &output.name)?;
            let place = format!("output `{}`", output.name);
            let id = id.ok_or(Error::Invalid { place, problem: "is written by no node".into() })?;
            self.graph.outputs.push(id);
        }
        Ok(Region { graph: self.graph, captures: self.captures })
    }
}

/// The names that a node reads, those that its subgraphs read from outside included.
fn reads(node: &SourceNode) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = node.inputs.iter().map(String::as_str).collect();
    for attribute in node.attributes.values() {
        if let SourceAttribute::Graph(region) = attribute {
            names.extend(free_names(region));
        }
    }
    names.remove("");
    names
}

/// The names that a subgraph reads and does not define.
fn free_names(region: &SourceModel) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = region.nodes.iter().flat_map(reads).collect();
    names.extend(region.outputs.iter().map(|output| output.name.as_str()));
    let own = region.inputs.iter().map(|input| &input.name).chain(region.constants.keys());
    for name in own.chain(region.nodes.iter().flat_map(|node| &node.outputs)) {
        names.remove(name.as_str());
    }
    names
}
