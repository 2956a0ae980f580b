//! Graphs to index notation: every node's definition, one behind the other.
//!
//! Owns how the values of a graph become the tensors of a program, and the types of a node's outputs, which follow from its
//! definition. What a node means is its operator's file.

use std::cell::Cell;

use nablac_index::{Builder, DType, Expr, Program, Reduce, Role, TensorId, axes, elements};

use crate::error::Error;
use crate::graph::{Graph, Node, Quantized, ValueId};
use crate::operator::{Definition, Quantizations};
use crate::quantization::Quantization;

/// The program that a graph means. Inputs and outputs are in the graph's order, under their names.
pub fn define(graph: &Graph) -> Result<Program, Error> {
    let mut builder = Builder::new(&graph.name);
    let mut tensors: Vec<Option<TensorId>> = vec![None; graph.values.len()];
    for &id in &graph.inputs {
        let value = graph.value(id);
        tensors[id.0 as usize] = Some(builder.tensor(&value.name, value.dtype, &value.shape, Role::Input));
    }
    let outputs: Vec<TensorId> = graph
        .outputs
        .iter()
        .map(|&id| {
            let value = graph.value(id);
            builder.tensor(&value.name, value.dtype, &value.shape, Role::Output)
        })
        .collect();
    define_nodes(graph, &mut builder, &mut tensors)?;
    builder.set_label("", "");
    for (&id, &output) in graph.outputs.iter().zip(&outputs) {
        let value = tensor_of(graph, &mut builder, &mut tensors, id);
        copy(&mut builder, value, output);
    }
    Ok(builder.finish())
}

/// Writes a region's nodes into a program that is under construction; gives the tensors of its outputs.
pub fn define_region(
    region: &Graph,
    builder: &mut Builder,
    inputs: &[TensorId],
) -> Result<Vec<TensorId>, Error> {
    let expected = region.inputs.iter().map(|&id| (region.value(id).dtype, region.value(id).shape.clone()));
    let expected: Vec<_> = expected.collect();
    let given: Vec<_> = inputs.iter().map(|&tensor| (builder.dtype(tensor), builder.shape(tensor))).collect();
    if given != expected {
        let problem = format!("its inputs are {expected:?}, but it is given {given:?}");
        return Err(Error::Invalid { place: format!("subgraph `{}`", region.name), problem });
    }
    let mut tensors: Vec<Option<TensorId>> = vec![None; region.values.len()];
    for (&id, &tensor) in region.inputs.iter().zip(inputs) {
        tensors[id.0 as usize] = Some(tensor);
    }
    let (label, prefix) = builder.label();
    define_nodes(region, builder, &mut tensors)?;
    builder.set_label(&label, &prefix);
    Ok(region.outputs.iter().map(|&id| tensor_of(region, builder, &mut tensors, id)).collect())
}

/// `to[i, j, …] = from[i, j, …]`.
pub fn copy(builder: &mut Builder, from: TensorId, to: TensorId) {
    let shape = builder.shape(to);
    builder.write(to, Reduce::Set, &axes(&shape), |at| (at.to_vec(), Expr::read(from, at)));
}

fn define_nodes(graph: &Graph, builder: &mut Builder, tensors: &mut [Option<TensorId>]) -> Result<(), Error> {
    for node in &graph.nodes {
        let inputs: Vec<Option<TensorId>> =
            node.inputs.iter().map(|id| id.map(|id| tensor_of(graph, builder, tensors, id))).collect();
        let prefix = node.outputs.first().map_or(&node.name, |&id| &graph.value(id).name);
        let quantized: Vec<Option<Quantized>> = node.outputs.iter().map(|&id| graph.quantized(id)).collect();
        let outputs = define_node(
            builder,
            node,
            &|id| graph.value(id).quantization.clone(),
            &quantized,
            prefix,
            inputs,
        )?;
        for (&id, tensor) in node.outputs.iter().zip(outputs) {
            tensors[id.0 as usize] = Some(tensor);
        }
    }
    Ok(())
}

