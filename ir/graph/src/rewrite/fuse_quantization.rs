//! `dequantize → operator → quantize` becomes the operator on integers, where that is the same:
//! - a sum of products of dequantized values is summed before it is scaled, in integers if all are, and its result is real;
//! - what only moves elements between equal scales moves integers, and a function of one byte is a table;
//! - where results are to be requantized in fixed point, a sum and the bounds behind it are integers to the end.
//!
//! Owns the pattern. Whether an operator has such a form follows from its definition, of which it is asked here.

use std::collections::BTreeMap;

use nablac_index::{Array, Program, Reduce, Statement};

use crate::define::quantized_program;
use crate::graph::{Graph, Node, Quantized, Value, ValueId};
use crate::operator::Operator;
use crate::ops::Dequantize;
use crate::quantization::{Quantization, Requantization};
use crate::rewrite::remove_unread;

/// Computes on integers between quantized values, where nothing but the order of roundings tells the difference. Results are brought to
/// the scale of what is written by `requantization`.
pub fn fuse_quantization(mut graph: Graph, requantization: Requantization) -> Graph {
    for node in &mut graph.nodes {
        for region in &mut node.regions {
            *region = fuse_quantization(std::mem::take(region), requantization);
        }
    }
    let mut aliases = BTreeMap::new();
    let mut position = 0;
    while position < graph.nodes.len() {
        let of = |id: ValueId| aliases.get(&id).copied().unwrap_or(id);
        graph.nodes[position].inputs.iter_mut().flatten().for_each(|id| *id = of(*id));
        if let Some((from, to)) = round_trip(&graph, &graph.nodes[position]) {
            aliases.insert(from, to);
        } else if let Some(fused) = fused(&graph, position, requantization) {
            fused.apply(&mut graph, position, &mut aliases);
        }
        position += 1;
    }
    let next = graph.states.iter_mut().map(|state| &mut state.next);
    next.for_each(|id| *id = aliases.get(id).copied().unwrap_or(*id));
    remove_unread(graph)
}

/// How the integers that a dequantize or quantize node reads or writes stand for reals, where that is known.
fn known_quantization(graph: &Graph, node: &Node) -> Option<Quantization> {
    let axis = match &node.operator {
        Operator::Dequantize(dequantize) if dequantize.block == 0 => dequantize.axis,
        Operator::Quantize(quantize) if quantize.block == 0 => quantize.axis,
        _ => return None,
    };
    let constant = |position: usize| {
        let id = node.inputs.get(position).copied().flatten()?;
        graph.value(id).constant.as_ref()
    };
    let scales: Vec<f32> = constant(1)?.to_f64().into_iter().map(|scale| scale as f32).collect();
    let zero_points = match node.inputs.get(2) {
        None | Some(None) => vec![0; scales.len()],
        Some(Some(_)) => constant(2)?.to_i64(),
    };
    Some(Quantization { scales, zero_points, axis })
}

/// The integers that stand for a real value.
fn dequantized(graph: &Graph, id: ValueId) -> Option<(ValueId, Quantization)> {
    let node = &graph.nodes[graph.producer(id)?];
    let Operator::Dequantize(_) = node.operator else { return None };
    let quantization = known_quantization(graph, node)?;
    let source = (*node.inputs.first()?)?;
    let value = graph.value(source);
    let agrees = value.quantization.as_ref().is_none_or(|own| *own == quantization);
    let fits = quantization.fault(value.dtype, &value.shape).is_none();
    (agrees && fits).then_some((source, quantization))
}

/// What a quantize node writes, and how.
fn quantized(graph: &Graph, node: &Node) -> Option<Quantized> {
    let Operator::Quantize(quantize) = &node.operator else { return None };
    let quantization = known_quantization(graph, node).filter(|_| quantize.half_to_even)?;
    Some(Quantized { dtype: quantize.to, quantization })
}

/// `quantize(dequantize(x))` at one scale is `x`: what is written, and what stands for it.
fn round_trip(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId)> {
    let output = quantized(graph, node)?;
    let (source, quantization) = dequantized(graph, (*node.inputs.first()?)?)?;
    let same = graph.value(source).dtype == output.dtype && quantization == output.quantization;
    let written = *node.outputs.first()?;
    (same && !graph.is_kept(written)).then_some((written, source))
}

/// A node on integers, and the quantize nodes that it makes needless.
#[derive(Clone)]
struct Fused {
    requantization: Requantization,
    inputs: Vec<Option<ValueId>>,
    sources: Vec<(ValueId, Quantization)>,
    output: Option<Quantized>,
    readers: Vec<usize>,
}

fn fused(graph: &Graph, position: usize, requantization: Requantization) -> Option<Fused> {
    let node = &graph.nodes[position];
    let converts = matches!(node.operator, Operator::Dequantize(_) | Operator::Quantize(_));
    let [output] = node.outputs[..] else { return None };
    if converts || node.requantization.is_some() || !node.regions.is_empty() {
        return None;
    }
    let mut inputs = node.inputs.clone();
    let mut sources: Vec<(ValueId, Quantization)> = vec![];
    for input in inputs.iter_mut().flatten() {
        let Some((source, quantization)) = dequantized(graph, *input) else { continue };
        if sources.iter().any(|(other, q)| *other == source && *q != quantization) {
            return None;
        }
        *input = source;
        sources.push((source, quantization));
    }
    if sources.is_empty() {
        return None;
    }
    let plain = Fused { requantization: Requantization::F32, inputs, sources, output: None, readers: vec![] };
    let integer = integer_readers(graph, output).map(|(output, readers)| Fused {
        output: Some(output),
        readers,
        ..plain.clone()
    });
    let has_integers_only = |program: &Program| !program.tensors.iter().any(|tensor| tensor.dtype.is_float());
    let sums_integers = |program: &Program| {
        let reads_integers =
            |s: &Statement| s.accesses().iter().any(|access| program.dtype(access.tensor).is_integer());
        program.statements().into_iter().any(|s| s.reduce == Reduce::Sum && reads_integers(s))
    };
    let is_integer = |fused: &Fused| fused.program(graph, node).is_some_and(|p| has_integers_only(&p));
    let fixed = Some(requantization).filter(|way| way.is_fixed()).and_then(|requantization| {
        let output = integer_readers(graph, output).or_else(|| bounded_readers(graph, output))?.0;
        let readers = integer_readers(graph, node.outputs[0]).map_or(vec![], |(_, readers)| readers);
        Some(Fused { requantization, output: Some(output), readers, ..plain.clone() })
    });
    integer
        .into_iter()
        .chain(fixed)
        .find(is_integer)
        .or_else(|| Some(plain).filter(|fused| fused.program(graph, node).is_some_and(|p| sums_integers(&p))))
}

