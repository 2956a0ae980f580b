//! Rewrites of graphs: what is known about operators beyond their definitions.

use crate::graph::{Graph, Node, ValueId};
use crate::operator::Operator;
use crate::ops::Identity;

mod fold_batch_normalization;
mod fuse_quantization;

pub use fold_batch_normalization::fold_batch_normalization;
pub use fuse_quantization::fuse_quantization;

/// Removes nodes whose values nobody reads or are known, then values that no node names. The values that are left are
/// numbered in the order of the text: inputs, constants, then what the nodes write.
pub fn remove_unread(mut graph: Graph) -> Graph {
    let mut counts = graph.read_counts();
    for position in (0..graph.nodes.len()).rev() {
        let outputs = &graph.nodes[position].outputs;
        let unread = outputs.iter().all(|id| counts[id.0 as usize] == 0);
        let known = outputs.iter().all(|id| graph.value(*id).constant.is_some());
        if unread || known {
            let node = graph.nodes.remove(position);
            node.inputs.iter().flatten().for_each(|id| counts[id.0 as usize] -= 1);
        }
    }
    renumber(graph)
}

fn renumber(mut graph: Graph) -> Graph {
    let mut read = vec![false; graph.values.len()];
    let nodes = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten());
    nodes.chain(&graph.outputs).for_each(|id| read[id.0 as usize] = true);
    let constants = graph.values().filter(|(id, v)| read[id.0 as usize] && v.constant.is_some());
    let constants: Vec<ValueId> = constants.map(|(id, _)| id).collect();
    let written = graph.nodes.iter().flat_map(|n| &n.outputs);
    let mut order: Vec<ValueId> = vec![];
    let mut place: Vec<Option<u32>> = vec![None; graph.values.len()];
    for &id in graph.inputs.iter().chain(&constants).chain(written) {
        if place[id.0 as usize].is_none() {
            place[id.0 as usize] = Some(order.len() as u32);
            order.push(id);
        }
    }
    let of = |id: ValueId| ValueId(place[id.0 as usize].unwrap_or(u32::MAX)); // nobody writes it: the verifier says so
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().chain(&mut node.outputs).for_each(|id| *id = of(*id));
    }
    graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(|id| *id = of(*id));
    graph.values = order.into_iter().map(|id| graph.values[id.0 as usize].clone()).collect();
    graph
}

/// Gives the outputs their names. An output that is an input, a constant, or another output as well is copied.
pub(crate) fn name_outputs(mut graph: Graph, names: &[&str]) -> Graph {
    for (position, name) in names.iter().enumerate() {
        let id = graph.outputs[position];
        let shared = graph.inputs.contains(&id) || graph.outputs[..position].contains(&id);
        let named = graph.value(id).name == *name || graph.value(id).constant.is_none();
        let id = match named && !shared {
            true => id,
            false => add_copy(&mut graph, name, id),
        };
        graph.outputs[position] = id;
        let other = graph.values().find(|(_, value)| value.name == *name).map(|(other, _)| other);
        if other.is_some_and(|other| graph.inputs.contains(&other)) {
            continue; // an input keeps its name, and the output has a number behind it
        }
        if let Some(other) = other.filter(|&other| other != id) {
            graph.values[other.0 as usize].name = graph.free_name(name);
        }
        graph.values[id.0 as usize].name = name.to_string();
    }
    graph
}

fn add_copy(graph: &mut Graph, name: &str, id: ValueId) -> ValueId {
    let value = graph.value(id).clone();
    let copy = graph.add_value(name, value.dtype, &value.shape, None);
    graph.values[copy.0 as usize].quantization = value.quantization;
    graph.nodes.push(Node {
        name: name.into(),
        operator: Identity {}.into(),
        inputs: vec![Some(id)],
        outputs: vec![copy],
        regions: vec![],
        requantization: None,
    });
    copy
}

/// `if true { then } else { otherwise }` is `then`: the nodes of the chosen subgraph take the place of the node.
pub fn resolve_branches(mut graph: Graph) -> Graph {
    let names: Vec<String> = graph.outputs.iter().map(|&id| graph.value(id).name.clone()).collect();
    let mut of: Vec<ValueId> = graph.values().map(|(id, _)| id).collect();
    for mut node in std::mem::take(&mut graph.nodes) {
        node.inputs.iter_mut().flatten().for_each(|id| *id = of[id.0 as usize]);
        let Some(side) = chosen_side(&graph, &node) else {
            graph.nodes.push(node);
            continue;
        };
        let skipped = node.regions[..side].iter().map(|region| region.inputs.len()).sum();
        let inputs: Vec<ValueId> = node.inputs[1..].iter().flatten().skip(skipped).copied().collect();
        let results = graph.inline(&node.regions[side], &inputs);
        node.outputs.iter().zip(results).for_each(|(id, result)| of[id.0 as usize] = result);
    }
    graph.outputs.iter_mut().for_each(|id| *id = of[id.0 as usize]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    remove_unread(name_outputs(graph, &names))
}

/// Whether an If has a constant condition.
pub(crate) fn has_resolved_branch(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| chosen_side(graph, node).is_some())
}

/// Which subgraph an If with a constant condition runs.
fn chosen_side(graph: &Graph, node: &Node) -> Option<usize> {
    let (Operator::If(_), [Some(condition), ..]) = (&node.operator, &node.inputs[..]) else { return None };
    let known = graph.value(*condition).constant.as_ref()?;
    Some(if known.to_i64().first() == Some(&0) { 1 } else { 0 }).filter(|&side| side < node.regions.len())
}
