//! `repeat time: n carrying state = initial then next { next, part = body(state, x[…, time, …]) }`, where `y = state` in the
//! end, and `y[…, time, …] = part[…]`. An axis that goes backwards is indexed with `n - 1 - time`.

use nablac_index::{Expr, Index, TensorId};
use serde::{Deserialize, Serialize};

use super::Slice;
use super::concat::concat;
use super::repetition::{keeps_types, repeat, store};
use super::reshape::reshape;
use crate::define::define_region;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::{Given, Reader};
use crate::operator::{Definition, Operation, Spelling, onnx};

/// An axis that time runs along.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Along {
    /// The axis of the whole tensor.
    pub axis: usize,
    /// Whether time runs from its end.
    pub backwards: bool,
}

/// A subgraph that is repeated for each slice of its inputs. The inputs are the initial states, the tensors that are sliced,
/// and what else the body reads. The body is given the states, the slices and the rest; it gives the next states, and parts
/// that make up the other outputs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// The number of states.
    pub states: usize,
    /// How each sliced input is sliced.
    pub inputs: Vec<Along>,
    /// How each stacked output is put together.
    pub outputs: Vec<Along>,
}

impl Operation for Scan {
    const NAME: &'static str = "scan";
    const SPELLINGS: &'static [Spelling] = &[onnx("Scan", 8)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.version() < 9 {
            return import_batched(node);
        }
        let all: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
        scan(node, &all, ["scan_input_axes", "scan_input_directions"])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let [body] = definition.regions()?;
        let all: Vec<TensorId> =
            (0..definition.inputs().len()).map(|i| definition.input(i)).collect::<Result<_, _>>()?;
        let split = self.states + self.inputs.len();
        let fits = all.len() >= split && body.outputs.len() == self.states + self.outputs.len();
        definition.require(fits, || "its body does not fit its inputs and outputs".into())?;
        let (initial, sliced, captures) = (&all[..self.states], &all[self.states..split], &all[split..]);
        keeps_types(definition, body, 0, initial)?;
        let extent = |(&x, along): (&TensorId, &Along)| definition.shape(x).get(along.axis).copied();
        let extents: Vec<Option<usize>> = sliced.iter().zip(&self.inputs).map(extent).collect();
        let length = extents.first().copied().flatten().filter(|n| extents.iter().all(|e| *e == Some(*n)));
        let length = length.ok_or_else(|| {
            definition.malformed(format!("its sliced inputs are of lengths {extents:?}, not of one"))
        })?;
        let mut stacks = vec![];
        for (&id, along) in body.outputs[self.states..].iter().zip(&self.outputs) {
            let part = body.value(id);
            let mut shape = part.shape.clone();
            definition.require(along.axis <= shape.len(), || format!("axis {} of {shape:?}", along.axis))?;
            shape.insert(along.axis, length);
            stacks.push(definition.builder.local("", part.dtype, &shape));
        }
        let states = repeat(definition, length, initial, |builder, time, states| {
            let slice = |(&x, along): (&TensorId, &Along)| {
                let (dtype, mut shape) = (builder.dtype(x), builder.shape(x));
                shape.remove(along.axis);
                builder.map("slice", dtype, &shape, |at| {
                    let mut from = at.to_vec();
                    from.insert(along.axis, along.position(time, length));
                    Expr::read(x, from)
                })
            };
            let slices: Vec<TensorId> = sliced.iter().zip(&self.inputs).map(slice).collect();
            let results = define_region(body, builder, &[states, &slices, captures].concat())?;
            let (next, parts) = results.split_at(self.states);
            for ((&part, &stack), along) in parts.iter().zip(&stacks).zip(&self.outputs) {
                store(builder, stack, along.axis, &along.position(time, length), part);
            }
            Ok(next.to_vec())
        })?;
        states.into_iter().chain(stacks).for_each(|y| definition.output(y));
        Ok(())
    }
}