fn define_node(
    builder: &mut Builder,
    node: &Node,
    quantization: &dyn Fn(ValueId) -> Option<Quantization>,
    quantized: &[Option<Quantized>],
    prefix: &str,
    inputs: Vec<Option<TensorId>>,
) -> Result<Vec<TensorId>, Error> {
    builder.set_label(&node.name, prefix);
    let quantized = node.requantization.map(|requantization| Quantizations {
        requantization,
        inputs: node.inputs.iter().map(|id| id.and_then(quantization)).collect(),
        outputs: quantized.to_vec(),
    });
    let mut definition = Definition {
        builder,
        node: &node.name,
        operator: node.operator.name(),
        inputs,
        outputs: vec![],
        regions: &node.regions,
        has_read_regions: Cell::new(false),
        quantized,
    };
    node.operator.define(&mut definition)?;
    let unread = !node.regions.is_empty() && !definition.has_read_regions.get();
    definition.require(!unread, || "it has subgraphs, and no use for them".into())?;
    Ok(definition.outputs)
}

/// The tensor of a value; constants are added when they are first read.
fn tensor_of(
    graph: &Graph,
    builder: &mut Builder,
    tensors: &mut [Option<TensorId>],
    id: ValueId,
) -> TensorId {
    let value = graph.value(id);
    *tensors[id.0 as usize].get_or_insert_with(|| match &value.constant {
        Some(array) => builder.constant(&value.name, array.clone()),
        None => unreachable!("`{}` is read before its node; the graph's verifier refuses that", value.name),
    })
}

/// The types of what a node writes; those of its outputs that are quantized are so as `quantized` says.
pub(crate) fn output_types(
    graph: &Graph,
    node: &Node,
    quantized: &[Option<Quantized>],
) -> Result<Vec<(DType, Vec<usize>)>, Error> {
    let (builder, outputs) =
        define_alone(graph, node, &|id| graph.value(id).quantization.clone(), quantized)?;
    // Most operators compute with whatever integers they are given; these can only be moved and converted.
    let packed = node.inputs.iter().flatten().find(|id| graph.value(**id).dtype.is_packed());
    if let Some(&id) = packed.filter(|_| computes_with_packed(builder.program())) {
        let reason =
            format!("it computes with `{}`, whose elements have 4 bits: dequantize it", graph.value(id).name);
        let (node, operator) = (node.name.clone(), node.operator.name().into());
        return Err(Error::Unsupported { node, operator, reason });
    }
    for &tensor in &outputs {
        let bytes = elements(builder.program().shape(tensor)).and_then(|n| n.checked_mul(8));
        if bytes.is_none() {
            let problem = format!("a result of shape {:?} fits no memory", builder.shape(tensor));
            let (node, operator) = (node.name.clone(), node.operator.name().into());
            return Err(Error::Malformed { node, operator, problem });
        }
    }
    Ok(outputs.into_iter().map(|t| (builder.dtype(t), builder.shape(t))).collect())
}

/// Whether an operation has an operand or result of a type that constants alone have.
fn computes_with_packed(program: &Program) -> bool {
    let mut found = false;
    for statement in program.statements() {
        found |= statement.reduce != Reduce::Set && program.dtype(statement.out).is_packed();
        statement.body.visit(&mut |node| match node {
            Expr::Unary(_, a) | Expr::Binary(_, a, _) => found |= program.type_of(a).is_packed(),
            Expr::Cast(to, _) => found |= to.is_packed(),
            _ => {}
        });
    }
    found
}

/// What a node would compute if its inputs were quantized as `inputs` says, and its outputs as `outputs` says.
pub(crate) fn quantized_program(
    graph: &Graph,
    node: &Node,
    inputs: &dyn Fn(ValueId) -> Option<Quantization>,
    outputs: &[Option<Quantized>],
) -> Result<Program, Error> {
    define_alone(graph, node, inputs, outputs).map(|(builder, _)| builder.finish())
}

/// A program of one node alone.
fn define_alone(
    graph: &Graph,
    node: &Node,
    quantization: &dyn Fn(ValueId) -> Option<Quantization>,
    outputs: &[Option<Quantized>],
) -> Result<(Builder, Vec<TensorId>), Error> {
    let mut builder = Builder::new(&node.name);
    let mut input = |id: ValueId| {
        let value = graph.value(id);
        // A quantized operator's weights bound its sums, and decide how it rounds.
        let known = value.constant.clone().filter(|_| node.requantization.is_some());
        let role = known.map_or(Role::Input, Role::Constant);
        builder.tensor(&value.name, value.dtype, &value.shape, role)
    };
    let tensors = node.inputs.iter().map(|id| id.map(&mut input)).collect();
    let outputs = define_node(&mut builder, node, quantization, outputs, "", tensors)?;
    Ok((builder, outputs))
}
