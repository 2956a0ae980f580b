//! The float network as integers will compute it.
//!
//! Owns what happens to a network before its numbers are looked at: what scales and shifts the channels behind a linear step goes into
//! the step's weights and bias (batch normalization, a bias that is added), as do the factors of a product of matrices. The
//! arithmetic of the folding is the graph's rewrite.

use std::collections::BTreeMap;

use nablac_graph::source::SourceNode;
use nablac_graph::{Operator, fold_batch_normalization, fold_constants};
use nablac_index::Array;

use super::affine::floats;
use super::network::Network;
use super::weights::{Parameters, real};
use crate::failure::Result;

/// Folds what can be folded into linear steps.
pub fn prepare(network: &mut Network) -> Result<()> {
    let mut index = 0;
    while index < network.steps.len() {
        scale_product(network, index)?;
        // The step takes in one follower after the other.
        while let Some(follower) = sole_reader(network, index) {
            let Some(node) = folded(network, index, follower)? else { break };
            network.steps.remove(follower);
            network.replace(index, node)?;
        }
        index += 1;
    }
    Ok(())
}

/// The only step that reads the output of another.
pub fn sole_reader(network: &Network, index: usize) -> Option<usize> {
    let [output] = &network.steps[index].results[..] else { return None };
    let counts = network.read_counts();
    let readers = network.readers(output);
    (counts.get(output.as_str()) == Some(&1) && readers.len() == 1).then(|| readers[0])
}

/// One node for two, if the second scales and shifts channels that the first computes.
fn folded(network: &mut Network, index: usize, follower: usize) -> Result<Option<SourceNode>> {
    let (first, second) = (network.steps[index].node.clone(), network.steps[follower].node.clone());
    let computes = |name: &str| ["Conv", "ConvTranspose", "Gemm", "MatMul"].contains(&name);
    if !computes(&first.operator) || !network.constants.contains_key(first.inputs.get(1).map_or("", |w| w)) {
        return Ok(None);
    }
    let graph = fold_constants(network.graph(&[&first, &second], &BTreeMap::new())?);
    let graph = fold_batch_normalization(graph);
    let [node] = &graph.nodes[..] else { return Ok(None) };
    let constant =
        |at: usize| node.inputs.get(at).copied().flatten().and_then(|id| graph.value(id).constant.clone());
    let Some(weights) = constant(1) else { return Ok(None) };
    let mut result = first.clone();
    let is_product = matches!(node.operator, Operator::Gemm(_));
    if is_product && first.operator == "MatMul" {
        result.operator = "Gemm".into();
    }
    result.attributes.remove("beta"); // it is in the bias now
    result.outputs = second.outputs.clone();
    result.inputs.truncate(1);
    result.inputs.push(network.add_constant(&format!("{}.weights", first.name), weights));
    if let Some(bias) = constant(2) {
        result.inputs.push(network.add_constant(&format!("{}.bias", first.name), bias));
    }
    Ok(Some(result))
}

/// `alpha * a b + beta * c` is `a (alpha b) + (beta c)`; a summand of one number or one row becomes a bias.
fn scale_product(network: &mut Network, index: usize) -> Result<()> {
    let node = network.steps[index].node.clone();
    if node.operator != "Gemm" || Parameters::of(network, &network.steps[index]).is_some() {
        return Ok(());
    }
    let (alpha, beta) = (real(&node, "alpha", 1.0), real(&node, "beta", 1.0));
    let Some(weights) = network.constants.get(&node.inputs[1]).cloned() else { return Ok(()) };
    let columns = network.types[&network.steps[index].results[0]].1[1];
    let mut result = node.clone();
    result.attributes.remove("alpha");
    result.attributes.remove("beta");
    let summand = node.inputs.get(2).filter(|name| !name.is_empty());
    if let Some(name) = summand {
        let Some(c) = network.constants.get(name).cloned() else { return Ok(()) };
        let row: Vec<f32> = match (c.len(), c.shape().last()) {
            (1, _) => vec![floats(&c).next().unwrap_or(0.0); columns],
            (n, Some(&last)) if n == columns && last == n => floats(&c).collect(),
            _ => return Ok(()),
        };
        result.inputs[2] =
            network.add_constant(&format!("{}.bias", node.name), scaled(&[columns], row, beta));
    }
    let scaled = scaled(weights.shape(), floats(&weights).collect(), alpha);
    result.inputs[1] = network.add_constant(&format!("{}.weights", node.name), scaled);
    network.replace(index, result)
}

fn scaled(shape: &[usize], values: Vec<f32>, factor: f64) -> Array {
    let values: Vec<f32> = values.into_iter().map(|x| (f64::from(x) * factor) as f32).collect();
    Array::from_f32(shape, &values)
}
