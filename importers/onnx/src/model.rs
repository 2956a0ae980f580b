//! Graphs: protobuf messages to node lists.
//!
//! Owns what the ONNX specification says about a model as a whole: versions, opset imports, which names a graph
//! defines and sees, and its constants. Single nodes are `node`'s, calls of local functions are `function`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nablac_graph::limits::{Limit, Limits};
use nablac_graph::names::UniqueNames;
use nablac_graph::source::{SourceDim, SourceModel, SourceNode, SourceTensor};

use crate::Error;
use crate::function::Functions;
use crate::node::Converted;
use crate::proto::{self, Extent, TypeKind};
use crate::tensor::{TensorReader, is_packed, value_type};

/// The IR versions that are read.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=14;
/// The default domain's opset versions that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Opset versions by domain; the default domain is the empty text.
pub(crate) type Opsets = BTreeMap<String, i64>;

/// The names that a graph defines, and through `outer` those it sees.
pub(crate) struct Scope<'a> {
    /// The graph around this one, and how many of its nodes come before.
    outer: Option<(&'a Scope<'a>, usize)>,
    /// How many nodes come before the one that gives a name its value, and that one; 0 for what is given.
    defined: BTreeMap<String, usize>,
}

impl Scope<'_> {
    /// Whether a nested graph of the node behind `position` others sees `name`.
    fn sees(&self, name: &str, position: usize) -> bool {
        self.defined.get(name).is_some_and(|&at| at <= position)
            || self.outer.is_some_and(|(outer, position)| outer.sees(name, position))
    }

    /// Whether this graph or one around it defines `name` anywhere.
    pub fn knows(&self, name: &str) -> bool {
        self.defined.contains_key(name) || self.outer.is_some_and(|(outer, _)| outer.knows(name))
    }

    pub fn define(&mut self, name: &str, position: usize) -> Result<(), Error> {
        let taken = self.defined.contains_key(name)
            || self.outer.is_some_and(|(outer, position)| outer.sees(name, position));
        if taken {
            let problem = "it is defined twice; each value is expected to have one definition";
            return Err(Error::model(format!("value `{name}`"), problem));
        }
        self.defined.insert(name.to_string(), position);
        Ok(())
    }
}

/// One import.
pub(crate) struct Import<'a> {
    pub tensors: TensorReader<'a>,
    opsets: &'a Opsets,
    pub functions: Functions,
    pub node_names: UniqueNames,
    nodes: u64,
    pub unsupported: Vec<String>,
}

/// The node list of a whole model.
pub(crate) fn import(
    model: proto::Model,
    folder: Option<&Path>,
    limits: &Limits,
    bytes: u64,
) -> Result<SourceModel, Error> {
    let version = model.ir_version.ok_or_else(|| Error::model("the model", "ir_version is missing"))?;
    if version <= 0 {
        return Err(Error::model("the model", format!("ir_version is {version}, 3 to 14 are expected")));
    }
    if !IR_VERSIONS.contains(&version) {
        return Err(Error::unsupported(format!("IR version {version}; 3 to 14 are read")));
    }
    let graph = model.graph.ok_or_else(|| Error::model("the model", "it has no graph"))?;
    let mut import = Import {
        tensors: TensorReader::new(limits, folder, bytes),
        opsets: &opsets(&model.opset_import)?,
        functions: Functions::new(),
        node_names: UniqueNames::default(),
        nodes: 0,
        unsupported: Vec::new(),
    };
    import.declare_functions(model.functions)?;
    let source = import.graph(graph, None)?;
    if import.unsupported.is_empty() { Ok(source) } else { Err(Error::Unsupported(import.unsupported)) }
}

/// The opsets of a model or function; the default domain has two spellings.
pub(crate) fn opsets(imports: &[proto::OperatorSet]) -> Result<Opsets, Error> {
    let mut opsets = Opsets::new();
    for import in imports {
        let domain = default_domain(&import.domain);
        if domain.is_empty() && !OPSETS.contains(&import.version) {
            let (first, last) = OPSETS.into_inner();
            let what = format!("opset {} of the default domain; {first} to {last} are read", import.version);
            return Err(Error::unsupported(what));
        }
        if opsets.insert(domain.into(), import.version).is_some_and(|version| version != import.version) {
            return Err(Error::model("opset_import", format!("domain `{domain}` has two versions")));
        }
    }
    Ok(opsets)
}

pub(crate) fn default_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

