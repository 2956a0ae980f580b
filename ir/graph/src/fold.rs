//! Constant folding: nodes that read only constants are computed now.
//!
//! Owns the bound on how much work that may be. The numbers come from the interpreter of index notation.

use std::collections::BTreeSet;

use nablac_index::{Array, run};

use crate::define::define;
use crate::graph::{Graph, Node, ValueId};
use crate::operator::Operator;
use crate::rewrite::{has_resolved_branch, remove_unread, resolve_branches};

/// The most points of loop boxes that folding one node may visit.
const POINTS: usize = 100_000_000;

/// Replaces every node that reads only constants by its value, and every If with a constant condition by its side.
pub fn fold_constants(mut graph: Graph) -> Graph {
    for position in 0..graph.nodes.len() {
        for region in &mut graph.nodes[position].regions {
            *region = fold_constants(std::mem::take(region));
        }
        let node = &graph.nodes[position];
        let known = node.inputs.iter().flatten().all(|id| graph.value(*id).constant.is_some());
        // Integers are half of what there is to keep: those that stand for reals stay so until it is known what reads them.
        let dequantizes = matches!(node.operator, Operator::Dequantize(_));
        if let Some(&first) = node.outputs.first().filter(|_| known && !dequantizes) {
            constant_of(&mut graph, first);
        }
    }
    let graph = remove_unread(graph);
    if has_resolved_branch(&graph) { fold_constants(resolve_branches(graph)) } else { graph }
}

/// The elements of a value, if only constants go into it; they are kept in the graph.
pub(crate) fn constant_of(graph: &mut Graph, id: ValueId) -> Option<Array> {
    if graph.value(id).constant.is_none() {
        for position in unknown_nodes(graph, id)? {
            let node = graph.nodes[position].clone();
            let constant = |input: &ValueId| graph.value(*input).constant.clone();
            let inputs: Vec<Option<Array>> =
                node.inputs.iter().map(|input| input.as_ref().and_then(constant)).collect();
            for (output, array) in node.outputs.iter().zip(evaluate(graph, &node, &inputs)?) {
                graph.values[output.0 as usize].constant = Some(array);
            }
        }
    }
    graph.value(id).constant.clone()
}

/// The nodes to compute for the elements of a value, in order; nothing if the caller gives some of what goes into them.
fn unknown_nodes(graph: &Graph, id: ValueId) -> Option<BTreeSet<usize>> {
    let mut producers = vec![None; graph.values.len()];
    for (position, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().for_each(|id| producers[id.0 as usize] = Some(position));
    }
    let mut nodes = BTreeSet::new();
    let mut unknown = vec![id];
    while let Some(id) = unknown.pop() {
        let position = producers[id.0 as usize]?;
        if nodes.insert(position) {
            let inputs = graph.nodes[position].inputs.iter().flatten();
            unknown.extend(inputs.filter(|id| graph.value(**id).constant.is_none()));
        }
    }
    Some(nodes)
}

/// Runs one node alone on constant inputs.
fn evaluate(graph: &Graph, node: &Node, inputs: &[Option<Array>]) -> Option<Vec<Array>> {
    let mut alone = Graph { name: node.name.clone(), ..Graph::default() };
    let ids: Vec<Option<ValueId>> =
        inputs.iter().map(|array| array.clone().map(|array| alone.add_constant("x", array))).collect();
    for (own, id) in node.inputs.iter().zip(&ids) {
        if let (Some(own), Some(id)) = (own, id) {
            alone.values[id.0 as usize].quantization = graph.value(*own).quantization.clone();
        }
    }
    let outputs = node.outputs.iter().map(|&id| {
        let value = graph.value(id);
        let id = alone.add_value(&value.name, value.dtype, &value.shape, None);
        alone.values[id.0 as usize].quantization = value.quantization.clone();
        id
    });
    let outputs: Vec<ValueId> = outputs.collect();
    alone.outputs = outputs.clone();
    alone.nodes.push(Node { inputs: ids, outputs, ..node.clone() });
    let program = define(&alone).ok()?;
    let mut points = 0usize;
    program.visit_statements(&mut |counters, statement| {
        let extents = statement.extents(counters);
        points = points.saturating_add(extents.iter().fold(1usize, |n, &e| n.saturating_mul(e)));
    });
    if points > POINTS { None } else { run(&program, &[]).ok() }
}
