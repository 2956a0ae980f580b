//! Constant folding: nodes that read only constants are computed now.
//!
//! Owns the bound on how much work that may be. The numbers come from the interpreter of index notation.

use nablac_index::{Array, run};

use crate::define::define;
use crate::graph::{Graph, Node, ValueId};
use crate::rewrite::remove_unread;

/// The most points of loop boxes that folding one node may visit.
const POINTS: usize = 100_000_000;

/// Replaces every node that reads only constants by its value.
pub fn fold_constants(mut graph: Graph) -> Graph {
    for position in 0..graph.nodes.len() {
        for region in &mut graph.nodes[position].regions {
            *region = fold_constants(std::mem::take(region));
        }
        for id in graph.nodes[position].outputs.clone() {
            constant_of(&mut graph, id);
        }
    }
    let graph = Graph {
        nodes: graph
            .nodes
            .iter()
            .filter(|n| !n.outputs.iter().all(|id| graph.value(*id).constant.is_some()))
            .cloned()
            .collect(),
        ..graph
    };
    remove_unread(graph)
}

/// The elements of a value, if only constants go into it; they are kept in the graph.
pub(crate) fn constant_of(graph: &mut Graph, id: ValueId) -> Option<Array> {
    if let Some(array) = &graph.value(id).constant {
        return Some(array.clone());
    }
    let node = graph.nodes[graph.producer(id)?].clone();
    let mut inputs = vec![];
    for input in &node.inputs {
        inputs.push(match input {
            None => None,
            Some(input) => Some(constant_of(graph, *input)?),
        });
    }
    for (output, array) in node.outputs.iter().zip(evaluate(graph, &node, &inputs)?) {
        graph.values[output.0 as usize].constant = Some(array);
    }
    graph.value(id).constant.clone()
}

/// Runs one node alone on constant inputs.
fn evaluate(graph: &Graph, node: &Node, inputs: &[Option<Array>]) -> Option<Vec<Array>> {
    let mut alone = Graph { name: node.name.clone(), ..Graph::default() };
    let ids: Vec<Option<ValueId>> =
        inputs.iter().map(|array| array.clone().map(|array| alone.add_constant("x", array))).collect();
    let outputs = node.outputs.iter().map(|&id| {
        let value = graph.value(id);
        alone.add_value(&value.name, value.dtype, &value.shape, None)
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