/// How a value is quantized behind the one function of it that bounds it, and changes nothing else.
fn bounded_readers(graph: &Graph, id: ValueId) -> Option<(Quantized, Vec<usize>)> {
    let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&Some(id)));
    let (Some(reader), None) = (readers.next(), readers.next()) else { return None };
    let bounds = matches!(reader.operator, Operator::Relu(_) | Operator::Clip(_));
    integer_readers(graph, *reader.outputs.first().filter(|_| bounds)?)
}

/// How a value is quantized by all nodes that read it, and which those are.
fn integer_readers(graph: &Graph, id: ValueId) -> Option<(Quantized, Vec<usize>)> {
    let reads = |(_, node): &(usize, &Node)| node.inputs.contains(&Some(id));
    let mut readers: Vec<(usize, &Node)> = graph.nodes.iter().enumerate().filter(reads).collect();
    // What the caller sees keeps its value: that of the first reader stays, the others' are replaced by it.
    let kept = |node: &Node| node.outputs.iter().any(|&id| graph.is_kept(id));
    readers.sort_by_key(|(_, node)| !kept(node));
    if readers.iter().skip(1).any(|(_, node)| kept(node)) {
        return None;
    }
    let all: Option<Vec<Quantized>> = readers
        .iter()
        .map(|(_, node)| quantized(graph, node).filter(|_| node.inputs.first() == Some(&Some(id))))
        .collect();
    let all = all.filter(|_| !graph.is_kept(id))?;
    let first = all.first()?.clone();
    let same = all.iter().all(|other| *other == first);
    same.then(|| (first, readers.into_iter().map(|(position, _)| position).collect()))
}

impl Fused {
    /// The node's definition on integers, if it has one.
    fn program(&self, graph: &Graph, node: &Node) -> Option<Program> {
        let node = Node {
            inputs: self.inputs.clone(),
            requantization: Some(self.requantization),
            outputs: vec![],
            ..node.clone()
        };
        let of = |id: ValueId| {
            let own = self.sources.iter().find(|(source, _)| *source == id).map(|(_, q)| q.clone());
            own.or_else(|| graph.value(id).quantization.clone())
        };
        quantized_program(graph, &node, &of, std::slice::from_ref(&self.output)).ok()
    }

    fn apply(self, graph: &mut Graph, position: usize, aliases: &mut BTreeMap<ValueId, ValueId>) {
        for (source, quantization) in self.sources {
            graph.values[source.0 as usize].quantization = Some(quantization);
        }
        let readers: Vec<ValueId> =
            self.readers.iter().map(|&reader| graph.nodes[reader].outputs[0]).collect();
        let node = &mut graph.nodes[position];
        node.inputs = self.inputs;
        node.requantization = Some(self.requantization);
        let Some(output) = self.output else { return };
        let Some((&first, others)) = readers.split_first() else {
            return dequantize_behind(graph, position, output);
        };
        // The value that the first reader wrote is the node's own; the others' are the same.
        let real = std::mem::replace(&mut node.outputs[0], first);
        graph.values[first.0 as usize].quantization = Some(output.quantization);
        aliases.extend(others.iter().map(|&other| (other, first)));
        for &reader in self.readers.iter().rev() {
            // It writes the real value instead, which nobody reads, and goes away with it.
            graph.nodes[reader].inputs.clear();
            graph.nodes[reader].outputs[0] = real;
        }
    }
}

/// Makes the node at `position` write integers, and what it wrote the reals that they stand for.
fn dequantize_behind(graph: &mut Graph, position: usize, output: Quantized) {
    let real = graph.nodes[position].outputs[0];
    let Value { name, shape, .. } = graph.value(real).clone();
    let quantized = graph.add_value(&format!("{name}.quantized"), output.dtype, &shape, None);
    let Quantization { scales, zero_points, axis } = output.quantization.clone();
    graph.values[quantized.0 as usize].quantization = Some(output.quantization);
    graph.nodes[position].outputs[0] = quantized;
    let zeros = zero_points.iter().map(|&zero| nablac_index::Value::Int(zero));
    let zeros = Array::from_values(output.dtype, &[zero_points.len()], zeros);
    let scale = graph.add_constant(&format!("{name}.scale"), Array::from_f32(&[scales.len()], &scales));
    let zero = graph.add_constant(&format!("{name}.zero_point"), zeros);
    let node = Node {
        name: graph.nodes[position].name.clone(),
        operator: Dequantize { axis, block: 0 }.into(),
        inputs: [quantized, scale, zero].map(Some).to_vec(),
        outputs: vec![real],
        regions: vec![],
        requantization: None,
    };
    graph.nodes.insert(position + 1, node);
}
