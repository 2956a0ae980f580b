//! Local functions: each call is replaced by the function's nodes.
//!
//! Owns the functions of a model and the renaming that a call needs. A function with nested graphs, or with an
//! output that none of its nodes computes, is unsupported where it is called.

use std::collections::BTreeMap;

use nablac_graph::source::SourceNode;

use crate::Error;
use crate::model::{Import, Scope, default_domain, opsets};
use crate::node::{Attributes, Converted};
use crate::proto;

/// What a call names: domain, operator, overload.
pub(crate) type Key = (String, String, String);

/// The model's functions; absent while one of them is being inlined.
pub(crate) type Functions = BTreeMap<Key, Option<Function>>;

/// A function whose nodes still bear their names within it.
pub(crate) struct Function {
    label: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Converted>,
    defaults: Attributes,
    /// What makes it unsupported, if it is called.
    unsupported: Vec<String>,
}

/// Where a call stands.
struct Call<'a> {
    node: &'a SourceNode,
    /// The call's position in its graph, for the names that it defines.
    position: usize,
    /// Within how many other calls it stands.
    depth: u64,
}

impl Import<'_> {
    /// Reads the functions. Their names are known first, as they may call each other in any order.
    pub fn declare_functions(&mut self, protos: Vec<proto::Function>) -> Result<(), Error> {
        for proto in &protos {
            if self.functions.insert(key(proto), None).is_some() {
                return Err(Error::model(label(proto), "it is defined twice"));
            }
        }
        for proto in protos {
            let key = key(&proto);
            let function = self.function(proto)?;
            self.functions.insert(key, Some(function));
        }
        Ok(())
    }

    fn function(&mut self, proto: proto::Function) -> Result<Function, Error> {
        let earlier = std::mem::take(&mut self.unsupported);
        let label = label(&proto);
        let opsets = opsets(&proto.opset_import)?;
        let mut nodes = Vec::new();
        for (position, mut node) in proto.node.into_iter().enumerate() {
            let name = match std::mem::take(&mut node.name) {
                name if name.is_empty() => format!("{}_{position}", node.op_type),
                name => name,
            };
            nodes.push(self.convert(node, name, &opsets, None)?);
        }
        let mut defaults = Attributes::new();
        for attribute in proto.attribute_proto {
            let name = attribute.name.clone();
            let value = self.attribute(attribute, &label, None);
            if let Some(value) = self.keep(value)? {
                defaults.insert(name, value);
            }
        }
        let unsupported = std::mem::replace(&mut self.unsupported, earlier);
        let unsupported = unsupported.into_iter().map(|what| format!("{label}: {what}")).collect();
        Ok(Function { label, inputs: proto.input, outputs: proto.output, nodes, defaults, unsupported })
    }

    /// Appends a node, or the nodes of the function that it calls.
    pub fn emit(
        &mut self,
        converted: Converted,
        scope: &mut Scope,
        position: usize,
        depth: u64,
        nodes: &mut Vec<SourceNode>,
    ) -> Result<(), Error> {
        self.count_node()?;
        let Some(slot) = self.functions.get_mut(&converted.key) else {
            if let Some((name, reference)) = converted.references.first() {
                let place = format!("node `{}`", converted.node.name);
                let problem = format!("attribute `{name}` refers to `{reference}` outside of a function");
                return Err(Error::model(place, problem));
            }
            nodes.push(converted.node);
            return Ok(());
        };
        let Some(function) = slot.take() else {
            let place = format!("node `{}`", converted.node.name);
            return Err(Error::model(place, "it calls the function that it is part of"));
        };
        let call = Call { node: &converted.node, position, depth: depth + 1 };
        self.inline(&function, call, scope, nodes)?;
        self.functions.insert(converted.key, Some(function));
        Ok(())
    }

    fn inline(
        &mut self,
        function: &Function,
        call: Call,
        scope: &mut Scope,
        nodes: &mut Vec<SourceNode>,
    ) -> Result<(), Error> {
        self.check_nesting(call.depth, || format!("calls of {}", function.label))?;
        if !function.unsupported.is_empty() {
            self.unsupported.extend(function.unsupported.iter().cloned());
            return Ok(());
        }
        let Some(names) = self.bind(function, &call, scope)? else { return Ok(()) };
        let renamed = |list: &[String]| -> Result<Vec<String>, Error> {
            let rename = |name: &String| match names.get(name.as_str()) {
                Some(outer) => Ok(outer.clone()),
                None if name.is_empty() => Ok(String::new()),
                None => Err(Error::model(&function.label, format!("nothing in it defines `{name}`"))),
            };
            list.iter().map(rename).collect()
        };
        for template in &function.nodes {
            let mut converted = template.clone();
            let node = &mut converted.node;
            node.name = self.node_names.fresh(&format!("{}/{}", call.node.name, node.name));
            node.inputs = renamed(&node.inputs)?;
            node.outputs = renamed(&node.outputs)?;
            for (name, reference) in std::mem::take(&mut converted.references) {
                let value = call.node.attributes.get(&reference).or(function.defaults.get(&reference));
                if let Some(value) = value {
                    node.attributes.insert(name, value.clone());
                }
            }
            self.emit(converted, scope, call.position, call.depth, nodes)?;
        }
        Ok(())
    }

    /// The caller's name for each of the function's; nothing when an output is not computed, which is noted.
    fn bind<'f>(
        &mut self,
        function: &'f Function,
        call: &Call,
        scope: &mut Scope,
    ) -> Result<Option<BTreeMap<&'f str, String>>, Error> {
        let place = || format!("node `{}`", call.node.name);
        for (given, taken, what) in [
            (call.node.inputs.len(), function.inputs.len(), "inputs"),
            (call.node.outputs.len(), function.outputs.len(), "outputs"),
        ] {
            if given > taken {
                let problem = format!("it names {given} {what}, {} has {taken}", function.label);
                return Err(Error::model(place(), problem));
            }
        }
        let mut names = BTreeMap::new();
        for (position, input) in function.inputs.iter().enumerate() {
            names.insert(input.as_str(), call.node.inputs.get(position).cloned().unwrap_or_default());
        }
        for output in function.nodes.iter().flat_map(|n| &n.node.outputs).filter(|name| !name.is_empty()) {
            let position = function.outputs.iter().position(|formal| formal == output);
            let given = position.and_then(|p| call.node.outputs.get(p)).filter(|name| !name.is_empty());
            let name = match given {
                Some(name) => name.clone(),
                None => internal_name(&format!("{}/{output}", call.node.name), scope, call.position)?,
            };
            if names.insert(output, name).is_some() {
                return Err(Error::model(&function.label, format!("`{output}` is defined twice")));
            }
        }
        let computed = |name: &String| function.nodes.iter().any(|n| n.node.outputs.contains(name));
        if let Some(output) = function.outputs.iter().find(|name| !computed(name)) {
            let what = format!("{}: no node of it computes its output `{output}`", function.label);
            self.unsupported.push(what);
            return Ok(None);
        }
        Ok(Some(names))
    }
}

/// A value name that the scope does not know yet.
fn internal_name(wanted: &str, scope: &mut Scope, position: usize) -> Result<String, Error> {
    let mut name = wanted.to_string();
    while scope.knows(&name) {
        name.push('\'');
    }
    scope.define(&name, position + 1)?;
    Ok(name)
}

fn key(proto: &proto::Function) -> Key {
    (default_domain(&proto.domain).to_string(), proto.name.clone(), proto.overload.clone())
}

fn label(proto: &proto::Function) -> String {
    format!("function `{}::{}`", proto.domain, proto.name)
}
