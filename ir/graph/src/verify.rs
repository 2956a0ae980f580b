//! The rules of a well-formed graph.
//!
//! Owns what definitions and rewrites may take for granted: ids exist, names are unique, a value is written once and before
//! it is read, and has the type that its node's operator gives it.

use std::collections::BTreeSet;

use crate::define::output_types;
use crate::error::Error;
use crate::graph::{Graph, Node, State, ValueId};

/// Checks every rule, also in subgraphs; the error names the value or node.
pub fn verify(graph: &Graph) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for (_, value) in graph.values() {
        let invalid = |problem: &str| invalid(format!("value `{}`", value.name), problem);
        if !names.insert(&value.name) {
            return Err(invalid("the name is taken"));
        }
        let fits = |array: &nablac_index::Array| array.dtype() == value.dtype && array.shape() == value.shape;
        if !value.constant.as_ref().is_none_or(fits) {
            return Err(invalid("its elements are of another type"));
        }
        if let Some(fault) = value.quantization.as_ref().and_then(|q| q.fault(value.dtype, &value.shape)) {
            return Err(invalid(&format!("it has {fault}")));
        }
    }
    let mut written = vec![false; graph.values.len()];
    for (id, _) in graph.values().filter(|(_, value)| value.constant.is_some()) {
        written[id.0 as usize] = true;
    }
    let place = |what: &str| format!("{what} of graph `{}`", graph.name);
    for &id in &graph.inputs {
        write(graph, &mut written, &place("an input"), id)?;
    }
    for state in &graph.states {
        write(graph, &mut written, &place("a state"), state.value)?;
    }
    for node in &graph.nodes {
        verify_node(graph, node, &mut written)?;
    }
    graph.states.iter().try_for_each(|state| verify_state(graph, &written, state))?;
    graph.outputs.iter().try_for_each(|&id| read(graph, &written, &place("an output"), id))
}

/// A state and its values are of one type, and the next one is written by a node, or given.
fn verify_state(graph: &Graph, written: &[bool], state: &State) -> Result<(), Error> {
    let own = graph.value(state.value);
    let place = format!("state `{}`", own.name);
    read(graph, written, &place, state.next)?;
    let next = graph.value(state.next);
    let kind = (own.dtype, &own.shape[..]);
    if (state.initial.dtype(), state.initial.shape()) != kind || (next.dtype, &next.shape[..]) != kind {
        return Err(invalid(
            place,
            &format!("it and its values, `{}` the next one, differ in type", next.name),
        ));
    }
    match graph.is_state(state.next) {
        true => Err(invalid(place, &format!("its next value `{}` is a state: copy it", next.name))),
        false => Ok(()),
    }
}

fn verify_node(graph: &Graph, node: &Node, written: &mut [bool]) -> Result<(), Error> {
    let place = format!("node `{}` ({})", node.name, node.operator.name());
    node.inputs.iter().flatten().try_for_each(|&id| read(graph, written, &place, id))?;
    node.regions.iter().try_for_each(verify)?;
    if node.regions.iter().any(|region| !region.states.is_empty()) {
        return Err(invalid(place, "its subgraph has a state"));
    }
    let quantized: Vec<_> = node
        .outputs
        .iter()
        .map(|&id| graph.values.get(id.0 as usize).and_then(|_| graph.quantized(id)))
        .collect();
    let types = output_types(graph, node, &quantized)?;
    if types.len() != node.outputs.len() || types.is_empty() {
        let problem = format!("it writes {} values, its operator gives {}", node.outputs.len(), types.len());
        return Err(invalid(place, &problem));
    }
    for (&id, (dtype, shape)) in node.outputs.iter().zip(types) {
        write(graph, written, &place, id)?;
        let value = graph.value(id);
        if (value.dtype, &value.shape) != (dtype, &shape) {
            let problem = format!(
                "`{}` is {}{:?}, its operator gives {dtype}{shape:?}",
                value.name, value.dtype, value.shape
            );
            return Err(invalid(place, &problem));
        }
    }
    Ok(())
}

fn write(graph: &Graph, written: &mut [bool], place: &str, id: ValueId) -> Result<(), Error> {
    let Some(already) = written.get_mut(id.0 as usize) else { return Err(missing(place, id)) };
    if std::mem::replace(already, true) {
        return Err(invalid(place, &format!("`{}` has a value already", graph.value(id).name)));
    }
    Ok(())
}

fn read(graph: &Graph, written: &[bool], place: &str, id: ValueId) -> Result<(), Error> {
    match written.get(id.0 as usize) {
        Some(true) => Ok(()),
        Some(false) => Err(invalid(place, &format!("`{}` has no value yet", graph.value(id).name))),
        None => Err(missing(place, id)),
    }
}

fn missing(place: &str, id: ValueId) -> Error {
    invalid(place, &format!("there is no value number {}", id.0))
}

fn invalid(place: impl Into<String>, problem: &str) -> Error {
    Error::Invalid { place: place.into(), problem: problem.into() }
}
