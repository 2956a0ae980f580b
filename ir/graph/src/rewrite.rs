//! Rewrites of graphs: what is known about operators beyond their definitions.

use crate::graph::{Graph, ValueId};

mod fold_batch_normalization;

pub use fold_batch_normalization::fold_batch_normalization;

/// Removes nodes whose values nobody reads, then values that no node names, so that ids are dense again.
pub fn remove_unread(mut graph: Graph) -> Graph {
    let mut counts = graph.read_counts();
    for position in (0..graph.nodes.len()).rev() {
        let unread = graph.nodes[position].outputs.iter().all(|id| counts[id.0 as usize] == 0);
        if unread {
            let node = graph.nodes.remove(position);
            node.inputs.iter().flatten().for_each(|id| counts[id.0 as usize] -= 1);
        }
    }
    renumber(graph)
}

fn renumber(graph: Graph) -> Graph {
    let mut named = vec![false; graph.values.len()];
    let nodes = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten().chain(&n.outputs));
    nodes.chain(&graph.inputs).chain(&graph.outputs).for_each(|id| named[id.0 as usize] = true);
    let mut next = 0;
    let ids: Vec<u32> = named
        .iter()
        .map(|&named| {
            next += named as u32;
            next.wrapping_sub(1)
        })
        .collect();
    let of = |id: ValueId| ValueId(ids[id.0 as usize]);
    let mut graph = graph;
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().chain(&mut node.outputs).for_each(|id| *id = of(*id));
    }
    graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(|id| *id = of(*id));
    graph.values = graph.values.into_iter().zip(named).filter(|(_, named)| *named).map(|(v, _)| v).collect();
    graph
}
