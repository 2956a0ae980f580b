//! The rules of a well-formed graph.
//!
//! Owns what passes and `define` may take for granted: names are unique, each value has one origin and is read only after
//! it, and its type is what that origin's definition gives.

use std::collections::BTreeSet;

use crate::define::output_types;
use crate::error::Error;
use crate::graph::{Graph, Node, ValueId};

/// Checks every rule, in regions too; the error names the value or node.
pub fn verify(graph: &Graph) -> Result<(), Error> {
    verify_values(graph)?;
    let mut known: BTreeSet<ValueId> =
        graph.values().filter(|(_, value)| value.constant.is_some()).map(|(id, _)| id).collect();
    for &id in &graph.inputs {
        if !known.insert(id) {
            return Err(invalid(graph, id, "is an input and has another origin too"));
        }
    }
    for node in &graph.nodes {
        verify_node(graph, node, &known)?;
        for &id in &node.outputs {
            // A node may still write a value that folding knows already; nobody can tell the two apart.
            if !known.insert(id) && graph.value(id).constant.is_none() {
                return Err(invalid(graph, id, "has two origins"));
            }
        }
    }
    match graph.outputs.iter().find(|id| !known.contains(id)) {
        Some(&id) => Err(invalid(graph, id, "is an output and has no origin")),
        None => Ok(()),
    }
}

fn invalid(graph: &Graph, id: ValueId, problem: impl Into<String>) -> Error {
    Error::Invalid { place: format!("value `{}`", graph.value(id).name), problem: problem.into() }
}

fn verify_values(graph: &Graph) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for (id, value) in graph.values() {
        if !names.insert(&value.name) {
            return Err(invalid(graph, id, "the name is taken"));
        }
        if let Some(array) = &value.constant
            && (array.dtype(), array.shape()) != (value.dtype, &value.shape[..])
        {
            return Err(invalid(graph, id, "its elements are of another type or shape"));
        }
    }
    Ok(())
}

fn verify_node(graph: &Graph, node: &Node, known: &BTreeSet<ValueId>) -> Result<(), Error> {
    if let Some(&id) = node.inputs.iter().flatten().find(|id| !known.contains(id)) {
        return Err(invalid(graph, id, format!("is read by node `{}` before it has a value", node.name)));
    }
    node.regions.iter().try_for_each(verify)?;
    let types = output_types(graph, &node.name, &node.operator, &node.inputs, &node.regions)?;
    if types.len() != node.outputs.len() {
        let problem = format!("writes {} values, its operator {}", node.outputs.len(), types.len());
        return Err(Error::Invalid { place: format!("node `{}`", node.name), problem });
    }
    for (&id, (dtype, shape)) in node.outputs.iter().zip(&types) {
        let value = graph.value(id);
        if (value.dtype, &value.shape) != (*dtype, shape) {
            let [own, given] =
                [(value.dtype, &value.shape), (*dtype, shape)].map(|(t, s)| format!("{t}{s:?}"));
            return Err(invalid(graph, id, format!("is {own}, but its node `{}` gives {given}", node.name)));
        }
    }
    Ok(())
}