impl Along {
    /// Where along the axis it is at `time`.
    fn position(&self, time: &Index, length: usize) -> Index {
        if self.backwards { Index::constant(length as i64 - 1) - time.clone() } else { time.clone() }
    }
}

/// One node for the whole scan of `all`, states and sliced inputs; the attributes list axes and directions of the latter.
fn scan(node: &mut Reader, all: &[ValueId], lists: [&str; 2]) -> Result<Vec<ValueId>, Error> {
    let sliced = usize::try_from(node.int("num_scan_inputs", 0)?).unwrap_or(usize::MAX);
    let states = all.len().checked_sub(sliced).ok_or_else(|| node.malformed("it has too few inputs"))?;
    let mut shapes: Vec<Vec<usize>> = all.iter().map(|&id| node.shape(id)).collect();
    let ranks: Vec<usize> = shapes[states..].iter().map(Vec::len).collect();
    let inputs = along(node, lists, &ranks)?;
    shapes[states..].iter_mut().zip(&inputs).for_each(|(shape, along)| {
        shape.remove(along.axis);
    });
    let given: Vec<_> = all.iter().zip(shapes).map(|(&id, shape)| Given::Type(node.dtype(id), shape)).collect();
    let body = node.region("body", &given)?;
    let rank = |&id: &ValueId| body.graph.value(id).shape.len() + 1;
    let ranks: Vec<usize> = body.graph.outputs.iter().skip(states).map(rank).collect();
    let outputs = along(node, ["scan_output_axes", "scan_output_directions"], &ranks)?;
    let operands: Vec<_> = all.iter().copied().chain(body.captures).map(Some).collect();
    node.add_with(Scan { states, inputs, outputs }, &operands, vec![body.graph])
}

/// Operator set 8: every operand has a batch axis in front. Each element of the batch is scanned by itself.
fn import_batched(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    if node.optional(0).is_some() {
        return Err(node.unsupported("sequences of different lengths: scan them one by one"));
    }
    let all: Vec<ValueId> = node.inputs().iter().skip(1).flatten().copied().collect();
    let batch = all.first().and_then(|&id| node.shape(id).first().copied()).unwrap_or(0);
    let mut results: Vec<Vec<ValueId>> = vec![];
    for element in 0..batch {
        let mut operands = vec![];
        for &whole in &all {
            let mut slice = Slice::whole(&node.shape(whole));
            slice.narrow(node, 0, element as i64, element as i64 + 1, 1)?;
            let part = slice.add(node, whole)?;
            let shape = node.shape(part);
            operands.push(reshape(node, part, &shape[1..])?);
        }
        for (position, result) in scan(node, &operands, ["", "directions"])?.into_iter().enumerate() {
            let shape = node.shape(result);
            let row = reshape(node, result, &[&[1], &shape[..]].concat())?;
            match results.get_mut(position) {
                Some(rows) => rows.push(row),
                None => results.push(vec![row]),
            }
        }
    }
    results.iter().map(|rows| concat(node, 0, rows)).collect()
}

/// The axes and directions that two attributes list, for tensors of the given ranks.
fn along(node: &Reader, [axes, directions]: [&str; 2], ranks: &[usize]) -> Result<Vec<Along>, Error> {
    let axes = node.ints(axes)?.unwrap_or_else(|| vec![0; ranks.len()]);
    let directions = node.ints(directions)?.unwrap_or_else(|| vec![0; ranks.len()]);
    if [axes.len(), directions.len()] != [ranks.len(); 2] {
        return Err(node.malformed("its axes and directions are not as many as its inputs and outputs"));
    }
    let one = |((&axis, &direction), &rank): ((&i64, &i64), &usize)| {
        Ok(Along { axis: node.axis(axis, rank)?, backwards: direction != 0 })
    };
    axes.iter().zip(&directions).zip(ranks).map(one).collect()
}