impl Import<'_> {
    /// The node list of a graph; `outer` is the graph around it and the position of the node that holds it.
    pub fn graph(
        &mut self,
        proto: proto::Graph,
        outer: Option<(&Scope, usize)>,
    ) -> Result<SourceModel, Error> {
        let mut scope = Scope { outer, defined: BTreeMap::new() };
        let constants: BTreeSet<String> = proto.initializer.iter().map(|t| t.name.clone()).collect();
        define_names(&proto, &constants, &mut scope)?;
        let mut model = SourceModel { name: proto.name, ..SourceModel::default() };
        for sparse in &proto.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |values| &values.name);
            self.unsupported.push(format!("sparse initializer `{name}`"));
        }
        for tensor in proto.initializer {
            let name = tensor.name.clone();
            if is_packed(&tensor) {
                model.packed.insert(name.clone());
            }
            let array = self.tensors.read(tensor, &name);
            if let Some(array) = self.keep(array)? {
                model.constants.insert(name, array);
            }
        }
        for input in proto.input.iter().filter(|input| !constants.contains(&input.name)) {
            let tensor = self.value(input, outer.is_none())?;
            model.inputs.push(tensor);
        }
        proto.node.iter().for_each(|node| self.node_names.reserve(&node.name));
        for (position, node) in proto.node.into_iter().enumerate() {
            let converted = self.node(node, position, &scope)?;
            self.emit(converted, &mut scope, position, 0, &mut model.nodes)?;
        }
        check_reads(&model.nodes, &scope)?;
        model.outputs = self.outputs(&proto.output, &scope)?;
        Ok(model)
    }

    fn outputs(&mut self, outputs: &[proto::ValueInfo], scope: &Scope) -> Result<Vec<SourceTensor>, Error> {
        if outputs.is_empty() {
            return Err(Error::model("the graph", "it has no output"));
        }
        let mut seen = BTreeSet::new();
        let mut tensors = Vec::new();
        for output in outputs {
            let place = || format!("output `{}`", output.name);
            if !scope.knows(&output.name) {
                return Err(Error::model(place(), "nothing defines it"));
            }
            if !seen.insert(&output.name) {
                return Err(Error::model(place(), "it is listed twice"));
            }
            tensors.push(self.value(output, false)?);
        }
        Ok(tensors)
    }

    /// Keeps what is unsupported for the end, so that all of it can be reported at once.
    pub fn keep<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Unsupported(list)) => {
                self.unsupported.extend(list);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn value(&mut self, info: &proto::ValueInfo, typed: bool) -> Result<SourceTensor, Error> {
        let place = || format!("value `{}`", info.name);
        let mut tensor = SourceTensor { name: info.name.clone(), dtype: None, shape: None };
        let kind = match info.r#type.as_ref().and_then(|t| t.kind.as_ref()) {
            Some(TypeKind::Tensor(kind)) if kind.elem_type != 0 => kind,
            Some(TypeKind::Tensor(_)) | None if typed => {
                return Err(Error::model(place(), "an input's element type is expected"));
            }
            Some(TypeKind::Tensor(_)) | None => return Ok(tensor),
            Some(_) => {
                self.unsupported.push(format!("value `{}` is not a tensor", info.name));
                return Ok(tensor);
            }
        };
        match value_type(kind.elem_type) {
            Ok(dtype) => tensor.dtype = Some(dtype),
            Err(name) => self.unsupported.push(format!("value `{}` has element type {name}", info.name)),
        }
        if let Some(shape) = &kind.shape {
            let dims: Vec<SourceDim> = shape.dim.iter().map(dimension).collect();
            let fixed = |d: &SourceDim| if let SourceDim::Fixed(n) = d { *n } else { 1 };
            let least: Vec<usize> = dims.iter().map(fixed).collect();
            self.tensors.limits.check_shape(&least, place)?;
            tensor.shape = Some(dims);
        }
        Ok(tensor)
    }

    fn node(&mut self, proto: proto::Node, position: usize, scope: &Scope) -> Result<Converted, Error> {
        let name = match proto.name.as_str() {
            "" => self.node_names.fresh(&format!("{}_{position}", proto.op_type)),
            name => self.node_names.claim(name),
        };
        self.convert(proto, name, self.opsets, Some((scope, position)))
    }

    /// Counts a node or a call, so that functions that call functions cannot multiply without end.
    pub fn count_node(&mut self) -> Result<(), Error> {
        self.nodes += 1;
        self.tensors.limits.check(Limit::Nodes, self.nodes, || "the model".into())?;
        Ok(())
    }

    pub fn check_nesting(&self, depth: u64, subject: impl FnOnce() -> String) -> Result<(), Error> {
        Ok(self.tensors.limits.check(Limit::Nesting, depth, subject)?)
    }
}

/// Defines every name of a graph before its nodes are read.
fn define_names(proto: &proto::Graph, constants: &BTreeSet<String>, scope: &mut Scope) -> Result<(), Error> {
    for tensor in &proto.initializer {
        if tensor.name.is_empty() {
            return Err(Error::model("an initializer", "it has no name"));
        }
        scope.define(&tensor.name, 0)?;
    }
    for sparse in &proto.sparse_initializer {
        if let Some(values) = sparse.values.as_ref().filter(|values| !values.name.is_empty()) {
            scope.define(&values.name, 0)?;
        }
    }
    for input in proto.input.iter().filter(|input| !constants.contains(&input.name)) {
        if input.name.is_empty() {
            return Err(Error::model("an input", "it has no name"));
        }
        scope.define(&input.name, 0)?;
    }
    for (position, node) in proto.node.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            scope.define(output, position + 1)?;
        }
    }
    Ok(())
}

fn check_reads(nodes: &[SourceNode], scope: &Scope) -> Result<(), Error> {
    for node in nodes {
        if let Some(name) = node.inputs.iter().find(|name| !name.is_empty() && !scope.knows(name)) {
            let place = format!("node `{}` ({})", node.name, node.operator);
            return Err(Error::model(place, format!("it reads `{name}`, which nothing defines")));
        }
    }
    Ok(())
}

fn dimension(proto: &proto::Dimension) -> SourceDim {
    match &proto.extent {
        Some(Extent::Value(value)) => match usize::try_from(*value) {
            Ok(extent) => SourceDim::Fixed(extent),
            Err(_) => SourceDim::Named(String::new()), // -1, as some converters write it
        },
        Some(Extent::Name(name)) => SourceDim::Named(name.clone()),
        None => SourceDim::Named(String::new()),
    }
}
